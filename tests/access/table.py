"""The access table: for every route of every dialect, who may use it and what everybody else is told.

Written by hand, and not made from the code that it checks. A route without a row fails `test_matrix`; so does a row
without a route.
"""

import uuid
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from msgspec import Struct

from fleetroll.core import ids
from tests.support.enrolling import enrolled
from tests.support.principals import ACTS_IN, Tenant

MARK = "known-only-to-its-tenant"
ANYBODY = "of any scope"


class Row(Struct, frozen=True):
    """One route. `least` and `scope` say who may use it, `done` what they get.

    `scope` is `ANYBODY` where every key will do. `foreign` is what the administrator of any other organization gets for
    the same request: 404 where it names a record, which does not exist for them, and success where it touches only
    their own. `denied` is what a key with fewer rights gets. `needs` names a sample that must exist; `{name}` in the
    path and `$name` in query and body stand for its parts, and a text that is just `$n_name` for a number. `below` is
    what the administrator of an organization below gets, where it is not `foreign`.
    """

    least: str
    scope: str
    done: int
    foreign: int
    needs: str = "nothing"
    body: Any = None
    media_type: str = "application/json"
    denied: int = 403
    query: str = ""
    below: int | None = None

    @property
    def reads(self) -> bool:
        return self.scope.endswith((":read", ":backup")) or self.scope == ANYBODY


_ONE = 'ident = "$ident"'
_EMAIL = "$ident@example.com"
_ROWS = "application/x-ndjson"

_PAST = {
    "env": "production",
    "start": "2026-01-01T00:00:00Z",
    "end": "2026-02-01T00:00:00Z",
    "last_value": False,
    "interval": "1h",
    "aggregate_fn": "count",
    "limit": 100,
    "offset": 0,
}

_L = "/api/devmanager/v1/devices"
_LG = "/api/devmanager/v1/device-groups"
_PATCHES = {"patches": [{"op": "add", "path": "/other", "value": 1}]}

ROWS: Mapping[str, Row] = {
    # Devices.
    "POST /v1/devices": Row("operator", "devices:write", 201, 201, body={"ident": "$new"}),
    "GET /v1/devices": Row("viewer", "devices:read", 200, 200, "device"),
    "PUT /v1/devices/{ident}": Row("operator", "devices:write", 200, 201, "device", {"name": "other"}),
    "GET /v1/devices/{ident}": Row("viewer", "devices:read", 200, 404, "device"),
    "PATCH /v1/devices/{ident}": Row("operator", "devices:write", 200, 404, "device", {"name": "other"}),
    "DELETE /v1/devices/{ident}": Row("operator", "devices:delete", 204, 404, "device"),
    "POST /v1/devices/{ident}:decommission": Row("operator", "devices:write", 200, 404, "device"),
    "POST /v1/devices/{ident}:transfer": Row("operator", "devices:write", 200, 404, "device", {"owners": ["new"]}),
    "GET /v1/devices/{ident}/chunks": Row("viewer", "devices:read", 200, 404, "device"),
    "GET /v1/devices/{ident}/timeline": Row("viewer", "timeline:read", 200, 404, "device"),
    "POST /v1/devices/{ident}/telemetry": Row(
        "operator", "devices:write", 200, 404, "device", {"readings": [{"metric": "m", "value": 1}]}
    ),
    "GET /v1/devices/{ident}/telemetry": Row("viewer", "devices:read", 200, 404, "device"),
    # Whoever may see the device sees which credentials it has; only those who may write it see the token itself.
    "GET /v1/devices/{ident}/credentials": Row("viewer", "devices:read", 200, 404, "device"),
    "POST /v1/devices/{ident}:rotate-credentials": Row("operator", "devices:write", 200, 404, "device"),
    "POST /v1/devices/{ident}/credentials": Row("operator", "devices:write", 201, 404, "device", {"kind": "mqtt"}),
    "DELETE /v1/devices/{ident}/credentials/{id}": Row("operator", "devices:write", 204, 404, "credential"),
    "GET /v1/stats": Row("viewer", "devices:read", 200, 200, "device"),
    # Many devices.
    "POST /v1/devices:import": Row("operator", "devices:write", 200, 200, body={"ident": "$new"}, media_type=_ROWS),
    "GET /v1/devices:export": Row("viewer", "devices:read", 200, 200, "device"),
    "POST /v1/devices:update": Row(
        "operator", "devices:write", 200, 200, "device", {"filter": _ONE, "set": {"name": "other"}}
    ),
    "POST /v1/devices:tag": Row("operator", "devices:write", 200, 200, "device", {"filter": _ONE, "add": ["other"]}),
    "POST /v1/devices:delete": Row("operator", "devices:delete", 200, 200, "device", {"filter": _ONE}),
    # Organizations.
    "POST /v1/organizations": Row("admin", "organizations:write", 201, 201, body={"slug": "$new"}),
    "GET /v1/organizations": Row("viewer", "organizations:read", 200, 200, "organization"),
    "GET /v1/organizations/{slug}": Row("viewer", "organizations:read", 200, 404, "organization"),
    "PATCH /v1/organizations/{slug}": Row(
        "admin", "organizations:write", 200, 404, "organization", {"disabled": True, "quotas": {"devices": 0}}
    ),
    "DELETE /v1/organizations/{slug}": Row("admin", "organizations:write", 204, 404, "organization"),
    # Keys. Listing them takes the same role as making them: names and roles are worth something to a thief.
    "POST /v1/keys": Row(
        "admin", "keys:write", 201, 201, body={"name": "$new", "role": "viewer", "scopes": ["keys:write"]}
    ),
    "GET /v1/keys": Row("admin", "keys:read", 200, 200, "key"),
    "GET /v1/keys/{id}": Row("admin", "keys:read", 200, 404, "key"),
    "DELETE /v1/keys/{id}": Row("admin", "keys:write", 204, 404, "key"),
    "GET /v1/me": Row("viewer", ANYBODY, 200, 200),
    # The server.
    "GET /v1/events": Row("viewer", "timeline:read", 200, 200, "device"),
    # Whoever may use these is told that there is no broker, as here.
    "POST /v1/devices/{ident}/commands": Row(
        "operator", "devices:write", 503, 404, "device", {"name": "move", "data": {"to": 3}, "env": "production"}
    ),
    "POST /v1/devices/{ident}/rpc": Row(
        "operator",
        "devices:write",
        503,
        404,
        "device",
        {"name": "move", "data": {"to": 3}, "env": "production", "timeout": 1.5},
    ),
    "GET /v1/broker/setup": Row("root", "server:backup", 200, 403),
    "POST /v1/broker/certificate": Row("root", "server:backup", 409, 403, body={"names": ["broker.example.com"]}),
    "GET /v1/broker": Row("viewer", "organizations:read", 200, 200),
    "GET /v1/backup": Row("root", "server:backup", 200, 403),
    # Nouns with a name.
    "POST /v1/owners": Row("operator", "owners:write", 201, 201, body={"ref": "$new"}),
    "GET /v1/owners": Row("viewer", "owners:read", 200, 200, "owner"),
    "GET /v1/owners/{name}": Row("viewer", "owners:read", 200, 404, "owner"),
    "PATCH /v1/owners/{name}": Row("operator", "owners:write", 200, 404, "owner", {"phone": "5"}),
    "DELETE /v1/owners/{name}": Row("operator", "owners:write", 204, 404, "owner"),
    "POST /v1/groups": Row("operator", "groups:write", 201, 201, body={"name": "$new", "filter": 'kind = "a"'}),
    "GET /v1/groups": Row("viewer", "groups:read", 200, 200, "group"),
    "GET /v1/groups/{name}": Row("viewer", "groups:read", 200, 404, "group"),
    "PATCH /v1/groups/{name}": Row("operator", "groups:write", 200, 404, "group", {"description": "other"}),
    "DELETE /v1/groups/{name}": Row("operator", "groups:write", 204, 404, "group"),
    "GET /v1/groups/{name}/devices": Row("viewer", "devices:read", 200, 404, "group"),
    "POST /v1/metadata-fields": Row(
        "admin", "metadata_fields:write", 201, 201, body={"name": "$new", "type": "string"}
    ),
    "GET /v1/metadata-fields": Row("viewer", "metadata_fields:read", 200, 200, "field"),
    "GET /v1/metadata-fields/{name}": Row("viewer", "metadata_fields:read", 200, 404, "field"),
    "PATCH /v1/metadata-fields/{name}": Row("admin", "metadata_fields:write", 200, 404, "field", {"description": "x"}),
    "DELETE /v1/metadata-fields/{name}": Row("admin", "metadata_fields:write", 204, 404, "field"),
    # Enrolment. Who may make a DMS decides who may have an identity, so it takes an administrator.
    "POST /v1/dms": Row("admin", "dms:write", 201, 201, body={"name": "$new"}),
    "GET /v1/dms": Row("viewer", "dms:read", 200, 200, "dms"),
    "GET /v1/dms/{name}": Row("viewer", "dms:read", 200, 404, "dms"),
    "PATCH /v1/dms/{name}": Row("admin", "dms:write", 200, 404, "dms", {"title": "other"}),
    "DELETE /v1/dms/{name}": Row("admin", "dms:write", 204, 404, "dms"),
    "POST /v1/authorities": Row("admin", "dms:write", 201, 201, body={"name": "$new"}),
    "GET /v1/authorities": Row("viewer", "certificates:read", 200, 200, "authority"),
    "GET /v1/authorities/{name}": Row("viewer", "certificates:read", 200, 404, "authority"),
    "DELETE /v1/authorities/{name}": Row("admin", "dms:write", 204, 404, "authority"),
    "GET /v1/authorities/{name}/crl": Row("viewer", "certificates:read", 200, 404, "authority"),
    "GET /v1/certificates": Row("viewer", "certificates:read", 200, 200, "identity"),
    "GET /v1/certificates/{serial}": Row("viewer", "certificates:read", 200, 404, "identity"),
    "POST /v1/certificates/{serial}:revoke": Row(
        "operator", "certificates:write", 200, 404, "identity", {"reason": "key_compromise"}
    ),
    "POST /v1/certificates/{serial}:restore": Row("operator", "certificates:write", 200, 404, "held identity"),
    "GET /v1/devices/{ident}/identity": Row("viewer", "devices:read", 200, 404, "identity"),
    "POST /v1/devices/{ident}/identity:bind": Row(
        "operator", "certificates:write", 200, 404, "identity", {"serial": "$serial"}
    ),
    "POST /v1/devices/{ident}/identity:revoke": Row("operator", "certificates:write", 200, 404, "identity", {}),
    # Templates.
    "POST /v1/devices/{ident}:log-event": Row(
        "operator", "devices:write", 204, 404, "templated device", {"code": "hot"}
    ),
    "POST /v1/templates": Row("admin", "templates:write", 201, 201, body={"name": "$new"}),
    "GET /v1/templates": Row("viewer", "templates:read", 200, 200, "template"),
    "GET /v1/templates/{name}": Row("viewer", "templates:read", 200, 404, "template"),
    "PATCH /v1/templates/{name}": Row("admin", "templates:write", 200, 404, "template", {"description": "x"}),
    "DELETE /v1/templates/{name}": Row("admin", "templates:write", 204, 404, "template"),
    "POST /v1/cohorts": Row("operator", "cohorts:write", 201, 201, body={"slug": "$new"}),
    "GET /v1/cohorts": Row("viewer", "cohorts:read", 200, 200, "cohort"),
    "GET /v1/cohorts/{name}": Row("viewer", "cohorts:read", 200, 404, "cohort"),
    "PATCH /v1/cohorts/{name}": Row("operator", "cohorts:write", 200, 404, "cohort", {"name": "other"}),
    "DELETE /v1/cohorts/{name}": Row("operator", "cohorts:write", 204, 404, "cohort"),
    "GET /v1/software-versions": Row("viewer", "versions:read", 200, 200, "software"),
    "GET /v1/software-versions/{type}/{version}": Row("viewer", "versions:read", 200, 404, "software"),
    "DELETE /v1/software-versions/{type}/{version}": Row("operator", "versions:write", 204, 404, "software"),
    "POST /v1/hardware-versions": Row("operator", "versions:write", 201, 201, body={"name": "$new"}),
    "GET /v1/hardware-versions": Row("viewer", "versions:read", 200, 200, "hardware"),
    "GET /v1/hardware-versions/{name}": Row("viewer", "versions:read", 200, 404, "hardware"),
    "PATCH /v1/hardware-versions/{name}": Row(
        "operator", "versions:write", 200, 404, "hardware", {"software_type": "other"}
    ),
    "DELETE /v1/hardware-versions/{name}": Row("operator", "versions:write", 204, 404, "hardware"),
    "GET /api/dmsmanager/v1/stats": Row("viewer", "dms:read", 200, 200, "dms"),
    "GET /api/dmsmanager/v1/dms": Row("viewer", "dms:read", 200, 200, "dms"),
    "POST /api/dmsmanager/v1/dms": Row("admin", "dms:write", 201, 201, body={"id": "$new", "name": "$new"}),
    "POST /api/dmsmanager/v1/dms/bind-identity": Row(
        "operator",
        "certificates:write",
        200,
        404,
        "identity",
        {"device_id": "$ident", "certificate_serial_number": "$serial", "bind_mode": "RENEWED"},
    ),
    "GET /api/dmsmanager/v1/dms/{id}": Row("viewer", "dms:read", 200, 404, "vendor dms"),
    "PUT /api/dmsmanager/v1/dms/{id}": Row("admin", "dms:write", 200, 404, "vendor dms", {"id": "$id", "name": "x"}),
    "DELETE /api/dmsmanager/v1/dms/{id}": Row("admin", "dms:write", 204, 404, "vendor dms"),
    "PUT /api/dmsmanager/v1/dms/{id}/metadata": Row("admin", "dms:write", 200, 404, "vendor dms", _PATCHES),
    "PATCH /api/dmsmanager/v1/dms/{id}/metadata": Row("admin", "dms:write", 200, 404, "vendor dms", _PATCHES),
    "GET /api/ca/v1/stats": Row("viewer", "certificates:read", 200, 200, "identity"),
    "GET /api/ca/v1/cas": Row("viewer", "certificates:read", 200, 200, "authority"),
    "GET /api/ca/v1/cas/{id}": Row("viewer", "certificates:read", 200, 404, "vendor authority"),
    "GET /api/ca/v1/cas/{id}/certificates": Row("viewer", "certificates:read", 200, 404, "vendor authority"),
    "GET /api/ca/v1/certificates": Row("viewer", "certificates:read", 200, 200, "identity"),
    "GET /api/ca/v1/certificates/{sn}": Row("viewer", "certificates:read", 200, 404, "identity"),
    "PUT /api/ca/v1/certificates/{sn}/status": Row(
        "operator", "certificates:write", 200, 404, "identity", {"status": "REVOKED"}
    ),
    # Lamassu's device manager.
    f"GET {_L}": Row("viewer", "devices:read", 200, 200, "device"),
    f"POST {_L}": Row("operator", "devices:write", 201, 201, body={"id": "$new"}),
    f"GET {_L}/{{id}}": Row("viewer", "devices:read", 200, 404, "managed"),
    f"DELETE {_L}/{{id}}": Row("operator", "devices:delete", 204, 404, "managed"),
    f"PUT {_L}/{{id}}/idslot": Row("operator", "devices:write", 200, 404, "managed", {"status": "ACTIVE"}),
    f"PUT {_L}/{{id}}/metadata": Row("operator", "devices:write", 200, 404, "managed", {"metadata": {"other": 1}}),
    f"PATCH {_L}/{{id}}/metadata": Row("operator", "devices:write", 200, 404, "managed", _PATCHES),
    f"DELETE {_L}/{{id}}/decommission": Row("operator", "devices:write", 204, 404, "managed"),
    f"GET {_L}/dms/{{dms}}": Row("viewer", "devices:read", 200, 200, "managed"),
    "GET /api/devmanager/v1/stats": Row("viewer", "devices:read", 200, 200, "device"),
    "GET /api/devmanager/health": Row("viewer", "devices:read", 200, 200),
    f"POST {_LG}": Row("operator", "groups:write", 201, 201, "vendor group", {"id": "$fresh", "name": "$fresh"}),
    f"GET {_LG}": Row("viewer", "groups:read", 200, 200, "vendor group"),
    f"GET {_LG}/{{id}}": Row("viewer", "groups:read", 200, 404, "vendor group"),
    f"PUT {_LG}/{{id}}": Row("operator", "groups:write", 200, 404, "vendor group", {"description": "other"}),
    f"DELETE {_LG}/{{id}}": Row("operator", "groups:write", 204, 404, "vendor group"),
    f"GET {_LG}/{{id}}/devices": Row("viewer", "devices:read", 200, 404, "vendor group"),
    f"GET {_LG}/{{id}}/stats": Row("viewer", "devices:read", 200, 404, "vendor group"),
    # OAuth2.
    "POST /oauth2/token": Row("viewer", "tokens:issue", 200, 200, denied=400, query="grant_type=client_credentials"),
    # Blynk. Everything is named by number, and the parent reaches down the tree.
    "GET /api/v1/organization/devices": Row("viewer", "devices:read", 200, 200, "fleet"),
    "GET /api/v1/organization/search/devices": Row("viewer", "devices:read", 200, 200, "fleet", query="query=$ident"),
    "GET /api/v1/organization/device": Row("viewer", "devices:read", 200, 404, "fleet", query="deviceId=$n_device"),
    "PUT /api/v1/organization/device": Row(
        "operator", "devices:write", 200, 404, "fleet", body={"name": "other"}, query="deviceId=$n_device"
    ),
    "DELETE /api/v1/organization/device": Row(
        "operator", "devices:delete", 204, 404, "fleet", query="deviceId=$n_device"
    ),
    "GET /api/v1/organization/device/baseInfo": Row(
        "viewer", "devices:read", 200, 404, "fleet", query="deviceId=$n_device"
    ),
    "POST /api/v1/organization/device/create": Row(
        "operator", "devices:write", 201, 404, "fleet", {"templateId": "$template", "orgId": "$n_org"}
    ),
    "GET /api/v1/organization/device/online": Row(
        "viewer", "devices:read", 200, 404, "fleet", query="deviceId=$n_device"
    ),
    "GET /api/v1/organization/device/tags": Row(
        "viewer", "devices:read", 200, 404, "fleet", query="deviceId=$n_device"
    ),
    "GET /api/v1/organization/device/timeline": Row(
        "viewer", "timeline:read", 200, 404, "fleet", query="deviceId=$n_device"
    ),
    "GET /api/v1/organization/device/logs": Row(
        "viewer", "timeline:read", 200, 404, "fleet", query="deviceId=$n_device"
    ),
    "POST /api/v1/organization/device/transfer/to-owner": Row(
        "operator", "devices:write", 204, 404, "fleet", body={"deviceId": "$n_device", "newUserId": "$n_other"}
    ),
    "POST /api/v1/organization/device/transfer/to-organization": Row(
        "operator", "devices:write", 204, 404, "fleet", body={"deviceId": "$n_device", "newOrgId": "$n_target"}
    ),
    "POST /api/v1/organization/device/transfer": Row(
        "operator", "devices:write", 204, 404, "fleet", body={"deviceId": "$n_device", "newUserId": "$n_other"}
    ),
    "DELETE /api/v1/organization/device/owner": Row(
        "operator", "devices:write", 204, 404, "fleet", query="deviceId=$n_device"
    ),
    "DELETE /api/v1/organization/device/clear": Row(
        "operator", "devices:write", 204, 404, "fleet", query="deviceId=$n_device"
    ),
    "POST /api/v1/organization/device/trigger-event": Row(
        "operator", "devices:write", 204, 404, "fleet", body={"deviceId": "$n_device", "eventCode": "hot"}
    ),
    "GET /api/v1/organization/device/by-owner": Row(
        "viewer", "devices:read", 200, 404, "fleet", query="ownerEmail=$email"
    ),
    "GET /api/v1/organization/device/by-user-org": Row(
        "viewer", "devices:read", 200, 200, "fleet", query="userEmail=$email"
    ),
    "GET /api/v1/organization/device/last-activated": Row("viewer", "devices:read", 200, 200, "fleet"),
    "GET /api/v1/organization/device/metafield": Row(
        "viewer", "devices:read", 200, 404, "fleet", query="deviceId=$n_device"
    ),
    "POST /api/v1/organization/device/metafield": Row(
        "operator",
        "devices:write",
        204,
        404,
        "fleet",
        body={"deviceId": "$n_device", "metaFieldId": "$n_field", "newValue": "x"},
    ),
    "GET /api/v1/organization/device/datastreams": Row(
        "viewer", "devices:read", 200, 404, "fleet", query="deviceId=$n_device"
    ),
    "GET /api/v1/organization/device/datastream/history": Row(
        "viewer", "devices:read", 200, 404, "fleet", query="deviceId=$n_device&pin=v1"
    ),
    "POST /api/v1/organization/device/datastream": Row(
        "operator",
        "devices:write",
        204,
        404,
        "fleet",
        body={"deviceId": "$n_device", "dataStreamId": "$n_stream", "value": 5},
    ),
    "POST /api/v1/organization/device/datastreams": Row(
        "operator", "devices:write", 204, 404, "fleet", body={"deviceId": "$n_device", "values": {"v1": 5}}
    ),
    "POST /api/v1/organization/device/datastream/property": Row(
        "operator",
        "devices:write",
        204,
        404,
        "fleet",
        body={"deviceId": "$n_device", "dataStreamId": "$n_stream", "property": "color", "value": "red"},
    ),
    "POST /api/v1/organization/device/import/batch": Row(
        "operator",
        "devices:write",
        204,
        404,
        "fleet",
        body={"deviceId": "$n_device", "dataStreamId": "$n_stream", "values": [{"value": 5, "ts": 1}]},
    ),
    "GET /api/v1/organization": Row("viewer", "organizations:read", 200, 404, "fleet", query="orgId=$n_target"),
    "POST /api/v1/organization/create": Row("admin", "organizations:write", 201, 201, body={"name": "$new"}),
    "DELETE /api/v1/organization": Row("admin", "organizations:write", 204, 404, "fleet", query="orgId=$n_target"),
    "GET /api/v1/organization/profile": Row("viewer", "organizations:read", 200, 200),
    "GET /api/v1/organization/search": Row("viewer", "organizations:read", 200, 200, "fleet", query="query=$slug"),
    "GET /api/v1/organization/sub-organizations": Row("viewer", "organizations:read", 200, 200, "fleet"),
    "POST /api/v1/organization/oauth/clients/create": Row("admin", "keys:write", 201, 201, body={"name": "$new"}),
    "GET /api/v1/organization/users": Row("viewer", "owners:read", 200, 200, "fleet"),
    "GET /api/v1/organization/search/users": Row("viewer", "owners:read", 200, 200, "fleet", query="query=$email"),
    "GET /api/v1/organization/user": Row("viewer", "owners:read", 200, 404, "fleet", query="userId=$n_user"),
    "POST /api/v1/organization/users/create-in-org": Row(
        "operator", "owners:write", 201, 201, body={"email": "$new@example.com"}
    ),
    "POST /api/v1/organization/users/invite": Row(
        "operator", "owners:write", 201, 201, body={"email": "$new@example.com"}
    ),
    "POST /api/v1/organization/users/create": Row(
        "admin", "organizations:write", 204, 204, body={"email": "$new@example.com", "name": "$new"}
    ),
    "POST /api/v1/organization/users/register": Row(
        "operator", "owners:write", 204, 204, body={"email": "$new@example.com"}
    ),
    "POST /api/v1/organization/users/transfer": Row(
        "operator",
        "owners:write",
        201,
        404,
        "fleet",
        body={"userId": "$n_other", "targetOrgId": "$n_target", "roleId": 3},
    ),
    "PUT /api/v1/organization/users/role": Row(
        "operator", "owners:write", 200, 404, "fleet", query="userId=$n_user&roleId=2"
    ),
    "GET /api/v1/organization/templates": Row("viewer", "templates:read", 200, 200, "fleet"),
    "GET /api/v1/organization/template": Row(
        "viewer", "templates:read", 200, 404, "fleet", query="templateId=$n_template", below=200
    ),
    "POST /api/v1/organization/template/create": Row("admin", "templates:write", 201, 201, body={"name": "$new"}),
    "DELETE /api/v1/organization/template": Row(
        "admin", "templates:write", 204, 404, "fleet", query="templateId=$n_spare"
    ),
    "GET /api/v1/organization/template/datastreams": Row(
        "viewer", "templates:read", 200, 404, "fleet", query="templateId=$n_template", below=200
    ),
    "GET /api/v1/organization/template/events": Row(
        "viewer", "templates:read", 200, 404, "fleet", query="templateId=$n_template", below=200
    ),
    "GET /api/v1/organization/template/metafields": Row(
        "viewer", "templates:read", 200, 404, "fleet", query="templateId=$n_template", below=200
    ),
    "GET /api/v1/organization/tags": Row("viewer", "devices:read", 200, 200, "fleet"),
    "POST /api/v1/organization/tag/create": Row("operator", "devices:write", 201, 201, body={"name": "$new"}),
    "DELETE /api/v1/organization/tag": Row(
        "operator", "devices:write", 204, 404, "fleet", query="tagId=$n_unused&orgId=$n_org"
    ),
    "POST /api/v1/organization/device/tag": Row(
        "operator", "devices:write", 204, 404, "fleet", body={"deviceId": "$n_device", "tagId": "$n_unused"}
    ),
    "DELETE /api/v1/organization/device/tag": Row(
        "operator", "devices:write", 204, 404, "fleet", query="deviceId=$n_device&tagId=$n_tag"
    ),
    # Telemetron. Its reads are POSTs, and what a stranger names is made, reported as missing, or not found.
    "POST /api/ext-v1/device": Row(
        "operator", "devices:write", 200, 200, "device", {"identifier": "$ident", "type": "other"}
    ),
    "POST /api/ext-v1/device/bulk-metadata": Row(
        "operator", "devices:write", 200, 200, "device", {"devices": {"$ident": {"other": 1}}}
    ),
    "POST /api/ext-v1/deviceAssignment/assignDeviceToOwners": Row(
        "operator", "devices:write", 200, 404, "device", {"deviceIdentifier": "$ident", "customerEmails": ["a@b.de"]}
    ),
    "POST /api/ext-v1/deviceAssignment/assignDevicesToOwner": Row(
        "operator", "devices:write", 200, 200, "device", {"deviceIdentifiers": ["$ident"], "customerEmail": "a@b.de"}
    ),
    "POST /api/ext-v1/deviceAssignment/unassignDeviceFromOwner": Row(
        "operator", "devices:write", 200, 404, "device", {"deviceIdentifier": "$ident", "customerEmail": _EMAIL}
    ),
    "POST /api/ext-v1/deviceAssignment/unassignDevicesFromOwner": Row(
        "operator", "devices:write", 200, 404, "device", {"deviceIdentifiers": ["$ident"], "customerEmail": _EMAIL}
    ),
    "POST /api/ext-v1/customer/createOrUpdateCustomer": Row(
        "operator",
        "owners:write",
        200,
        404,
        "customer",
        {"email": "$email", "telemetronCustomerId": "$id", "name": "other"},
    ),
    "POST /api/ext-v1/customer/queryCustomer": Row("viewer", "owners:read", 200, 404, "customer", {"email": "$email"}),
    "GET /api/ext-v1/customer/getCustomer/{id}": Row("viewer", "owners:read", 200, 404, "customer"),
    # RelayX's history.
    **{
        f"POST /iot/db/{noun}/history": Row("viewer", "devices:read", 200, 404, "past", {**_PAST, **asked})
        for noun, asked in {
            "telemetry": {"device_id": "$id", "fields": ["temperature"]},
            "event": {"device_id": "$id", "event_names": ["door"]},
            "log": {"device_id": "$id", "levels": ["info"]},
            "command": {"device_ids": ["$id"], "command_name": "move"},
        }.items()
    },
    # Refused for want of an id before anything is asked of the registry.
    "GET /api/ext-v1/customer/getCustomer/": Row("viewer", "owners:read", 400, 400, denied=400),
}

_P = "/api/v0/organizations/{organization}/projects/{project}"

# Memfault: the path names the organization, which does not exist for a stranger, whatever else is asked.
_MEMFAULT: Mapping[str, Row] = {
    f"POST {_P}/devices": Row(
        "operator", "devices:write", 200, 404, body={"device_serial": "$new", "hardware_version": "rev1"}
    ),
    f"GET {_P}/devices": Row("viewer", "devices:read", 200, 404, "device"),
    f"GET {_P}/devices/{{device_serial}}": Row("viewer", "devices:read", 200, 404, "device"),
    f"PATCH {_P}/devices/{{device_serial}}": Row(
        "operator", "devices:write", 200, 404, "device", {"nickname": "other"}
    ),
    f"DELETE {_P}/devices/{{device_serial}}": Row("operator", "devices:delete", 204, 404, "device"),
    f"POST {_P}/cohorts": Row("operator", "cohorts:write", 200, 404, body={"name": "Beta", "slug": "$new"}),
    f"GET {_P}/cohorts": Row("viewer", "cohorts:read", 200, 404, "cohort"),
    f"GET {_P}/cohorts/{{cohort}}": Row("viewer", "cohorts:read", 200, 404, "cohort"),
    f"PATCH {_P}/cohorts/{{cohort}}": Row("operator", "cohorts:write", 200, 404, "cohort", {"name": "other"}),
    f"DELETE {_P}/cohorts/{{cohort}}": Row("operator", "cohorts:write", 204, 404, "cohort"),
    f"GET {_P}/cohorts/{{cohort}}/devices": Row("viewer", "devices:read", 200, 404, "cohort"),
    f"PATCH {_P}/cohorts/{{cohort}}/devices": Row(
        "operator", "devices:write", 202, 404, "cohort", {"devices": ["$ident"]}
    ),
    f"GET {_P}/devices/{{device_serial}}/attributes": Row("viewer", "devices:read", 200, 404, "device"),
    f"PATCH {_P}/devices/{{device_serial}}/attributes": Row(
        "operator", "devices:write", 204, 404, "device", [{"string_key": "other", "value": 1}]
    ),
    f"GET {_P}/devices/{{device_serial}}/reboots": Row("viewer", "timeline:read", 200, 404, "device"),
    f"POST {_P}/custom-metrics": Row(
        "admin", "metadata_fields:write", 200, 404, body={"string_key": "$new", "data_type": "INT"}
    ),
    f"GET {_P}/custom-metrics": Row("viewer", "metadata_fields:read", 200, 404, "field"),
    "POST /api/v0/organizations/{organization}/projects": Row(
        "admin", "organizations:write", 200, 404, body={"name": "Project", "slug": "$new"}
    ),
    "GET /api/v0/organizations/{organization}/projects": Row("viewer", "organizations:read", 200, 404, "organization"),
    f"GET {_P}": Row("viewer", "organizations:read", 200, 404, "organization"),
    f"PATCH {_P}": Row("admin", "organizations:write", 200, 404, body={"name": "$new"}),
    f"DELETE {_P}": Row("admin", "organizations:write", 409, 404),
    f"GET {_P}/api_key": Row("admin", "keys:read", 200, 404),
    f"POST {_P}/api_key": Row("admin", "keys:write", 200, 404),
    "GET /auth/me": Row("viewer", ANYBODY, 200, 200),
    f"POST {_P}/hardware_versions": Row("operator", "versions:write", 200, 404, body={"name": "$new"}),
    f"GET {_P}/hardware_versions": Row("viewer", "versions:read", 200, 404, "hardware"),
    f"GET {_P}/hardware_versions/{{name}}": Row("viewer", "versions:read", 200, 404, "hardware"),
    f"GET {_P}/software_types": Row("viewer", "versions:read", 200, 404, "software"),
    f"GET {_P}/software_types/{{type}}/software_versions": Row("viewer", "versions:read", 200, 404, "software"),
    f"GET {_P}/software_types/{{type}}/software_versions/{{version}}": Row(
        "viewer", "versions:read", 200, 404, "software"
    ),
}
ROWS = {**ROWS, **_MEMFAULT}

OUTSIDERS: Mapping[str, Mapping[str, int]] = {
    dialect: {
        "no key of anybody's": 401,
        "misplaced": 401,
        "in a form of another dialect": 401,
        "forged": 401,
        "expired": 401,
        "revoked": 401,
        "of a disabled organization": 403,
        "below a disabled organization": 403,
    }
    for dialect in ("native", "relay", "telemetron", "memfault", "blynk", "lamassu", "enrollment")
} | {
    "oauth2": dict.fromkeys(
        (
            "no key of anybody's",
            "misplaced",
            "in a form of another dialect",
            "forged",
            "expired",
            "revoked",
            "of a disabled organization",
            "below a disabled organization",
        ),
        400,  # RFC 6749 allows it, and it is what the clients of the vendor's API know
    )
}
"""The statuses for those who may use no route at all."""

_ALL_FORMS = ("x-api-key", "Bearer", "Basic :key", "Basic key:", "Basic email:key")
ACCEPTED: Mapping[str, tuple[str, ...]] = {
    "native": _ALL_FORMS,
    "relay": _ALL_FORMS,
    "telemetron": _ALL_FORMS,
    "memfault": _ALL_FORMS,
    "blynk": _ALL_FORMS,
    "lamassu": _ALL_FORMS,
    "enrollment": _ALL_FORMS,
    "oauth2": _ALL_FORMS[2:],
}
"""The forms in which each dialect takes a key."""


REACH_DOWN = frozenset({"blynk"})
"""The dialects in which an organization's administrator acts in those below it without saying so."""


def sample(tenant: Tenant, noun: str, new: str) -> dict[str, str]:
    """Make what a row needs, marked as the tenant's. Returns the parts that its path, query and body name."""
    return {"new": new, **_SAMPLES[noun](tenant, new)}


def _device(tenant: Tenant, new: str) -> dict[str, str]:
    body = {
        "ident": new,
        "name": MARK,
        "kind": MARK,
        "metadata": {"note": MARK},
        "tags": [MARK],
        "owners": [f"{new}@example.com"],
    }
    tenant.make("/v1/devices", body)
    return {"ident": new, "device_serial": new}


def _past(tenant: Tenant, new: str) -> dict[str, str]:
    """A device by RelayX's id, which holds the second of its creation."""
    parts = _device(tenant, new)
    return {**parts, "id": _public_id(tenant, new)}


def _public_id(tenant: Tenant, ident: str) -> str:
    shown = tenant.app.request("GET", f"/v1/devices/{ident}", headers={ACTS_IN: tenant.path}).json()
    at = datetime.fromisoformat(shown["created_at"])
    return ids.device_hex(int(at.timestamp() * 1_000_000), shown["id"])


def _credential(tenant: Tenant, new: str) -> dict[str, str]:
    parts = _device(tenant, new)
    made = tenant.make(f"/v1/devices/{new}/credentials", {})
    return {**parts, "id": str(made["id"])}


def _managed(tenant: Tenant, new: str) -> dict[str, str]:
    return {**_device(tenant, new), "id": new, "dms": "line"}


def _organization(tenant: Tenant, new: str) -> dict[str, str]:
    tenant.make("/v1/organizations", {"slug": new, "name": MARK})
    return {"slug": new}


def _key(tenant: Tenant, new: str) -> dict[str, str]:
    made = tenant.make("/v1/keys", {"name": MARK, "role": "viewer"})
    return {"id": str(made["id"])}


def _owner(tenant: Tenant, new: str) -> dict[str, str]:
    tenant.make("/v1/owners", {"ref": new, "name": MARK})
    return {"name": new}


def _group(tenant: Tenant, new: str) -> dict[str, str]:
    tenant.make("/v1/groups", {"name": new, "filter": f'kind = "{MARK}"', "description": MARK})
    return {"name": new}


def _vendor_group(tenant: Tenant, new: str) -> dict[str, str]:
    """A group by its UUID, which holds the second of its creation and its number; `fresh` is one that nothing has."""
    made = tenant.make("/v1/groups", {"name": new, "filter": "", "description": MARK})
    second = int(datetime.fromisoformat(made["created_at"]).timestamp())
    return {"id": f"{second:08x}-0000-8000-8000-{made['id']:012x}", "fresh": str(uuid.uuid4())}


def _field(tenant: Tenant, new: str) -> dict[str, str]:
    tenant.make("/v1/metadata-fields", {"name": new, "type": "string", "description": MARK})
    return {"name": new}


def _templated(tenant: Tenant, new: str) -> dict[str, str]:
    event = {"code": "hot", "name": MARK, "type": "WARNING"}
    template = tenant.make("/v1/templates", {"name": new, "events": [event]})
    tenant.make("/v1/devices", {"ident": new, "name": MARK, "template": template["id"]})
    return {"ident": new}


def _fleet(tenant: Tenant, new: str) -> dict[str, str]:
    """A device with a template and an owner, by their numbers, and others to put in their place."""
    event, field = {"code": "hot", "name": "Hot", "type": "WARNING"}, {"name": "site", "type": "Text"}
    body = {"name": new, "datastreams": [{"pin": "v1"}], "events": [event], "metafields": [field]}
    template = tenant.make("/v1/templates", body)
    spare = tenant.make("/v1/templates", {"name": f"{new}-spare"})
    owners = [tenant.make("/v1/owners", {"ref": f"{new}{end}@example.com", "name": MARK}) for end in ("", "-other")]
    target = tenant.make("/v1/organizations", {"slug": new, "name": MARK})
    unused = tenant.make("/api/v1/organization/tag/create", {"name": f"{new}-tag", "orgId": tenant.number})
    body = {"ident": new, "name": MARK, "tags": [MARK], "owners": [owners[0]["ref"]], "template": template["id"]}
    device = tenant.make("/v1/devices", body)
    return {
        "ident": new,
        "slug": new,
        "email": owners[0]["ref"],
        "template": template["template_id"],
        "n_org": str(tenant.number),
        "n_device": str(device["id"]),
        "n_stream": str(template["datastreams"][0]["id"]),
        "n_field": str(template["metafields"][0]["id"]),
        "n_template": str(template["id"]),
        "n_spare": str(spare["id"]),
        "n_user": str(owners[0]["id"]),
        "n_other": str(owners[1]["id"]),
        "n_target": str(target["id"]),
        "n_tag": str(ids.text_number(MARK)),
        "n_unused": str(unused["id"]),
    }


def _template(tenant: Tenant, new: str) -> dict[str, str]:
    body = {"name": new, "description": MARK, "datastreams": [{"pin": "v1", "label": MARK}]}
    tenant.make("/v1/templates", body)
    return {"name": new}


def _cohort(tenant: Tenant, new: str) -> dict[str, str]:
    tenant.make("/v1/cohorts", {"slug": new, "name": MARK})
    tenant.make("/v1/devices", {"ident": f"{new}-device"})
    return {"name": new, "cohort": new, "ident": f"{new}-device"}


def _hardware(tenant: Tenant, new: str) -> dict[str, str]:
    tenant.make("/v1/hardware-versions", {"name": new, "software_type": MARK})
    return {"name": new}


def _software(tenant: Tenant, new: str) -> dict[str, str]:
    tenant.make("/v1/devices", {"ident": new, "software": {"type": MARK, "version": new}})
    tenant.app.request("PATCH", f"/v1/devices/{new}", {"software": None}, headers={ACTS_IN: tenant.path})
    return {"type": MARK, "version": new}


def _customer(tenant: Tenant, new: str) -> dict[str, str]:
    owner = tenant.make("/v1/owners", {"ref": f"{new}@example.com", "name": MARK})
    return {"id": ids.prefixed("cus_", owner["id"]), "email": owner["ref"]}


def _authority(tenant: Tenant, new: str) -> dict[str, str]:
    _dms(tenant, f"{new}-dms")  # an authority has no text that could be marked
    tenant.make("/v1/authorities", {"name": new})
    return {"name": new}


def _dms(tenant: Tenant, new: str) -> dict[str, str]:
    tenant.make("/v1/dms", {"name": new, "title": MARK, "settings": {"admission": {"proof": "NO_AUTH"}}})
    return {"name": new}


def _identity(tenant: Tenant, new: str) -> dict[str, str]:
    """A device that has enrolled, at a DMS named after it."""
    dms = _dms(tenant, f"{new}-dms")["name"]
    label = dms if tenant.path == "self" else f"{tenant.path}~{dms}"
    serial = enrolled(tenant.app, label, new)
    tenant.app.request("PATCH", f"/v1/devices/{new}", {"name": MARK}, headers={ACTS_IN: tenant.path})
    return {"ident": new, "serial": serial, "sn": serial}


def _held_identity(tenant: Tenant, new: str) -> dict[str, str]:
    parts = _identity(tenant, new)
    tenant.make(f"/v1/certificates/{parts['serial']}:revoke", {"reason": "certificate_hold"})
    return parts


_SAMPLES = {
    "authority": _authority,
    "dms": _dms,
    "vendor dms": lambda tenant, new: {"id": _dms(tenant, new)["name"]},
    "vendor authority": lambda tenant, new: {"id": _authority(tenant, new)["name"]},
    "identity": _identity,
    "held identity": _held_identity,
    "nothing": lambda _tenant, _new: {},
    "device": _device,
    "managed": _managed,
    "credential": _credential,
    "past": _past,
    "organization": _organization,
    "key": _key,
    "owner": _owner,
    "group": _group,
    "vendor group": _vendor_group,
    "field": _field,
    "template": _template,
    "fleet": _fleet,
    "cohort": _cohort,
    "hardware": _hardware,
    "software": _software,
    "templated device": _templated,
    "customer": _customer,
}

"""A small world, and one valid request for every route of every dialect: where hostile requests begin."""

import json
import uuid
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote

from msgspec import Struct

from fleetroll.core.ids import device_hex, text_number
from fleetroll.wire.dialect import Dialect, Route
from tests.support.app import App, running
from tests.support.enrolling import enrolled
from tests.support.raw import KEYED, Raw, credential
from tests.support.state import State

DEVICE = "sample"
HELD = "held"  # has an identity
GROUP = "6f1c8f8e-4c5e-4a62-9d57-0b2f3f1f7a10"
EMAIL = "ann@example.com"
MEMBERS: dict[str, Any] = {
    "name": "Pump",
    "kind": "sensor",
    "hardware_version": "rev-b",
    "software": {"type": "main", "version": "1.2.0", "build": "77"},
    "metadata": {"location": "dock", "shelf": 4, "height": 1.5, "nested": {"deep": ["text"]}},
    "tags": ["production"],
    "owners": [EMAIL],
    "schema": {"temp": {"type": "number", "unit": "celsius", "unit_symbol": "C"}},
    "config": {"interval": 30, "mode": "eco"},
    "cohort": "beta",
    "template": 1,
    "extras": {
        "memfault": {"description": "text"},
        "relay": {"env": "production"},
        "lamassu": {"icon": "text", "icon_color": "#111"},
        "blynk": {"properties": {"v1": {"color": "#111"}}},
    },
}
SETTINGS = {
    "authority": "default",
    "admission": {"proof": "NO_AUTH", "authorities": ["default"], "allow_expired": False},
    "registration": "JITP",
    "replaceable": True,
    "profile": {"tags": ["production"], "metadata": {"location": "dock"}},
    "renewal": {"authorities": ["default"], "allow_expired": True, "revoke_replaced": True, "opens": 86_400},
    "preventive": 86_400,
    "critical": 3_600,
    "distribution": {"own": True, "others": ["default"]},
    "keygen": {"type": "EC", "bits": 256},
    "lifetime": 172_800,
    "with_names": True,
}
TEMPLATE: dict[str, Any] = {
    "description": "text",
    "board": "ESP32",
    "connection": "WI_FI",
    "datastreams": [
        {"pin": "v1", "type": "double", "alias": "temp", "label": "Temp", "unit": "celsius", "unit_symbol": "C",
         "min": -40.0, "max": 85.5, "default": 20.0}
    ],
    "events": [{"code": "hot", "name": "Hot", "type": "WARNING", "description": "text", "daily_limit": 5}],
    "metafields": [
        {"name": "site", "type": "List", "description": "text", "hint": "text", "icon": "text", "mandatory": False,
         "in_provisioning": True, "options": ["a", "b"], "templates": [1], "default": "a"}
    ],
}  # fmt: skip
VENDOR_SETTINGS = {
    "enrollment_settings": {
        "protocol": "EST_RFC7030",
        "est_rfc7030_settings": {
            "auth_mode": "CLIENT_CERTIFICATE",
            "client_certificate_settings": {"validation_cas": ["default"], "allow_expired": True},
        },
        "device_provisioning_profile": {"icon": "text", "icon_color": "#111", "metadata": {}, "tags": ["production"]},
        "enrollment_ca": "default",
        "registration_mode": "JITP",
    },
    "reenrollment_settings": {"reenrollment_delta": "14w2d", "preventive_delta": "30d", "critical_delta": "7d"},
    "server_keygen_settings": {"enabled": True, "key": {"type": "ECDSA", "bits": 256}},
}
_ONE = f'ident = "{DEVICE}"'
_PROJECT = "/api/v0/organizations/{organization}/projects/{project}"
_MANAGED = "/api/devmanager/v1/devices"
_GROUPED = "/api/devmanager/v1/device-groups"
_ASSIGNMENT = "POST /api/ext-v1/deviceAssignment/"


class Sample(Struct, frozen=True):
    """A request that its route accepts. `document` is its JSON body, None where it has none."""

    dialect: Dialect
    route: Route
    target: str
    document: Any = None
    media_type: str = "application/json"

    @property
    def label(self) -> str:
        return f"{self.route.method} {self.route.path} {self.media_type}"

    @property
    def refused(self) -> bool:
        """Whether the route is there only to say what is missing: from the path, or a broker."""
        return self.route.path.endswith(("/", "/commands", "/rpc", "/broker/certificate"))

    def raw(self, body: bytes | None = None, **headers: str) -> Raw:
        """The request, with other bytes for a body or with more headers if given (`_` stands for `-`)."""
        content = self.body() if body is None else body
        fields = [credential(self.dialect)]
        if self.route.body is not None or self.route.lines is not None:
            fields.append((b"content-type", self.media_type.encode()))
        fields += [(name.replace("_", "-").encode(), value.encode("latin-1")) for name, value in headers.items()]
        return Raw(self.route.method, self.target.encode(), tuple(fields), (content,))

    def body(self) -> bytes:
        if self.document is None or isinstance(self.document, str):
            return (self.document or "").encode()
        return json.dumps(self.document).encode()


def _documents(n: str, serial: str, certificate: str) -> dict[str, Any]:
    """A body for every route that takes one; `n` makes new names new. `serial` is the device's certificate,
    `certificate` an authority's."""
    vendor_dms = {"name": "Line", "metadata": MEMBERS["metadata"], "settings": VENDOR_SETTINGS}
    patches = {"patches": [{"op": "add", "path": "/x", "value": "text"}]}
    dms = {"title": "Line", "settings": SETTINGS, "metadata": MEMBERS["metadata"]}
    criteria = [{"field": "ident", "operator": "contains", "value": "text"}]
    group = {"filter": 'kind = "sensor"', "description": "text", "criteria": criteria, "parent_id": None}
    asked = {"description": "text", "criteria": [{"field": "id", "operand": "contains", "value": "text"}]}
    person = {
        "name": "Ann", "phone": "555", "address": "1 Road", "role": "staff", "status": "active", "title": "Dr",
        "nickname": "A", "time_zone": "Europe/Berlin", "locale": "en_US",
    }  # fmt: skip
    profile = {
        "description": "text", "time_zone": "Europe/Berlin", "unit_system": "imperial", "phone": "1",
        "address": {"full": "1 Road, Town", "country": "X", "city": "Town", "state": "Y", "zip": "1"},
        "platform": "zephyr", "os": "linux",
    }  # fmt: skip
    scope = {"filter": _ONE, "all": False, "dry_run": True}
    assigned = {"customerEmail": EMAIL, "deviceIdentifiers": [DEVICE]}
    return {
        "POST /v1/devices": {"ident": f"new-{n}", "dms": "line", **MEMBERS},
        "PUT /v1/devices/{ident}": {"ident": DEVICE, "dms": "line", **MEMBERS},
        "PATCH /v1/devices/{ident}": {"ident": DEVICE, **MEMBERS},
        "POST /v1/devices/{ident}:transfer": {"owners": [EMAIL], "organization": "self"},
        "POST /v1/devices/{ident}/commands": {"name": "move", "data": {"to": 3}, "env": "test"},
        "POST /v1/devices/{ident}/rpc": {"name": "move", "data": {"to": 3}, "env": "test", "timeout": 2.5},
        "POST /v1/devices/{ident}/credentials": {"kind": "mqtt"},
        "POST /v1/broker/certificate": {"names": ["broker.example.com"]},
        "POST /v1/devices/{ident}/telemetry": {
            "readings": [{"metric": "temp", "value": 21.5, "at": "2026-01-31T12:00:00Z"}]
        },
        "POST /v1/devices:import": {
            "ident": f"imported-{n}",
            "dms": "line",
            "last_seen": "2026-01-02T03:04:05Z",
            **MEMBERS,
        },
        "POST /v1/devices:update": {"set": MEMBERS, **scope},
        "POST /v1/devices:tag": {"add": ["spare"], "remove": ["old"], **scope},
        "POST /v1/devices:delete": scope,
        "POST /v1/organizations": {"slug": f"org-{n}", "name": "Org", "quotas": {"devices": 10}, **profile},
        "PATCH /v1/organizations/{slug}": {"name": "Child", "disabled": False, "quotas": {"devices": 10}, **profile},
        "POST /v1/keys": {
            "name": "key",
            "role": "viewer",
            "kind": "api",
            "scopes": ["devices:read"],
            "expires_at": "2099-01-01T00:00:00Z",
        },
        "POST /v1/owners": {"ref": f"owner-{n}@example.com", **person},
        "PATCH /v1/owners/{name}": person,
        "POST /v1/groups": {"name": f"group-{n}", **group},
        "PATCH /v1/groups/{name}": group,
        "POST /v1/metadata-fields": {"name": f"field-{n}", "type": "json", "description": "text", "required": False},
        "PATCH /v1/metadata-fields/{name}": {"description": "text", "required": False},
        "POST /v1/dms": {"name": f"dms-{n}", **dms},
        "PATCH /v1/dms/{name}": dms,
        "POST /v1/authorities": {
            "name": f"authority-{n}",
            "key": {"type": "EC", "bits": 256},
            "lifetime": 86_400,
            "certificate": certificate,
        },
        "POST /v1/certificates/{serial}:revoke": {"reason": "certificate_hold"},
        "POST /v1/devices/{ident}/identity:bind": {"serial": serial},
        "POST /v1/devices/{ident}/identity:revoke": {"reason": "certificate_hold"},
        "POST /v1/devices/{ident}:log-event": {"code": "hot", "description": "text"},
        "POST /v1/templates": {"name": f"template-{n}", **TEMPLATE},
        "PATCH /v1/templates/{name}": {"name": "meter", **TEMPLATE},
        "POST /v1/cohorts": {"slug": f"cohort-{n}", "name": "Beta Channel"},
        "PATCH /v1/cohorts/{name}": {"name": "Beta Channel"},
        "POST /v1/hardware-versions": {"name": f"rev-{n}", "software_type": "main"},
        "PATCH /v1/hardware-versions/{name}": {"software_type": "main"},
        "POST /api/ext-v1/device": {"identifier": f"new-{n}", "type": "sensor", "properties": MEMBERS["metadata"]},
        "POST /api/ext-v1/device/bulk-metadata": {"devices": {DEVICE: MEMBERS["metadata"]}},
        "POST /api/dmsmanager/v1/dms": {"id": f"vendor-dms-{n}", **vendor_dms},
        "PUT /api/dmsmanager/v1/dms/{id}": {"id": _NAMES["dms"], **vendor_dms},
        "POST /api/dmsmanager/v1/dms/bind-identity": {
            "device_id": HELD,
            "certificate_serial_number": serial,
            "bind_mode": "RENEWED",
        },
        "PUT /api/dmsmanager/v1/dms/{id}/metadata": patches,
        "PATCH /api/dmsmanager/v1/dms/{id}/metadata": patches,
        "PUT /api/ca/v1/certificates/{sn}/status": {"status": "REVOKED", "revocation_reason": "CertificateHold"},
        f"POST {_PROJECT}/devices": {
            "device_serial": f"unit-{n}",
            "hardware_version": "rev-b",
            "owner_ref": EMAIL,
            "cohort": "beta",
            "nickname": "Pump",
            "description": "text",
        },
        f"PATCH {_PROJECT}/devices/{{device_serial}}": {
            "hardware_version": "rev-b",
            "owner_ref": EMAIL,
            "cohort": "beta",
            "nickname": "Pump",
            "description": "text",
        },
        f"PATCH {_PROJECT}/devices/{{device_serial}}/attributes": [{"string_key": f"attribute-{n}", "value": "text"}],
        f"POST {_PROJECT}/custom-metrics": {
            "string_key": f"metric-{n}",
            "data_type": "STRING",
            "display_name": "Metric",
            "description": "text",
        },
        f"POST {_PROJECT}/cohorts": {"name": "Beta Channel", "slug": f"channel-{n}"},
        f"PATCH {_PROJECT}/cohorts/{{cohort}}": {"name": "Beta Channel", "slug": "spare"},
        f"PATCH {_PROJECT}/cohorts/{{cohort}}/devices": {"devices": [DEVICE], "device_serials": [DEVICE]},
        "POST /api/v0/organizations/{organization}/projects": {
            "name": "Project",
            "slug": f"project-{n}",
            "platform": "zephyr",
            "os": "linux",
        },
        f"PATCH {_PROJECT}": {"name": "Default", "slug": "default", "platform": "zephyr", "os": "linux"},
        f"POST {_PROJECT}/hardware_versions": {"name": f"proto-{n}", "primary_software_type": "main"},
        f"{_ASSIGNMENT}assignDeviceToOwners": {
            "deviceIdentifier": DEVICE,
            "customerEmails": [EMAIL],
            "autoCreateDevice": False,
            "deviceType": "sensor",
        },
        f"{_ASSIGNMENT}assignDevicesToOwner": {**assigned, "autoCreateDevices": False, "deviceType": "sensor"},
        f"{_ASSIGNMENT}unassignDeviceFromOwner": {"deviceIdentifier": DEVICE, "customerEmail": EMAIL},
        f"{_ASSIGNMENT}unassignDevicesFromOwner": assigned,
        "POST /api/ext-v1/customer/createOrUpdateCustomer": {
            "email": f"customer-{n}@example.com",
            "name": "Ann",
            "phone": "555",
            "address": "1 Road",
        },
        "POST /api/ext-v1/customer/queryCustomer": {"email": EMAIL},
        f"POST {_GROUPED}": {"id": str(uuid.uuid4()), "name": f"managed-{n}", "parent_id": GROUP, **asked},
        f"PUT {_GROUPED}/{{id}}": {"name": "managed", **asked},
        f"POST {_MANAGED}": {
            "id": f"managed-{n}",
            "alias": "Pump",
            "tags": ["production"],
            "metadata": {"location": "dock"},
            "dms_id": "line",
            "icon": "CgSmartphoneChip",
            "icon_color": "#25ee32-#222222",
        },
        f"PUT {_MANAGED}/{{id}}/idslot": {
            "status": "ACTIVE",
            "active_version": 1,
            "type": "x509",
            "versions": {"1": "text"},
            "expiration_date": "2099-01-01T00:00:00Z",
            "events": {"2026-01-01T00:00:00Z": {"type": "PROVISIONED", "description": "text"}},
        },
        f"PUT {_MANAGED}/{{id}}/metadata": {"metadata": MEMBERS["metadata"]},
        f"PATCH {_MANAGED}/{{id}}/metadata": {"patches": [{"op": "add", "path": "/x", "value": "text"}]},
    }


_CSV = 'ident,name,tags,metadata\r\nfrom-csv,Pump,production,"{""a"":1}"\r\n'
_PATCH = [{"op": "test", "path": "/ident", "value": DEVICE}, {"op": "add", "path": "/metadata/x", "value": "text"}]
_QUERY = {
    "grant_type": "client_credentials",
    "filter": _ONE,
    "q": "sam",
    "metric": "temp",
    "sort": "ident",
    "limit": "5",
    "count": "true",
    "dry_run": "true",
    "after": "0",
}
_NUMBERED = {"page": "1", "per_page": "5", "sort": "-created_date", "cohort": "beta", "last_seen_until": "2020-01-01"}
_EVENTS = 'type = "device.*"'
_NAMES = {
    "owners": "spare@example.com",
    "groups": "pumps",
    "metadata-fields": "shelf",
    "dms": "line",
    "authorities": "spare",
    "cohorts": "spare",
    "hardware-versions": "spare",
    "templates": "meter",
}


def _blynk(n: str, device: int, ann: int, spare: int) -> dict[str, Any]:
    """The bodies of Blynk's routes, which name a device and two owners by number."""
    path = "/api/v1/organization"
    handed = {
        "deviceId": device,
        **dict.fromkeys(("newUserId", "newOwnerUserId", "newOwnerId", "userId", "ownerId"), spare),
    }
    moved = dict.fromkeys(("newOrgId", "newOrganizationId", "orgId", "organizationId"), 1)
    template = {
        "description": "text",
        "boardType": "ESP32",
        "connectionType": "WI_FI",
        "datastreams": [
            {"pin": 1, "type": "DOUBLE", "pinType": "VIRTUAL", "label": "Temp", "alias": "temp", "units": "C",
             "min": -40.0, "max": 85.5, "defaultValue": 20.0, "id": 0}
            | dict.fromkeys(("isAnalogPin", "isRaw", "isHistory", "isForService", "isForReports"), False)
            | dict.fromkeys(("isForActions", "isForConditions", "isSync"), True)
        ],
        "events": [{"eventCode": "hot", "name": "Hot", "type": "WARNING", "description": "text", "id": 0}],
        "metafields": [
            {"name": "site", "type": "List", "description": "text", "hint": "text", "icon": "text",
             "isMandatory": False, "includeInProvision": True, "options": ["a"], "id": 0}
        ],
    }  # fmt: skip
    address = {"fullAddress": "1 Road, Town", "country": "X", "city": "Town", "state": "Y", "zip": "1"}
    person = {"name": "Ann", "orgId": 1, "organizationId": 1, "roleId": 2, "title": "Dr", "nickName": "A",
              "phoneNumber": "1", "tz": "UTC", "locale": "en_US", "address": "Somewhere"}  # fmt: skip
    return {
        f"PUT {path}/device": {"name": "Pump"},
        f"POST {path}/device/create": {
            "templateId": "TMPLAAAAAAAAB",
            "name": "Pump",
            "orgId": 1,
            "organizationId": 1,
            "ownerId": ann,
            "baseInfo": False,
        },
        f"POST {path}/device/transfer/to-owner": {**handed, **moved},
        f"POST {path}/device/transfer/to-organization": {"deviceId": device, **moved},
        f"POST {path}/device/transfer": {"deviceId": device, "newUserId": spare},
        f"POST {path}/device/trigger-event": {"deviceId": device, "eventCode": "hot", "eventDescription": "text"},
        f"POST {path}/device/metafield": {"deviceId": device, "metaFieldId": 3, "newValue": "a"},
        f"POST {path}/create": {
            "name": f"Branch {n}",
            "parentId": 1,
            "type": "BRANCH",
            "description": "text",
            "tz": "Europe/Berlin",
            "unitSystem": "IMPERIAL",
            "phoneNumber": "1",
            "address": address,
        },
        f"POST {path}/users/create-in-org": {"email": f"user-{n}@example.com", **person},
        f"POST {path}/users/invite": {"email": f"guest-{n}@example.com", **person},
        f"POST {path}/oauth/clients/create": {
            "name": f"client-{n}",
            "orgId": 1,
            "organizationId": 1,
            "redirectUrls": [],
        },
        f"POST {path}/device/datastream": {"deviceId": device, "dataStreamId": 1, "value": 5},
        f"POST {path}/device/datastreams": {"deviceId": device, "values": {"1": 5}},
        f"POST {path}/device/datastream/property": {
            "deviceId": device,
            "dataStreamId": 1,
            "property": "color",
            "value": "red",
        },
        f"POST {path}/device/import/batch": {
            "deviceId": device,
            "dataStreamId": 1,
            "values": [{"value": 5, "ts": 1609459200000}],
        },
        f"POST {path}/users/create": {
            "email": f"first-{n}@example.com",
            "name": "Ann",
            "organizationName": f"Own {n}",
            "timeZone": "Europe/Berlin",
        },
        f"POST {path}/users/register": {"email": f"late-{n}@example.com", "locale": "en_US"},
        f"POST {path}/users/transfer": {"userId": spare, "targetOrgId": 1, "roleId": 3},
        f"POST {path}/tag/create": {"name": f"tag-{n}", "orgId": 1, "organizationId": 1},
        f"POST {path}/device/tag": {"deviceId": device, "tagId": text_number("production")},
        f"POST {path}/template/create": {"name": f"blynk-{n}", **template},
    }


class World:
    """An application with one record of every noun. Its samples stay valid if it is prepared again."""

    def __init__(self, app: App, data: Path) -> None:
        self.app = app
        self.state = State(data / "fleetroll.db")
        self._made = 0
        self._serial = ""
        self._key = 0
        self.prepare()

    def prepare(self) -> None:
        """Put back what requests may have taken away."""
        app = self.app
        app.request("POST", "/v1/organizations", {"slug": "child"})
        app.request("PATCH", "/v1/organizations/child", {"disabled": False, "quotas": {}})
        app.request("DELETE", f"/v1/devices/{DEVICE}")
        app.request("POST", "/v1/templates", {"name": "gauge", **TEMPLATE})
        assert app.request("GET", "/v1/templates/gauge").json()["id"] == MEMBERS["template"]
        app.request("POST", "/v1/templates", {"name": "meter"})
        for field in app.request("GET", "/v1/metadata-fields?limit=200").json()["metadata_fields"]:
            app.request("DELETE", f"/v1/metadata-fields/{quote(field['name'], safe='')}")
        app.request("POST", "/v1/owners", {"ref": _NAMES["owners"]})
        for tag in ("production", "unused"):
            app.request("POST", "/api/v1/organization/tag/create", {"name": tag})
        app.request("POST", "/v1/cohorts", {"slug": "beta"})
        assert app.request("PUT", f"/v1/devices/{DEVICE}", MEMBERS).status == 201
        for software in ({"version": "spare"}, None):
            app.request("PUT", "/v1/devices/spare", {"software": software})
        app.request("POST", "/v1/groups", {"name": "pumps", "filter": _ONE})
        app.request("POST", _GROUPED, {"id": GROUP, "name": "managed"})
        app.request("POST", "/v1/metadata-fields", {"name": "shelf", "type": "integer"})
        app.request("POST", "/v1/dms", {"name": "line"})
        app.request("PATCH", "/v1/dms/line", {"settings": SETTINGS})
        app.request("POST", "/v1/authorities", {"name": "spare"})
        self._certificate = app.request("GET", "/v1/authorities/default").json()["certificate"]
        if app.request("POST", f"/v1/certificates/{self._serial}:restore").status != 200:
            app.request("DELETE", f"/v1/devices/{HELD}")
            self._serial = enrolled(app, "line", HELD)
        app.request("POST", "/v1/cohorts", {"slug": "spare"})
        app.request("POST", "/v1/hardware-versions", {"name": "spare"})
        app.request("POST", "/v1/organizations", {"slug": "spare-project"})
        app.request("DELETE", f"/v1/keys/{self._key}")  # an organization has room for a thousand
        self._key = app.request("POST", "/v1/keys", {"name": "spare", "role": "viewer"}).json()["id"]
        self._credential()

    def samples(self) -> list[Sample]:
        """One for every route, more where it takes bodies of several kinds; names are new each time."""
        bodies = self._bodies()
        return [sample for dialect in KEYED for route in dialect.routes for sample in self._of(dialect, route, bodies)]

    def one_by_one(self) -> Iterator[Sample]:
        """As `samples`, each made when it is its turn, from the world as it is then."""
        for dialect in KEYED:
            for route in dialect.routes:
                yield from self._of(dialect, route, self._bodies())

    def again(self, sample: Sample) -> Sample:
        """The same request, with names that are new."""
        like = self._of(sample.dialect, sample.route, self._bodies())
        return next(one for one in like if one.label == sample.label)

    def _bodies(self) -> dict[str, Any]:
        """The bodies that routes take, by method and path."""
        self._made += 1
        documents = _documents(str(self._made), self._serial, self._certificate)
        self._device, self._spare = (self._number(f"devices/{name}") for name in (DEVICE, "spare"))
        self._ann = self._number(f"owners/{EMAIL}")
        documents |= _blynk(str(self._made), self._device, self._ann, self._number(f"owners/{_NAMES['owners']}"))
        return documents | _history(self._public_id())

    def _of(self, dialect: Dialect, route: Route, documents: dict[str, Any]) -> Iterator[Sample]:
        target, name = self._target(route), f"{route.method} {route.path}"
        if route.lines is not None:
            yield Sample(dialect, route, target, documents[name], "application/x-ndjson")
            yield Sample(dialect, route, target, _CSV, "text/csv")
        elif route.body is None:
            yield Sample(dialect, route, target)
        else:
            kinds = route.media_types or dialect.media_types or ("application/json",)
            yield Sample(dialect, route, target, documents[name], kinds[0])
            if route.path == "/v1/devices/{ident}" and route.method == "PATCH":
                yield Sample(dialect, route, target, _PATCH, "application/json-patch+json")
            if route.path.endswith("/createOrUpdateCustomer"):
                known = {**documents[name], "email": EMAIL, "telemetronCustomerId": self._customer()}
                yield Sample(dialect, route, target, known)

    def _target(self, route: Route) -> str:
        path = route.path
        values = {
            "ident": DEVICE,
            "slug": "child",
            "name": _NAMES.get(path.split("/")[2], MEMBERS["hardware_version"]),
            "id": str(self._key),
            "serial": self._serial,
            "dms": "line",
            "sn": self._serial,
            "organization": "default",
            "project": "default",
            "device_serial": DEVICE,
            "cohort": "spare",
            "type": "main",
            "version": "spare" if route.method == "DELETE" else "1.2.0",
        }
        if route.method == "DELETE" and path.endswith("{project}"):
            values["project"] = "spare-project"
        if "/identity" in path:
            values["ident"] = HELD
        if path.startswith("/api/dmsmanager/"):
            values["id"] = _NAMES["dms"]
        if path.startswith("/api/ca/"):
            values["id"] = _NAMES["authorities"]
        if path.startswith(_MANAGED):
            values["id"] = DEVICE
        if path.startswith(_GROUPED):
            values["id"] = GROUP
        if "/credentials/" in path:
            values["id"] = str(self._credential())
        if "getCustomer" in path:
            values["id"] = self._customer()
        for name, value in values.items():
            path = path.replace(f"{{{name}}}", quote(value, safe=""))
        filters = {"/v1/events": _EVENTS, "/api/ca": f"serial_number[eq]{self._serial}", "/api/devmanager": "id[eq]x"}
        own = [text for prefix, text in filters.items() if path.startswith(prefix)]
        given = {**_QUERY, "filter": own[0] if own else _QUERY["filter"]}
        given = _NUMBERED if path.startswith("/api/v0/") else given
        given = self._blynk_query(route) if path.startswith("/api/v1/organization") else given
        query = "&".join(f"{p.name}={quote(given[p.name])}" for p in route.query if p.name in given)
        return f"{path}?{query}" if query else path

    def _credential(self) -> int:
        """A credential of the device for the broker."""
        path = f"/v1/devices/{DEVICE}/credentials"
        there = self.app.request("GET", path).json().get("broker")
        return int((there[0] if there else self.app.request("POST", path, {}).json())["id"])

    def _public_id(self) -> str:
        shown = self.app.request("GET", f"/v1/devices/{DEVICE}").json()
        at = datetime.fromisoformat(shown["created_at"])
        return device_hex(int(at.timestamp()) * 1_000_000, shown["id"])

    def _number(self, path: str) -> int:
        return int(self.app.request("GET", f"/v1/{path}").json()["id"])

    def _blynk_query(self, route: Route) -> dict[str, str]:
        device = self._spare if route.method == "DELETE" and route.path.endswith("/device") else self._device
        template = self._number(f"templates/{_NAMES['templates']}") if route.method == "DELETE" else 1
        own = route.method != "DELETE" or route.path.endswith("/tag")
        return {
            "deviceId": str(device),
            "templateId": str(template),
            "userId": str(self._ann),
            "roleId": "2",
            "tagId": str(text_number("unused" if route.path.endswith("/organization/tag") else "production")),
            "orgId": "1" if own else str(self._number("organizations/child")),
            "includeSubOrgDevices": "true",
            "includeSubOrgUsers": "true",
            "page": "0",
            "size": "5",
            "query": "sam",
            "sortBy": "Name",
            "sortOrder": "DESC",
            "eventType": "WARNING",
            "ownerEmail": EMAIL,
            "userEmail": EMAIL,
            "minutes": "5",
            "baseInfo": "false",
            "pin": "v1",
        }

    def _customer(self) -> str:
        found = self.app.request(
            "POST", "/api/ext-v1/customer/queryCustomer", {"email": EMAIL}, headers={"x-api-key": self.app.key}
        )
        return str(found.json()["id"])


@contextmanager
def world_in(data: Path) -> Iterator[World]:
    """A world on a data directory, over an application of its own."""
    with running(data) as app:
        world = World(app, data)
        with closing(world.state):
            yield world


def json_samples(world: World) -> list[Sample]:
    """Those of routes that take a body of one shape."""
    return [sample for sample in world.samples() if sample.route.body is not None]


def texts(document: Any) -> Iterator[tuple[tuple[str, ...], bytes]]:
    """The document as JSON, once for each text in it, with `"@"` in its place; and where that is."""
    for path, marked in _marked(document, ()):
        yield path, json.dumps(marked).encode()


def _marked(value: Any, path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], Any]]:
    if isinstance(value, str):
        yield path, "@"
    elif isinstance(value, list):
        for index, element in enumerate(value):
            for where, changed in _marked(element, path):
                yield where, [*value[:index], changed, *value[index + 1 :]]
    elif isinstance(value, dict):
        for key, member in value.items():
            for where, changed in _marked(member, (*path, key)):
                yield where, {**value, key: changed}


def _history(device: str) -> dict[str, Any]:
    """Questions of RelayX's applications about the past, each with every member that there is."""
    asked = {
        "device_id": device,
        "device_ids": [device],
        "env": "production",
        "start": "2026-01-01T00:00:00Z",
        "end": "2026-02-01T00:00:00Z",
        "fields": ["temp"],
        "event_names": ["door"],
        "levels": ["info"],
        "command_name": "move",
        "last_value": False,
        "interval": "1h",
        "aggregate_fn": "count",
        "limit": 10,
        "offset": 0,
    }
    return {f"POST /iot/db/{noun}/history": asked for noun in ("telemetry", "event", "log", "command")}

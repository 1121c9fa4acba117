"""The table of our own API, `/v1`: the superset that the other dialects are views of."""

from typing import Any

from fleetroll.dialects.native import mapping, shapes
from fleetroll.dialects.native.envelope import ENVELOPE
from fleetroll.service import (
    devices,
    events,
    fleet,
    groups,
    keys,
    metadata_fields,
    organizations,
    owners,
    server,
    timeline,
)
from fleetroll.wire.dialect import API_KEY_HEADER, BASIC, BEARER, Dialect, Lines, Parameter, Route, Stream

_FILTER = Parameter("filter", 'AIP-160, as in status = "ACTIVE" AND tags:"production"')
_SEARCH = Parameter("q", "part of the identifier or name, case ignored")
_LIMIT = Parameter("limit", "most records of the page, 1 to 1000; 50 if left out", "integer")
_CURSOR = Parameter("cursor", "next_cursor of the page before")
_DRY_RUN = Parameter("dry_run", "report what would happen and change nothing", "boolean")
_FORMAT = Parameter("format", "ndjson (default) or csv")
_PAGE = (_LIMIT, _CURSOR)
_LISTING = (
    _FILTER,
    _SEARCH,
    Parameter("sort", "a field, with - before it for descending"),
    *_PAGE,
    Parameter("count", "whether to count all that match", "boolean"),
)
_ROWS = ("application/x-ndjson", "text/csv")
_PATCHES = ("application/merge-patch+json", "application/json-patch+json", "application/json")

_DEVICES = (
    Route(
        "POST",
        "/v1/devices",
        devices.create,
        mapping.new_device,
        mapping.created,
        "Create a device",
        status=201,
        body=shapes.NewDevice,
        reply=shapes.Device,
        idempotent=True,
    ),
    Route(
        "GET",
        "/v1/devices",
        devices.page,
        mapping.listing,
        mapping.page,
        "List devices",
        reply=shapes.DeviceList,
        query=_LISTING,
    ),
    Route(
        "PUT",
        "/v1/devices/{ident}",
        devices.put,
        mapping.put_device,
        mapping.stored,
        "Create a device or replace all of it",
        body=shapes.DeviceInput,
        reply=shapes.Device,
    ),
    Route("GET", "/v1/devices/{ident}", devices.get, mapping.one, mapping.shown, "Read a device", reply=shapes.Device),
    Route(
        "PATCH",
        "/v1/devices/{ident}",
        devices.edit,
        mapping.edit_device,
        mapping.shown,
        "Change a device by a merge patch or a JSON Patch",
        body=dict[str, Any] | list[Any],
        reply=shapes.Device,
        media_types=_PATCHES,
    ),
    Route("DELETE", "/v1/devices/{ident}", devices.delete, mapping.one, mapping.nothing, "Delete a device", status=204),
    Route(
        "POST",
        "/v1/devices/{ident}:decommission",
        devices.decommission,
        mapping.one,
        mapping.shown,
        "Take a device out of service for good",
        reply=shapes.Device,
        idempotent=True,
    ),
    Route(
        "POST",
        "/v1/devices/{ident}:transfer",
        devices.transfer,
        mapping.transfer,
        mapping.shown,
        "Give a device to other owners or to another organization",
        body=shapes.Transfer,
        reply=shapes.Device,
        idempotent=True,
    ),
    Route(
        "GET",
        "/v1/devices/{ident}/timeline",
        timeline.of_device,
        mapping.history,
        mapping.event_page,
        "What happened to a device, newest first",
        reply=shapes.EventList,
        query=_PAGE,
    ),
    Route(
        "GET",
        "/v1/stats",
        devices.counts,
        mapping.nothing_of,
        mapping.stats,
        "How many devices there are, by status, kind, tag and connection",
        reply=shapes.Stats,
    ),
)

_FLEET = (
    Route(
        "POST",
        "/v1/devices:import",
        fleet.load,
        mapping.import_devices,
        mapping.row_result,
        "Store devices from NDJSON or CSV, with one result line per row",
        reply=shapes.RowResult,
        query=(Parameter("mode", "upsert (default) or create"), _DRY_RUN),
        media_types=_ROWS,
        lines=Lines(shapes.NewDevice, mapping.import_row, mapping.bad_row, mapping.uncells, mapping.check_columns),
        stream=Stream.ROWS,
    ),
    Route(
        "GET",
        "/v1/devices:export",
        fleet.export,
        mapping.export_filter,
        mapping.exported,
        "All devices, or those of a filter, as NDJSON or CSV that can be imported again",
        reply=shapes.Device,
        query=(_FILTER, _SEARCH, _FORMAT),
        stream=Stream.ROWS,
        columns=shapes.COLUMNS,
        cells=mapping.cells,
    ),
    Route(
        "POST",
        "/v1/devices:update",
        fleet.update,
        mapping.bulk_update,
        mapping.row_result,
        "Set members of every device that a filter finds",
        body=shapes.BulkUpdate,
        reply=shapes.RowResult,
        stream=Stream.ROWS,
    ),
    Route(
        "POST",
        "/v1/devices:tag",
        fleet.update,
        mapping.bulk_tag,
        mapping.row_result,
        "Add and remove tags of every device that a filter finds",
        body=shapes.BulkTag,
        reply=shapes.RowResult,
        stream=Stream.ROWS,
    ),
    Route(
        "POST",
        "/v1/devices:delete",
        fleet.delete,
        mapping.bulk_delete,
        mapping.row_result,
        "Delete every device that a filter finds",
        body=shapes.BulkDelete,
        reply=shapes.RowResult,
        stream=Stream.ROWS,
    ),
)

_ORGANIZATIONS = (
    Route(
        "POST",
        "/v1/organizations",
        organizations.create,
        mapping.new_organization,
        mapping.new_account,
        "Create an organization below the caller's",
        status=201,
        body=shapes.NewOrganization,
        reply=shapes.Organization,
        idempotent=True,
    ),
    Route(
        "GET",
        "/v1/organizations",
        organizations.page,
        mapping.list_children,
        mapping.children,
        "Organizations directly below the caller's",
        reply=shapes.OrganizationList,
        query=_PAGE,
    ),
    Route(
        "GET",
        "/v1/organizations/{slug}",
        organizations.get,
        mapping.one_organization,
        mapping.account,
        "Read an organization (`self`, or slugs joined by dots) and what it uses",
        reply=shapes.Organization,
    ),
    Route(
        "PATCH",
        "/v1/organizations/{slug}",
        organizations.update,
        mapping.change_organization,
        mapping.account,
        "Rename, disable or enable an organization, or set its quotas",
        body=shapes.OrganizationChange,
        reply=shapes.Organization,
        media_types=_PATCHES,
    ),
    Route(
        "DELETE",
        "/v1/organizations/{slug}",
        organizations.delete,
        mapping.one_organization,
        mapping.nothing,
        "Delete an empty organization",
        status=204,
    ),
)

_KEYS = (
    Route(
        "POST",
        "/v1/keys",
        keys.create,
        mapping.new_key,
        mapping.issued,
        "Make an API key; its secret is shown this once",
        status=201,
        body=shapes.NewKey,
        reply=shapes.Key,
        idempotent=True,
        secret=True,
    ),
    Route(
        "GET",
        "/v1/keys",
        keys.page,
        mapping.list_keys,
        mapping.key_page,
        "List keys",
        reply=shapes.KeyList,
        query=_PAGE,
    ),
    Route("GET", "/v1/keys/{id}", keys.get, mapping.one_key, mapping.shown_key, "Read a key", reply=shapes.Key),
    Route(
        "DELETE",
        "/v1/keys/{id}",
        keys.revoke,
        mapping.one_key,
        mapping.nothing,
        "Revoke a key; the next request with it is refused",
        status=204,
    ),
    Route(
        "GET",
        "/v1/me",
        keys.caller,
        mapping.nothing_of,
        mapping.caller,
        "The presented key and its organization",
        reply=shapes.Caller,
    ),
)

_EVENTS = (
    Route(
        "GET",
        "/v1/events",
        events.follow,
        mapping.follow,
        mapping.event,
        "Every change as it happens, as server-sent events; Last-Event-ID resumes",
        reply=shapes.Event,
        query=(
            Parameter("filter", 'over id, type, subject, name, actor and at, as in type = "device.*"'),
            Parameter("after", "number of the last event seen; 0 for all there are", "integer"),
        ),
        stream=Stream.EVENTS,
    ),
    Route(
        "GET",
        "/v1/backup",
        server.backup,
        mapping.nothing_of,
        mapping.nothing,
        "A consistent copy of the whole registry, for the root organization's admins",
        stream=Stream.BYTES,
    ),
)


def _noun(
    path: str,
    noun: Any,
    words: tuple[str, str],
    new: Any,
    change: Any,
    shape: Any,
    page: Any,
    decode_new: Any,
    encode: Any,
    encode_page: Any,
) -> tuple[Route, ...]:
    """The five rows of a noun with a unique name."""
    one, many = words
    item = f"{path}/{{name}}"
    return (
        Route(
            "POST",
            path,
            noun.create,
            decode_new,
            encode,
            f"Create {one}",
            status=201,
            body=new,
            reply=shape,
            idempotent=True,
        ),
        Route("GET", path, noun.page, mapping.list_named, encode_page, f"List {many}", reply=page, query=_PAGE),
        Route("GET", item, noun.get, mapping.one_named, encode, f"Read {one}", reply=shape),
        Route(
            "PATCH",
            item,
            noun.edit,
            mapping.change_named,
            encode,
            f"Change {one}",
            body=change,
            reply=shape,
            media_types=_PATCHES,
        ),
        Route("DELETE", item, noun.delete, mapping.one_named, mapping.nothing, f"Delete {one}", status=204),
    )


_NAMED = (
    *_noun(
        "/v1/owners",
        owners.noun,
        ("an owner", "owners"),
        shapes.NewOwner,
        shapes.OwnerChange,
        shapes.Owner,
        shapes.OwnerList,
        mapping.new_owner,
        mapping.owner,
        mapping.owner_page,
    ),
    *_noun(
        "/v1/groups",
        groups.noun,
        ("a saved group", "saved groups"),
        shapes.NewGroup,
        shapes.GroupChange,
        shapes.Group,
        shapes.GroupList,
        mapping.new_group,
        mapping.group,
        mapping.group_page,
    ),
    *_noun(
        "/v1/metadata-fields",
        metadata_fields.noun,
        ("a metadata field", "metadata fields"),
        shapes.NewMetadataField,
        shapes.MetadataFieldChange,
        shapes.MetadataField,
        shapes.MetadataFieldList,
        mapping.new_metadata_field,
        mapping.metadata_field,
        mapping.metadata_field_page,
    ),
    Route(
        "GET",
        "/v1/groups/{name}/devices",
        groups.members,
        mapping.group_members,
        mapping.page,
        "The devices that a saved group finds now",
        reply=shapes.DeviceList,
        query=_LISTING,
    ),
)

DIALECT = Dialect(
    name="native",
    title="Fleetroll",
    prefixes=("/v1/",),
    routes=(*_DEVICES, *_FLEET, *_ORGANIZATIONS, *_KEYS, *_EVENTS, *_NAMED),
    envelope=ENVELOPE,
    credentials=(BEARER, API_KEY_HEADER, BASIC),
    strict_query=True,
    acts_in_header="fleetroll-organization",
)

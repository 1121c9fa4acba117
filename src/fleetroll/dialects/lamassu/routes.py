"""The table of Lamassu's device manager, `/api/devmanager`, in two profiles: as it is documented, and as it answers.

They differ in the names of two statuses, in what a decommissioning and an unknown device get, and in whether a device
must be decommissioned before it is deleted. What is taken is the same in both.
"""

from typing import Any

from fleetroll.core import spelling as spellings
from fleetroll.dialects.lamassu import shapes
from fleetroll.dialects.lamassu.envelope import envelope
from fleetroll.dialects.lamassu.mapping import devices as mapping
from fleetroll.dialects.lamassu.mapping import groups as group_mapping
from fleetroll.dialects.lamassu.mapping import server as server_mapping
from fleetroll.service import devices, groups, identity, server
from fleetroll.service.device_lives import with_life, with_lives
from fleetroll.wire.dialect import (
    API_KEY_HEADER,
    BASIC,
    BEARER,
    AnyOperation,
    Dialect,
    Parameter,
    Route,
    no_input,
    nothing,
)

_DEVICES = "/api/devmanager/v1/devices"
_GROUPS = "/api/devmanager/v1/device-groups"
_FILTER = Parameter("filter", "field[operator]value; may be repeated, and all must match", "array")
_LIST = (
    Parameter(
        "page_size",
        "maximum number of records per page, up to 1000; 25 if left out or not a number, 15 if not positive",
    ),
    Parameter("bookmark", "`next` of the previous page, whose filters and order apply"),
    Parameter("sort_by", "id, dms_owner, creation_timestamp, status, tags, or metadata[jsonpath]$.path"),
    Parameter("sort_mode", "asc or desc"),
    _FILTER,
)
_GROUP_LIST = (
    *_LIST[:2],
    Parameter("sort_by", "id or name"),
    Parameter("sort_mode", "asc or desc"),
    Parameter("filter", "id or name, as in name[contains]value; may be repeated, and all must match", "array"),
)


def _device_rows(spelling: spellings.Spelling, end: dict[str, Any], delete: AnyOperation) -> tuple[Route, ...]:
    """`end` is what a decommissioning answers, `delete` the operation that deletes."""
    one, many = mapping.device_encoder(spelling), mapping.device_list(spelling)
    return (
        Route("GET", _DEVICES, with_lives(devices.page), mapping.listing, many,
              "List devices", reply=shapes.DeviceList, query=_LIST),
        Route("POST", _DEVICES, with_life(devices.create), mapping.new_device, one, "Create a device", status=201,
              body=shapes.NewDevice, reply=shapes.Device),
        Route("GET", f"{_DEVICES}/{{id}}", with_life(devices.get), mapping.named, one, "Read a device",
              reply=shapes.Device),
        Route("DELETE", f"{_DEVICES}/{{id}}", delete, mapping.named, nothing, "Delete a device", status=204,
              codes={"device_not_found": 404}),
        Route("PUT", f"{_DEVICES}/{{id}}/idslot", with_life(identity.replace), mapping.slot, one,
              "Replace a device's identity slot", body=shapes.SlotInput, reply=shapes.Device),
        Route("PUT", f"{_DEVICES}/{{id}}/metadata", with_life(devices.edit), mapping.replace_metadata, one,
              "Patch a device's metadata, or replace all of it", body=shapes.Change, reply=shapes.Device),
        Route("PATCH", f"{_DEVICES}/{{id}}/metadata", with_life(devices.edit), mapping.patch_metadata, one,
              "Patch a device's metadata", body=shapes.Change, needs=("patches",), reply=shapes.Device),
        Route("DELETE", f"{_DEVICES}/{{id}}/decommission", with_life(devices.end), mapping.named,
              about="Decommission a device", **end),
        Route("GET", f"{_DEVICES}/dms/{{dms}}", with_lives(devices.page), mapping.listing_of_dms,
              many, "List the devices of a DMS", reply=shapes.DeviceList, query=_LIST),
    )  # fmt: skip


def _group_rows(spelling: spellings.Spelling) -> tuple[Route, ...]:
    group, members = group_mapping.group(spelling), mapping.device_list(spelling)
    return (
        Route("POST", _GROUPS, groups.make, group_mapping.new_group, group,
              "Create a group by the criteria of its members", status=201,
              body=shapes.GroupInput, needs=("id", "name"), reply=shapes.Group),
        Route("GET", _GROUPS, groups.page, group_mapping.listed_groups, group_mapping.group_list(spelling),
              "List groups", reply=shapes.GroupList, query=_GROUP_LIST),
        Route("GET", f"{_GROUPS}/{{id}}", groups.get, group_mapping.one_group, group, "Read a group",
              reply=shapes.Group),
        Route("PUT", f"{_GROUPS}/{{id}}", groups.edit, group_mapping.group_change, group,
              "Change a group; the rest stays", body=shapes.GroupInput, reply=shapes.Group),
        Route("DELETE", f"{_GROUPS}/{{id}}", groups.remove, group_mapping.one_group, nothing,
              "Delete a group and all below it", status=204),
        Route("GET", f"{_GROUPS}/{{id}}/devices", with_lives(groups.members_of), group_mapping.group_members,
              members, "List the devices that are currently members of a group",
              reply=shapes.DeviceList, query=_LIST),
        Route("GET", f"{_GROUPS}/{{id}}/stats", groups.statuses, group_mapping.one_group, mapping.stats(spelling),
              "How many members a group has in each status", reply=shapes.Stats),
    )  # fmt: skip


def _manager_rows(spelling: spellings.Spelling) -> tuple[Route, ...]:
    return (
        Route("GET", "/api/devmanager/v1/stats", devices.statuses, mapping.counted, mapping.stats(spelling),
              "How many devices there are in each status", reply=shapes.Stats, query=(_FILTER,)),
        Route("GET", "/api/devmanager/health", server.answer, no_input, server_mapping.health,
              "Whether the device manager is healthy", reply=shapes.Health),
    )  # fmt: skip


def _dialect(spelling: spellings.Spelling, codes: dict[str, int], end: dict[str, Any], delete: AnyOperation) -> Dialect:
    return Dialect(
        name="lamassu",
        title="Lamassu device manager",
        prefixes=("/api/devmanager/",),
        routes=(*_device_rows(spelling, end, delete), *_group_rows(spelling), *_manager_rows(spelling)),
        envelope=envelope(codes),
        credentials=(BEARER, API_KEY_HEADER, BASIC),
        places={"id": "the id of the device or the group", "dms": "the id of the DMS"},
        media_types=(),
        acts_in_header="fleetroll-organization",
        loose_names=True,
    )


DIALECT = _dialect(spellings.DOCUMENTED, {}, {"encode": nothing, "status": 204}, devices.delete)
UPSTREAM = _dialect(
    spellings.UPSTREAM,
    {"device_not_found": 400},
    {"encode": mapping.device_encoder(spellings.UPSTREAM), "reply": shapes.Device},
    devices.delete_ended,
)

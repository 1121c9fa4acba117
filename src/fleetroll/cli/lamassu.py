"""`fleetroll import lamassu`: the devices, DMS and groups of a Lamassu, from any server of that API.

What our own import takes is brought over in bulk; DMS, slots and decommissioning by the API that they came from.
"""

import functools
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, NamedTuple, Required, TypedDict, TypeVar
from urllib.parse import quote

import click
from msgspec import Struct

from fleetroll.cli import importing, output
from fleetroll.cli.failures import Exit, Failure
from fleetroll.cli.importing import Cursor, Page
from fleetroll.core import limits

if TYPE_CHECKING:
    import httpx

    from fleetroll.cli.client import Client

_PER_PAGE = 100
_MANAGER, _DMS, _CA = "/api/devmanager/v1", "/api/dmsmanager/v1/dms", "/api/ca/v1/cas"
_CERTIFICATES, _HEALTH = "/api/ca/v1/certificates", "/api/devmanager/health"
_DEVICES, _GROUPS = f"{_MANAGER}/devices", f"{_MANAGER}/device-groups"
_ABOUT = "Check --url and --token."
_ENDED = "DECOMMISSIONED"
_Record = TypeVar("_Record")


@click.command("lamassu", help="Import the devices, DMS and device groups of a Lamassu server.")
@importing.source_option("Address of its gateway, such as https://lamassu.example.com.")
@importing.token_option("LAMASSU_TOKEN", "Bearer token.")
@importing.state_option
@click.option("--devices-only", is_flag=True, help="Leave out DMS, the authorities they trust, and groups.")
@importing.dry_run_option
@importing.as_json
@click.pass_context
def lamassu(
    context: click.Context,
    source: str,
    token: str,
    state: Path | None,
    devices_only: bool,
    dry_run: bool,
    as_json: bool,
) -> None:
    with importing.clients(context, source, headers={"authorization": f"Bearer {token}"}) as (client, http):
        gateway = Gateway(http, source, with_policies=not (devices_only or dry_run))
        importing.run(client, gateway, state or Path("lamassu.state"), dry_run=dry_run, as_json=as_json)


class _Device(TypedDict, total=False):
    id: Required[str]
    alias: Any
    tags: Any
    metadata: Any
    dms_owner: Any
    icon: Any
    icon_color: Any
    status: Any
    identity: dict[str, Any] | None


class _Dms(TypedDict, total=False):
    id: Required[str]
    name: Any
    metadata: Any
    settings: dict[str, Any] | None


class _Group(TypedDict, total=False):
    id: Required[str]
    name: Required[str]
    description: Any
    parent_id: str | None
    criteria: Any
    filter: str


class _Pem(Struct):
    certificate: bytes


class _Authority(Struct):
    certificate: _Pem


class _List(Struct, Generic[_Record]):
    """A page of a list. Some of the vendor's lists call the bookmark one thing, and some another."""

    list: list[_Record] | None
    next: str | None = None
    next_bookmark: str | None = None


class _Stats(Struct):
    total: int


class _Step(NamedTuple):
    """A request to our own server."""

    method: str
    path: str
    body: Any = None


class Gateway:
    """Implements `importing.Source` over Lamassu's APIs. A cursor is a bookmark."""

    first: Cursor = ""

    def __init__(self, http: "httpx.Client", url: str, *, with_policies: bool) -> None:
        self._http = http
        self.name = url
        self._with_policies = with_policies

    def page(self, cursor: Cursor) -> Page:
        # Its server forgets the order of a bookmark's list unless it is told again.
        params: dict[str, Any] = {"sort_by": "id", "sort_mode": "asc", "page_size": _PER_PAGE}
        if cursor:
            params["bookmark"] = cursor
        reply = self._ask(_DEVICES, params)
        if cursor and reply.status_code == 400:
            message = "The source no longer knows where the last run stopped."
            raise Failure(Exit.REFUSED, message, "Remove the state file to start over; what is stored stays as it is.")
        devices = importing.require(reply, _DEVICES, _ABOUT, _List[_Device])
        rows: list[Any] = [*(devices.list or ())]
        return Page(rows, devices.next or None, self._total)

    @functools.cached_property
    def _total(self) -> int:
        path = f"{_MANAGER}/stats"
        return importing.require(self._ask(path, {}), path, _ABOUT, _Stats).total

    def store(self, client: "Client", devices: list[dict[str, Any]], *, dry_run: bool) -> Iterator[importing.Result]:
        results: dict[str, importing.Result] = {}
        # A device that is here gets no other DMS or icon, so rows with either may only create one.
        rows = [_row(device) | _dms_and_icon(device) for device in devices if _dms_and_icon(device)]
        for result in importing.store(client, rows, dry_run=dry_run, create_only=True) if rows else ():
            if result["outcome"] != "failed" or result["error"]["code"] != "ident_taken":
                results[result["ident"]] = result
        rows = [_row(device) for device in devices if device["id"] not in results]
        results |= {result["ident"]: result for result in importing.store(client, rows, dry_run=dry_run)}
        for device in devices:
            result = results[device["id"]]
            if result["outcome"] == "failed" or (dry_run and result["outcome"] == "created"):
                yield result
            else:
                yield _finish(client, device, result, dry_run=dry_run)

    # --- what devices name -----------------------------------------------------------------------------------------

    def prepare(self, client: "Client") -> None:
        if client.attempt("GET", _HEALTH).status_code == 404:
            message = "The server here does not serve Lamassu's API, which this import needs."
            raise Failure(Exit.REFUSED, message, "Start it without --disable lamassu.")
        if self._with_policies:
            for dms in self._all(_DMS, _List[_Dms]):
                self._import_dms(client, dms)
            self._import_groups(client, {group["id"]: group for group in self._all(_GROUPS, _List[_Group])})

    def _import_dms(self, client: "Client", dms: _Dms) -> None:
        """A DMS that is here already stays as it is. The issuing authority is made anew, for its key cannot be read."""
        for name in _trusted(dms.get("settings") or {}):
            self._import_authority(client, name)
        _create(client, _DMS, f"DMS {dms['id']}", dms)

    def _import_authority(self, client: "Client", name: str) -> None:
        """Trust an authority of the source's. It may have deleted one that its DMS still name."""
        path = f"{_CA}/{quote(name, safe='')}"
        reply = self._ask(path, {})
        if reply.status_code == 404:
            output.note(f"authority {name} is left out: the source does not have it.")
            return
        authority = importing.require(reply, path, _ABOUT, _Authority)
        certificate = authority.certificate.certificate.decode(errors="replace")
        _create(client, "/v1/authorities", f"authority {name}", {"name": name, "certificate": certificate})

    def _import_groups(self, client: "Client", groups: dict[str, _Group]) -> None:
        """Import groups, each after its parent."""
        while groups:
            ready = [group for group in groups.values() if group.get("parent_id") not in groups]
            ready = ready or list(groups.values())  # parents in a circle: the server refuses these itself
            for group in ready:
                self._import_group(client, group)
            groups = {uid: group for uid, group in groups.items() if group not in ready}

    def _import_group(self, client: "Client", group: _Group) -> None:
        # Read by itself: the vendor's lists have the criteria in the wrong place.
        path = f"{_GROUPS}/{group['id']}"
        whole = importing.require(self._ask(path, {}), path, _ABOUT, _Group)
        if _create(client, _GROUPS, f"group {group['name']}", whole) and whole.get("filter"):
            _set_filter(client, whole)

    # --- requests --------------------------------------------------------------------------------------------------

    def _all(self, path: str, shape: type[_List[_Record]]) -> Iterator[_Record]:
        """All of a list; nothing where the source has no such list."""
        bookmark = ""
        while True:
            params = {"page_size": _PER_PAGE} | ({"bookmark": bookmark} if bookmark else {})
            reply = self._ask(path, params)
            if reply.status_code == 404:
                output.note(f"The source has no {path}.")
                return
            page = importing.require(reply, path, _ABOUT, shape)
            yield from page.list or []
            bookmark = page.next_bookmark or page.next or ""
            if not bookmark:
                return

    def _ask(self, path: str, params: dict[str, Any]) -> "httpx.Response":
        return importing.with_retries(lambda: self._http.get(self.name + path, params=params))


def _row(device: dict[str, Any]) -> dict[str, Any]:
    """A device as our own import takes it, without what the source leaves empty."""
    row = {
        "ident": device["id"],
        "name": device.get("alias"),
        "tags": device.get("tags"),
        "metadata": device.get("metadata"),
    }
    return {name: value for name, value in row.items() if value}


def _dms_and_icon(device: dict[str, Any]) -> dict[str, Any]:
    """What a device can be given only when it is made, as our own import takes it."""
    icon = {name: device[name] for name in ("icon", "icon_color") if device.get(name)}
    given = {"dms": device.get("dms_owner"), "extras": {"lamassu": icon} if icon else None}
    return {name: value for name, value in given.items() if value}


def _finish(client: "Client", device: dict[str, Any], result: importing.Result, *, dry_run: bool) -> importing.Result:
    """Fill the slot and decommission the device, unless that is so here. Returns the result, changed accordingly."""
    steps = list(_steps(client, device))
    for step in () if dry_run else steps:
        reply = client.attempt(*step)
        if not reply.is_success:
            return {**result, "outcome": "failed", "error": {"message": reply.json()["err"]}}
    changed = steps and result["outcome"] == "unchanged"
    return {**result, "outcome": "updated"} if changed else result


def _steps(client: "Client", device: dict[str, Any]) -> Iterator[_Step]:
    """The requests that give a device of ours the slot of the source's, and decommission it where it is there."""
    slot, ended = _within_bounds(device.get("identity")), device.get("status") == _ENDED
    if not slot and not ended:
        return
    path = f"{_DEVICES}/{quote(device['id'], safe='')}"
    present = client.attempt("GET", path).json()
    if present["status"] == _ENDED:
        return
    here = present.get("identity")
    if slot and _lasting_state(slot) != _lasting_state(here) and not _enrolled(client, here):
        yield _Step("PUT", f"{path}/idslot", slot)
    if ended:
        yield _Step("DELETE", f"{path}/decommission")


def _within_bounds(slot: Any) -> Any:
    """The slot with as many of its newest versions and events as one may have here, where enrolment keeps those too."""
    if not slot:
        return None
    active = str(slot.get("active_version") or 0)
    versions = _last(slot.get("versions"), limits.MAX_SLOT_VERSIONS, lambda text: (text == active, len(text), text))
    return slot | {"versions": versions, "events": _last(slot.get("events"), limits.MAX_SLOT_EVENTS, lambda text: text)}


def _last(members: Any, most: int, order: Callable[[str], Any]) -> Any:
    if not isinstance(members, dict) or len(members) <= most:
        return members
    return {name: members[name] for name in sorted(members, key=order)[-most:]}


def _enrolled(client: "Client", slot: Any) -> bool:
    """Whether a slot has a certificate from here: the device has moved on since, and what the source says is old."""
    active = (slot.get("versions") or {}).get(str(slot["active_version"])) if slot else None
    return active is not None and client.attempt("GET", f"{_CERTIFICATES}/{quote(active, safe='')}").is_success


def _lasting_state(slot: Any) -> Any:
    """The parts of a slot that do not change with time; None without one."""
    return slot and (slot.get("active_version"), slot.get("versions") or {}, slot.get("status") == "REVOKED")


def _trusted(settings: dict[str, Any]) -> set[str]:
    """The authorities whose certificates a DMS accepts or hands out, without the one that issues for it."""
    enrollment = settings.get("enrollment_settings") or {}
    proof = (enrollment.get("est_rfc7030_settings") or {}).get("client_certificate_settings") or {}
    lists = (
        proof.get("validation_cas"),
        (settings.get("reenrollment_settings") or {}).get("additional_validation_cas"),
        (settings.get("ca_distribution_settings") or {}).get("managed_cas"),
    )
    trusted: set[str] = set()
    for names in lists:
        trusted.update(names or ())
    return trusted - {enrollment.get("enrollment_ca")}


def _create(client: "Client", path: str, name: str, body: Mapping[str, object], method: str = "POST") -> bool:
    """Make a record of the source's here. One that is there stays; a refusal is noted."""
    reply = client.attempt(method, path, body)
    if not reply.is_success and reply.status_code != 409:
        problem = reply.json()
        output.note(f"{name} is left out: {problem.get('err') or problem.get('detail')}")
    return reply.is_success


def _set_filter(client: "Client", group: _Group) -> None:
    """Give a group of another Fleetroll its filter in the native language: without it all devices would be in it."""
    path = f"/v1/groups/{quote(group['name'], safe='')}"
    _create(client, path, f"the filter of group {group['name']}", {"filter": group["filter"]}, "PATCH")

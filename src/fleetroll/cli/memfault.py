"""`fleetroll import memfault`: the devices, cohorts and attributes of a project, from any server of that API."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, Required, TypedDict, TypeVar
from urllib.parse import quote

import click
from msgspec import Struct

from fleetroll.cli import importing
from fleetroll.cli.failures import Failure
from fleetroll.cli.importing import Cursor, Page

if TYPE_CHECKING:
    import httpx

    from fleetroll.cli.client import Client

_PER_PAGE = 100
_DEFAULT = "default"
_Record = TypeVar("_Record")
_ABOUT = "Check --url, --org, --project and --token."


@click.command("memfault", help="Import the devices, cohorts and attributes of a Memfault project.")
@importing.source_option("Address of the API, such as https://api.memfault.com.")
@click.option("--org", required=True, help="Slug of the organization there.")
@click.option("--project", required=True, help="Slug of the project there.")
@importing.token_option("MEMFAULT_ORG_TOKEN", "Organization auth token.")
@importing.state_option
@click.option("--no-attributes", is_flag=True, help="Leave out attributes, which need a request per device.")
@importing.dry_run_option
@importing.as_json
@click.pass_context
def memfault(
    context: click.Context,
    source: str,
    org: str,
    project: str,
    token: str,
    state: Path | None,
    no_attributes: bool,
    dry_run: bool,
    as_json: bool,
) -> None:
    path = f"{source}/api/v0/organizations/{quote(org, safe='')}/projects/{quote(project, safe='')}"
    state_file = state or Path(f"memfault-{org}-{project}.state")
    with importing.clients(context, source, auth=("", token)) as (client, http):
        importer = Project(http, path, with_attributes=not no_attributes, dry_run=dry_run)
        importing.run(client, importer, state_file, dry_run=dry_run, as_json=as_json)


class _Paging(Struct, frozen=True):
    page_count: int = 1
    total_count: int = 0


class _Cohort(TypedDict, total=False):
    slug: Required[str]
    name: Any


class _Device(TypedDict, total=False):
    device_serial: Required[str]
    nickname: Any
    hardware_version: Any
    last_seen_release: dict[str, Any] | None
    last_seen_software_version: dict[str, Any] | None
    last_seen: Any
    owner_ref: Any
    cohort: dict[str, Any] | None
    description: Any


class _Name(TypedDict):
    string_key: str


class _State(TypedDict):
    value: Any


class _Attribute(TypedDict, total=False):
    string_key: str | None
    custom_metric: _Name | None
    state: _State | None


class _List(Struct, Generic[_Record]):
    data: list[_Record]
    paging: _Paging = _Paging()


class Project:
    """Implements `importing.Source` over a project's API. A cursor is the number of a page."""

    first: Cursor = 1

    def __init__(self, http: "httpx.Client", url: str, *, with_attributes: bool, dry_run: bool) -> None:
        self._http = http
        self.name = url
        self._with_attributes = with_attributes
        self._dry_run = dry_run

    def prepare(self, client: "Client") -> None:
        if self._dry_run:
            return
        for cohort in self._all("/cohorts", _List[_Cohort]):
            if cohort["slug"] != _DEFAULT:
                self._create_cohort(client, cohort)

    def page(self, cursor: Cursor) -> Page:
        number = int(cursor)
        devices = self._get("/devices", _List[_Device], number)
        following = number + 1 if number < devices.paging.page_count else None
        return Page([self._row(device) for device in devices.data], following, devices.paging.total_count)

    def store(self, client: "Client", rows: list[dict[str, Any]], *, dry_run: bool) -> Iterator[importing.Result]:
        return importing.store(client, rows, dry_run=dry_run)

    def _create_cohort(self, client: "Client", cohort: _Cohort) -> None:
        try:
            client.call("POST", "/v1/cohorts", body={"slug": cohort["slug"], "name": cohort.get("name")})
        except Failure as failure:
            if failure.reason != "cohort_exists":
                raise

    def _all(self, path: str, shape: type[_List[_Record]]) -> Iterator[_Record]:
        number, last = 1, 1
        while number <= last:
            page = self._get(path, shape, number)
            yield from page.data
            number, last = number + 1, page.paging.page_count

    def _row(self, device: _Device) -> dict[str, Any]:
        """A device as our own import takes it, without what the source leaves empty."""
        cohort = (device.get("cohort") or {}).get("slug", _DEFAULT)
        row = {
            "ident": device["device_serial"],
            "name": device.get("nickname"),
            "hardware_version": _hardware(device.get("hardware_version")),
            "software": _software(device),
            "owners": [device["owner_ref"]] if device.get("owner_ref") else None,
            "metadata": self._attributes(device["device_serial"]) if self._with_attributes else None,
            "cohort": None if self._dry_run else cohort,
            "description": device.get("description"),
            "seen_at": device.get("last_seen"),
        }
        return {name: value for name, value in row.items() if value}

    def _attributes(self, serial: str) -> dict[str, Any]:
        found = self._all(f"/devices/{quote(serial, safe='')}/attributes", _List[_Attribute])
        return {_name(item): state["value"] for item in found if (state := item.get("state"))}

    def _get(self, path: str, shape: type[_List[_Record]], number: int) -> _List[_Record]:
        params = {"page": number, "per_page": _PER_PAGE}
        reply = importing.with_retries(lambda: self._http.get(self.name + path, params=params))
        return importing.require(reply, path, _ABOUT, shape)


def _name(attribute: _Attribute) -> str:
    metric = attribute.get("custom_metric")
    return attribute.get("string_key") or (metric["string_key"] if metric else "")


def _hardware(version: Any) -> str | None:
    return version.get("name") if isinstance(version, dict) else version


def _software(device: _Device) -> dict[str, str] | None:
    """The software that ran last, from its newer form, with the revision that only the older one has."""
    release, version = device.get("last_seen_release") or {}, device.get("last_seen_software_version") or {}
    members = {
        "type": (version.get("software_type") or {}).get("name"),
        "version": version.get("version") or release.get("version"),
        "build": release.get("revision"),
    }
    return {name: text for name, text in members.items() if text} or None

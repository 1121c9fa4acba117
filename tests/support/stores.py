"""The engines that implement the store's port, and records to put into them."""

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from msgspec import Raw, structs

from fleetroll.core.certificates import Authority, Certificate
from fleetroll.core.dms import Dms, Settings
from fleetroll.core.documents import EMPTY
from fleetroll.core.model import (
    Cohort,
    Device,
    FieldKind,
    Group,
    HardwareVersion,
    Key,
    KeyKind,
    MetadataField,
    NewDevice,
    NewEvent,
    Organization,
    Owner,
    SoftwareVersion,
    Tag,
    Template,
)
from fleetroll.core.policy import Role
from fleetroll.store import copying, sqlite
from fleetroll.store.port import Records, Store
from fleetroll.store.postgres import open_store
from tests.support import postgres
from tests.support.memory import open_memory

NOW = 1_700_000_000_000_000


async def _memory(file: Path) -> Store:
    return open_memory(file)


async def _sqlite(file: Path) -> Store:
    return sqlite.open_store(file, create=not _is_there(file))


async def _postgres(file: Path) -> Store:
    """The file holds the address of the store's database, or is a backup, which is a file of the other engine."""
    if not _is_there(file):
        _note(file, await postgres.new_database())
    if _is_backup(file):
        url = await postgres.empty_database()
        await copying.copy(file, url, lambda *_: None)
        _note(file, url)
    return await open_store(_noted(file), migrate=False)


def _is_there(file: Path) -> bool:
    return file.exists()


def _is_backup(file: Path) -> bool:
    return file.read_bytes().startswith(b"SQLite")


def _note(file: Path, text: str) -> None:
    file.write_text(text)


def _noted(file: Path) -> str:
    return file.read_text()


# Opens the store in a file, or makes an empty one where there is no file.
ENGINES: dict[str, Callable[[Path], Awaitable[Store]]] = {
    "memory": _memory,
    "sqlite": _sqlite,
    "postgres": _postgres,
}


def organization(parent: Organization | None, slug: str, **members: Any) -> Organization:
    """A new organization below `parent`, as the service describes it to the store."""
    above = (parent.id, parent.lineage) if parent else (None, ())
    new = Organization(0, above[0], slug, slug.title(), (*above[1], 0), False, {}, NOW, NOW, 1)
    return structs.replace(new, **members)


def key(org: int, **members: Any) -> Key:
    return structs.replace(Key(0, org, "key", KeyKind.API, Role.ADMIN, (), NOW, None, None, None), **members)


def device(ident: str, **members: Any) -> NewDevice:
    return structs.replace(NewDevice(ident), **members)


def changed(was: Device, **members: Any) -> Device:
    """The next revision of a device."""
    return structs.replace(was, revision=was.revision + 1, updated_at=was.updated_at + 1, **members)


def owner(org: int, ref: str, **members: Any) -> Owner:
    return structs.replace(Owner(0, org, ref, None, None, None, NOW, NOW, 1), **members)


def group(org: int, name: str, **members: Any) -> Group:
    return structs.replace(Group(0, org, name, None, "status = ACTIVE", (), None, None, NOW, NOW, 1), **members)


def tag(org: int, name: str, **members: Any) -> Tag:
    return structs.replace(Tag(0, org, name, NOW, NOW, 1), **members)


def metadata_field(org: int, name: str, **members: Any) -> MetadataField:
    return structs.replace(MetadataField(0, org, name, FieldKind.STRING, None, False, NOW, NOW, 1), **members)


def template(org: int, name: str, **members: Any) -> Template:
    return structs.replace(Template(0, org, name, None, None, None, (), (), (), 0, NOW, NOW, 1), **members)


def dms(org: int, name: str, **members: Any) -> Dms:
    return structs.replace(Dms(0, org, name, name.title(), Settings(), EMPTY, EMPTY, NOW, NOW, 1), **members)


def authority(org: int, name: str, **members: Any) -> Authority:
    new = Authority(0, org, name, "0a", b"\x30\x00", b"sealed \xff", NOW, NOW + 1, NOW, NOW, 1)
    return structs.replace(new, **members)


def certificate(org: int, serial: str, **members: Any) -> Certificate:
    new = Certificate(0, org, serial, 1, None, None, "pump-1", b"\x30\xff\x00", NOW, NOW + 100, NOW)
    return structs.replace(new, **members)


def cohort(org: int, slug: str, **members: Any) -> Cohort:
    return structs.replace(Cohort(0, org, slug, slug.title(), NOW, NOW, 1), **members)


def hardware_version(org: int, name: str, **members: Any) -> HardwareVersion:
    return structs.replace(HardwareVersion(0, org, name, None, NOW, NOW, 1), **members)


def software_version(org: int, type: str, version: str) -> SoftwareVersion:
    return SoftwareVersion(0, org, type, version, NOW)


def event(org: int, subject_id: int, **members: Any) -> NewEvent:
    new = NewEvent(org, NOW, "device.updated", "device", subject_id, f"device {subject_id}", "key:1", "request-1")
    return structs.replace(new, **members)


def document(text: str) -> Raw:
    return Raw(text.encode())


async def plant(records: Records, org: int, new: NewDevice, **later: Any) -> Device:
    """A device with members that only a change can give it, such as its status or when it was seen."""
    made = await records.devices.insert(org, new, NOW)
    assert made is not None
    connected, seen = later.pop("connected", False), later.pop("last_seen", None)
    if connected or seen is not None:
        await records.presence.heard(org, [made.id], NOW if seen is None else seen)
    if not connected:
        await records.presence.lost(org, [made.id])
    if later:
        assert await records.devices.replace(made, structs.replace(made, revision=2, **later))
    planted = await records.devices.by_id(org, made.id)
    assert planted is not None
    return planted

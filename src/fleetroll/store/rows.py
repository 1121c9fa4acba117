"""Rows to records and back. Column orders are those of the .sql files; documents stay JSON text on the way."""

import base64
import enum
import functools
from collections.abc import Callable
from typing import Any

import msgspec
from msgspec import Raw
from msgspec.structs import astuple

from fleetroll.core.certificates import Authority, Certificate, Reason, Revocation
from fleetroll.core.dms import Dms, Settings
from fleetroll.core.documents import EMPTY
from fleetroll.core.lifecycle import Status
from fleetroll.core.model import (
    Cohort,
    Criterion,
    Datastream,
    Device,
    Event,
    EventCode,
    FieldKind,
    Group,
    HardwareVersion,
    Key,
    KeyKind,
    MetadataField,
    Metafield,
    NewDevice,
    NewEvent,
    Organization,
    OrganizationProfile,
    Owner,
    OwnerRole,
    OwnerStatus,
    Reading,
    SoftwareVersion,
    Tag,
    Template,
)
from fleetroll.core.names import identity_key
from fleetroll.core.policy import Role
from fleetroll.core.query import fold
from fleetroll.core.software import type_and_version
from fleetroll.store.connection import Row

# Remembered both ways: many devices have the same tags, and the same owner. Long lists are not: thousands of them could
# take gigabytes.
_SHORT_LIST, _FEW_NAMES = 512, 4
_read_strings: Callable[[str], tuple[str, ...]] = msgspec.json.Decoder(tuple[str, ...]).decode
strings = functools.lru_cache(4096)(_read_strings)
_ids: Callable[[str], tuple[int, ...]] = msgspec.json.Decoder(tuple[int, ...]).decode
_settings: Callable[[str], Settings] = msgspec.json.Decoder(Settings).decode
_profile: Callable[[str], OrganizationProfile] = msgspec.json.Decoder(OrganizationProfile).decode
_quotas: Callable[[str], dict[str, int]] = msgspec.json.Decoder(dict[str, int]).decode
_datastreams: Callable[[str], tuple[Datastream, ...]] = msgspec.json.Decoder(tuple[Datastream, ...]).decode
_event_codes: Callable[[str], tuple[EventCode, ...]] = msgspec.json.Decoder(tuple[EventCode, ...]).decode
_metafields: Callable[[str], tuple[Metafield, ...]] = msgspec.json.Decoder(tuple[Metafield, ...]).decode
_value: Callable[[str], Any] = msgspec.json.Decoder().decode
_STATUS = {status.value: status for status in Status}
_EMPTY_LIST = "[]"


def text(document: Raw) -> str:
    """The JSON text of a document, as it is stored."""
    return "{}" if document is EMPTY else bytes(document).decode()


def json_text(value: object) -> str:
    return msgspec.json.encode(value).decode()


_few_names_text = functools.lru_cache(4096)(json_text)


def _names_text(names: tuple[str, ...]) -> str:
    return _few_names_text(names) if len(names) <= _FEW_NAMES else json_text(names)


# The columns of a device that may be large.
DOCUMENTS = ("metadata", "config", "metric_schema", "extras", "identity")
# The columns of a device, in the order in which statements name them.
DEVICE = (
    "id", "org", "ident", "name", "kind", "hardware_version", "software", "metadata", "tags", "owners", "metric_schema",
    "config", "status", "connected", "last_seen", "activated_at", "created_at", "updated_at", "revision", "extras",
    "cohort", "template", "dms", "identity", "identity_due", "metadata_times", "token_version", "spoke_at",
)  # fmt: skip


def device(row: Row) -> Device:
    # Hundreds of thousands of these a second: unpacking is faster than indexing, and most documents are empty.
    (
        number, org, ident, name, kind, hardware, software, metadata, tags, owners, schema, config, status,
        connected, last_seen, activated_at, created_at, updated_at, revision, extras, cohort, template, dms, slot, due,
        times, token, spoke_at,
    ) = row  # fmt: skip
    return Device(
        number,
        org,
        ident,
        name,
        kind,
        hardware,
        None if software is None else Raw(software),
        EMPTY if metadata == "{}" else Raw(metadata),
        () if tags == _EMPTY_LIST else strings(tags) if len(tags) <= _SHORT_LIST else _read_strings(tags),
        () if owners == _EMPTY_LIST else strings(owners) if len(owners) <= _SHORT_LIST else _read_strings(owners),
        EMPTY if schema == "{}" else Raw(schema),
        EMPTY if config == "{}" else Raw(config),
        _STATUS[status],
        bool(connected),
        last_seen,
        activated_at,
        created_at,
        updated_at,
        revision,
        EMPTY if extras == "{}" else Raw(extras),
        cohort,
        template,
        dms,
        None if slot is None else Raw(slot),
        due,
        EMPTY if times == "{}" else Raw(times),
        token,
        spoke_at,
    )


def search_text(ident: str, name: str | None) -> str:
    """What a substring search looks through. The line end keeps the two apart: neither may contain one."""
    return fold(f"{ident}\n{name or ''}")


# The columns that a caller decides; those DESCRIBED have no index.
DESCRIBED = ("metadata", "tags", "owners", "metric_schema", "config", "extras")
DECIDED = (
    "ident", "ident_key", "search", "name", "kind", "hardware_version", "software", *DESCRIBED, "cohort", "template",
    "dms", "dms_folded", "software_version",
)  # fmt: skip


def decided(record: Device | NewDevice) -> Row:
    """The values of DECIDED."""
    ident, name, software, dms = record.ident, record.name, record.software, record.dms
    return (
        ident,
        identity_key(ident),
        search_text(ident, name),
        name,
        record.kind,
        record.hardware_version,
        None if software is None else text(software),
        *described(record),
        record.cohort,
        record.template,
        dms,
        folded(dms),
        version[1] if (version := type_and_version(software)) else None,
    )


def described(record: Device | NewDevice) -> Row:
    """The values of DESCRIBED."""
    tags, owners = record.tags, record.owners
    return (
        text(record.metadata),
        _names_text(tags) if tags else _EMPTY_LIST,
        _names_text(owners) if owners else _EMPTY_LIST,
        text(record.schema),
        text(record.config),
        text(record.extras),
    )


@functools.lru_cache(maxsize=4096)
def folded(text: str | None) -> str | None:
    """The folded form of a text where it is another one. Remembered: many devices share their tags."""
    return None if text is None or (form := fold(text)) == text else form


def organization(row: Row) -> Organization:
    return Organization(
        row[0],
        row[1] or None,
        row[2],
        row[3],
        (*_ids(row[4]), row[0]),
        bool(row[5]),
        _quotas(row[6]),
        row[7],
        row[8],
        row[9],
        row[10],
        _profile(row[11]),
    )


def organization_values(record: Organization) -> dict[str, Any]:
    return {
        "org": record.id,
        "parent": record.parent or 0,
        "slug": record.slug,
        "name": record.name,
        "lineage": json_text(record.lineage[:-1]),
        "disabled": record.disabled,
        "quotas": json_text(record.quotas),
        "created_at": record.created_at,
        "updated_at": record.updated_at,
        "revision": record.revision,
        "key_version": record.key_version,
        "profile": json_text(record.profile),
    }


def key(row: Row) -> Key:
    return Key(row[0], row[1], row[2], KeyKind(row[3]), Role(row[4]), strings(row[5]), *row[6:10])


def key_values(record: Key) -> dict[str, Any]:
    return {
        "org": record.org,
        "name": record.name,
        "kind": record.kind.value,
        "role": record.role.value,
        "scopes": json_text(record.scopes),
        "created_at": record.created_at,
        "expires_at": record.expires_at,
    }


def owner(row: Row) -> Owner:
    number, org, ref, name, phone, address, created_at, updated_at, revision, role, status, *others = row
    times = created_at, updated_at, revision
    return Owner(number, org, ref, name, phone, address, *times, OwnerRole(role), OwnerStatus(status), *others)


def tag(row: Row) -> Tag:
    return Tag(*row)


def group(row: Row) -> Group:
    number, org, name, description, filter, criteria, *others = row
    decoded = msgspec.json.decode(criteria, type=tuple[Criterion, ...])
    return Group(number, org, name, description, filter, decoded, *others)


def metadata_field(row: Row) -> MetadataField:
    number, org, name, kind, description, required, *times = row
    return MetadataField(number, org, name, FieldKind(kind), description, bool(required), *times)


def template(row: Row) -> Template:
    streams, events, fields = _datastreams(row[6]), _event_codes(row[7]), _metafields(row[8])
    number, org, name, description, board, connection = row[:6]
    return Template(number, org, name, description, board, connection, streams, events, fields, *row[9:])


def dms(row: Row) -> Dms:
    number, org, name, title, settings, metadata, extras, *times = row
    return Dms(number, org, name, title, _settings(settings), Raw(metadata), Raw(extras), *times)


def authority(row: Row) -> Authority:
    number, org, name, serial, certificate, sealed, *times = row
    return Authority(
        number,
        org,
        name,
        serial,
        base64.b64decode(certificate),
        None if sealed is None else base64.b64decode(sealed),
        *times,
    )


def certificate(row: Row) -> Certificate:
    number, org, serial, authority, device, dms, common_name, der, begins, ends, created_at, revoked_at, reason = row
    return Certificate(
        number,
        org,
        serial,
        authority,
        device,
        dms,
        common_name,
        base64.b64decode(der),
        begins,
        ends,
        created_at,
        revoked_at,
        None if reason is None else Reason(reason),
    )


def revocation(row: Row) -> Revocation:
    number, serial, at, reason = row
    return Revocation(number, serial, at, Reason(reason))


def cohort(row: Row) -> Cohort:
    return Cohort(*row)


def hardware_version(row: Row) -> HardwareVersion:
    return HardwareVersion(*row)


def software_version(row: Row) -> SoftwareVersion:
    return SoftwareVersion(*row)


def named_values(record: msgspec.Struct) -> dict[str, Any]:
    """A record's members as columns of the same names."""
    return {name: _column(getattr(record, name)) for name in record.__struct_fields__}


def _column(value: Any) -> Any:
    if isinstance(value, enum.Enum):
        return value.value
    if isinstance(value, Raw):
        return text(value)
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    return json_text(value) if isinstance(value, msgspec.Struct | tuple) else value


def event(row: Row) -> Event:
    number, org, at, type, subject, subject_id, name, actor, request, data, reported_at = row
    return Event(number, org, at, type, subject, subject_id, name, actor, request, Raw(data), reported_at)


def event_values(record: NewEvent) -> dict[str, Any]:
    return dict(zip(NewEvent.__struct_fields__, event_row(record), strict=True))


def event_row(record: NewEvent) -> Row:
    *others, data, reported_at = astuple(record)
    return (*others, text(data), reported_at)


_EXACT = 1 << 53  # up to here a float can hold every whole number


def reading_values(series: int, record: Reading) -> dict[str, Any]:
    number, document = _halves(record.value)
    return {"series": series, "at": record.at, "number": number, "document": document}


def _halves(value: Any) -> tuple[float | None, str | None]:
    """A value as a number to calculate with, and as JSON where the number does not say all of it."""
    kind = type(value)
    if kind is float or (kind is int and -_EXACT <= value <= _EXACT):
        return float(value) + 0.0, None  # -0.0, which SQLite cannot tell from 0.0, is that on every engine
    if kind is int or kind is bool:
        return float(value), json_text(value)
    return None, json_text(value)


def reading_value(number: float | None, document: str | None) -> Any:
    if document is not None or number is None:
        return _value(document or "null")
    return int(number) if number.is_integer() and -_EXACT <= number <= _EXACT else number

"""Many devices at once: import and export in NDJSON and CSV, and changes by a filter."""

import json
from typing import Any

import msgspec
from msgspec import UNSET, Raw, structs

from fleetroll.core import documents, ids, limits, model, names
from fleetroll.core.faults import Fault, brief, invalid
from fleetroll.core.fields import device_filter
from fleetroll.core.lifecycle import Status
from fleetroll.core.query import Filter
from fleetroll.dialects.native.mapping.devices import READ_ONLY, change, device, members_of, tags
from fleetroll.dialects.native.mapping.times import utc
from fleetroll.dialects.native.shapes import fleet as shapes
from fleetroll.dialects.native.shapes.devices import COLUMNS, Device
from fleetroll.service import devices, fleet, imports
from fleetroll.wire.bodies import checked_json
from fleetroll.wire.request import Request

_OTHER_SEPARATORS = frozenset(";\t")
_MEMBER = "metadata."  # what the column of a member begins with


def exported(record: model.Device, request: Request) -> Device:
    return device(record)


def row_result(result: fleet.Result, request: Request) -> shapes.RowResult:
    fault = result.fault
    error = None if fault is None else shapes.RowError(fault.code, _words(fault), fault.field)
    return shapes.RowResult(result.outcome.value, result.ident, result.line, error)


def _words(fault: Fault) -> str:
    """The message, with the reason if there is one: unlike a problem document, a row has no member for it."""
    reason = fault.details.get("reason")
    return fault.message if reason is None else f"{fault.message}: {reason}"


def cells(shape: Device) -> list[str]:
    """A device as a CSV record, which `from_cells` reads back unchanged."""
    return [_cell(name, value) for name, value in zip(COLUMNS, structs.astuple(shape), strict=True)]


def _cell(name: str, value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, str):
        return value
    if isinstance(value, Raw):
        return bytes(value).decode()
    if isinstance(value, tuple):
        return _list_cell(value)
    return msgspec.json.encode(value).decode().strip('"')


def _list_cell(values: tuple[str, ...]) -> str:
    if any("," in value for value in values) or (values and values[0].startswith("[")):
        return json.dumps(values, ensure_ascii=False)
    return ",".join(values)


def import_row(line: int, shape: shapes.ImportedDevice) -> imports.Row:
    put = devices.Put(names.ident(shape.ident), model.DeviceChange(**members_of(shape)))
    description = None if shape.description is UNSET else names.paragraph(shape.description, "description")
    seen = shape.seen_at or shape.last_seen
    seen_at = utc(seen) if seen else None
    activated_at = utc(shape.activated_at) if shape.activated_at else None
    decommissioned = shape.status == Status.DECOMMISSIONED.value
    members = shape.metadata_members or {}
    return imports.Row(line, put, None, description, seen_at, members, decommissioned, activated_at)


def bad_row(line: int, fault: Fault) -> imports.Row:
    return imports.Row(line, None, fault)


def check_columns(columns: list[str]) -> None:
    """Raises Fault invalid for a CSV header that no row below it could satisfy, or that says one thing twice."""
    if len(columns) == 1 and not _OTHER_SEPARATORS.isdisjoint(columns[0]):
        raise invalid("invalid_csv", "The cells of a CSV must be separated by commas, not by semicolons or tabs.")
    members = [column for column in columns if column.startswith(_MEMBER)]
    for column in columns:
        if column not in COLUMNS and not column.startswith(_MEMBER):
            shown, known = brief(column), ", ".join(COLUMNS)
            message = (
                f'Unknown column "{shown}"; known columns are {known}, and metadata.NAME for a member of metadata.'
            )
            raise invalid("unknown_column", message, shown)
    if "ident" not in columns:
        raise invalid("column_required", "The CSV header must have a column ident.", "ident")
    if members and "metadata" in columns:
        raise invalid("invalid_csv", "Give the column metadata or columns like metadata.x, not both.", "metadata")


def from_cells(record: dict[str, str]) -> dict[str, Any]:
    """A CSV record as the object it stands for. An empty cell says nothing; `metadata.x` is one text in metadata."""
    members: dict[str, Any] = {}
    for column, cell in record.items():
        if column.startswith(_MEMBER) and cell:
            members.setdefault("metadata_members", {})[column.removeprefix(_MEMBER)] = cell
        elif cell:
            members[column] = _from_cell(column, cell)
    return members


def _from_cell(column: str, cell: str) -> Any:
    if column in shapes.JSON_COLUMNS:
        return _json_cell(column, cell)
    if column in shapes.LIST_COLUMNS:
        return _json_cell(column, cell) if cell.startswith("[") else [part.strip() for part in cell.split(",")]
    if column in shapes.NUMBER_COLUMNS:
        return names.positive(cell, column, ids.MAX_ID)
    return cell


def _json_cell(column: str, cell: str) -> Any:
    if not cell.startswith("["):
        return documents.parse(cell, column)
    documents.parse(f'{{"{column}":{cell}}}', column)  # its refusals name the column
    return checked_json(cell.encode())  # refuses what follows the list, which the line above would take for members


def import_devices(request: Request) -> imports.Import:
    mode = request.query.get("mode")
    if mode not in {None, "upsert", "create"}:
        raise invalid("invalid_parameter", "mode must be upsert or create.", "mode")
    assert request.rows is not None
    return imports.Import(request.rows, mode == "create", request.query.flag("dry_run"))


def _scope(shape: shapes.BulkUpdate | shapes.BulkTag | shapes.BulkDelete) -> Filter | None:
    filter = device_filter(shape.filter)
    if (filter is None) != shape.all:
        raise invalid("filter_required", 'Give a filter, or "all": true to mean every device; not both.', "filter")
    return filter


def bulk_update(request: Request) -> fleet.BulkUpdate:
    device_change = change(request.body.set)
    if device_change.ident is not UNSET:
        raise invalid("read_only", "Several devices cannot have the same identifier.", "set.ident")
    for name in sorted(READ_ONLY):
        if getattr(request.body.set, name) is not UNSET:
            raise invalid("read_only", f"{name} cannot be changed.", f"set.{name}")
    return fleet.BulkUpdate(_scope(request.body), lambda _: device_change, request.body.dry_run)


def bulk_tag(request: Request) -> fleet.BulkUpdate:
    added, removed = tags(request.body.add), set(tags(request.body.remove))
    if not added and not removed:
        raise invalid("nothing_to_do", "Give tags to add or to remove.", "add")

    def edit(record: model.Device) -> model.DeviceChange:
        remaining = [tag for tag in record.tags if tag not in removed]
        return model.DeviceChange(tags=names.unique([*remaining, *added], limits.MAX_TAGS, "tags"))

    return fleet.BulkUpdate(_scope(request.body), edit, request.body.dry_run)


def bulk_delete(request: Request) -> fleet.BulkDelete:
    return fleet.BulkDelete(_scope(request.body), request.body.dry_run)

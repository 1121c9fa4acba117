"""Rows about many devices at once, each answered line by line."""

from fleetroll.dialects.native.mapping import fleet as mapping
from fleetroll.dialects.native.mapping.devices import filter_of
from fleetroll.dialects.native.routes.parameters import FILTER, SEARCH
from fleetroll.dialects.native.shapes import fleet as shapes
from fleetroll.dialects.native.shapes.devices import COLUMNS, Device
from fleetroll.service import fleet, imports
from fleetroll.wire.dialect import Lines, Parameter, Route, Stream

_ROWS = ("application/x-ndjson", "text/csv")
_DRY_RUN = Parameter("dry_run", "report what would happen and change nothing", "boolean")
_FORMAT = Parameter("format", "ndjson (default) or csv", choices=("ndjson", "csv"))

ROUTES = (
    Route(
        "POST",
        "/v1/devices:import",
        imports.load,
        mapping.import_devices,
        mapping.row_result,
        "Store devices from NDJSON or CSV, with one result line per row",
        reply=shapes.RowResult,
        query=(Parameter("mode", "upsert (default) or create", choices=("upsert", "create")), _DRY_RUN),
        media_types=_ROWS,
        lines=Lines(
            shapes.ImportedDevice, mapping.import_row, mapping.bad_row, mapping.from_cells, mapping.check_columns
        ),
        stream=Stream.ROWS,
    ),
    Route(
        "GET",
        "/v1/devices:export",
        fleet.export,
        filter_of,
        mapping.exported,
        "Export all devices, or those that match a filter, as NDJSON or CSV that can be imported again",
        reply=Device,
        query=(FILTER, SEARCH, _FORMAT),
        stream=Stream.ROWS,
        columns=COLUMNS,
        cells=mapping.cells,
    ),
    Route(
        "POST",
        "/v1/devices:update",
        fleet.update,
        mapping.bulk_update,
        mapping.row_result,
        "Set members of every device that matches a filter",
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
        "Add and remove tags of every device that matches a filter",
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
        "Delete every device that matches a filter",
        body=shapes.BulkDelete,
        reply=shapes.RowResult,
        stream=Stream.ROWS,
    ),
)

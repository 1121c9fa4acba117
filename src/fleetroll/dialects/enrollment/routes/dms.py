"""Rows about DMS."""

from fleetroll.dialects.enrollment import shapes
from fleetroll.dialects.enrollment.mapping import dms as mapping
from fleetroll.dialects.enrollment.mapping.paging import listing
from fleetroll.dialects.enrollment.routes.parameters import DMS, PAGE
from fleetroll.service import dms
from fleetroll.wire.dialect import Route, no_input, nothing

ROUTES = (
    Route(
        "GET",
        "/api/dmsmanager/v1/stats",
        dms.count,
        no_input,
        mapping.dms_stats,
        "How many DMS there are",
        reply=shapes.Total,
    ),
    Route("GET", DMS, dms.noun.page, listing, mapping.dms_page, "List DMS", reply=shapes.DmsList, query=PAGE),
    Route(
        "POST",
        DMS,
        dms.noun.create,
        mapping.new_dms,
        mapping.dms,
        "Create a DMS",
        status=201,
        body=shapes.DmsInput,
        needs=("id",),
        reply=shapes.Dms,
    ),
    Route("GET", f"{DMS}/{{id}}", dms.noun.get, mapping.one_dms, mapping.dms, "Read a DMS", reply=shapes.Dms),
    Route(
        "PUT",
        f"{DMS}/{{id}}",
        dms.noun.edit,
        mapping.replace_dms,
        mapping.dms,
        "Replace a DMS",
        body=shapes.DmsInput,
        reply=shapes.Dms,
        guarded=True,
    ),
    Route(
        "DELETE", f"{DMS}/{{id}}", dms.noun.delete, mapping.one_dms, nothing, "Delete a DMS", status=204, guarded=True
    ),
    *(
        Route(
            method,
            f"{DMS}/{{id}}/metadata",
            dms.noun.edit,
            mapping.patch_metadata,
            mapping.dms,
            "Change the metadata of a DMS with a JSON Patch",
            body=shapes.Patches,
            reply=shapes.Dms,
            guarded=True,
        )
        for method in ("PUT", "PATCH")
    ),
)

"""What several rows have in common."""

from fleetroll.wire.dialect import Parameter

DMS = "/api/dmsmanager/v1/dms"
CA = "/api/ca/v1"
PAGE = (
    Parameter(
        "page_size",
        "maximum number of records per page, up to 1000; 25 if left out or not a number, 15 if not positive",
    ),
    Parameter("bookmark", "`next` of the previous page"),
)

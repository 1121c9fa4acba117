"""What several rows have in common."""

from fleetroll.wire.dialect import Parameter

DMS = "/api/dmsmanager/v1/dms"
CA = "/api/ca/v1"
PAGE = (
    Parameter("page_size", "maximum number of records per page; 25 if left out, or not a number"),
    Parameter("bookmark", "`next` of the previous page"),
)

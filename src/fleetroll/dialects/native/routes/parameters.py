"""What the rows of several nouns have in common: query parameters, and the media types of a merge patch."""

from fleetroll.core import limits
from fleetroll.wire.dialect import MERGE_PATCH, Parameter

FILTER = Parameter("filter", 'AIP-160, as in status = "ACTIVE" AND tags:"production"')
SEARCH = Parameter("q", "part of the identifier or name, case ignored")
LIMIT = Parameter(
    "limit", "maximum number of records per page, 1 to 1000; 50 if left out", "integer", bounds=(1, limits.MAX_PAGE)
)
CURSOR = Parameter("cursor", "`next_cursor` of the previous page")
PAGE = (LIMIT, CURSOR)
LISTING = (
    FILTER,
    SEARCH,
    Parameter("sort", "a field, with - before it for descending order"),
    *PAGE,
    Parameter("count", "whether to count all matching devices", "boolean"),
)
MERGE_PATCHES = (MERGE_PATCH, "application/json")

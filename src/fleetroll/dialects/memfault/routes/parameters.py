"""What the rows of several nouns have in common: the project in their paths, and query parameters."""

from typing import Any

from fleetroll.core import ids
from fleetroll.dialects.memfault.mapping.paths import project
from fleetroll.wire.dialect import AnyOperation, Decode, Encode, Parameter, Route

ORGANIZATION = "/api/v0/organizations/{organization}/projects"
PROJECT = f"{ORGANIZATION}/{{project}}"
DEVICE = f"{PROJECT}/devices/{{device_serial}}"

_POSITIVE = (1, ids.MAX_ID)
PAGE = (
    Parameter("page", "number of the page, from 1", "integer", bounds=_POSITIVE),
    Parameter(
        "per_page", "maximum number of records per page; 100 if left out, at most 5000", "integer", bounds=_POSITIVE
    ),
)
NAMES = (*PAGE, Parameter("name", "exact name; may be repeated", "array"))
LISTING = (
    *PAGE,
    Parameter("release", "version last reported; may be repeated", "array"),
    Parameter("owner_ref", "owner; may be repeated", "array"),
    Parameter("hardware_version", "hardware version; may be repeated", "array"),
    Parameter("cohort", "slug of a cohort; may be repeated", "array"),
    Parameter("device_serial", "serial, with * for anything; may be repeated", "array"),
    Parameter("last_seen_since", "last seen at this time or later (ISO 8601)"),
    Parameter("last_seen_until", "last seen at this time or earlier (ISO 8601)"),
    Parameter(
        "sort",
        "last_seen, device_serial, nickname, created_date, updated_date or id, with - for descending; may be repeated",
        "array",
    ),
)
BY_CREATION = Parameter("sort", "created_date, or -created_date; may be repeated", "array")


def in_project(
    method: str, path: str, operation: AnyOperation, decode: Decode, encode: Encode, about: str, **more: Any
) -> Route:
    return Route(method, path, operation, decode, encode, about, organization=project, **more)

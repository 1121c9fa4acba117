"""The vendor's words and what they stand for, and the members that take them alone."""

from collections.abc import Iterable
from typing import Annotated

from msgspec import Meta

from fleetroll.core import model

ORGANIZATIONS = dict.fromkeys(
    ("ROOT", "BUSINESS", "PERSONAL", "BRANCH", "DISTRIBUTOR", "CONTRACTOR", "INSTALLER", "RESELLER")
)
UNIT_SYSTEMS = {system.value.upper(): system for system in model.UnitSystem}
PIN_TYPES = {"VIRTUAL": "v", "DIGITAL": "d", "ANALOG": "a"}
DATASTREAMS = {
    "INT": model.DatastreamKind.INTEGER,
    "DOUBLE": model.DatastreamKind.DOUBLE,
    "STRING": model.DatastreamKind.STRING,
    "ENUM": model.DatastreamKind.ENUM,
    "LOCATION": model.DatastreamKind.LOCATION,
}
EVENTS = {kind.value: kind for kind in model.EventKind}
METAFIELDS = {kind.value: kind for kind in model.MetafieldKind}
assert set(DATASTREAMS.values()) == set(model.DatastreamKind)


def _words(words: Iterable[str]) -> Meta:
    """For the description alone: a wrong word is refused with all that there are."""
    return Meta(extra_json_schema={"enum": list(words)})


OrganizationType = Annotated[str, _words(ORGANIZATIONS)]
UnitSystem = Annotated[str, _words(UNIT_SYSTEMS)]
PinType = Annotated[str, _words(PIN_TYPES)]
DatastreamType = Annotated[str, _words(DATASTREAMS)]
EventType = Annotated[str, _words(EVENTS)]
MetafieldType = Annotated[str, _words(METAFIELDS)]

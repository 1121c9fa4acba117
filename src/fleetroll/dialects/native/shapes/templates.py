"""Templates: the datastreams, event codes and metafields that devices share."""

from typing import Annotated, Any

from msgspec import UNSET, Meta, Struct, UnsetType

from fleetroll.core.model import DatastreamKind, EventKind, MetafieldKind
from fleetroll.dialects.native.shapes.numbers import Whole
from fleetroll.wire.texts import Line, Name, Paragraph, Slug, Time


class Datastream(Struct, forbid_unknown_fields=True):
    """One stream of readings: its metric has the name of the alias, or of the pin. A new one has no `id`, or 0."""

    pin: Annotated[str, Meta(extra_json_schema={"pattern": "^[vdaVDA](0|[1-9][0-9]{0,2})$"})]
    type: DatastreamKind = DatastreamKind.DOUBLE
    alias: Slug | None = None
    label: Line | None = None
    unit: Line | None = None
    unit_symbol: Line | None = None
    min: float | None = None
    max: float | None = None
    default: str | float | None = None
    id: Whole = 0


class EventCode(Struct, forbid_unknown_fields=True):
    """An event that devices may log, `daily_limit` times a day at most."""

    code: Slug
    name: Name
    type: EventKind
    description: Paragraph | None = None
    daily_limit: Whole | None = None
    id: Whole = 0


class Metafield(Struct, forbid_unknown_fields=True):
    """A typed member of the devices' metadata. `options` are the choices of a List or a TemplateId."""

    name: Name
    type: MetafieldKind
    description: Paragraph | None = None
    hint: Paragraph | None = None
    icon: Paragraph | None = None
    mandatory: bool = False
    in_provisioning: bool = False
    options: list[Paragraph] = []
    templates: list[Whole] = []
    default: Any = None
    id: Whole = 0


class Template(Struct):
    """`template_id` is the number in the spelling that firmware has built in."""

    id: int
    template_id: str
    name: str
    description: str | None
    board: str | None
    connection: str | None
    datastreams: list[Datastream]
    events: list[EventCode]
    metafields: list[Metafield]
    created_at: Time
    updated_at: Time
    revision: int


class TemplateList(Struct):
    templates: list[Template]
    next_cursor: str | None


class NewTemplate(Struct, forbid_unknown_fields=True):
    name: Name
    description: Paragraph | None = None
    board: Paragraph | None = None
    connection: Paragraph | None = None
    datastreams: list[Datastream] = []
    events: list[EventCode] = []
    metafields: list[Metafield] = []


class TemplateChange(Struct, forbid_unknown_fields=True):
    """A list replaces the one before it; parts keep their numbers by `id`, or by pin, code and name."""

    name: Name | UnsetType = UNSET
    description: Paragraph | UnsetType | None = UNSET
    board: Paragraph | UnsetType | None = UNSET
    connection: Paragraph | UnsetType | None = UNSET
    datastreams: list[Datastream] | UnsetType = UNSET
    events: list[EventCode] | UnsetType = UNSET
    metafields: list[Metafield] | UnsetType = UNSET

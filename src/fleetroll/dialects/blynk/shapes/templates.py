"""Templates, with their datastreams, event codes and metafields."""

from typing import Annotated

from msgspec import Meta, Struct

from fleetroll.dialects.blynk.shapes.words import DatastreamType, EventType, MetafieldType, PinType
from fleetroll.wire.texts import Line, Name, Paragraph, Slug


class Template(Struct, rename="camel"):
    id: int
    template_ids: list[str]
    org_id: int
    name: str


class TemplateDetails(Template, rename="camel", kw_only=True):
    board_type: str | None
    connection_type: str | None
    description: str | None
    logo_url: None
    created_at: int


class TemplatePage(Struct, rename="camel"):
    content: list[Template]
    total_elements: int


class Datastream(Struct, rename="camel"):
    """`pin` is the number of the pin, whose type is `pinType`."""

    pin: Annotated[int, Meta(ge=0, le=999)]
    type: DatastreamType = "DOUBLE"
    pin_type: PinType = "VIRTUAL"
    label: Line | None = None
    alias: Slug | None = None
    units: Line | None = None
    min: float | None = None
    max: float | None = None
    default_value: str | float | None = None
    id: int = 0
    is_analog_pin: bool = False
    is_raw: bool = True
    is_history: bool = True
    is_for_service: bool = False
    is_for_reports: bool = True
    is_for_actions: bool = True
    is_for_conditions: bool = True
    is_sync: bool = False


class EventCode(Struct, rename="camel"):
    event_code: Slug
    name: Name
    type: EventType = "INFORMATION"
    description: Paragraph | None = None
    id: int = 0


class MetaField(Struct, rename="camel"):
    name: Name
    type: MetafieldType = "Text"
    description: Paragraph | None = None
    hint: Paragraph | None = None
    icon: Paragraph | None = None
    is_mandatory: bool = False
    include_in_provision: bool = False
    options: list[Paragraph] = []
    id: int = 0


class NewTemplate(Struct, rename="camel"):
    name: Name
    description: Paragraph | None = None
    board_type: Paragraph | None = None
    connection_type: Paragraph | None = None
    datastreams: list[Datastream] = []
    events: list[EventCode] = []
    metafields: list[MetaField] = []

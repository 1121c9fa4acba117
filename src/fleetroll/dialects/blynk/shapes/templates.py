"""Templates, with their datastreams, event codes and metafields."""

from typing import Annotated

from msgspec import Meta, Struct

from fleetroll.wire.texts import Name, Paragraph


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
    """`type` is INT, DOUBLE, STRING, ENUM or LOCATION; `pin` is its number, `pinType` VIRTUAL, DIGITAL or ANALOG."""

    pin: Annotated[int, Meta(ge=0, le=999)]
    type: str = "DOUBLE"
    pin_type: str = "VIRTUAL"
    label: str | None = None
    alias: str | None = None
    units: str | None = None
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
    event_code: str
    name: str
    type: str = "INFORMATION"
    description: str | None = None
    id: int = 0


class MetaField(Struct, rename="camel"):
    name: str
    type: str = "Text"
    description: str | None = None
    hint: str | None = None
    icon: str | None = None
    is_mandatory: bool = False
    include_in_provision: bool = False
    options: list[str] = []
    id: int = 0


class NewTemplate(Struct, rename="camel"):
    name: Name
    description: Paragraph | None = None
    board_type: Paragraph | None = None
    connection_type: Paragraph | None = None
    datastreams: list[Datastream] = []
    events: list[EventCode] = []
    metafields: list[MetaField] = []

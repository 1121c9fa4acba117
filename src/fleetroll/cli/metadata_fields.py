"""`fleetroll metadata-field`: types of the members of metadata."""

from fleetroll.cli.named import Words, named
from fleetroll.cli.output import Column

_SYNTAX = """\b
A CHANGE is one of
  type=integer          string, integer, number, boolean or json; set when the
                        field is created, and fixed from then on
  required:=true        new devices must have it, and none can lose it again
  description="Floor"   a text; description= clears it"""

group = named(
    "metadata-field",
    "name",
    "Metadata fields: types of the members of metadata.",
    Words("a metadata field", "metadata fields", "; devices keep their values"),
    (
        Column("NAME", "name"),
        Column("TYPE", "type"),
        Column("REQUIRED", "required"),
        Column("DESCRIPTION", "description", 64),
    ),
    _SYNTAX,
)

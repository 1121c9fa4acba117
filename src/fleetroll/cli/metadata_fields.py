"""`fleetroll metadata-field`: types of the members of metadata."""

from fleetroll.cli.named import Words, named
from fleetroll.cli.output import Column

_SYNTAX = """\b
A CHANGE is one of
  type=integer          string, integer, number, boolean or json; it is given
                        when the field is made, and stays
  required:=true        devices whose metadata is written must have it
  description="Floor"   a text; description= clears it"""

group = named(
    "metadata-field",
    "name",
    "Metadata fields: types of the members of metadata.",
    Words("a metadata field", "metadata fields", "; what devices have under its name stays"),
    (
        Column("NAME", "name"),
        Column("TYPE", "type"),
        Column("REQUIRED", "required"),
        Column("DESCRIPTION", "description", 64),
    ),
    _SYNTAX,
)

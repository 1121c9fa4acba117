"""`fleetroll template`: what the devices of one make have in common."""

from fleetroll.cli.named import Words, named
from fleetroll.cli.output import Column

_SYNTAX = """\b
A CHANGE is one of
  description="Meters"     a text; description= clears it
                           (name, description, board, connection)
  datastreams:=JSON        a list; it replaces the previous one
                           (datastreams, events, metafields)
`template get NAME --json` writes a whole template, and --merge @FILE reads it,
here or at another server."""

group = named(
    "template",
    "name",
    "Templates: what the devices of one make have in common.",
    Words("a template", "templates", " without devices"),
    (
        Column("ID", "id"),
        Column("NAME", "name", 32),
        Column("BOARD", "board", 20),
        Column("CONNECTION", "connection", 20),
        Column("DESCRIPTION", "description", 48),
    ),
    _SYNTAX,
)

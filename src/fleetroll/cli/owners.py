"""`fleetroll owner`: who devices belong to."""

from fleetroll.cli.named import Words, named
from fleetroll.cli.output import Column

_SYNTAX = """\b
A CHANGE is one of
  name="Ann Lee"     a text; name= clears it
                     (name, nickname, title, phone, address, time_zone, locale)
  role=staff         admin, staff or user, which grants no permissions
  status=inactive    pending, active, inactive or suspended
Devices get an owner with `device set IDENT owners+=REF`."""

group = named(
    "owner",
    "ref",
    "Owners: who devices belong to.",
    Words("an owner", "owners", " without devices"),
    (
        Column("REF", "ref"),
        Column("NAME", "name", 32),
        Column("ROLE", "role"),
        Column("STATUS", "status"),
        Column("PHONE", "phone", 20),
    ),
    _SYNTAX,
)

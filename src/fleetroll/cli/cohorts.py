"""`fleetroll cohort`: sets of devices by assignment."""

from fleetroll.cli.named import Words, named
from fleetroll.cli.output import Column

_SYNTAX = """\b
A CHANGE is
  name="Pilot line"     its display name
Devices join a cohort with `device set IDENT cohort=SLUG`."""

group = named(
    "cohort",
    "slug",
    "Cohorts: each device is in one.",
    Words("a cohort", "cohorts", " without devices"),
    (Column("SLUG", "slug"), Column("NAME", "name", 48), Column("MADE", "created_at", is_time=True)),
    _SYNTAX,
)

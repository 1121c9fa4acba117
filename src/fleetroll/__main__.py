"""`python -m fleetroll`."""

from fleetroll.main import cli

cli()

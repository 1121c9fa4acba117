"""The health of the device manager."""

from fleetroll import __version__
from fleetroll.dialects.lamassu import shapes
from fleetroll.wire.request import Request


def health(_: object, request: Request) -> shapes.Health:
    return shapes.Health(True, __version__)

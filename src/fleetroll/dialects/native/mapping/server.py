"""The server itself: its broker."""

import re

from fleetroll.bus.port import State
from fleetroll.core import limits, names
from fleetroll.core.faults import invalid
from fleetroll.dialects.native.shapes import server as shapes
from fleetroll.wire.request import Request

_HOST = re.compile(r"(?=.{1,253}\Z)[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?")

_EVERY_INTERFACE = re.compile(r"(?<=://)(0\.0\.0\.0|\[::\])(?=:)")


def broker_setup(result: str, request: Request) -> shapes.BrokerSetup:
    return shapes.BrokerSetup(result)


def broker_names(request: Request) -> tuple[str, ...]:
    hosts = names.unique(request.body.names, limits.MAX_ALTERNATIVE_NAMES, "names")
    if not hosts or not all(_HOST.fullmatch(name) for name in hosts):
        raise invalid("invalid_name", "names must be one or more host names.", "names")
    return hosts


def broker_authority(result: str, request: Request) -> shapes.BrokerAuthority:
    return shapes.BrokerAuthority(result)


def broker(result: State, request: Request) -> shapes.Broker:
    """A broker of ours that listens on every interface is shown at the host where this client found the server."""
    host = request.host_name()
    return shapes.Broker(result.state, [_EVERY_INTERFACE.sub(host, url) if host else url for url in result.urls])

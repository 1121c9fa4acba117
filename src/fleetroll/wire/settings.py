"""What an operator decides about the wire."""

from msgspec import Struct

from fleetroll.wire.peers import Network
from fleetroll.wire.rate_limits import LimitState, Rate


class Settings(Struct, frozen=True):
    """A rate of 0 is no limit."""

    key_rate: Rate = Rate(0, 0)
    organization_rate: Rate = Rate(0, 0)
    trusted_proxies: tuple[Network, ...] = ()
    public_url: str | None = None  # how clients outside write the address of this server
    limit_state: LimitState | None = None  # the state of the limits, where several processes share it

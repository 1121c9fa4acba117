"""What `fleetroll serve` prints once it is ready: where clients reach it, and the first admin key."""

import logging
from collections.abc import Iterator
from ipaddress import ip_address

from fleetroll import __version__
from fleetroll.config import Config, address, host_and_port

logger = logging.getLogger("fleetroll")

_NATIVE = "native"  # the dialect at `/v1`; the vendors' paths have no prefix in common


def announce(config: Config, bound: tuple[str, int], token: str | None, *, is_away: bool = False) -> None:
    """Print where the server is. Raises OSError if nobody can read it: a first key that is lost would open nothing."""
    url = local_url(*bound)
    try:
        print("\n".join(_lines(config, bound[0], url, token, is_away=is_away)), flush=True)
    except OSError as problem:  # the error of a write does not say to what
        raise OSError(problem.errno, problem.strerror, "standard output") from None
    logger.info("serving at %s", url)


def _lines(config: Config, host: str, url: str, token: str | None, *, is_away: bool) -> Iterator[str]:
    api = url if _NATIVE in config.disabled_dialects else f"{url}/v1"
    yield f"Fleetroll {__version__} is ready.\n  API   {api}\n  Docs  {url}/docs"
    if is_away:
        yield f"  NATS  off while something else uses {config.nats}; name another address with --nats"
    elif config.keeps_broker and not config.nats.endswith(":0"):
        # A broker elsewhere is known, and a port that the system chose is in the log.
        yield f"  NATS  {local_url(*address(config.nats, '--nats'), scheme='nats')}"
    if _is_everywhere(host) and config.public_url is None:
        yield "  It listens on every interface; --public-url tells clients on other machines where to reach it."
    if token is not None and not config.admin_key:
        yield f"  Admin key (shown only once): {token}"


def local_url(host: str, port: int, scheme: str = "http") -> str:
    """The URL by which a client on this machine reaches what listens there: nobody can connect to `0.0.0.0`."""
    name = "localhost" if _is_everywhere(host) else host
    return f"{scheme}://{host_and_port(name, port)}"


def _is_everywhere(host: str) -> bool:
    try:
        return ip_address(host).is_unspecified
    except ValueError:
        return False

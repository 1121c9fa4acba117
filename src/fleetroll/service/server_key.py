"""Whether a server key is that of a registry: with any other, none of its keys, cursors and sealed values is good."""

from fleetroll.core import tokens
from fleetroll.pki.port import Pki
from fleetroll.service.authorities import signer
from fleetroll.store.port import Origin, Store


def is_new(origin: Origin) -> bool:
    """Whether a registry has nothing yet that was made with a server key."""
    return origin.mark is None and not origin.is_used


def belongs(origin: Origin, pki: Pki, server_key: bytes) -> bool:
    """Whether a registry may be of this server key, which `pki` has as well.

    One without a mark is new, or of a release that left none. Then it is enough that the key opens one authority:
    others may have been made while a server ran with a wrong key. With nothing to open, the key is taken on trust.
    """
    if origin.mark is not None:
        return origin.mark == tokens.mark(server_key)
    sealed = [signer(one) for one in origin.sealed]
    return not sealed or any(map(pki.can_sign, sealed))


async def leave_mark(store: Store, server_key: bytes) -> bool:
    """Mark a registry that had no mark; False if somebody with another server key came first."""
    return await store.write(lambda records: records.server_key.leave_mark(tokens.mark(server_key)))

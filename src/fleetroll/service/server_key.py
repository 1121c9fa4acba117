"""Whether a server key is that of a registry: with any other none of its keys, cursors and sealed things is good."""

from fleetroll.core import names, tokens
from fleetroll.core.names import ABOVE_ROOT
from fleetroll.pki.port import Pki
from fleetroll.service.authorities import signer
from fleetroll.store.port import Records, Store

_AUTHORITIES = 100


async def is_new(store: Store) -> bool:
    """Whether a registry has nothing yet that was made with a server key."""
    return await store.read.server_key.mark() is None and not await store.read.timeline.last()


async def belongs(store: Store, pki: Pki, server_key: bytes) -> bool:
    """Whether a registry is of this server key, which `pki` has as well.

    One without a mark is new, or of a release that left none. It is marked, unless something in it is sealed under
    another key; of one with nothing to open the key is taken on trust.
    """
    mark = tokens.mark(server_key)
    known = await store.read.server_key.mark()
    if known is None:
        return await _opens(store.read, pki) and await store.write(lambda records: records.server_key.leave_mark(mark))
    return known == mark


async def _opens(records: Records, pki: Pki) -> bool:
    """Whether any authority of the root organization can sign, where there are some.

    One is enough: others may have been made while a server ran with a wrong key.
    """
    root = await records.organizations.child(ABOVE_ROOT, names.ROOT)
    found = await records.authorities.page(root.id, "", _AUTHORITIES) if root else []
    sealed = [signer(one) for one in found if one.sealed_key is not None]
    return not sealed or any(map(pki.can_sign, sealed))

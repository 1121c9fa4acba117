"""Work that one process must own, among all that serve one store: held by a lease that others take over when it lapses.

No two clocks are compared. The holder of a lease counts its beat up about once a second; a process that waits takes it
when the beat has stood still, by its own clock, for longer than a holder may go on without one. A process that was
stopped and wakes up may go on for a moment after its lease was taken, so owned work must be safe to do twice.

That a holder has died is seen sooner by processes of the same machine, as its name is that of its process.
"""

import asyncio
import contextlib
import functools
import logging
import os
import secrets
import socket
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

from fleetroll.store.port import Lease, Store

logger = logging.getLogger("fleetroll.leases")

_BEAT_SECONDS = 1.0
_GRACE_SECONDS = 2.5  # without a beat, the holder stops
_PATIENCE_SECONDS = 4.0  # without a beat, another one takes over
NOBODY = ""
_BOOT = Path("/proc/sys/kernel/random/boot_id")
_PID_NAMESPACE = Path("/proc/self/ns/pid")
_FAMILY = secrets.token_hex(8)  # which only processes forked from the one that made it know


def this_process() -> str:
    """A name for a holder, which no other process will have."""
    return f"{socket.gethostname()}:{os.getpid()}:{_pid_scope()}:{secrets.token_hex(4)}"


@functools.cache
def _pid_scope() -> str:
    """Where process ids can be compared: two machines may share a host name, and a container has its own ids."""
    try:
        return f"{_BOOT.read_text().strip()}/{_PID_NAMESPACE.stat().st_ino}"
    except OSError:  # as under systemd, which may hide it
        return _FAMILY


def _is_dead(holder: str) -> bool:
    """Whether a holder is known to be dead: a process can be looked up only where its id is valid."""
    parts = holder.split(":")
    if len(parts) != 4:  # nobody, or not a name of `this_process`
        return False
    _, number, scope, _ = parts
    if scope != _pid_scope():
        return False
    try:
        os.kill(int(number), 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        pass  # it lives; /proc may show nothing of other users
    return False


async def hold(store: Store, name: str, holder: str, work: Callable[[], Awaitable[None]]) -> None:
    """Do `work` for as long as this process holds the lease. Ends only when it is cancelled, and then gives it back."""
    while True:
        lease = await _obtain(store, name, holder)
        logger.info("%s holds the lease for %s", holder, name)
        task = asyncio.ensure_future(work())
        beat = lease.beat
        try:
            beat = await _keep(store, name, holder, lease.beat, task)
        finally:
            task.cancel()
            await asyncio.wait([task])
            await asyncio.shield(_give_back(store, name, beat))
        logger.warning("%s has lost the lease for %s", holder, name)


async def _obtain(store: Store, name: str, holder: str) -> Lease:
    """Wait until nobody holds the lease any more."""
    seen, since = Lease(NOBODY, 0), time.monotonic()
    while True:
        with contextlib.suppress(Exception):  # a store that is away comes back
            found = await store.read.leases.get(name) or Lease(NOBODY, 0)
            if found != seen:
                seen, since = found, time.monotonic()
            lapsed = _is_dead(seen.holder) or time.monotonic() - since > _PATIENCE_SECONDS
            is_free = lapsed or seen.holder in {NOBODY, holder}
            if is_free and await _beat(store, name, holder, seen.beat):
                return Lease(holder, seen.beat + 1)
        await asyncio.sleep(_BEAT_SECONDS)


async def _keep(store: Store, name: str, holder: str, beat: int, task: "asyncio.Future[None]") -> int:
    """Count up until the work ends or the lease is lost; returns the last beat."""
    last = time.monotonic()
    while time.monotonic() - last < _GRACE_SECONDS:
        await asyncio.wait([task], timeout=_BEAT_SECONDS)
        if task.done():
            logger.error("the work of %s ended", name, exc_info=task.exception())
            return beat
        began = time.monotonic()
        kept = await _renewed(store, name, holder, beat)
        if kept is False:
            return beat
        if kept:
            beat, last = beat + 1, began
    return beat


async def _renewed(store: Store, name: str, holder: str, beat: int) -> bool | None:
    """Whether the lease is still held; None if the store cannot tell now."""
    with contextlib.suppress(Exception):
        async with asyncio.timeout(_BEAT_SECONDS):
            return await _beat(store, name, holder, beat)
    return None


async def _give_back(store: Store, name: str, beat: int) -> None:
    with contextlib.suppress(Exception):  # else it lapses
        await _beat(store, name, NOBODY, beat)


async def _beat(store: Store, name: str, holder: str, beat: int) -> bool:
    return await store.write(lambda records: records.leases.beat(name, holder, beat))

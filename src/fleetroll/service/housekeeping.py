"""Work that nobody asks for: done again and again in the background, and tried again later where it fails."""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Mapping
from typing import Any

from fleetroll.core import limits
from fleetroll.core.model import Instant
from fleetroll.core.times import SECOND
from fleetroll.service import presence, telemetry
from fleetroll.service.identity import Sweeper
from fleetroll.service.operations import Services
from fleetroll.service.retention import FOR_EVER, Purger, Retention
from fleetroll.store.port import Records

logger = logging.getLogger("fleetroll.housekeeping")

_PURGE_SECONDS = 3600.0
_TIDY_SECONDS = 5.0
_SWEEP_SECONDS = 5.0


async def keep(services: Services, retention: Retention = FOR_EVER) -> None:
    """What one of all processes over the same store does."""
    await asyncio.gather(
        again(_PURGE_SECONDS, lambda: _purge(services)),
        again(_PURGE_SECONDS, Purger(services, retention).purge),
        again(_TIDY_SECONDS, lambda: _tidy(services)),
        again(_SWEEP_SECONDS, Sweeper(services).sweep),
    )


async def again(seconds: float, work: Callable[[], Awaitable[object]]) -> None:
    """Do `work` now, and again `seconds` after each end of it, until this is cancelled."""
    while True:
        try:
            await work()
        except Exception as problem:  # noqa: BLE001  # nothing depends on it, and the next time it may succeed
            logger.warning("housekeeping failed and is retried: %s", str(problem) or repr(problem))
        await asyncio.sleep(seconds)


@contextlib.asynccontextmanager
async def beside(*work: Coroutine[Any, Any, None]) -> AsyncIterator[None]:
    """Run `work` concurrently with the body, and cancel it when that ends."""
    tasks = [asyncio.ensure_future(one) for one in work]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)


async def note_use(services: Services, used: Mapping[int, Instant]) -> None:
    """Store when each key was last used, which is not worth failing for."""
    if used:
        await services.store.write(lambda records: records.keys.touch(used))


async def _purge(services: Services) -> None:
    """Delete stored replies that have expired: in small transactions, as an hour may have brought a great many."""
    before = services.clock() - limits.IDEMPOTENCY_LIFETIME * SECOND

    async def work(records: Records) -> bool:
        return await records.replays.purge(before, limits.BULK_BATCH)

    while await services.store.write(work, bulk=True):
        pass


async def _tidy(services: Services) -> None:
    """Notice which devices have gone quiet, and remove readings that were forgotten."""
    await presence.sweep(services.store, services.clock())
    await telemetry.sweep(services.store)

"""What is done in the background, over the records of all organizations."""

import asyncio
from pathlib import Path

from fleetroll.core import limits
from fleetroll.core.times import SECOND
from fleetroll.service import housekeeping
from fleetroll.store.port import Records, Replay
from tests.support.app import App, running

PATIENCE = 30.0


def test_answers_whose_time_is_over_are_forgotten_however_many_there_are(tmp_path: Path) -> None:
    async def story(app: App) -> None:
        store, now = app.services.store, app.services.clock()
        over = now - (limits.IDEMPOTENCY_LIFETIME + 1) * SECOND
        names = [f"old {number}" for number in range(limits.BULK_BATCH + 1)]

        async def answer(records: Records) -> None:
            for name, at in (("new", now), *((name, over) for name in names)):
                await records.replays.put(1, 1, name, Replay("print", 201, "[]", "", at))

        async def kept() -> list[str]:
            return [name for name in ("new", *names) if await store.read.replays.get(1, 1, name)]

        await store.write(answer)
        assert len(await kept()) == len(names) + 1
        async with asyncio.timeout(PATIENCE), housekeeping.beside(housekeeping.keep(app.services)):
            while await kept() != ["new"]:  # noqa: ASYNC110  # work in the background is waited for
                await asyncio.sleep(0.02)

    with running(tmp_path / "data") as app:
        app.runner.run(story(app))

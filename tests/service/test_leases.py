"""Who takes a lease over, and when."""

import asyncio
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from fleetroll.service import leases
from fleetroll.store.port import Lease, Store
from tests.support.stores import ENGINES

_NAMED = "from fleetroll.service import leases; print(leases.this_process(), flush=True); input()"
_SOON = 2.5  # seconds, and well below those after which a lease lapses


@contextmanager
def another_process() -> Iterator[str]:
    """A process that lives as long as this lasts, by the name that it has as a holder."""
    command = [sys.executable, "-c", _NAMED]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        yield process.stdout.readline().strip()
        process.kill()


def gone() -> str:
    with another_process() as name:
        return name


def is_taken_soon(holder: str, tmp_path: Path) -> bool:
    """Whether another process soon takes over what `holder` owns, which gives no more sign of life."""

    async def taken() -> bool:
        store: Store = await ENGINES["sqlite"](tmp_path / "registry")
        assert await store.write(lambda records: records.leases.beat("work", holder, 0))
        has_begun = asyncio.Event()

        async def work() -> None:
            has_begun.set()
            await asyncio.Event().wait()

        task = asyncio.ensure_future(leases.hold(store, "work", leases.this_process(), work))
        await asyncio.wait([asyncio.ensure_future(has_begun.wait())], timeout=_SOON)
        found = await store.read.leases.get("work")
        task.cancel()
        await asyncio.wait([task])
        await store.close()
        assert has_begun.is_set() == (found != Lease(holder, 1))
        return has_begun.is_set()

    return asyncio.run(taken())


def test_what_a_process_of_this_machine_owned_is_taken_once_it_has_died(tmp_path: Path) -> None:
    assert is_taken_soon(gone(), tmp_path)


def test_what_a_living_process_owns_is_left_to_it(tmp_path: Path) -> None:
    with another_process() as name:
        assert not is_taken_soon(name, tmp_path)


def test_a_process_of_another_machine_is_not_taken_for_dead(tmp_path: Path) -> None:
    """Machines may share a name, and outside containers every kernel gives its namespace of process ids one number."""
    _, number, _, token = gone().split(":")
    alike = Path("/proc/self/ns/pid").stat().st_ino
    assert not is_taken_soon(f"{socket.gethostname()}:{number}:{alike}:{token}", tmp_path)

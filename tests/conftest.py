"""One seed for everything random in a run: test order, `random` and generated inputs.

Every run prints its seed; `FLEETROLL_SEED=<seed> make test` repeats the run.
"""

import gc
import os
import random
import shutil
import signal
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import hypothesis
import pytest

SEED = "FLEETROLL_SEED"

hypothesis.settings.register_profile("fleetroll", deadline=None, derandomize=False)
hypothesis.settings.load_profile("fleetroll")


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    """Hand the seed to the plugins that read one; test processes and started programs inherit it."""
    _put_temporary_files_in_memory()
    os.environ.setdefault("FLEETROLL_NATS", "off")  # servers that tests start have a broker only where it is asked for
    # Where an image or a shell sets this, each program that tests start would compile all its imports anew.
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    # A shell makes what it starts in the background ignore Ctrl-C; programs that tests start must not inherit that.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    seed = os.environ.setdefault(SEED, str(random.SystemRandom().getrandbits(32)))
    if not seed.isdecimal() or int(seed) >= 2**32:
        raise pytest.UsageError(f"{SEED} must be a whole number below 2^32, not {seed!r}")
    config.option.randomly_seed = int(seed)
    config.option.hypothesis_seed = seed


def _put_temporary_files_in_memory() -> None:
    """Where there is room, and nobody named another place: all of them are thrown away, and tests that make registries
    wait mostly for the disk. What is synced, and when, is tested by the system calls (`tests/crash`).
    """
    memory = Path("/dev/shm")  # noqa: S108  # nothing in it has a name that is known beforehand
    roomy = memory.is_dir() and os.access(memory, os.W_OK) and shutil.disk_usage(memory).free > 4 << 30
    if roomy and "TMPDIR" not in os.environ:
        os.environ["TMPDIR"] = str(memory)
        tempfile.tempdir = None  # so that it is determined anew


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Long tests first; otherwise the order stays random."""
    items.sort(key=lambda item: item.get_closest_marker("long") is None)


def pytest_collection_finish() -> None:
    """Spare the collector what lives as long as the process, as the server does: it took a fifth of the time."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 50)


def pytest_sessionfinish() -> None:
    """Stop the database if this process started one."""
    if support := sys.modules.get("tests.support.postgres"):
        support.leave()


def pytest_report_header() -> str:
    return f"{SEED}={os.environ[SEED]}"


@pytest.fixture
def collected() -> Iterator[None]:
    """What a test leaves to the collector is collected before the next one begins."""
    yield
    gc.collect()

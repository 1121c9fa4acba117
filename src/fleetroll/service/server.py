"""The server as a whole: its broker, and a copy of all tenants' data, which is for the root organization alone."""

import asyncio
import os
import tempfile
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import BinaryIO

from fleetroll.bus.port import Certificate, State
from fleetroll.core.faults import Fault, Kind, conflict, no_room
from fleetroll.core.policy import Action
from fleetroll.service.authorities import certify_server
from fleetroll.service.operations import Call, Effect, operation

_CHUNK = 1 << 20


class Backup:
    """A finished copy, whose file has been unlinked: its size, and its bytes."""

    def __init__(self, copy: BinaryIO) -> None:
        self._copy = copy
        self.size = os.fstat(copy.fileno()).st_size

    async def chunks(self) -> AsyncIterator[bytes]:
        try:
            while chunk := await asyncio.to_thread(self._copy.read, _CHUNK):
                yield chunk
        finally:
            # In a thread: this frees the file, which takes the disk a second if it is some gigabytes.
            await asyncio.to_thread(self._copy.close)


@operation(Action.ORGANIZATIONS_READ, Effect.READ)
async def broker(call: Call, _: None) -> State:
    return call.services.bus.state()


@operation(Action.SERVER_BACKUP, Effect.READ)
async def broker_setup(call: Call, _: None) -> str:
    """What a cluster's configuration must have. Raises Fault forbidden below the root organization."""
    _require_root(call)
    return call.services.bus.setup()


@operation(Action.SERVER_BACKUP, Effect.READ)
async def certify_broker(call: Call, names: Sequence[str]) -> str:
    """Let the embedded broker show a certificate for these names; returns the authority's own, for clients to trust."""
    _require_root(call)
    if not call.services.bus.is_own:
        raise conflict("no_own_broker", "There is no embedded broker; configure TLS where the broker is.")
    shown = await certify_server(call.services, names)
    await call.services.bus.present(Certificate(shown.chain, shown.key, shown.password))
    return shown.authority


def _require_root(call: Call) -> None:
    if call.principal.home.parent is not None:
        raise Fault(Kind.FORBIDDEN, "permission_denied", "Only the root organization may do this to the whole server.")


@operation(Action.DEVICES_READ, Effect.READ)
async def answer(call: Call, _: None) -> None:
    """No more than that there is an answer, for whoever asks whether the server is well."""


@operation(Action.SERVER_BACKUP, Effect.STREAM)
async def backup(call: Call, _: None) -> Backup:
    """A consistent copy of the store, taken while it serves.

    Raises Fault forbidden below the root organization, and unavailable where there is no room for it (`storage_full`)
    or no open file (`too_many_open_files`).
    """
    _require_root(call)
    try:
        file = Path(tempfile.mkdtemp(prefix="fleetroll-backup-")) / "fleetroll.db"
        try:
            await call.services.store.backup(file)
            copy = file.open("rb")
        finally:  # already now: sending may take hours, and a server that is killed meanwhile leaves nothing behind
            await asyncio.to_thread(_discard, file)
    except OSError as problem:
        raise no_room(problem) from None
    return Backup(copy)


def _discard(copy: Path) -> None:
    """Remove a copy and its folder, without looking into it: that takes an open file, and there may be none."""
    for left in (copy, copy.with_name(f"{copy.name}-journal")):
        left.unlink(missing_ok=True)
    copy.parent.rmdir()

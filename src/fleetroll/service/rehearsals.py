"""What the dry run of an import would have stored so far: the devices in a file, and in memory an index of them."""

import contextlib
import tempfile
from array import array
from collections.abc import Iterable, Iterator
from hashlib import blake2b

import msgspec
from msgspec import structs

from fleetroll.core import documents
from fleetroll.core.faults import no_room
from fleetroll.core.model import DeviceChange, NewDevice
from fleetroll.core.names import identity_key
from fleetroll.core.software import type_and_version
from fleetroll.store.port import Records

_IN_MEMORY = 1 << 20
_LENGTH_BYTES = 4
_FEWEST_SLOTS = 1 << 12
_encode = msgspec.json.Encoder().encode
# The decoder does not support a document that may be missing, so the software stands beside the rest.
_decode = msgspec.json.Decoder(tuple[NewDevice, msgspec.Raw]).decode


class DeviceSpool:
    """Devices by identity key. Of several with the same key, the one that was kept last is found."""

    def __init__(self) -> None:
        self._file = tempfile.SpooledTemporaryFile(max_size=_IN_MEMORY)  # noqa: SIM115  # closed by `close`
        self._end = self._kept = 0
        # A hash table with open addressing: a digest of the key, 0 in empty slots, and where the device is in the file.
        self._marks = _empty(_FEWEST_SLOTS)
        self._offsets = _empty(_FEWEST_SLOTS)

    def close(self) -> None:
        with contextlib.suppress(OSError):  # what the disk did not take is given up as well
            self._file.close()

    def keep(self, devices: Iterable[NewDevice]) -> None:
        """Raises Fault unavailable `storage_full` where the disk takes no more; then nothing can be found any more."""
        try:
            self._keep(devices)
            self._file.flush()
        except OSError as problem:
            raise no_room(problem) from None

    def _keep(self, devices: Iterable[NewDevice]) -> None:
        for device in devices:
            key = identity_key(device.ident)
            mark = _mark(key)
            slot, _ = self._slot_of(key, mark)
            text = _encode((structs.replace(device, software=None), device.software))
            self._file.seek(self._end)
            self._file.write(len(text).to_bytes(_LENGTH_BYTES, "big") + text)
            if not self._marks[slot]:
                self._kept += 1
            self._marks[slot], self._offsets[slot] = mark, self._end
            self._end += _LENGTH_BYTES + len(text)
            if 2 * self._kept > len(self._marks):
                self._grow()

    def find(self, keys: Iterable[str]) -> dict[str, NewDevice]:
        """The devices that were kept under these keys; keys without one are left out."""
        found = ((key, self._slot_of(key, _mark(key))[1]) for key in keys)
        return {key: device for key, device in found if device is not None}

    def _slot_of(self, key: str, mark: int) -> tuple[int, NewDevice | None]:
        """The slot of a key and what is there; the slot to use where nothing is."""
        last = len(self._marks) - 1
        slot = mark & last
        while known := self._marks[slot]:
            if known == mark:
                device = self._read(self._offsets[slot])
                if identity_key(device.ident) == key:
                    return slot, device
            slot = (slot + 1) & last
        return slot, None

    def _read(self, offset: int) -> NewDevice:
        self._file.seek(offset)
        device, software = _decode(self._file.read(int.from_bytes(self._file.read(_LENGTH_BYTES), "big")))
        return device if bytes(software) == b"null" else structs.replace(device, software=software)

    def _grow(self) -> None:
        marks, offsets = self._marks, self._offsets
        last = 2 * len(marks) - 1
        self._marks, self._offsets = _empty(last + 1), _empty(last + 1)
        for mark, offset in zip(marks, offsets, strict=True):
            if mark:
                slot = mark & last
                while self._marks[slot]:
                    slot = (slot + 1) & last
                self._marks[slot], self._offsets[slot] = mark, offset


def named_by(change: DeviceChange) -> Iterator[NewDevice]:
    """The records that a change may create by naming them. Each is kept as a device that names nothing else."""
    for ref in change.owners or ():
        yield NewDevice(_label("owner", ref), owners=(ref,))
    if change.hardware_version:
        yield NewDevice(_label("hardware", change.hardware_version), hardware_version=change.hardware_version)
    if change.software and (name := type_and_version(change.software)):
        software = documents.of(dict(zip(("type", "version"), name, strict=True)), "software")
        yield NewDevice(_label("software", *name), software=software)


def _label(*words: str) -> str:
    # In hexadecimal: names can differ that would be the same identifier.
    return " ".join(word.encode().hex() for word in words)


async def exists(records: Records, org: int, one: NewDevice) -> bool:
    """Whether the record exists that this device stands for, which `named_by` made."""
    if one.owners:
        return await records.owners.get(org, one.owners[0]) is not None
    if one.hardware_version:
        return await records.hardware_versions.get(org, one.hardware_version) is not None
    name = type_and_version(one.software)
    return name is not None and await records.software_versions.get(org, *name) is not None


def _empty(slots: int) -> "array[int]":
    return array("Q", bytes(8 * slots))


def _mark(key: str) -> int:
    return int.from_bytes(blake2b(key.encode(), digest_size=8).digest(), "big") or 1

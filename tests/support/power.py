"""What a disk may hold after a power cut, made from a recording of what a program asked of it.

`strace` records writes, fsyncs and what goes to sockets, in one order. Up to a cut, what was synced is on the disk; of
what was not, each write is there, is missing, or is torn at sectors, and of the names that were made or removed since
their directory was synced, the first few are. What was told to clients before the cut is what must be found.
"""

import random
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TypeAlias

from msgspec import Struct

_CALLS = "openat,mkdir,write,pwrite64,writev,sendto,sendmsg,fsync,fdatasync,ftruncate,unlink,unlinkat,rename"
_SECTOR = 512
_LINE = re.compile(r"^(\d+) +(?:<\.\.\. )?(\w+)(\(| resumed>)(.*)$")
_HEX = re.compile(r'"((?:\\x[0-9a-f]{2})*)"')
_TARGET = re.compile(r"^\d+<((?:\\x[0-9a-f]{2})*)>")


def recording(log: Path) -> list[str]:
    """The words before a command that record it, after what is in `log` already."""
    options = ["-D", "-A", "-f", "-y", "-xx", "-s", "10000000", "--seccomp-bpf", "-e", f"trace={_CALLS}"]
    return ["strace", *options, "-o", str(log), "--"]


class Make(Struct, frozen=True):
    path: str


class Remove(Struct, frozen=True):
    path: str


class Rename(Struct, frozen=True):
    path: str
    to: str


class Write(Struct, frozen=True):
    """At `offset`, or where the last one ended."""

    path: str
    offset: int | None
    content: bytes


class Truncate(Struct, frozen=True):
    path: str
    size: int


class Sync(Struct, frozen=True):
    """The end of a sync. It covers what was asked before it `began`, which is the number of a step."""

    path: str
    began: int


class Told(Struct, frozen=True):
    """Something went to a socket."""

    content: bytes


Step: TypeAlias = Make | Remove | Rename | Write | Truncate | Sync | Told


def steps(log: Path, after: int = 0) -> list[Step]:
    """A recording as steps, of which so many came `after` others: each where it began, but a sync where it ended."""
    found: list[Step] = []
    syncing: dict[str, tuple[str, int]] = {}
    with log.open() as lines:
        for line in lines:
            if match := _LINE.match(line):
                process, call, kind, rest = match.groups()
                if call in {"fsync", "fdatasync"}:
                    if kind == "(":
                        syncing[process] = (_target(rest), after + len(found))
                    if rest.endswith("= 0"):
                        found.append(Sync(*syncing.pop(process)))
                elif kind == "(":
                    found += _step(call, rest)
    return found


def _step(call: str, rest: str) -> Iterator[Step]:
    texts = [bytes.fromhex(text.replace("\\x", "")) for text in _HEX.findall(rest)]
    if call in {"write", "writev", "sendto", "sendmsg"} and (target := _target(rest)).startswith("socket:"):
        yield Told(b"".join(texts))
    elif call == "write":
        yield Write(target, None, texts[0])
    elif call == "pwrite64":
        yield Write(_target(rest), _number(rest), texts[0])
    elif call == "ftruncate":
        yield Truncate(_target(rest), _number(rest))
    elif call == "rename":
        yield Rename(texts[0].decode(), texts[1].decode())
    elif texts and "ENOENT" not in rest:
        path = texts[-1].decode()
        if call.startswith("unlink"):
            yield Remove(path)
        elif call == "mkdir" or "O_CREAT" in rest:
            yield Make(path)
        if "O_TRUNC" in rest:
            yield Truncate(path, 0)


def _target(rest: str) -> str:
    match = _TARGET.match(rest)
    return bytes.fromhex(match[1].replace("\\x", "")).decode() if match else ""


def _number(rest: str) -> int:
    """The last argument."""
    return int(rest.partition(" <unfinished")[0].partition(") ")[0].rstrip(")").rpartition(",")[2])


class _File:
    """What is on the disk for certain, and what was asked since, with the number of its step."""

    def __init__(self) -> None:
        self.synced = bytearray()
        self.asked: list[tuple[int, Write | Truncate]] = []
        self.end = 0  # of the last write

    def sync(self, before: int) -> None:
        for number, step in self.asked:
            if number < before:
                _apply(self.synced, step)
        self.asked = [(number, step) for number, step in self.asked if number >= before]

    def after_cut(self, chance: random.Random) -> bytes:
        content = bytearray(self.synced)
        for _, step in self.asked:
            if chance.random() < 0.5:
                _apply(content, step)
            elif isinstance(step, Write) and chance.random() < 0.5:
                for at in range(0, len(step.content), _SECTOR):
                    if chance.random() < 0.5:
                        _apply(content, Write(step.path, (step.offset or 0) + at, step.content[at : at + _SECTOR]))
        return bytes(content)


def _apply(content: bytearray, step: Write | Truncate) -> None:
    if isinstance(step, Truncate):
        del content[step.size :]
        content.extend(bytes(step.size - len(content)))
        return
    start = step.offset or 0
    content.extend(bytes(max(0, start - len(content))))
    content[start : start + len(step.content)] = step.content


class Disk:
    """One directory and all below it, as it fills. Without `are_synced`, the disk only claims to sync."""

    def __init__(self, root: Path, *, are_synced: bool = True) -> None:
        self._root = str(root)
        self._are_synced = are_synced
        self._names: dict[str, _File | None] = {}  # None is a directory
        self._kept: dict[str, _File | None] = {}
        self._renamed: list[tuple[int, Make | Remove | Rename]] = []
        self._made: dict[int, _File | None] = {}
        self._number = 0

    def take(self, step: Step) -> None:
        self._number += 1
        match step:
            case Told():
                return
            case Sync(path, began):
                if self._are_synced:
                    self._sync(path, began)
            case Write(path, offset, content):
                if file := self._names.get(path):
                    at = file.end if offset is None else offset
                    file.end = at + len(content)
                    file.asked.append((self._number, Write(path, at, content)))
            case Truncate(path, size):
                if file := self._names.get(path):
                    file.end = min(file.end, size)
                    file.asked.append((self._number, step))
            case Make() | Remove() | Rename():
                if step.path.startswith(self._root):
                    self._name(step)

    def _name(self, step: Make | Remove | Rename) -> None:
        if isinstance(step, Make):
            if step.path in self._names:
                return
            self._made[self._number] = None if step.path == self._root else _File()
        self._rename(self._names, self._number, step)
        self._renamed.append((self._number, step))

    def _sync(self, path: str, began: int) -> None:
        if file := self._names.get(path):
            file.sync(began + 1)
            return
        done = [one for one in self._renamed if one[0] <= began and str(Path(one[1].path).parent) == path]
        for number, step in done:
            self._rename(self._kept, number, step)
        self._renamed = [one for one in self._renamed if one not in done]

    def _rename(self, names: dict[str, _File | None], number: int, step: Make | Remove | Rename) -> None:
        match step:
            case Make(path):
                names[path] = self._made[number]
            case Remove(path):
                names.pop(path, None)
            case Rename(path, to):
                if path in names:
                    names[to] = names.pop(path)

    def after_cut(self, chance: random.Random, into: Path) -> None:
        """Fill a directory with what may be found after a cut now."""
        names = dict(self._kept)
        for number, step in self._renamed[: chance.randint(0, len(self._renamed))]:
            self._rename(names, number, step)
        if self._root not in names:
            return  # the directory itself is lost, and all that is in it
        into.mkdir(mode=0o700)
        for name, file in names.items():
            if file is not None:
                (into / Path(name).name).write_bytes(file.after_cut(chance))


def cuts(recorded: Sequence[Step], count: int, chance: random.Random) -> list[int]:
    """Places to cut, half of them anywhere and half right after something was told, where a loss would be seen."""
    told = [number for number, step in enumerate(recorded) if isinstance(step, Told)]
    anywhere = [chance.randrange(len(recorded)) for _ in range(count - count // 2)]
    return sorted([*anywhere, *(1 + chance.choice(told) for _ in range(count // 2))])

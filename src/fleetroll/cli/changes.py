"""The little language of commands that make and change records: arguments that together are one merge patch. Pure."""

import re
from collections.abc import Collection, Iterable, Mapping
from typing import Any

from msgspec import Struct

from fleetroll.cli import json_text

SYNTAX = """\b
A CHANGE is one of
  name="Pump 7"             a text; name= clears it
  metadata.site.floor=3     a text in a document; metadata.site= removes it
  metadata.floor:=3         any JSON; an object is merged into what is there
  tags=a,b                  all tags; tags= removes them
  tags+=a,b  tags-=c        some tags; owners likewise
Write \\. for a dot and \\= for an equals sign in a name: metadata.fw\\.rev=2"""

LISTS = frozenset({"tags", "owners"})
_CHANGE = re.compile(r"(?P<path>(?:\\.|[^\\=])+?)(?P<sign>[+:-]?)=(?P<value>.*)", re.DOTALL)
_NAME = r"(?:\\.|[^\\.])+"
_PATH = re.compile(rf"{_NAME}(?:\.{_NAME})*", re.DOTALL)


class BadChange(ValueError):
    """An argument that is not a change; the message is a sentence."""


class Changes(Struct):
    """A merge patch, and members to add to and take from lists."""

    merge: dict[str, Any]
    added: dict[str, list[str]]
    removed: dict[str, list[str]]

    @property
    def is_relative(self) -> bool:
        """Whether the present record must be read first."""
        return bool(self.added or self.removed)

    def against(self, present: Mapping[str, Any]) -> dict[str, Any]:
        """The merge patch that makes the changes to `present`."""
        merge = dict(self.merge)
        for field in {**self.added, **self.removed}:
            removed = self.removed.get(field, [])
            remaining = [part for part in merge.get(field, present.get(field)) or [] if part not in removed]
            merge[field] = list(dict.fromkeys([*remaining, *self.added.get(field, [])]))
        return merge


def parse(arguments: Iterable[str], lists: Collection[str] = LISTS) -> Changes:
    """The changes that arguments make to a record, whose `lists` are its lists of texts. Raises BadChange."""
    changes = Changes({}, {}, {})
    for argument in arguments:
        match = _CHANGE.fullmatch(argument)
        if match is None or not _PATH.fullmatch(match["path"]):
            raise BadChange(f"{argument!r} is not a change; write MEMBER=VALUE.")
        names = [re.sub(r"\\(.)", r"\1", name, flags=re.DOTALL) for name in re.findall(_NAME, match["path"])]
        signs = _LIST_SIGNS if len(names) == 1 and names[0] in lists else _SIGNS
        if match["sign"] not in signs:
            raise BadChange(
                f"{argument!r} is not a change; += and -= are for {' and '.join(sorted(LISTS))} of devices."
            )
        signs[match["sign"]](changes, names, match["value"])
    return changes


def parse_object(text: bytes) -> dict[str, Any]:
    """A merge patch written as JSON. Raises BadChange."""
    value = _json(text)
    if not isinstance(value, dict):
        raise BadChange("A merge patch is a JSON object.")
    return value


def created(patch: Mapping[str, Any]) -> dict[str, Any]:
    """The object that a merge patch makes out of nothing (RFC 7396): a null removes, so there is none in it."""
    return {
        name: created(value) if isinstance(value, dict) else value for name, value in patch.items() if value is not None
    }


def _replace(changes: Changes, names: list[str], value: str) -> None:
    _set_member(changes.merge, names, value or None)


def _replace_list(changes: Changes, names: list[str], value: str) -> None:
    _set_member(changes.merge, names, _parts(value))


def _replace_list_by_json(changes: Changes, names: list[str], value: str) -> None:
    parts = _json(value.encode())
    if parts is not None and not (isinstance(parts, list) and all(isinstance(part, str) for part in parts)):
        raise BadChange(f"{names[0]} is a list of texts.")
    _set_member(changes.merge, names, parts)


def _replace_by_json(changes: Changes, names: list[str], value: str) -> None:
    _set_member(changes.merge, names, _json(value.encode()))


def _add(changes: Changes, names: list[str], value: str) -> None:
    _move(names[0], _parts(value), changes.removed, changes.added)


def _remove(changes: Changes, names: list[str], value: str) -> None:
    _move(names[0], _parts(value), changes.added, changes.removed)


def _move(field: str, parts: list[str], source: dict[str, list[str]], target: dict[str, list[str]]) -> None:
    """Have parts in `target`, and no longer in `source`: the last change of a member counts, as everywhere else."""
    if field in source:
        source[field] = [part for part in source[field] if part not in parts]
    target.setdefault(field, []).extend(parts)


_SIGNS = {"": _replace, ":": _replace_by_json}
_LIST_SIGNS = {"": _replace_list, ":": _replace_list_by_json, "+": _add, "-": _remove}


def _parts(value: str) -> list[str]:
    return [part.strip() for part in value.split(",") if part.strip()]


def _set_member(target: dict[str, Any], names: list[str], value: Any) -> None:
    """Put a value where the names lead. An object goes there member by member: other changes may name some as well."""
    *above, last = names
    for name in above:
        target = _object(target, name)
    if isinstance(value, dict):
        within = _object(target, last)
        for name, member in value.items():
            _set_member(within, [name], member)
    elif isinstance(target.get(last), dict):
        raise _conflict(last)
    else:
        target[last] = value


def _object(target: dict[str, Any], name: str) -> dict[str, Any]:
    """The object at a name, made where there is nothing yet. Raises BadChange where there is a value."""
    member = target.setdefault(name, {})
    if not isinstance(member, dict):
        raise _conflict(name)
    return member


def _conflict(name: str) -> BadChange:
    return BadChange(f"{name} cannot have both a value and members.")


def _json(text: bytes) -> Any:
    try:
        return json_text.read(text)
    except json_text.NotJson as problem:
        raise BadChange(f"{text[:60].decode(errors='replace')!r} is not JSON: {problem}.") from None

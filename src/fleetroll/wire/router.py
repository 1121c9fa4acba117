"""From a method and a raw path to a route. Segments are split before they are decoded, so `%2F` stays data.

Any identifier that can be created can therefore be addressed. A template's last segment may end in a verb,
`{ident}:decommission`; the colon is literal, so an identifier that ends so is written `%3A`.
"""

from collections.abc import Iterable, Iterator
from typing import Generic, TypeVar

from fleetroll.wire.request import segment

T = TypeVar("T")


class _Node(Generic[T]):
    __slots__ = ("literals", "parameter", "targets", "verbs")

    def __init__(self) -> None:
        self.literals: dict[str, _Node[T]] = {}
        self.parameter: _Node[T] | None = None
        self.verbs: dict[str, _Node[T]] = {}
        self.targets: dict[str, tuple[T, tuple[str, ...]]] = {}


class Match(Generic[T]):
    """What a path leads to. `target` is None where the path exists but not for this method; see `allowed`."""

    __slots__ = ("allowed", "path", "target")

    def __init__(self, target: T | None, path: dict[str, str], allowed: tuple[str, ...]) -> None:
        self.target = target
        self.path = path
        self.allowed = allowed


class Router(Generic[T]):
    """A tree of path segments."""

    def __init__(self, rows: Iterable[tuple[str, str, T]]) -> None:
        self._root: _Node[T] = _Node()
        self._methods: set[str] = set()
        for method, template, target in rows:
            self._add(method, template, target)
        self._fixed = {(method, path): target for method, path, target in _fixed(self._root, "")}
        self._one_parameter = {(method, *around): end for method, around, end in _one_parameter(self._root, "")}

    def match(self, method: str, raw_path: bytes) -> Match[T] | None:
        """The match, or None if no template fits. Raises Fault invalid for a path that is not text."""
        path = raw_path.decode("latin-1")
        if (known := self._shortcut(method, path)) is not None:
            return known
        segments = path.split("/")
        found = self._walk(self._root, segments, 1, [], method)
        if found is None:
            return None
        node, values = found
        entry = node.targets.get(method)
        if entry is None:
            return Match(None, {}, self._allowed(segments))
        target, names = entry
        return Match(target, {name: segment(value) for name, value in zip(names, values, strict=True)}, ())

    def _shortcut(self, method: str, path: str) -> Match[T] | None:
        """What `_walk` would find, for most requests: those with at most one parameter. None leaves it to the walk.

        Literals go before parameters, and the longer literal beginning before the shorter; verbs are left to the walk.
        """
        target = self._fixed.get((method, path))
        if target is not None:
            return Match(target, {}, ())
        before, _, last = path.rpartition("/")
        end, value = self._one_parameter.get((method, before, None)), last
        if end is None:
            before, _, value = before.rpartition("/")
            end = self._one_parameter.get((method, before, last))
        if end is None or not value or ":" in last:
            return None
        target, parameter = end
        return Match(target, {parameter: segment(value)}, ())

    def _allowed(self, segments: list[str]) -> tuple[str, ...]:
        """The methods that lead somewhere: not all of them need lead to the same branch of the tree."""
        walks = {method: self._walk(self._root, segments, 1, [], method) for method in self._methods}
        return tuple(sorted(method for method, found in walks.items() if found and method in found[0].targets))

    def _walk(
        self, node: _Node[T], segments: list[str], index: int, values: list[str], method: str
    ) -> tuple[_Node[T], list[str]] | None:
        end = len(segments)
        while index < end:
            part = segments[index]
            literal = node.literals.get(part)
            if literal is not None:
                # A literal that leads nowhere by this method gives way to a parameter: a record may be named like a
                # sub-path, and must still be reachable by its other methods.
                if node.parameter is None:
                    node, index = literal, index + 1
                    continue
                if (found := self._walk(literal, segments, index + 1, values, method)) is not None:
                    if method in found[0].targets:
                        return found
                    other = self._walk(node.parameter, segments, index + 1, [*values, part], method)
                    return other if other is not None and method in other[0].targets else found
            if node.parameter is None or not part:
                return None
            index += 1
            if index == end and ":" in part and (verb := _verb(node, part, method)) is not None:
                return verb[0], [*values, verb[1]]
            node, values = node.parameter, [*values, part]
        return (node, values) if node.targets else None

    def _add(self, method: str, template: str, target: T) -> None:
        node, names = self._root, []
        self._methods.add(method)
        for part in template.split("/")[1:]:
            if not part.startswith("{"):
                node = node.literals.setdefault(part, _Node())
                continue
            name, _, verb = part.partition(":")
            names.append(name.strip("{}"))
            parent = node
            parent.parameter = parent.parameter or _Node()
            node = parent.verbs.setdefault(verb, _Node()) if verb else parent.parameter
        if method in node.targets:
            raise AssertionError(f"two routes for {method} {template}")
        node.targets[method] = (target, tuple(names))


def _fixed(node: _Node[T], path: str) -> Iterator[tuple[str, str, T]]:
    """Each route without a parameter: its method and path."""
    for method, (target, _) in node.targets.items():
        yield method, path, target
    for part, branch in node.literals.items():
        yield from _fixed(branch, f"{path}/{part}")


def _one_parameter(node: _Node[T], path: str) -> Iterator[tuple[str, tuple[str, str | None], tuple[T, str]]]:
    """Each route with one parameter and at most one literal after it, such as `/v1/devices/{ident}`.

    Yields its method, what is around the parameter, and its target with the parameter's name.
    """
    if node.parameter is not None:
        for literal, end in ((None, node.parameter), *node.parameter.literals.items()):
            for method, (target, names) in end.targets.items():
                yield method, (path, literal), (target, names[0])
    for part, branch in node.literals.items():
        yield from _one_parameter(branch, f"{path}/{part}")


def _verb(node: _Node[T], segment: str, method: str) -> tuple[_Node[T], str] | None:
    """The branch of a verb, and the value before it. Without such a verb, the colon belongs to the identifier."""
    value, _, verb = segment.rpartition(":")
    branch = node.verbs.get(verb) if value else None
    return (branch, value) if branch is not None and method in branch.targets else None

"""Regular expressions that strangers may send: matched in one walk over the text, whatever the pattern.

The dialect is the part of XQuery's and POSIX's on which they agree: literals, `.`, classes, groups, `|`, `*`, `+`, `?`,
`{m,n}`, `^`, `$` and the escapes d, s and w. A pattern becomes a nondeterministic automaton, and that a deterministic
one, state by state as texts need them; there is no backtracking, so there is nothing to blow up.
"""

import functools
import itertools
from collections.abc import Callable
from typing import NamedTuple, TypeAlias

_MAX_PATTERN = 256
_MAX_NODES = 1_000
_MAX_REPEAT = 64
_MAX_STATES = 500

Test: TypeAlias = Callable[[str], bool]
_BEGIN, _END = "begin", "end"
_SPECIAL = frozenset("\\.[](){}*+?|^$")
_ESCAPES: dict[str, Test] = {
    "d": str.isdecimal,
    "s": str.isspace,
    "w": lambda c: c.isalnum() or c == "_",
    "D": lambda c: not c.isdecimal(),
    "S": lambda c: not c.isspace(),
    "W": lambda c: not (c.isalnum() or c == "_"),
}


class _Bounds(NamedTuple):
    """How often a part of a pattern may occur; `most` is None where there is no limit."""

    least: int
    most: int | None


_REPEATS = {"*": _Bounds(0, None), "+": _Bounds(1, None), "?": _Bounds(0, 1)}
_QUANTIFIERS = frozenset((*_REPEATS, "{"))
_CONTROLS = {"n": "\n", "r": "\r", "t": "\t"}


class Refused(Exception):
    """A pattern that is invalid, or too large; the message continues a sentence that begins with "the pattern"."""


class Matcher:
    """One pattern. `search` finds it anywhere in a text, as `like_regex` does.

    A set of states is a number with a bit for each character that may come next, one for a match, and one for a match
    if the text ends there. So a step costs much the same whatever the pattern is.
    """

    def __init__(
        self, pattern: str, *, ignore_case: bool = False, literal: bool = False, across_lines: bool = False
    ) -> None:
        if len(pattern) > _MAX_PATTERN:
            raise Refused(f"is longer than {_MAX_PATTERN} characters")
        self._fold = ignore_case
        self._program = program = _Program(pattern, literal=literal, fold=ignore_case, across_lines=across_lines)
        self._bits = {node: 1 << index for index, node in enumerate(program.tests)}
        self._nodes_of: dict[Test, int] = {}  # the bits of all nodes that ask the same, which is asked once
        for node, test in program.tests.items():
            self._nodes_of[test] = self._nodes_of.get(test, 0) | self._bits[node]
        self._match = 1 << len(self._bits)
        self._match_at_end = self._match << 1
        nodes = list(program.tests)
        self._tables = [_Follow(self, nodes[start : start + 4]) for start in range(0, len(nodes), 4)]
        self._masks: dict[str, int] = {}
        self._moves: dict[tuple[int, str], int] = {}

    # Computed at the first search: many patterns are made only to check them, and that on the event loop.

    @functools.cached_property
    def _start(self) -> int:
        return self._reached(self._program.first, at_begin=True)

    @functools.cached_property
    def _again(self) -> int:
        return self._reached(self._program.first)

    def search(self, text: str) -> bool:
        if self._fold:
            text = text.lower() if text.isascii() else "".join(map(_lower, text))
        states, match = self._start, self._match
        moves = self._moves
        for character in text:
            if states & match:
                return True
            following = moves.get((states, character))
            states = self._move(states, character) if following is None else following
        return bool(states & (match | self._match_at_end))

    def _move(self, states: int, character: str) -> int:
        if len(self._moves) > _MAX_STATES:
            self._moves.clear()
        # A match may begin at any position, so the beginning of the pattern is among the states at every one.
        following = self._again
        for table, digit in zip(self._tables, f"{states & self._mask(character):x}"[::-1], strict=False):
            if digit != "0":
                following |= table[digit]
        self._moves[states, character] = following
        return following

    def _mask(self, character: str) -> int:
        """The states that the character leads on from."""
        mask = self._masks.get(character)
        if mask is None:
            if len(self._masks) > _MAX_STATES:
                self._masks.clear()
            asked = self._nodes_of.items()
            mask = self._masks[character] = sum(nodes for test, nodes in asked if test(character))
        return mask

    def after(self, node: int) -> int:
        """The states after a node's character was read."""
        return self._reached(self._program.nexts[node])

    def _reached(self, node: int, *, at_begin: bool = False) -> int:
        accept = self._program.accept
        reached = self._close(node, at_begin=at_begin)
        at_end = accept in self._close(node, at_begin=at_begin, at_end=True)
        bits = sum(self._bits[each] for each in reached if each in self._bits)
        return bits | (self._match if accept in reached else 0) | (self._match_at_end if at_end else 0)

    def _close(self, node: int, *, at_begin: bool = False, at_end: bool = False) -> set[int]:
        """All nodes that can be reached from one without reading a character."""
        seen, open_ = {node}, [node]
        while open_:
            state = open_.pop()
            anchor = self._program.anchors.get(state)
            if (anchor == _BEGIN and not at_begin) or (anchor == _END and not at_end):
                continue
            for follower in self._program.empty.get(state, ()):
                if follower not in seen:
                    seen.add(follower)
                    open_.append(follower)
        return seen


def _lower(character: str) -> str:
    """A character in lower case, whatever stands beside it, as in a pattern; as it is where that would be several."""
    lower = character.lower()
    return lower if len(lower) == 1 else character


class _Follow(dict[str, int]):
    """The states that follow any of four nodes, by a hexadecimal digit whose bits say which; computed on demand."""

    def __init__(self, matcher: Matcher, nodes: list[int]) -> None:
        super().__init__()
        self._matcher = matcher
        self._nodes = nodes

    def __missing__(self, taken: str) -> int:
        found = 0
        for index, node in enumerate(self._nodes):
            if int(taken, 16) >> index & 1:
                found |= self._matcher.after(node)
        self[taken] = found
        return found


class _Fragment(NamedTuple):
    """A part of the automaton, by its one way in and its one way out."""

    start: int
    end: int


class _Program:
    """The nondeterministic automaton, as Thompson builds it: every fragment has one way in and one way out.

    With `fold` it reads texts in lower case. With `across_lines` the dot matches the end of a line, too.
    """

    def __init__(self, pattern: str, *, literal: bool, fold: bool, across_lines: bool) -> None:
        self.tests: dict[int, Test] = {}
        self.nexts: dict[int, int] = {}
        self.empty: dict[int, tuple[int, ...]] = {}
        self.anchors: dict[int, str] = {}
        self._count = 0
        self._text = pattern
        self._position = 0
        self._depth = 0
        self._classes: dict[int, tuple[Test, int]] = {}  # by where each begins, with where it ends
        self._fold = fold
        self._stop = "" if across_lines else "\n"
        if literal:
            self.first, self.accept = self._sequence([self._single(self._exactly(c)) for c in pattern])
        else:
            self.first, self.accept = self._choice()
            if self._position < len(pattern):
                raise Refused("has a parenthesis that was never opened")

    # Fragments.

    def _node(self) -> int:
        self._count += 1
        if self._count > _MAX_NODES:
            raise Refused("repeats too much")
        return self._count

    def _single(self, test: Test) -> _Fragment:
        start, end = self._node(), self._node()
        self.tests[start], self.nexts[start] = test, end
        return _Fragment(start, end)

    def _join(self, start: int, *followers: int) -> None:
        self.empty[start] = (*self.empty.get(start, ()), *followers)

    def _sequence(self, parts: list[_Fragment]) -> _Fragment:
        if not parts:
            node = self._node()
            return _Fragment(node, node)
        for part, following in itertools.pairwise(parts):
            self._join(part.end, following.start)
        return _Fragment(parts[0].start, parts[-1].end)

    def _optional(self, part: _Fragment, *, repeated: bool) -> _Fragment:
        start, end = self._node(), self._node()
        self._join(start, part.start, end)
        self._join(part.end, end, *((part.start,) if repeated else ()))
        return _Fragment(start, end)

    # The grammar, from the loosest binding to the tightest.

    def _peek(self) -> str:
        return self._text[self._position : self._position + 1]

    def _take(self) -> str:
        self._position += 1
        return self._text[self._position - 1 : self._position]

    def _choice(self) -> _Fragment:
        self._depth += 1
        if self._depth > 16:
            raise Refused("is nested too deeply")
        branches = [self._branch()]
        while self._peek() == "|":
            self._take()
            branches.append(self._branch())
        self._depth -= 1
        if len(branches) == 1:
            return branches[0]
        start, end = self._node(), self._node()
        for branch in branches:
            self._join(start, branch.start)
            self._join(branch.end, end)
        return _Fragment(start, end)

    def _branch(self) -> _Fragment:
        parts = []
        while self._peek() not in {"", "|", ")"}:
            parts.append(self._piece())
        return self._sequence(parts)

    def _piece(self) -> _Fragment:
        begins = self._position
        part = self._atom()
        ends = self._position
        least, most = self._quantifier()
        if (least, most) == (1, 1):
            return part
        copies = [part, *(self._parse_again(begins, ends) for _ in range(max(least, most or 1, 1) - 1))]
        parts = copies[:least]
        if most is None:
            last = copies[least - 1] if least else copies[0]
            rest = self._parse_again(begins, ends) if least else last
            parts.append(self._optional(rest, repeated=True))
        else:
            parts += [self._optional(copy, repeated=False) for copy in copies[least:most]]
        return self._sequence(parts)

    def _parse_again(self, begins: int, ends: int) -> _Fragment:
        """Another copy of what the pattern says between two positions."""
        position, text = self._position, self._text
        self._position, self._text = begins, text[:ends]
        part = self._atom()
        self._position, self._text = position, text
        return part

    def _quantifier(self) -> _Bounds:
        symbol = self._peek()
        if symbol not in _QUANTIFIERS:
            return _Bounds(1, 1)
        self._take()
        bounds = self._bounds() if symbol == "{" else _REPEATS[symbol]
        if self._peek() in _QUANTIFIERS:
            raise Refused("has two quantifiers in a row")
        return bounds

    def _bounds(self) -> _Bounds:
        inside, closed, _ = self._text[self._position :].partition("}")
        low, comma, high = inside.partition(",")
        if not closed or not low.isdecimal() or (high and not high.isdecimal()) or len(inside) > 5:
            raise Refused("has a { that does not begin a quantifier")
        self._position += len(inside) + 1
        least = int(low)
        most = (int(high) if high else None) if comma else least
        if max(least, most or 0) > _MAX_REPEAT or (most is not None and not least <= most != 0):
            raise Refused(f"repeats something more than {_MAX_REPEAT} times, or never")
        return _Bounds(least, most)

    def _atom(self) -> _Fragment:
        character = self._take()
        if character == "(":
            part = self._choice()
            if self._take() != ")":
                raise Refused("has a parenthesis that is not closed")
            return part
        if character in {"^", "$"}:
            node = self._node()
            after = self._node()
            self.anchors[node] = _BEGIN if character == "^" else _END
            self._join(node, after)
            if self._peek() in _QUANTIFIERS:
                raise Refused(f"repeats a {character}")
            return _Fragment(node, after)
        if character == ".":
            return self._single(self._stop.__ne__)
        if character == "[":
            return self._single(self._class_here())
        if character == "\\":
            return self._single(self._escape())
        if character in _SPECIAL:
            raise Refused(f"has a misplaced {character}")
        return self._single(self._exactly(character))

    def _escape(self) -> Test:
        character = self._take()
        if character in _ESCAPES:
            return _ESCAPES[character]
        if character in _CONTROLS:
            return self._exactly(_CONTROLS[character])
        if character not in _SPECIAL and character != "-":
            raise Refused("has an escape that is not supported")
        return self._exactly(character)

    def _class_here(self) -> Test:
        """The class at this position: the same one for all copies of a part that repeats, however many there are."""
        begins = self._position
        if begins not in self._classes:
            self._classes[begins] = self._class(), self._position
        test, self._position = self._classes[begins]
        return test

    def _class(self) -> Test:
        negated = self._peek() == "^"
        if negated:
            self._take()
        tests: list[Test] = []
        while (character := self._take()) != "]":
            if character in {"", "["}:
                raise Refused("has a class that is not closed, or one within another")
            if character == "\\":
                tests.append(self._escape())
            elif self._peek() == "-" and self._text[self._position + 1 : self._position + 2] not in {"]", ""}:
                self._take()
                tests.append(self._between(character, self._take()))
            else:
                tests.append(self._exactly(character))
        if not tests:
            raise Refused("has an empty class")
        if negated:  # like the dot, it stays within a line
            return lambda c: c != self._stop and not any(test(c) for test in tests)
        return lambda c: any(test(c) for test in tests)

    def _exactly(self, character: str) -> Test:
        return (_lower(character) if self._fold else character).__eq__

    def _between(self, first: str, last: str) -> Test:
        if first > last or last == "\\":
            raise Refused("has a range that is not valid")
        if self._fold:
            return lambda c: first <= c <= last or (len(c.upper()) == 1 and first <= c.upper() <= last)
        return lambda c: first <= c <= last

"""The one exception of the product: what can go wrong, in ten kinds.

A kind exists only because a program must tell it apart. Every dialect maps all ten to its own status
and body; the words in `message` are safe to show to a client and never name a path, a statement or a class.
"""

import enum
import errno
from collections.abc import Mapping


class Kind(enum.Enum):
    """What a program needs to know about a failure; closed, and mapped completely by every dialect."""

    INVALID = "invalid"
    UNAUTHENTICATED = "unauthenticated"
    FORBIDDEN = "forbidden"
    NOT_FOUND = "not_found"
    CONFLICT = "conflict"
    STALE = "stale"
    TOO_LARGE = "too_large"
    RATE_LIMITED = "rate_limited"
    UNAVAILABLE = "unavailable"
    INTERNAL = "internal"


class Fault(Exception):
    """A refusal. `code` is stable and for programs, `message` is for people, `field` names the offending input.

    `details` holds further members that an envelope may show, `named` what was asked for and is not there;
    `retry_after` is in seconds.
    """

    def __init__(
        self,
        kind: Kind,
        code: str,
        message: str,
        field: str | None = None,
        *,
        details: Mapping[str, object] | None = None,
        retry_after: float | None = None,
        named: str | None = None,
    ) -> None:
        super().__init__(message)
        self.kind = kind
        self.code = code
        self.message = message
        self.field = field
        self.details: Mapping[str, object] = details or {}
        self.retry_after = retry_after
        self.named = named

    def __repr__(self) -> str:
        return f"Fault({self.kind.value}, {self.code!r}, {self.message!r}, field={self.field!r})"


def as_value(fault: Fault) -> Fault:
    """The fault without its traceback, to be kept: frames refer to all that they worked on, and so to the fault itself.

    Such a cycle is never freed where the garbage collector does not look, as in the rows of an import.
    """
    fault.__traceback__ = fault.__cause__ = fault.__context__ = None
    return fault


_INITIALS = {"dms"}


def spoken(noun: str) -> str:
    """The noun as it stands within a sentence."""
    return noun.upper() if noun in _INITIALS else noun.replace("_", " ")


def invalid(code: str, message: str, field: str | None = None, **details: object) -> Fault:
    """Input that breaks a rule of ours."""
    return Fault(Kind.INVALID, code, message, field, details=details)


def not_found(noun: str, name: object) -> Fault:
    """The same words for a thing that never existed and one of somebody else's: existence is hidden."""
    words = spoken(noun)
    label = words[:1].upper() + words[1:]
    shown = brief(str(name))
    named = shown.strip() or '""'  # as a header may be empty
    return Fault(Kind.NOT_FOUND, f"{noun}_not_found", f"{label} {named} was not found.", named=shown)


def brief(text: str, longest: int = 256) -> str:
    """What a client wrote, as a refusal repeats it: no longer than an identifier, and nothing that a terminal obeys."""
    shown = text if len(text) <= longest else f"{text[:longest]}…"
    return shown if shown.isprintable() else "".join(c if c.isprintable() else "\ufffd" for c in shown)


def conflict(code: str, message: str, field: str | None = None, **details: object) -> Fault:
    """The request is well formed, but the present state forbids it."""
    return Fault(Kind.CONFLICT, code, message, field, details=details)


_NO_FILE = {errno.EMFILE, errno.ENFILE, errno.EAGAIN}


def no_room(problem: OSError) -> Fault:
    """There is no room for a temporary file, or too many files are open."""
    if problem.errno in _NO_FILE:
        return Fault(Kind.UNAVAILABLE, "too_many_open_files", "The server cannot open more files now.", retry_after=5)
    return Fault(Kind.UNAVAILABLE, "storage_full", "The server has no room for temporary files.", retry_after=30)


def page_too_large() -> Fault:
    return invalid("page_too_large", "These devices are too large for one page; ask for fewer of them at a time.")


def stale(message: str = "The resource has changed since you read it, or is gone; read it again.") -> Fault:
    """A precondition (If-Match, revision) did not hold."""
    return Fault(Kind.STALE, "precondition_failed", message)

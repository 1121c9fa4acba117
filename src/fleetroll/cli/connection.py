"""The connection options: where the server is, with which key to call it, and in which organization.

They may stand before the command, and after it too; what stands after it wins.
"""

import functools
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec
from urllib.parse import quote

import click
from click.core import ParameterSource
from msgspec import Struct, structs

from fleetroll.cli import files
from fleetroll.cli.failures import Exit, Failure, reading_options
from fleetroll.config import url

if TYPE_CHECKING:
    from fleetroll.cli.client import Client

P = ParamSpec("P")
DEFAULT_URL = "http://127.0.0.1:8080"
MOST_PER_PAGE = 1_000
EMPTY_NAME = "A name is empty: is a variable unset?"
ABOUT_KEY = (
    "Give a valid key: set FLEETROLL_KEY or name a file with --key-file. `fleetroll serve` prints the first one, and "
    "`fleetroll recover` makes another if it is lost."
)


class Options(Struct, frozen=True):
    """The connection options as far as they were given."""

    url: str | None = None
    key: str | None = None
    key_file: Path | None = None
    organization: str | None = None

    def over(self, other: "Options") -> "Options":
        """These, and those of `other` where these are absent. A key in either form stands in for both forms."""
        key, file = (self.key, self.key_file) if self.key or self.key_file else (other.key, other.key_file)
        return Options(self.url or other.url, key, file, self.organization or other.organization)

    @property
    def address(self) -> str:
        return address(self.url or DEFAULT_URL)

    def secret(self) -> str:
        """The key. Raises Failure if there is none, and for what cannot be one; and click.UsageError."""
        text = (self.key or "") if self.key_file is None else _read(self.key_file)
        key = text.strip()
        if not key:
            raise Failure(Exit.UNAUTHORISED, "No API key was given.", ABOUT_KEY)
        if not key.isascii() or not key.isprintable() or " " in key:
            raise Failure(Exit.UNAUTHORISED, "The key contains a space, a line break or a non-ASCII character.")
        return key


def _read(key_file: Path) -> str:
    """The content of a key file, which need not be there for commands that call no server. Raises click.UsageError."""
    try:
        return key_file.read_text(errors="replace")
    except FileNotFoundError:
        raise click.UsageError(f"--key-file: {key_file} does not exist.") from None


def address(text: str, option: str = "--url") -> str:
    """The address of a server, to which a path can be added. Raises click.UsageError for what is not one."""
    with reading_options():
        return url(text, option)


def options(*, hidden: bool) -> Callable[[Any], Any]:
    """The connection options of a command.

    Only those that are shown read the environment, or it would override what is written before the command.
    """

    def option(name: str, variable: str, **rest: Any) -> Callable[[Any], Any]:
        read = None if hidden else variable
        return click.option(name, hidden=hidden, envvar=read, show_envvar=not hidden, **rest)

    made = (
        option("--url", "FLEETROLL_URL", help=f"Address of the server; by default {DEFAULT_URL}."),
        option("--key", "FLEETROLL_KEY", help="API key. Process lists show it, so prefer the variable."),
        option("--key-file", "FLEETROLL_KEY_FILE", type=files.ANY, help="File that holds the API key."),
        option("--organization", "FLEETROLL_ORGANIZATION", help="Act in this organization below the key's own."),
    )
    return lambda command: functools.reduce(lambda wrapped, add: add(wrapped), reversed(made), command)


def remember(context: click.Context, given: Options) -> None:
    """Keep the options of a place on the command line, over those of the places before it."""
    given = _one_key(context, given)
    context.obj = given.over(context.obj) if isinstance(context.obj, Options) else given


def _one_key(context: click.Context, given: Options) -> Options:
    """A key on the command line beats one in the environment; two in one place are one too many."""
    if not (given.key and given.key_file):
        return given
    written = [name for name in ("key", "key_file") if _is_written(context, name)]
    if len(written) == 2:
        raise click.UsageError("Give --key or --key-file, not both.")
    unused = "key" if written == ["key_file"] else "key_file"
    return structs.replace(given, **{unused: None})


def _is_written(context: click.Context, name: str) -> bool:
    return context.get_parameter_source(name) is ParameterSource.COMMANDLINE


def connected(function: Callable[Concatenate["Client", P], None]) -> Callable[..., None]:
    """Give a command its client, as the first argument, and the connection options."""

    @click.pass_context
    def run(
        context: click.Context,
        /,
        url: str | None,
        key: str | None,
        key_file: Path | None,
        organization: str | None,
        *rest: P.args,
        **arguments: P.kwargs,
    ) -> None:
        from fleetroll.cli import client  # noqa: PLC0415  # httpx takes a third of the time of `fleetroll --help`

        remember(context, Options(url, key, key_file, organization))
        with client.connect(context.obj) as opened:
            function(opened, *rest, **arguments)

    wrapped: Callable[..., None] = options(hidden=True)(functools.update_wrapper(run, function))
    return wrapped


def path(*segments: str) -> str:
    """A path of the native API, each segment quoted. Raises click.UsageError for an empty name: it leads elsewhere."""
    if "" in segments:
        raise click.UsageError(EMPTY_NAME)
    return "/v1/" + "/".join(map(_quoted, segments))


def _quoted(segment: str) -> str:
    """A segment that is a name whatever it is: `.` and `..` would lead to another path."""
    return segment.replace(".", "%2E") if segment in {".", ".."} else quote(segment, safe="")

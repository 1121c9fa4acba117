"""The way to the server: where it is, with which key and in which organization, and what its refusals mean here.

The connection options stand before the command, and after it too; what stands after it wins.
"""

import contextlib
import functools
import ipaddress
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec
from urllib.parse import quote, urlsplit

import click
from click.core import ParameterSource
from msgspec import Struct

from fleetroll import __version__
from fleetroll.cli.failures import Exit, Failure

if TYPE_CHECKING:
    import httpx

P = ParamSpec("P")
DEFAULT_URL = "http://127.0.0.1:8080"
MOST_PER_PAGE = 1_000
_CONNECT_SECONDS, _REPLY_SECONDS, _STREAM_SECONDS = 10.0, 60.0, 900.0

_ABOUT_KEY = "Give a valid key: set FLEETROLL_KEY or name a file with --key-file. `fleetroll serve` prints the first one."
_ABOUT_URL = "Is the server running? Start it with `fleetroll serve`, or say where it is: --url or FLEETROLL_URL."
_ABOUT_FILTER = """A filter looks like: status = "ACTIVE" AND tags:"production" AND metadata.site = "warehouse-*\""""
_ADVICE = {
    "unauthenticated": _ABOUT_KEY,
    "permission_denied": "Use a key that may do this; an admin makes one with `fleetroll key create`.",
    "organization_not_found": "List the organizations below yours: fleetroll org list",
    "device_not_found": "List the devices there are: fleetroll device list",
    "group_not_found": "List the groups there are: fleetroll group list",
    "key_not_found": "List the keys there are: fleetroll key list",
    "invalid_filter": _ABOUT_FILTER,
    "ident_taken": "Change the device that has it: fleetroll device set",
    "precondition_failed": "Somebody else changed it meanwhile; look at it again and repeat the command.",
    "unknown_path": "The address leads somewhere else, or to another release; check --url.",
}
_EXITS = {401: Exit.UNAUTHORISED, 403: Exit.UNAUTHORISED, 404: Exit.NOT_FOUND}


class Options(Struct, frozen=True):
    """The connection options as far as they were given."""

    url: str | None = None
    key: str | None = None
    key_file: Path | None = None
    organization: str | None = None

    def over(self, other: "Options") -> "Options":
        """These, and `other` where these are silent. A key of either form silences both forms."""
        key, file = (self.key, self.key_file) if self.key or self.key_file else (other.key, other.key_file)
        return Options(self.url or other.url, key, file, self.organization or other.organization)

    @property
    def address(self) -> str:
        url = (self.url or DEFAULT_URL).rstrip("/")
        parts = urlsplit(url)
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            raise click.UsageError(f"--url must be like {DEFAULT_URL}, not {url!r}.")
        return url

    def secret(self) -> str:
        """The key. Raises Failure if there is none, and for what cannot be one."""
        if self.key_file is not None:
            key = self.key_file.read_text(errors="replace").strip()
        else:
            key = (self.key or "").strip()
        if not key:
            raise Failure(Exit.UNAUTHORISED, "There is no key.", _ABOUT_KEY)
        if not key.isascii() or not key.isprintable() or " " in key:
            raise Failure(Exit.UNAUTHORISED, "The key is not one: it has a space, a line end or a strange character.")
        return key


def _options(*, hidden: bool) -> list[Callable[[Any], Any]]:
    """Only the first place reads the environment, or it would override what is written there."""

    def option(name: str, variable: str, **rest: Any) -> Callable[[Any], Any]:
        shown = {} if hidden else {"envvar": variable, "show_envvar": True}
        return click.option(name, hidden=hidden, **shown, **rest)

    file = click.Path(path_type=Path, dir_okay=False)
    return [
        option("--url", "FLEETROLL_URL", help=f"Address of the server; {DEFAULT_URL} if left out."),
        option("--key", "FLEETROLL_KEY", help="API key. Others on this machine see it here; better use the variable."),
        option("--key-file", "FLEETROLL_KEY_FILE", type=file, help="File that holds the API key."),
        option("--organization", "FLEETROLL_ORGANIZATION", help="Act in this organization below the key's own."),
    ]


def add_options(command: Any, *, hidden: bool) -> Any:
    return functools.reduce(lambda wrapped, option: option(wrapped), reversed(_options(hidden=hidden)), command)


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
    return Options(given.url, None, given.key_file) if written == ["key_file"] else Options(given.url, given.key)


def _is_written(context: click.Context, name: str) -> bool:
    return context.get_parameter_source(name) is ParameterSource.COMMANDLINE


def connected(function: Callable[Concatenate["Client", P], None]) -> Callable[..., None]:
    """Give a command its client, as the first argument, and the connection options."""

    @click.pass_context
    def run(
        context: click.Context,
        url: str | None,
        key: str | None,
        key_file: Path | None,
        organization: str | None,
        *rest: P.args,
        **arguments: P.kwargs,
    ) -> None:
        remember(context, Options(url, key, key_file, organization))
        with client(context.obj) as opened:
            function(opened, *rest, **arguments)

    wrapped: Callable[..., None] = add_options(functools.update_wrapper(run, function), hidden=True)
    return wrapped


@contextlib.contextmanager
def client(options: Options) -> Iterator["Client"]:
    import httpx

    headers = {
        "authorization": f"Bearer {options.secret()}",
        "user-agent": f"fleetroll/{__version__}",
        "accept-encoding": "identity",
    }
    if options.organization:
        headers["fleetroll-organization"] = quote(options.organization, safe=".")
    timeout = httpx.Timeout(_REPLY_SECONDS, connect=_CONNECT_SECONDS)
    with httpx.Client(headers=headers, timeout=timeout, trust_env=not is_loopback(options.address)) as http:
        yield Client(http, options.address)


def is_loopback(url: str) -> bool:
    """Whether the way leads to this machine, where no proxy belongs."""
    host = urlsplit(url).hostname or ""
    with contextlib.suppress(ValueError):
        return ipaddress.ip_address(host).is_loopback
    return host == "localhost"


def path(*segments: str) -> str:
    """A path of the native API, each segment quoted."""
    return "/v1/" + "/".join(quote(segment, safe="") for segment in segments)


class Client:
    """Calls of the native API. Whatever is not a success is raised as Failure."""

    def __init__(self, http: "httpx.Client", url: str) -> None:
        self._http = http
        self.url = url

    def call(
        self,
        method: str,
        target: str,
        *,
        params: Mapping[str, Any] | None = None,
        body: Any = None,
        content: bytes | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> "httpx.Response":
        """One request and its whole reply."""
        with reaching(self.url):
            reply = self._http.request(
                method, self.url + target, params=_given(params), json=body, content=content, headers=headers
            )
        if not reply.is_success:
            raise refusal(reply, self.url)
        return reply

    def patch(self, target: str, change: Mapping[str, Any], etag: str | None = None) -> "httpx.Response":
        """Apply a merge patch, if `etag` still is what is there."""
        headers = {"content-type": "application/merge-patch+json"} | ({"if-match": etag} if etag else {})
        return self.call("PATCH", target, body=change, headers=headers)

    @contextlib.contextmanager
    def stream(
        self,
        method: str,
        target: str,
        *,
        params: Mapping[str, Any] | None = None,
        content: Iterable[bytes] | None = None,
        headers: Mapping[str, str] | None = None,
        silence: float = _STREAM_SECONDS,
    ) -> Iterator["httpx.Response"]:
        """A request whose reply is read as it comes; `silence` is how long to wait for the next part of it."""
        import httpx

        timeout = httpx.Timeout(silence, connect=_CONNECT_SECONDS)
        url = self.url + target
        with (
            reaching(self.url),
            self._http.stream(
                method, url, params=_given(params), content=content, headers=headers, timeout=timeout
            ) as reply,
        ):
            if not reply.is_success:
                reply.read()
                raise refusal(reply, self.url)
            yield reply

    def pages(self, target: str, params: Mapping[str, Any]) -> Iterator["httpx.Response"]:
        """Every page of a list."""
        cursor = None
        while True:
            reply = self.call("GET", target, params={**params, "cursor": cursor})
            yield reply
            cursor = reply.json()["next_cursor"]
            if cursor is None:
                return


def _given(params: Mapping[str, Any] | None) -> dict[str, Any]:
    return {name: value for name, value in (params or {}).items() if value is not None}


@contextlib.contextmanager
def reaching(url: str) -> Iterator[None]:
    """Say what it means if the server is not there, or goes away."""
    import httpx

    try:
        yield
    except (httpx.ConnectError, httpx.ConnectTimeout) as problem:
        raise Failure(Exit.UNREACHABLE, f"Cannot reach {url}: {_words(problem)}.", _ABOUT_URL) from None
    except httpx.TimeoutException:
        raise Failure(Exit.UNREACHABLE, f"{url} did not answer in time.", "Try again in a moment.") from None
    except httpx.TransportError as problem:
        message = f"The connection to {url} was lost: {_words(problem)}."
        raise Failure(Exit.UNREACHABLE, message, "See the server's log, and try again.") from None
    except httpx.InvalidURL as problem:
        raise click.UsageError(f"--url: {problem}.") from None


def _words(problem: Exception) -> str:
    return str(problem).rstrip(".") or type(problem).__name__


def refusal(reply: "httpx.Response", url: str) -> Failure:
    """What a reply that is no success means for the command."""
    exit_code = _EXITS.get(reply.status_code, Exit.REFUSED)
    problem = _problem(reply)
    if problem is None:
        return Failure(exit_code, f"{url} answered {reply.status_code} without saying why.", _ADVICE["unknown_path"])
    code, detail = str(problem["code"]), str(problem["detail"])
    advice = _ADVICE.get(code, "")
    if after := reply.headers.get("retry-after"):
        advice = f"Try again in {after} seconds."
    return Failure(exit_code, detail, advice, code)


def _problem(reply: "httpx.Response") -> dict[str, Any] | None:
    try:
        problem = reply.json()
    except ValueError:
        return None
    return problem if isinstance(problem, dict) and {"code", "detail"} <= problem.keys() else None



"""The HTTP client of the native API, and what the server's refusals mean for a command. Imported when first needed."""

import contextlib
import ipaddress
import os
import ssl
import time
from collections.abc import Iterable, Iterator, Mapping
from typing import Any
from urllib.parse import quote, urlsplit
from urllib.request import getproxies

import click
import httpx

from fleetroll import __version__
from fleetroll.cli.connection import ABOUT_KEY, Options
from fleetroll.cli.duplex import Duplex
from fleetroll.cli.failures import Exit, Failure

_CONNECT_SECONDS, _REPLY_SECONDS, _STREAM_SECONDS = 10.0, 60.0, 900.0
_MAX_WAITS, _LONGEST_WAIT = 5, 5  # for the rate of a key, which has room again in a second or so
_ABOUT_URL = "Is the server running? Start it with `fleetroll serve`, or say where it is: --url or FLEETROLL_URL."
_ABOUT_TLS = {
    "WRONG_VERSION_NUMBER": "It does not speak TLS: begin the address with http://, or give that of its TLS proxy.",
    "certificate is not valid for": "Use a name that is in its certificate; `serve --est-name` adds names.",
}
_UNKNOWN_AUTHORITY = "CERTIFICATE_VERIFY_FAILED"  # looked for last: OpenSSL says this of a wrong name too
ABOUT_LOSS = "See the server's log, and try again."
_ABOUT_AUTHORITY = "Name the authority of its certificate, a PEM file, in SSL_CERT_FILE."
_ABOUT_PROXY = "HTTP_PROXY, HTTPS_PROXY or ALL_PROXY names something that is not an http:// or https:// proxy."
_ABOUT_FILTER = """A filter compares fields, as in: name = "pump-*" AND NOT id < 100"""
_ABOUT_COHORTS = "List the cohorts: fleetroll cohort list"
_ABOUT_TEMPLATES = "List the templates, with their numbers: fleetroll template list"
_ABOUT_PLACE = "Something else answers there, or another release; check --url, which ends before /v1."
_ABOUT_SIZE = "A proxy in between accepts nothing this large; raise its limit (in nginx, client_max_body_size)."
_ADVICE = {
    "unauthenticated": ABOUT_KEY,
    "permission_denied": "Use a key that may do this; an admin makes one with `fleetroll key create`.",
    "organization_not_found": "List the organizations below yours: fleetroll org list",
    "device_not_found": "List the devices: fleetroll device list",
    "dms_not_found": "List the DMS: fleetroll dms list",
    "authority_not_found": "List the authorities: fleetroll ca list",
    "group_not_found": "List the groups: fleetroll group list",
    "cohort_not_found": _ABOUT_COHORTS,
    "unknown_cohort": _ABOUT_COHORTS,
    "owner_not_found": "List the owners: fleetroll owner list",
    "template_not_found": _ABOUT_TEMPLATES,
    "unknown_template": _ABOUT_TEMPLATES,
    "metadata_field_not_found": "List the metadata fields: fleetroll metadata-field list",
    "key_not_found": "List the keys: fleetroll key list",
    "last_admin_key": "Make another, and use that from then on: fleetroll key create NAME --role admin",
    "invalid_filter": _ABOUT_FILTER,
    "ident_taken": "Change the device that has it: fleetroll device set",
    "precondition_failed": "Somebody else changed it meanwhile; look at it again and repeat the command.",
    "unknown_path": _ABOUT_PLACE,
    "no_broker": "It needs the broker; start the server without --nats off.",
}
_EXITS = {401: Exit.UNAUTHORISED, 403: Exit.UNAUTHORISED, 404: Exit.NOT_FOUND}
_NO_MATTER_OF_KEYS = "quota_exceeded"  # a 403 too, but no other key may do more


@contextlib.contextmanager
def connect(given: Options) -> Iterator["Client"]:
    headers = {
        "authorization": f"Bearer {given.secret()}",
        "user-agent": f"fleetroll/{__version__}",
        "accept-encoding": "identity",
    }
    if given.organization:
        headers["fleetroll-organization"] = quote(given.organization, safe=".")
    timeout = httpx.Timeout(_REPLY_SECONDS, connect=_CONNECT_SECONDS)
    with asking(given.address, headers=headers, timeout=timeout) as http:
        yield Client(http, given.address)


def asking(url: str, verify: ssl.SSLContext | None = None, **options: Any) -> httpx.Client:
    """An HTTP client for the server at `url` that trusts the authorities of `verify`, or else those of this machine.

    No proxy is used on the way to this machine, but SSL_CERT_FILE holds there too. Without TLS no authority is needed,
    and none is loaded: that would take longer than most commands. Raises Failure and click.UsageError.
    """
    try:
        return httpx.Client(verify=verify or _authorities(url), trust_env=not is_loopback(url), **options)
    except (ValueError, ImportError):
        raise click.UsageError(_ABOUT_PROXY) from None


def _authorities(url: str) -> ssl.SSLContext:
    return _trusted() if url.startswith("https:") else ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)


def _trusted() -> ssl.SSLContext:
    try:
        return httpx.create_ssl_context()
    except OSError as problem:
        words = "it contains no certificate in PEM" if isinstance(problem, ssl.SSLError) else problem.strerror
        raise Failure(Exit.FILE, f"{os.environ['SSL_CERT_FILE']}, which SSL_CERT_FILE names: {words}.") from None


def is_loopback(url: str) -> bool:
    """Whether a URL leads to this machine, on the way to which no proxy belongs."""
    host = urlsplit(url).hostname or ""
    with contextlib.suppress(ValueError):
        return ipaddress.ip_address(host).is_loopback
    return host == "localhost"


class Client:
    """Calls of the native API. Whatever is not a success is raised as Failure."""

    def __init__(self, http: httpx.Client, url: str) -> None:
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
    ) -> httpx.Response:
        """One request and its whole reply."""
        reply = self._send(method, target, params=_given(params), json=body, content=content, headers=headers)
        _require_success(reply, self.url)
        return reply

    def attempt(self, method: str, target: str, body: Any = None) -> httpx.Response:
        """The server's reply, even if it refuses, in the words of whichever API was called.

        Raises Failure for what every other record would meet too: 401, 403, 429, 5xx, and replies of other servers.
        """
        reply = self._send(method, target, json=body)
        if "x-request-id" not in reply.headers or reply.status_code in {401, 403, 429} or reply.is_server_error:
            _require_success(reply, self.url)
        return reply

    def _send(self, method: str, target: str, **request: Any) -> httpx.Response:
        """The reply to a request, which is repeated while the server says that it comes a moment too soon."""
        waits = _MAX_WAITS
        while True:
            with reaching(self.url):
                reply = self._http.request(method, self.url + target, **request)
            after = reply.headers.get("retry-after", "")
            if reply.status_code != 429 or not after.isdigit() or int(after) > _LONGEST_WAIT or not waits:
                return reply
            waits -= 1
            time.sleep(int(after))

    def patch(self, target: str, change: Mapping[str, Any], etag: str | None = None) -> httpx.Response:
        """Apply a merge patch, if the record still has the `etag`, where one is given."""
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
    ) -> Iterator[httpx.Response]:
        """A request whose reply is read as it comes; `silence` is the seconds to wait for its next part."""
        timeout = httpx.Timeout(silence, connect=_CONNECT_SECONDS)
        url = self.url + target
        with (
            reaching(self.url),
            self._sending() if content is not None else contextlib.nullcontext(self._http) as http,
            http.stream(method, url, params=_given(params), content=content, headers=headers, timeout=timeout) as reply,
        ):
            if not reply.is_success:
                reply.read()
            _require_success(reply, self.url)
            yield reply

    @contextlib.contextmanager
    def _sending(self) -> Iterator[httpx.Client]:
        """For a body of any length: its reply is read while it is being sent, unless a proxy may be on the way."""
        if getproxies() and not is_loopback(self.url):
            yield self._http
            return
        trusted = _authorities(self.url)
        with asking(self.url, trusted, transport=Duplex(trusted), headers=self._http.headers) as http:
            yield http

    def pages(self, target: str, params: Mapping[str, Any]) -> Iterator[httpx.Response]:
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
def reaching(
    url: str, about: str = _ABOUT_URL, about_authority: str = _ABOUT_AUTHORITY, about_loss: str = ABOUT_LOSS
) -> Iterator[None]:
    """Raise Failure if the server is not there, or goes away, and click.UsageError for a bad URL.

    `about` is the advice in the first case, `about_loss` in the second, `about_authority` where nobody trusted has
    issued its certificate.
    """
    try:
        yield
    except (httpx.ConnectError, httpx.ConnectTimeout) as problem:
        words = _words(problem)
        known = (*_ABOUT_TLS.items(), (_UNKNOWN_AUTHORITY, about_authority))
        advice = next((advice for mark, advice in known if mark in words), about)
        raise Failure(Exit.UNREACHABLE, f"Cannot reach {url}: {words}.", advice) from None
    except httpx.TimeoutException:
        raise Failure(Exit.UNREACHABLE, f"{url} did not answer in time.", "Try again in a moment.") from None
    except httpx.TransportError as problem:
        message = f"The connection to {url} was lost: {_words(problem)}."
        raise Failure(Exit.UNREACHABLE, message, about_loss) from None
    except httpx.InvalidURL as problem:
        raise click.UsageError(f"--url: {problem}.") from None


def _words(problem: Exception) -> str:
    return str(problem).rstrip(".") or type(problem).__name__


def _require_success(reply: httpx.Response, url: str) -> None:
    """Raises Failure for a refusal, and for a reply from anything but Fleetroll."""
    problem = None if reply.is_success else _problem(reply)
    if reply.is_success and "x-request-id" in reply.headers:
        return
    if problem is None:
        exit_code = Exit.UNREACHABLE if reply.is_success else _EXITS.get(reply.status_code, Exit.REFUSED)
        advice = _ABOUT_SIZE if reply.status_code == 413 else _ABOUT_PLACE
        raise Failure(exit_code, f"{url} answers {reply.status_code}, but not as Fleetroll does.", advice)
    raise _refusal(reply, problem)


def _refusal(reply: httpx.Response, problem: Mapping[str, Any]) -> Failure:
    code = str(problem["code"])
    after = reply.headers.get("retry-after")
    advice = f"Try again in {after} seconds." if after else _ADVICE.get(code, "")
    refused = Exit.REFUSED if code == _NO_MATTER_OF_KEYS else _EXITS.get(reply.status_code, Exit.REFUSED)
    return Failure(refused, str(problem["detail"]), advice, code)


def _problem(reply: httpx.Response) -> dict[str, Any] | None:
    """The native API's refusal, or one of Lamassu's API here, which has no codes; None for anything else."""
    try:
        problem = reply.json()
    except ValueError:
        return None
    if not isinstance(problem, dict):
        return None
    if "err" in problem and "x-request-id" in reply.headers:
        return {"code": "unauthenticated" if reply.status_code == 401 else "", "detail": problem["err"]}
    return problem if {"code", "detail"} <= problem.keys() else None


def ask_ready(url: str) -> int:
    """The status of `/ready`, by which the server says whether it is able to serve. Needs no key. Raises Failure."""
    with reaching(url), asking(url, timeout=_CONNECT_SECONDS) as http:
        return http.get(f"{url}/ready").status_code

"""A real browser: Chromium without a window, told what to do over the pipes of its DevTools protocol."""

import contextlib
import json
import os
import select
import shutil
import subprocess
import time
from collections import defaultdict
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from tests.support.app import Response
from tests.support.browser import Blocked
from tests.support.process import Process
from tests.support.waiting import PATIENCE

_FOUND = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
needs_chromium = pytest.mark.skipif(
    _FOUND is None and "CI" not in os.environ, reason="chromium is not installed on this machine"
)
# What it is started with. Tests run as root and in containers, where it has no sandbox; it sees our own pages alone,
# and finds no other host.
_OPTIONS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--no-first-run", "--no-default-browser-check", "--mute-audio",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1, EXCLUDE localhost", "--remote-debugging-pipe",
)  # fmt: skip
# The protocol comes in at descriptor 3 and goes out at 4; here they are its standard input and output.
_AT_ITS_PIPES = 'exec "$0" "$@" 3<&0 4>&1 </dev/null >&2'
# A script sees only what the browser gives it: of the headers, those that it may read.
_SCRIPT = """
const call = async (method, url, headers, body) => {
  let reply
  try {
    reply = await fetch(url, {method, headers, body})
  } catch (problem) {
    return {blocked: String(problem)}
  }
  return {status: reply.status, headers: Object.fromEntries(reply.headers), body: await reply.text()}
}
"""
_HTML = f"<!doctype html><html lang=en><meta charset=utf-8><title>Console</title><script>{_SCRIPT}</script></html>"
NOBODYS = "/sandboxed"  # where the page is one whose origin is `null`


class Chromium:
    """A running browser."""

    def __init__(self, popen: "subprocess.Popen[bytes]", log: Path) -> None:
        self._popen = popen
        self._log = log
        self._number = 0
        self._unread = b""
        self.events: dict[str, list[dict[str, Any]]] = defaultdict(list)

    def open(self, url: str) -> "Tab":
        """A page, when it is loaded; it shares no cache and no connection with any other."""
        context = self.ask("Target.createBrowserContext")["browserContextId"]
        target = self.ask("Target.createTarget", url="about:blank", browserContextId=context)["targetId"]
        session = self.ask("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Network", "Log"):
            self.ask(f"{domain}.enable", session)
        tab = Tab(self, session)
        tab.go(url)
        return tab

    def ask(self, method: str, session: str | None = None, **parameters: Any) -> dict[str, Any]:
        """What a command gives; what happens meanwhile is in `events`."""
        self._number += 1
        number = self._number
        asked = {"id": number, "method": method, "params": parameters} | ({"sessionId": session} if session else {})
        assert self._popen.stdin is not None
        with contextlib.suppress(BrokenPipeError):  # what it said at its end is told by `hear`
            self._popen.stdin.write(json.dumps(asked).encode() + b"\0")
        while (told := self.hear()).get("id") != number:
            pass
        assert "error" not in told, (method, told)
        return dict(told["result"])

    def hear(self) -> dict[str, Any]:
        """The browser's next message."""
        assert self._popen.stdout is not None
        pipe, until = self._popen.stdout.fileno(), time.monotonic() + PATIENCE
        while b"\0" not in self._unread:
            assert select.select([pipe], [], [], max(until - time.monotonic(), 0))[0], "the browser is silent"
            part = os.read(pipe, 1 << 16)
            assert part, f"the browser has ended: {self._log.read_text()[-2000:]}"
            self._unread += part
        text, _, self._unread = self._unread.partition(b"\0")
        told: dict[str, Any] = json.loads(text)
        if "method" in told:
            self.events[told.get("sessionId", "")].append(told)
        return told


class Tab:
    """A page, and what the browser did for it."""

    def __init__(self, browser: Chromium, session: str) -> None:
        self._browser = browser
        self._session = session

    def go(self, url: str) -> None:
        """Go to another page. Returns when it is loaded."""
        before = len(self._told("Page.loadEventFired"))
        gone = self._browser.ask("Page.navigate", self._session, url=url)
        assert "errorText" not in gone, (url, gone)
        while len(self._told("Page.loadEventFired")) == before:
            self._browser.hear()

    def resize(self, width: int) -> None:
        """Make it as wide as a screen of so many pixels, as a telephone's."""
        size = {"width": width, "height": 700, "deviceScaleFactor": 1, "mobile": True}
        self._browser.ask("Emulation.setDeviceMetricsOverride", self._session, **size)

    def run(self, expression: str) -> Any:
        """The value of an expression in the page's own JavaScript, promises awaited."""
        done = self._browser.ask(
            "Runtime.evaluate", self._session, expression=expression, awaitPromise=True, returnByValue=True
        )
        assert "exceptionDetails" not in done, done["exceptionDetails"]
        return done["result"].get("value")

    def requests(self) -> list[tuple[str, str]]:
        """Method and URL of what was sent so far, including what the browser asked by itself."""
        sent = [one["request"] for one in self._told("Network.requestWillBeSent")]
        return [(one["method"], one["url"]) for one in sent]

    def await_requests(self, *requests: tuple[str, str]) -> None:
        """Return once all of these were sent. Of a preflight the browser tells when it comes to it, even later than of
        the reply that followed it.
        """
        while not set(requests) <= set(self.requests()):
            self._browser.hear()

    def complaints(self) -> list[str]:
        """What the developer console shows."""
        logged = [str(one["entry"]["text"]) for one in self._told("Log.entryAdded")]
        thrown = [str(one["exceptionDetails"]) for one in self._told("Runtime.exceptionThrown")]
        return logged + thrown + [str(one["args"]) for one in self._told("Runtime.consoleAPICalled")]

    def _told(self, method: str) -> list[Any]:
        return [one["params"] for one in self._browser.events[self._session] if one["method"] == method]


class RealPage:
    """A page whose scripts call a server with a token that they have, as `tests.support.browser.Page` does by rules."""

    def __init__(self, browser: Chromium, url: str, server: Process) -> None:
        self.tab = browser.open(url)
        self._server = server

    def fetch(self, method: str, target: str, body: Any = None, **headers: str) -> Response:
        """The reply as the script sees it; a body without a type is sent as text. Raises Blocked."""
        sent = {"authorization": f"Bearer {self._server.key}"}
        sent |= {name.replace("_", "-").lower(): value for name, value in headers.items()}
        return self.send(method, target, None if body is None else json.dumps(body), sent)

    def send(self, method: str, target: str, body: str | None, headers: dict[str, str]) -> Response:
        """As `fetch`, with no other headers than those that are given."""
        words = [method, self._server.url + target, headers, body]
        got = self.tab.run(f"call({', '.join('undefined' if one is None else json.dumps(one) for one in words)})")
        if "blocked" in got:
            raise Blocked(got["blocked"])
        return Response(got["status"], got["headers"], got["body"].encode())


@contextlib.contextmanager
def chromium(folder: Path) -> Iterator[Chromium]:
    """A browser, with what it keeps in `folder`. It ends when the pipe of its commands is closed."""
    log = folder / "chromium.log"
    command = ["sh", "-c", _AT_ITS_PIPES, _FOUND or "chromium", *_OPTIONS, f"--user-data-dir={folder / 'profile'}"]
    # It makes a socket among the temporary files, whose folder may have too long a name for one.
    inherited = {name: value for name, value in os.environ.items() if name != "TMPDIR"}
    with log.open("w") as errors:
        popen = subprocess.Popen(
            command,
            bufsize=0,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            env={**inherited, "HOME": str(folder)},
        )
    with popen:
        try:
            yield Chromium(popen, log)
        finally:
            assert popen.stdin is not None
            popen.stdin.close()
            try:
                popen.wait(PATIENCE)
            except subprocess.TimeoutExpired:
                popen.kill()
                raise


class _Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        content = _HTML.encode()
        self.send_response(200)
        self.send_header("Content-Type", "text/html; charset=utf-8")
        self.send_header("Content-Length", str(len(content)))
        if self.path == NOBODYS:
            self.send_header("Content-Security-Policy", "sandbox allow-scripts")
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *words: Any) -> None:
        pass


@contextlib.contextmanager
def page() -> Iterator[str]:
    """The origin of a small page, on a server of its own."""
    with ThreadingHTTPServer(("127.0.0.1", 0), _Handler) as server:
        Thread(target=server.serve_forever).start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()

"""A proxy that holds up a chosen request, and refuses it in the end, until it is told to let all pass."""

import http.client
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

_SECONDS = 60


class Gate:
    """`reached` is set when the request has come. Set `given_up` to have it refused, `opened` to let all pass."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.reached = threading.Event()
        self.opened = threading.Event()
        self.given_up = threading.Event()

    def refuses(self) -> bool:
        """Hold up the chosen request. Returns whether it is to be refused."""
        if self.opened.is_set():
            return False
        self.reached.set()
        self.given_up.wait(_SECONDS)
        return True


@contextmanager
def gate(port: int, stops: Callable[[str], bool]) -> Iterator[Gate]:
    """A gate before the server at `port`, for requests whose target `stops` picks."""

    class Passing(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if stops(self.path) and passing.refuses():
                self._answer(400, b"{}", "application/json")
                return
            behind = http.client.HTTPConnection("127.0.0.1", port, timeout=_SECONDS)
            behind.request("GET", self.path, headers={"authorization": self.headers["authorization"]})
            reply = behind.getresponse()
            self._answer(reply.status, reply.read(), reply.headers["content-type"])
            behind.close()

        def _answer(self, status: int, body: bytes, kind: str) -> None:
            self.send_response(status)
            self.send_header("content-type", kind)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *args: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Passing) as server:
        passing = Gate(f"http://127.0.0.1:{server.server_port}")
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}).start()
        try:
            yield passing
        finally:
            passing.given_up.set()
            server.shutdown()

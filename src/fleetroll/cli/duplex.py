"""An HTTP transport that reads a reply while the request is still being sent; httpx's own does one after the other.

So an upload of rows learns the results of the first ones before the last ones are sent, and no server is kept waiting
that has no room for its answers. One connection, one request, no proxy.
"""

import contextlib
import http.client
import io
import select
import socket
import ssl
from collections.abc import Iterator
from typing import Any

import httpx

_PORTS = {"http": 80, "https": 443}
_PART = 64 << 10
# What TLS raises in place of a plain socket's BlockingIOError; either direction may have to wait for the other.
_NOT_YET = (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError)


class Duplex(httpx.BaseTransport):
    """`trusted` has the authorities that may have signed the certificate of an https server."""

    def __init__(self, trusted: ssl.SSLContext) -> None:
        self._trusted = trusted

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        timeout = request.extensions["timeout"]
        connection = self._connected(request.url, timeout["connect"])
        reading = _Reading(connection, _written(request), timeout["read"])
        try:
            reply = http.client.HTTPResponse(reading, method=request.method)  # type: ignore[arg-type]  # it asks for a file
            with _as_httpx_errors():
                reply.begin()
        except BaseException:
            connection.close()
            raise
        return httpx.Response(reply.status, headers=reply.getheaders(), stream=_Body(reply, connection))

    def _connected(self, url: httpx.URL, seconds: float) -> socket.socket:
        """A connection that does not block. Raises httpx.ConnectError and ConnectTimeout."""
        host, connection = url.raw_host.decode(), None
        try:
            connection = socket.create_connection((host, url.port or _PORTS[url.scheme]), seconds)
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if url.scheme == "https":
                connection = self._trusted.wrap_socket(connection, server_hostname=host)
        except OSError as problem:
            if connection is not None:
                connection.close()
            kind = httpx.ConnectTimeout if isinstance(problem, TimeoutError) else httpx.ConnectError
            raise kind(str(problem)) from None
        connection.setblocking(False)
        return connection


def _written(request: httpx.Request) -> Iterator[bytes]:
    """A request as it goes over the line, its body in chunks."""
    head = [b"%b %b HTTP/1.1" % (request.method.encode(), request.url.raw_path)]
    head += [b"%b: %b" % (name, value) for name, value in request.headers.raw]
    yield b"\r\n".join([*head, b"", b""])
    assert isinstance(request.stream, httpx.SyncByteStream)
    for part in request.stream:
        yield b"%x\r\n%b\r\n" % (len(part), part)
    yield b"0\r\n\r\n"


class _Reading(io.RawIOBase):
    """What comes over a connection. While it waits, it sends what is still to be sent."""

    def __init__(self, connection: socket.socket, unsent: Iterator[bytes], silence: float) -> None:
        self._connection = connection
        self._parts = unsent
        self._part: memoryview | None = memoryview(next(unsent))
        self._silence = silence

    def makefile(self, _mode: str) -> io.BufferedReader:
        return io.BufferedReader(self, _PART)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        while True:
            with contextlib.suppress(*_NOT_YET):
                return self._connection.recv_into(buffer)
            self._send()
            writing = [self._connection] if self._part is not None else []
            if not any(select.select([self._connection], writing, [], self._silence)):
                raise TimeoutError

    def _send(self) -> None:
        """Send as much of a part as the connection takes now.

        An error ends only the sending: a server that takes no more may have said why.
        """
        if self._part is None:
            return
        try:
            self._part = self._part[self._connection.send(self._part) :]
        except _NOT_YET:
            return
        except OSError:
            self._part = None
            return
        if not self._part:
            following = next(self._parts, None)
            self._part = None if following is None else memoryview(following)


class _Body(httpx.SyncByteStream):
    def __init__(self, reply: http.client.HTTPResponse, connection: socket.socket) -> None:
        self._reply = reply
        self._connection = connection

    def __iter__(self) -> Iterator[bytes]:
        with _as_httpx_errors():
            while part := self._reply.read1(_PART):
                yield part
            if self._reply.length:
                raise http.client.IncompleteRead(b"", self._reply.length)

    def close(self) -> None:
        self._reply.close()
        self._connection.close()


@contextlib.contextmanager
def _as_httpx_errors() -> Iterator[None]:
    try:
        yield
    except TimeoutError as problem:
        raise httpx.ReadTimeout(str(problem)) from None
    except http.client.HTTPException as problem:
        raise httpx.RemoteProtocolError(str(problem)) from None
    except OSError as problem:
        raise httpx.ReadError(str(problem)) from None

"""The yardstick, in a process of its own: an ASGI app that does nothing but return prepared bytes.

It runs on the server class, the event loop and the collector settings of the product. It replies as any ASGI app does,
in two messages, or if asked to in the server's one, as the product does: what lies between the product and that second
form is the product's own work.
"""

import gc
import sys
from pathlib import Path
from typing import Any

import msgspec
import uvloop
from msgspec import Struct

from fleetroll.wire.http_cycle import WHOLE
from fleetroll.wire.http_server import HttpServer


class Prepared(Struct, frozen=True):
    """A reply, whether its request has a body that is to be read first, and whether the reply is one message."""

    status: int
    headers: list[tuple[bytes, bytes]]
    body: bytes
    reads: bool
    whole: bool = False


def application(prepared: Prepared) -> Any:
    start = {"type": "http.response.start", "status": prepared.status, "headers": prepared.headers}
    body = {"type": "http.response.body", "body": prepared.body}
    messages = [{**start, **body, "type": WHOLE}] if prepared.whole else [start, body]

    async def app(scope: Any, receive: Any, send: Any) -> None:
        if prepared.reads:
            while (await receive()).get("more_body"):
                pass
        for message in messages:
            await send(message)

    return app


async def _serve(prepared: Prepared) -> None:
    def announce(server: HttpServer) -> None:
        print(f"http://127.0.0.1:{server.addresses[0][1]}", flush=True)

    http = HttpServer(application(prepared), "127.0.0.1", 0, on_ready=announce)
    gc.collect()
    gc.freeze()
    await http.run()


if __name__ == "__main__":
    uvloop.run(_serve(msgspec.msgpack.decode(Path(sys.argv[1]).read_bytes(), type=Prepared)))

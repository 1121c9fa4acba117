"""A server at which devices enrol over TLS, with a clock of the test's own, and the clients: `openssl` and `curl`."""

import asyncio
import base64
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from msgspec import structs

from fleetroll.application import Application
from fleetroll.config import Config
from fleetroll.main import server_authority
from fleetroll.wire.est_listener import EstListener
from fleetroll.wire.log import AccessLog
from tests.support.app import ADMIN_KEY, App, Response, running

DAY = 86_400 * 1_000_000
needs_tools = pytest.mark.skipif(
    shutil.which("openssl") is None or shutil.which("curl") is None, reason="openssl and curl are not installed"
)


class Site:
    """One running server. `clock` is what it takes for the time.

    Its listener has a clock of its own: `curl` and `openssl` look at the certificate that it shows by the real time.
    """

    def __init__(self, app: App, folder: Path, config: Config) -> None:
        self.place = "/.well-known/est"
        self.offset = 0
        self.listener_offset = 0
        self.folder = folder
        services = structs.replace(
            app.services,
            clock=self.clock,
            server_authority=server_authority(config),
            presents_own=config.presents_own,
        )
        application = Application(config, services, AccessLog(None, app.runner.get_loop()))
        self.app = App(application, services, app.runner)
        self._real = app.services.clock
        apart = structs.replace(services, clock=lambda: self._real() + self.listener_offset)
        self.listener = EstListener(config, apart, application.asgi, application.refusals)

    def clock(self) -> int:
        return self._real() + self.offset

    def pass_days(self, days: int) -> None:
        self.offset += days * DAY

    @property
    def url(self) -> str:
        return f"https://localhost:{self.listener.http.addresses[0][1]}"

    def run(self, *command: str, text: bytes = b"") -> bytes:
        """What a command prints. The server goes on meanwhile."""
        code, out, problem = self.app.runner.run(self._run(command, text))
        assert code == 0, (command, out, problem)
        return out

    def fails(self, *command: str, text: bytes = b"") -> bytes:
        """What a command prints that must fail."""
        code, out, problem = self.app.runner.run(self._run(command, text))
        assert code != 0, (command, out)
        return out + problem

    async def _run(self, command: tuple[str, ...], text: bytes) -> tuple[int, bytes, bytes]:
        pipe = asyncio.subprocess.PIPE
        process = await asyncio.create_subprocess_exec(*command, stdin=pipe, stdout=pipe, stderr=pipe, cwd=self.folder)
        out, problem = await asyncio.wait_for(process.communicate(text), 60)
        return process.returncode or 0, out, problem

    def api(self, method: str, target: str, body: Any = None, **options: Any) -> Any:
        """The native API, which must do as it is told."""
        reply = self.app.request(method, target, body, **options)
        assert reply.status < 300, (method, target, reply.body)
        return reply.json() if reply.body else None

    def trust(self, authority: str = "default") -> str:
        """A file with the authority's certificate, by which clients know the server and devices each other."""
        file = self.folder / f"{authority}.pem"
        file.write_text(self.api("GET", f"/v1/authorities/{authority}")["certificate"])
        return file.name

    def key(self, name: str, *kind: str) -> str:
        """A file with a new private key."""
        kind = kind or ("-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256")
        self.run("openssl", "genpkey", *kind, "-out", f"{name}.key")
        return f"{name}.key"

    def request(self, name: str, subject: str, *options: str) -> bytes:
        """A certificate request by `openssl`, as EST wants it."""
        command = ("openssl", "req", "-new", "-key", f"{name}.key", "-subj", subject, "-outform", "DER", *options)
        return base64.encodebytes(self.run(*command))

    def request_of(self, der: bytes) -> bytes:
        """A request that was made by other means, as EST wants it."""
        return base64.encodebytes(der)

    def est(self, label: str, verb: str, body: bytes | None = None, *options: str, file: str = "reply") -> Response:
        """One EST exchange by `curl`."""
        typed = any(option.startswith("Content-Type") for option in options)
        header = () if typed else ("-H", "Content-Type: application/pkcs10")
        sent = (*header, "--data-binary", "@-") if body is not None else ()
        code = self.run(
            "curl",
            "-sS",
            "--cacert",
            self.trust(),
            *("-o", file, "-w", "%{http_code} %{content_type}"),
            *sent,
            *options,
            f"{self.url}{self.place}/{label}/{verb}",
            text=body or b"",
        ).decode()
        status, _, media_type = code.partition(" ")
        content = (self.folder / file).read_bytes() if (self.folder / file).exists() else b""
        return Response(int(status), {"content-type": media_type}, content)

    def enrol(self, label: str, verb: str, name: str, subject: str, *options: str) -> Response:
        """Ask for a certificate, and keep it as `<name>.pem` if there is one."""
        reply = self.est(label, verb, self.request(name, subject), *options)
        if reply.status == 200:
            self.keep(name, reply.body)
        return reply

    def keep(self, name: str, bundle: bytes) -> None:
        der = base64.b64decode(bundle)
        self.run("openssl", "pkcs7", "-inform", "DER", "-print_certs", "-out", f"{name}.pem", text=der)

    def serial(self, name: str) -> str:
        printed = self.run("openssl", "x509", "-noout", "-serial", "-in", f"{name}.pem")
        return printed.decode().strip().partition("=")[2].lower()

    def verify(self, name: str, *options: str, authority: str = "default") -> tuple[str, ...]:
        """The command by which `openssl` judges a certificate at the server's time."""
        at = str(self.clock() // 1_000_000)
        trusted = ("-CAfile", self.trust(authority))
        return ("openssl", "verify", "-x509_strict", "-attime", at, *trusted, *options, f"{name}.pem")

    def revocations(self, label: str) -> str:
        """A file with the list of what is revoked, in PEM."""
        der = self.est(label, "crl", file="list.der").body
        self.run("openssl", "crl", "-inform", "DER", "-out", "list.pem", text=der)
        return "list.pem"


@contextmanager
def site(folder: Path, **options: Any) -> Iterator[Site]:
    """A server over a new data directory; `options` are those of its configuration."""
    with running(folder / "data") as app:
        given = {"admin_key": ADMIN_KEY, "key_rate": 0, "organization_rate": 0, "est_names": ("localhost",)}
        config = Config(data=folder / "data", est=("127.0.0.1", 0), **{**given, **options})
        made = Site(app, folder, config)
        scope = made.listener.serving(asyncio.Event())
        app.runner.run(scope.__aenter__())
        try:
            yield made
        finally:
            app.runner.run(scope.__aexit__(None, None, None))

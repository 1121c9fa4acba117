"""The listener for devices that enrol: the whole application, behind TLS that asks clients for a certificate.

It presents the operator's certificate, or one from the root organization's own authority, made anew at each start and
every day.
"""

import asyncio
import contextlib
import logging
import socket
import ssl
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

from fleetroll.config import Config, ConfigError, cannot_listen, host_and_port
from fleetroll.core import limits
from fleetroll.core.model import Instant
from fleetroll.core.times import DAY
from fleetroll.service import authorities
from fleetroll.service.housekeeping import again, beside
from fleetroll.service.operations import Services
from fleetroll.wire.http_refusals import Refusals
from fleetroll.wire.http_server import CannotListen, HttpServer
from fleetroll.wire.tls import Tls

logger = logging.getLogger("fleetroll")
_ASK_SECONDS = 5.0


class EstListener:
    """The same application behind TLS, which asks clients for a certificate and knows every authority.

    It listens where the configuration says, or at `sockets` if there are any.
    """

    def __init__(
        self, config: Config, services: Services, app: Any, refusals: Refusals, sockets: Sequence[socket.socket] = ()
    ) -> None:
        assert config.est is not None
        self._config = config
        self._services = services
        self._tls = Tls()
        self._presented_at = 0
        self._known = 0
        self._trusted = self._most_trusted = 0
        self._made_here: list[bytes] = []  # lately
        self._committed = asyncio.Event()
        self._address = config.est
        self.http = HttpServer(
            app,
            *config.est,
            sockets=sockets,
            tls=self._tls.context,
            reuse_port=config.workers > 1,
            refusals=refusals,
        )

    @contextlib.asynccontextmanager
    async def serving(self, draining: asyncio.Event) -> AsyncIterator[None]:
        """Listen until the end of the block, or drain once `draining` is set. Raises ConfigError."""
        self._services.new_authorities.on_new(self._trust_new)
        self._presented_at = await self._present(self._tls)
        await self._trust()
        self._allow_spare()
        self._services.store.on_commit(self._committed.set)
        await self._listen()
        logger.info("enrolment at https://%s/.well-known/est", host_and_port(*self.http.addresses[0]))
        async with beside(again(_ASK_SECONDS, self._renew), self._follow(), self._drain(draining)):
            try:
                yield
            finally:
                await self.http.drain()

    async def _listen(self) -> None:
        try:
            await self.http.start()
        except CannotListen as problem:
            raise cannot_listen("--est", *self._address, problem.reason) from None

    async def _renew(self) -> None:
        """Daily, and when the clock goes back: what was made by a wrong clock may be valid not yet, or no longer."""
        if not 0 <= self._services.clock() - self._presented_at < DAY:
            self._presented_at = await self._present(self._tls)

    async def _present(self, tls: Tls) -> Instant:
        """Returns the time for which it is shown."""
        config, at = self._config, self._services.clock()
        if config.est_certificate is not None and config.est_key is not None:
            self._present_files(tls, config.est_certificate, config.est_key)
        else:
            await self._present_own(tls)
        return at

    async def _present_own(self, tls: Tls) -> None:
        host = self.http.host
        names = self._config.est_names or tuple(dict.fromkeys((socket.gethostname(), "localhost", "127.0.0.1", host)))
        shown = await authorities.certify_server(self._services, names)
        tls.present_text(shown.chain, shown.key, shown.password)

    def _present_files(self, tls: Tls, chain: Path, key: Path) -> None:
        try:
            tls.present(chain, key)
        except ssl.SSLError:
            raise ConfigError("--est-certificate and --est-key must be a certificate in PEM and its key.") from None
        except OSError as problem:  # it does not say which
            raise ConfigError(f"--est-certificate or --est-key cannot be read: {problem.strerror}.") from None

    async def _trust(self) -> None:
        """Trust the authorities that are stored since it was last asked, whichever process made them."""
        anchors, self._known = await authorities.trust_anchors(self._services, self._known)
        self._let_in(anchors)

    def _trust_new(self, certificate: bytes) -> None:
        """Trust an authority that this process makes, before its creator has the reply."""
        anchor = self._services.pki.anchor(certificate)
        if anchor is not None:
            self._made_here.append(anchor)
            self._let_in([anchor])

    def _let_in(self, anchors: Sequence[bytes]) -> None:
        self._tls.trust(anchors)
        self._trusted += len(anchors)

    async def _forget_deleted(self) -> None:
        """Begin again with the authorities that there are: OpenSSL lets go of none, but tenants delete some."""
        tls, made_before = Tls(), len(self._made_here)
        presented_at = await self._present(tls)
        anchors, known = await authorities.trust_anchors(self._services, 0)
        await asyncio.to_thread(tls.trust, anchors)  # nobody uses it yet
        self._tls, self._known, self._trusted, self._presented_at = tls, known, len(anchors), presented_at
        self._let_in(self._made_here)  # some were not stored yet
        del self._made_here[:made_before]
        self._allow_spare()
        self.http.show(tls.context)

    def _allow_spare(self) -> None:
        self._most_trusted = 2 * self._trusted + limits.MAX_SPARE_ANCHORS

    async def _follow(self) -> None:
        """Trust what is new after each commit that this process hears of, and every few seconds."""
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_ASK_SECONDS):
                    await self._committed.wait()
            self._committed.clear()
            with contextlib.suppress(Exception):  # tried again after the next commit
                await self._trust()
                if self._trusted > self._most_trusted:
                    await self._forget_deleted()

    async def _drain(self, draining: asyncio.Event) -> None:
        await draining.wait()
        await self.http.drain()

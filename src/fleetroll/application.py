"""The whole server except its store and its socket: the dialects that are spoken, and the handler that they share."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path

from fleetroll.config import NO_BROKER, Config, ConfigError
from fleetroll.core.times import SECOND
from fleetroll.dialects.blynk.routes import DIALECT as BLYNK
from fleetroll.dialects.blynk_device.routes import DIALECT as BLYNK_DEVICE
from fleetroll.dialects.enrollment.routes import DIALECT as ENROLLMENT
from fleetroll.dialects.enrollment.routes import UPSTREAM_DIALECT as UPSTREAM_ENROLLMENT
from fleetroll.dialects.est.routes import DIALECT as EST
from fleetroll.dialects.est.routes import UPSTREAM_DIALECT as UPSTREAM_EST
from fleetroll.dialects.lamassu.routes import DIALECT as LAMASSU
from fleetroll.dialects.lamassu.routes import UPSTREAM as UPSTREAM_LAMASSU
from fleetroll.dialects.memfault.routes import DEVICE as MEMFAULT_DEVICE
from fleetroll.dialects.memfault.routes import DIALECT as MEMFAULT
from fleetroll.dialects.memfault.routes import OBJECT_HARDWARE
from fleetroll.dialects.native.routes import DIALECT as NATIVE
from fleetroll.dialects.oauth2.routes import DIALECT as OAUTH2
from fleetroll.dialects.relay.routes import DIALECT as RELAY
from fleetroll.dialects.telemetron.routes import DIALECT as TELEMETRON
from fleetroll.service.operations import Services
from fleetroll.wire.cors import Cors
from fleetroll.wire.dialect import Dialect
from fleetroll.wire.http_refusals import Refusals
from fleetroll.wire.log import AccessLog
from fleetroll.wire.metrics import Condition, Metrics
from fleetroll.wire.rate_limits import Rate, SharedLimitState
from fleetroll.wire.serve import Kernel
from fleetroll.wire.settings import Settings
from fleetroll.wire.subjects import Subjects
from fleetroll.wire.system_pages import OPEN_PATHS, SystemPages

DIALECTS = (
    NATIVE,
    TELEMETRON,
    MEMFAULT_DEVICE,
    MEMFAULT,
    BLYNK,
    BLYNK_DEVICE,
    RELAY,
    LAMASSU,
    ENROLLMENT,
    EST,
    OAUTH2,
)
# The dialects that answer instead of their namesakes if the operator has chosen so.
_PROFILES: tuple[tuple[Callable[[Config], bool], tuple[Dialect, ...]], ...] = (
    (
        lambda config: config.lamassu_profile == "upstream",
        (UPSTREAM_EST, UPSTREAM_LAMASSU, UPSTREAM_ENROLLMENT),
    ),
    (lambda config: config.memfault_hardware_version == "object", (OBJECT_HARDWARE,)),
)


def require_known_dialects(config: Config) -> None:
    """Raises ConfigError if a dialect that does not exist is switched off."""
    known = [dialect.name for dialect in DIALECTS]
    for name in config.disabled_dialects:
        if name not in known:  # ignored, it would leave open what was meant to be shut
            raise ConfigError(f"--disable takes one of {', '.join(known)}, not {name}.")


class Application:
    """What tests drive in process and `serve` puts behind a port."""

    def __init__(
        self, config: Config, services: Services, access: AccessLog, limit_state: SharedLimitState | None = None
    ) -> None:
        self._config, self._services = config, services
        self.metrics = Metrics(os.getpid() if config.workers > 1 else None)
        self.ready = True
        settings = Settings(
            _rate(config.key_rate),
            _rate(config.organization_rate),
            config.trusted_proxies,
            config.public_url,
            limit_state,
        )
        off = set(config.disabled_dialects)
        enabled = tuple(dialect for dialect in _spoken(config) if not {dialect.name, dialect.part_of} & off)
        self.kernel = Kernel(services, enabled, NATIVE, settings, self.metrics, access, OPEN_PATHS)
        pages = SystemPages(self.kernel, enabled, self.metrics, self._is_ready, self._condition)
        cors = Cors(config.cors_origins)
        self.asgi = cors.around(pages, self.kernel.request_id)
        self.refusals = Refusals(cors.permission, self.kernel.wording)
        self.subjects = Subjects(self.kernel, enabled)

    def _is_ready(self) -> bool:
        return self.ready and self._services.store.receives_news

    def _condition(self) -> Condition:
        services, bus = self._services, self._services.bus
        waiting = bus.waiting_since
        return Condition(
            is_ready=self._is_ready(),
            followers=services.publisher.followers,
            free=_free(self._config.data),
            reaches_broker=None if self._config.nats == NO_BROKER else bus.is_up,
            delay=0.0 if waiting is None else max(0.0, (services.clock() - waiting) / SECOND),
        )


def _spoken(config: Config) -> list[Dialect]:
    """Each dialect in the profile that the operator has chosen for it."""
    chosen = {dialect.name: dialect for is_chosen, others in _PROFILES if is_chosen(config) for dialect in others}
    return [chosen.get(dialect.name, dialect) for dialect in DIALECTS]


def _free(directory: Path) -> int | None:
    try:
        return shutil.disk_usage(directory).free
    except OSError:  # a disk that has failed; what else is known is still told
        return None


def _rate(per_second: float) -> Rate:
    return Rate(per_second, int(per_second * 2))

"""Where devices are that were transferred while something that they had published was on its way."""

from fleetroll.bus.port import Message
from fleetroll.core.ids import parse_broker_org, parse_device_hex
from fleetroll.core.model import Device, Instant
from fleetroll.core.query import OffsetPage
from fleetroll.core.times import SECOND
from fleetroll.service.devices import MOVED, known_by_id
from fleetroll.store.port import Records

_CUT_OFF = SECOND  # within which a device's connections end with its credentials


class Homes:
    """Looks up where devices are, over the records of one transaction; each is looked up once."""

    def __init__(self, records: Records) -> None:
        self._records = records
        # By organization and device as messages name them: where it is, and when its old connections had ended.
        self._known: dict[tuple[str, str], tuple[int, Instant] | None] = {}

    async def of(self, message: Message) -> int | None:
        """The organization that the device was transferred to after it published the message; None if it was not."""
        name = message.org, message.device
        if name not in self._known:
            self._known[name] = await self._look_up(message)
        known = self._known[name]
        return known[0] if known is not None and message.at <= known[1] else None

    async def device(self, message: Message) -> Device | None:
        home = await self.of(message)
        return None if home is None else await known_by_id(self._records, home, message.device)

    async def _look_up(self, message: Message) -> tuple[int, Instant] | None:
        org, number = parse_broker_org(message.org), parse_device_hex(message.device)
        held = await self._records.devices.token(number) if number is not None else None
        if org is None or number is None or held is None:
            return None
        moved, _ = await self._records.timeline.of_types(org, number, [MOVED], OffsetPage(1))
        return (held.org, moved[0].at + _CUT_OFF) if moved else None

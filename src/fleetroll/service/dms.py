"""DMS: the policies by which devices enrol. What they lead to is in `enrollment`."""

from fleetroll.core import dms
from fleetroll.core.dms import Dms
from fleetroll.core.faults import not_found
from fleetroll.core.names import path_segment
from fleetroll.core.policy import Action
from fleetroll.service import authorities, quotas
from fleetroll.service.named import Noun
from fleetroll.service.operations import Call, Effect, operation


async def _check(call: Call, new: Dms) -> None:
    """The authority that issues is made on first use; the others must be there."""
    path_segment(new.name, "id")
    dms.check(new.settings)
    issuer = await authorities.ensure(call, new.settings.authority)
    authorities.signer(issuer)
    for name in new.settings.authorities - {issuer.name}:
        if await call.records.authorities.get(call.org, name) is None:
            raise not_found("authority", name)


def _weight(one: Dms) -> int:
    profile = one.settings.profile
    return sum(map(len, (one.metadata, one.extras, profile.metadata, profile.extras)))


noun: Noun[Dms] = Noun(
    "dms",
    "name",
    lambda records: records.dms,
    Action.DMS_READ,
    Action.DMS_WRITE,
    check=_check,
    plural="dms",
    weight=_weight,
)


@operation(Action.DMS_READ, Effect.READ)
async def count(call: Call, _: None) -> int:
    """How many there are."""
    return await quotas.used(call, "dms")

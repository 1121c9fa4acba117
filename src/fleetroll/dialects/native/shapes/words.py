"""Words that some members take alone, for the description: a wrong one is refused with all that there are."""

from typing import Annotated

from msgspec import Meta

from fleetroll.core import groups, limits, model, policy
from fleetroll.core.certificates import Reason

KeyRole = Annotated[str, Meta(extra_json_schema={"enum": [role.value for role in policy.GRANTABLE]})]
KeyKind = Annotated[str, Meta(extra_json_schema={"enum": [kind.value for kind in model.KeyKind]})]
OwnerRole = Annotated[str, Meta(extra_json_schema={"enum": [role.value for role in model.OwnerRole]})]
OwnerStatus = Annotated[str, Meta(extra_json_schema={"enum": [status.value for status in model.OwnerStatus]})]
UnitSystem = Annotated[str, Meta(extra_json_schema={"enum": [system.value for system in model.UnitSystem]})]
FieldKind = Annotated[str, Meta(extra_json_schema={"enum": [kind.value for kind in model.FieldKind]})]
Protocol = Annotated[str, Meta(extra_json_schema={"enum": [protocol.value for protocol in model.Protocol]})]
GroupField = Annotated[str, Meta(extra_json_schema={"enum": list(groups.FIELDS)})]
Scope = Annotated[str, Meta(extra_json_schema={"enum": sorted(action.value for action in policy.MINIMUM_ROLE)})]
Quota = Annotated[str, Meta(extra_json_schema={"enum": list(limits.DEFAULT_QUOTAS)})]
RevocationReason = Annotated[str, Meta(extra_json_schema={"enum": [reason.name.lower() for reason in Reason]})]

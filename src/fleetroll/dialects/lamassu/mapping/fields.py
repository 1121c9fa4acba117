"""What lists, counts and groups may ask of a device, by the vendor's names."""

from fleetroll.core.bracketed import FilterField, Kind
from fleetroll.core.identity import INTERNAL
from fleetroll.core.spelling import OURS

FIELDS = {
    "id": FilterField("ident", Kind.TEXT),
    "dms_owner": FilterField("dms", Kind.TEXT, optional=True),
    "creation_timestamp": FilterField("created_at", Kind.TIME),
    "status": FilterField("status", Kind.CHOICE, OURS),
    "tags": FilterField("tags", Kind.SET),
    "metadata": FilterField("metadata", Kind.DOCUMENT),
    "identity_slot": FilterField("identity", Kind.DOCUMENT, OURS, hidden=INTERNAL),
}

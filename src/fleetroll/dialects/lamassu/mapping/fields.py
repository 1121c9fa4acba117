"""What lists, counts and groups may ask of a device, by the vendor's names."""

from fleetroll.core.bracketed import Asked, Kind
from fleetroll.core.spelling import OURS

FIELDS = {
    "id": Asked("ident", Kind.TEXT),
    "dms_owner": Asked("dms", Kind.TEXT, optional=True),
    "creation_timestamp": Asked("created_at", Kind.TIME),
    "status": Asked("status", Kind.CHOICE, OURS),
    "tags": Asked("tags", Kind.SET),
    "metadata": Asked("metadata", Kind.DOCUMENT),
    "identity_slot": Asked("identity", Kind.DOCUMENT, OURS),
}

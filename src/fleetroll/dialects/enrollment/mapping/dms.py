"""DMS: the policies by which devices enrol."""

from typing import Any

from fleetroll.core import documents, names, patch
from fleetroll.core.dms import Dms
from fleetroll.core.faults import invalid
from fleetroll.core.model import unstored
from fleetroll.core.query import Part
from fleetroll.core.times import to_datetime
from fleetroll.dialects.enrollment import shapes
from fleetroll.dialects.enrollment.mapping.paging import bookmark
from fleetroll.dialects.enrollment.mapping.settings import SENT, settings, settings_of
from fleetroll.service import named
from fleetroll.wire.loose_names import LooseDecoder
from fleetroll.wire.request import Request

_SETTINGS = LooseDecoder(shapes.Settings)


def new_dms(request: Request) -> Dms:
    body, members = request.body, _SETTINGS.spelled(request.body.settings or {})
    extras = documents.of({SENT: members}, SENT)
    metadata = documents.of(body.metadata or {}, "metadata")
    title = names.line(body.name, "name") if body.name else body.id
    return unstored(Dms, name=body.id, title=title, settings=settings(members), metadata=metadata, extras=extras)


def replace_dms(request: Request) -> named.Edit:
    new = new_dms(request)
    if new.name not in {"", request.path["id"]}:
        raise invalid("immutable_id", "The id of a DMS cannot be changed.", "id")
    change = {name: getattr(new, name) for name in ("settings", "metadata", "extras")}
    return named.Edit(request.path["id"], change | ({"title": new.title} if new.title else {}), request.guard)


def patch_metadata(request: Request) -> named.Edit:
    steps = patch.parse_json_patch(request.body.patches, lenient=True)

    def edit(was: Dms) -> dict[str, Any]:
        changed = patch.apply_json_patch(documents.load(was.metadata), steps, lenient=True)
        return {"metadata": documents.of(changed, "metadata")}

    return named.Edit(request.path["id"], edit, request.guard)


def one_dms(request: Request) -> named.Named:
    return named.Named(request.path["id"], request.guard)


def dms(record: Dms, request: Request) -> shapes.Dms:
    return shapes.Dms(record.name, record.title, record.metadata, to_datetime(record.created_at), settings_of(record))


def dms_page(result: Part[Dms, str], request: Request) -> shapes.DmsList:
    return shapes.DmsList(bookmark(result.next, request), [dms(record, request) for record in result.records])


def dms_stats(total: int, request: Request) -> shapes.Total:
    return shapes.Total(total)

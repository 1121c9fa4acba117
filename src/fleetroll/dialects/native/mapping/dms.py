"""DMS: who may enrol, and what they get."""

from typing import Any

from msgspec import UNSET, UnsetType, structs

from fleetroll.core import documents, names
from fleetroll.core.dms import Admission, Distribution, Dms, Profile, Renewal, Settings, windows
from fleetroll.core.documents import EMPTY
from fleetroll.core.guards import etag
from fleetroll.core.model import unstored
from fleetroll.core.times import SECOND
from fleetroll.dialects.native.mapping.authorities import key_kind, public_key
from fleetroll.dialects.native.mapping.devices import tags
from fleetroll.dialects.native.mapping.members import merged
from fleetroll.dialects.native.mapping.times import at
from fleetroll.dialects.native.shapes import dms as shapes
from fleetroll.dialects.native.shapes.authorities import PublicKey
from fleetroll.service import named
from fleetroll.wire.dialect import Reply
from fleetroll.wire.request import Request


def dms(record: Dms, request: Request) -> Reply:
    shape = shapes.Dms(
        record.id,
        record.name,
        record.title,
        _settings_out(record.settings),
        record.metadata,
        at(record.created_at),
        at(record.updated_at),
        record.revision,
    )
    return Reply(shape, etag=etag(record))


def _settings_out(settings: Settings) -> shapes.DmsSettings:
    admission, renewal, distribution = settings.admission, settings.renewal, settings.distribution
    opens = None if renewal.opens is None else renewal.opens // SECOND
    return shapes.DmsSettings(
        settings.authority,
        shapes.Admission(admission.proof, list(admission.authorities), admission.allow_expired, admission.levels),
        settings.registration,
        settings.replaceable,
        shapes.Profile(list(settings.profile.tags), documents.load(settings.profile.metadata)),
        shapes.Renewal(list(renewal.authorities), renewal.allow_expired, renewal.revoke_replaced, opens),
        settings.windows.preventive // SECOND,
        settings.windows.critical // SECOND,
        shapes.Distribution(distribution.own, list(distribution.others), distribution.server),
        public_key(settings.keygen) if settings.keygen else None,
        settings.lifetime // SECOND,
        settings.with_names,
    )


def _settings_in(shape: shapes.DmsSettings) -> Settings:
    admission, renewal, distribution = shape.admission, shape.renewal, shape.distribution
    opens = None if renewal.opens is None else renewal.opens * SECOND
    metadata = documents.of(shape.profile.metadata, "settings.profile.metadata")
    return Settings(
        authority=shape.authority,
        admission=Admission(admission.proof, tuple(admission.authorities), admission.allow_expired, admission.levels),
        registration=shape.registration,
        replaceable=shape.replaceable,
        profile=Profile(tags(shape.profile.tags), metadata),
        renewal=Renewal(tuple(renewal.authorities), renewal.allow_expired, renewal.revoke_replaced, opens),
        windows=windows(shape.lifetime * SECOND, _span(shape.preventive), _span(shape.critical)),
        distribution=Distribution(distribution.own, tuple(distribution.others), distribution.server),
        keygen=key_kind(shape.keygen) if shape.keygen else None,
        lifetime=shape.lifetime * SECOND,
        with_names=shape.with_names,
    )


def _span(seconds: int | UnsetType) -> int | None:
    return None if seconds is UNSET else seconds * SECOND


def new_dms(request: Request) -> Dms:
    body = request.body
    name = names.path_segment(body.name, "name")
    title = name if body.title is None else names.line(body.title, "title")
    metadata = documents.of(body.metadata, "metadata")
    settings = _settings_in(body.settings)
    return unstored(Dms, name=name, title=title, settings=settings, metadata=metadata, extras=EMPTY)


def change_dms(request: Request) -> named.Edit:
    body = request.body

    def edit(was: Dms) -> dict[str, Any]:
        members: dict[str, Any] = {}
        if body.title is not UNSET:
            members["title"] = names.line(body.title, "title")
        if body.settings is not UNSET:
            members["settings"] = _changed(was.settings, body.settings)
        if body.metadata is not UNSET:
            members["metadata"] = documents.of(merged(documents.load(was.metadata), body.metadata), "metadata")
        return members

    return named.Edit(request.path["name"], edit, request.guard)


def _changed(was: Settings, change: shapes.DmsSettingsChange) -> Settings:
    """Changes only what differs: vendors have members in the profile, and finer times, that are not shown here."""
    shown = _settings_out(was)
    base = structs.replace(shown, keygen=shown.keygen or PublicKey()) if change.keygen else shown
    before, after = _settings_in(shown), _settings_in(merged(base, change))
    differs = [name for name in Settings.__struct_fields__ if getattr(after, name) != getattr(before, name)]
    now = structs.replace(was, **{name: getattr(after, name) for name in differs})
    return structs.replace(now, profile=structs.replace(now.profile, extras=was.profile.extras))

"""Owners of devices."""

from typing import Any

from msgspec import structs

from fleetroll.core import limits, model, names
from fleetroll.core.guards import etag
from fleetroll.dialects.native.mapping.members import choice, texts
from fleetroll.dialects.native.mapping.times import at
from fleetroll.dialects.native.shapes import owners as shapes
from fleetroll.service import named, owners
from fleetroll.wire.dialect import Reply
from fleetroll.wire.request import Request


def owner(record: model.Owner, request: Request) -> Reply:
    fields = structs.asdict(record)
    del fields["org"], fields["twin"]
    fields |= {name: getattr(record, name).value for name in _OWNER_WORDS}
    shape = shapes.Owner(**{**fields, "created_at": at(record.created_at), "updated_at": at(record.updated_at)})
    return Reply(shape, etag=etag(record))


_OWNER_WORDS = {"role": model.OwnerRole, "status": model.OwnerStatus}


def _owner_members(body: Any) -> dict[str, Any]:
    """The members of an owner that a body gives, all but its reference."""
    members = texts(structs.asdict(body).items(), limits.MAX_NAME)
    members.pop("ref", None)
    for name in _OWNER_WORDS.keys() & members.keys():
        members[name] = choice(_OWNER_WORDS[name], members[name], name)
    if members.get("time_zone") is not None:
        names.time_zone(members["time_zone"], "time_zone")
    return members


def new_owner(request: Request) -> model.Owner:
    new: model.Owner = structs.replace(owners.blank(names.owner_ref(request.body.ref)), **_owner_members(request.body))
    return new


def change_owner(request: Request) -> named.Edit:
    return named.Edit(request.path["name"], _owner_members(request.body), request.guard)

"""Projects, and their key."""

from collections.abc import Sequence
from typing import Any

from msgspec import UNSET

from fleetroll.core import model, names
from fleetroll.core.query import Slice
from fleetroll.core.times import iso
from fleetroll.dialects.memfault.mapping.members import keep_slug
from fleetroll.dialects.memfault.mapping.paging import by_creation, check_order, many, offset_page, picked
from fleetroll.dialects.memfault.shapes import projects as shapes
from fleetroll.dialects.memfault.shapes.envelopes import One
from fleetroll.service import organizations, projects
from fleetroll.wire.dialect import LongList
from fleetroll.wire.request import Request


def one_project(request: Request) -> str:
    return request.path["project"]


def project_shape(project: projects.Project) -> shapes.Project:
    record = project.organization
    made, changed = iso(record.created_at), iso(record.updated_at)
    profile = record.profile
    return shapes.Project(
        record.id, record.name, project.slug, profile.platform, profile.os, project.key, project.devices, made, changed
    )


def shown_project(project: projects.Project, request: Request) -> One:
    return One(project_shape(project))


def list_projects(request: Request) -> projects.Listing:
    check_order(request)

    def choose(organizations: Sequence[model.Organization]) -> list[model.Organization]:
        chosen = picked(
            organizations,
            request,
            name=lambda organization: organization.name,
            platform=lambda organization: organization.profile.platform,
            os=lambda organization: organization.profile.os,
        )
        return by_creation(chosen, request, lambda organization: organization.created_at)

    return projects.Listing(choose, offset_page(request))


def project_page(result: Slice[projects.Project], request: Request) -> LongList:
    return many(result.records, result.total, project_shape, request)


def new_project(request: Request) -> organizations.Described:
    body = request.body
    profile = model.OrganizationProfile(**_devices_of(body))
    slug, name = names.slug(body.slug) if body.slug else "", names.line(body.name, "name")
    return organizations.Described(slug, name, profile=profile)


def change_project(request: Request) -> projects.Edit:
    body = request.body
    keep_slug(body.slug, request.path["project"], "project")
    name = None if body.name is None else names.line(body.name, "name")
    return projects.Edit(request.path["project"], name, _devices_of(body))


def _devices_of(body: shapes.NewProject | shapes.ProjectChange) -> dict[str, Any]:
    """What a body says of a project's devices."""
    texts = {name: text for name in ("platform", "os") if (text := getattr(body, name)) is not UNSET}
    return {name: names.line(text, name) if text else None for name, text in texts.items()}


def api_key(key: str, request: Request) -> One:
    return One(shapes.ApiKey(key))

"""Rows about projects, and their key."""

from fleetroll.dialects.memfault.mapping import projects as mapping
from fleetroll.dialects.memfault.mapping.paths import whole_organization
from fleetroll.dialects.memfault.routes.parameters import BY_CREATION, NAMES, ORGANIZATION, PROJECT, in_project
from fleetroll.dialects.memfault.shapes import projects as shapes
from fleetroll.dialects.memfault.shapes.envelopes import Many, One
from fleetroll.service import projects
from fleetroll.wire.dialect import Parameter, Route, no_input, nothing

ROUTES = (
    Route(
        "POST",
        ORGANIZATION,
        projects.create,
        mapping.new_project,
        mapping.shown_project,
        "Create a project",
        body=shapes.NewProject,
        reply=One,
        organization=whole_organization,
    ),
    Route(
        "GET",
        ORGANIZATION,
        projects.page,
        mapping.list_projects,
        mapping.project_page,
        "List projects",
        reply=Many,
        query=(
            *NAMES,
            Parameter("platform", "exact platform; may be repeated", "array"),
            Parameter("os", "exact operating system; may be repeated", "array"),
            BY_CREATION,
        ),
        organization=whole_organization,
    ),
    in_project("GET", PROJECT, projects.get, mapping.one_project, mapping.shown_project, "Read a project", reply=One),
    in_project(
        "PATCH",
        PROJECT,
        projects.edit,
        mapping.change_project,
        mapping.shown_project,
        "Change a project",
        body=shapes.ProjectChange,
        reply=One,
    ),
    in_project("DELETE", PROJECT, projects.delete, no_input, nothing, "Delete an empty project", status=204),
    in_project(
        "GET",
        f"{PROJECT}/api_key",
        projects.key,
        no_input,
        mapping.api_key,
        "The key with which the project's devices report",
        reply=One,
        secret=True,
    ),
    in_project(
        "POST",
        f"{PROJECT}/api_key",
        projects.rotate,
        no_input,
        mapping.api_key,
        "Replace the project key; the previous one stops working",
        reply=One,
        secret=True,
    ),
)

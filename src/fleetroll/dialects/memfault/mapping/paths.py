"""What a path says besides names: the project that a request is about."""

from collections.abc import Mapping

from fleetroll.service import projects


def project(path: Mapping[str, str]) -> tuple[str, str]:
    return path["organization"], path["project"]


def whole_organization(path: Mapping[str, str]) -> tuple[str, str]:
    return path["organization"], projects.DEFAULT

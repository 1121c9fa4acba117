"""Rows about making a certificate the identity of a device."""

from fleetroll.core.spelling import Spelling
from fleetroll.dialects.enrollment import shapes
from fleetroll.dialects.enrollment.mapping import binding as mapping
from fleetroll.dialects.enrollment.routes.parameters import DMS
from fleetroll.service import binding
from fleetroll.wire.dialect import Route


def routes(spelling: Spelling) -> tuple[Route, ...]:
    return (
        Route(
            "POST",
            f"{DMS}/bind-identity",
            binding.bind,
            mapping.bind,
            mapping.bound(spelling),
            "Make a certificate the identity of a device",
            body=shapes.Bind,
            reply=shapes.Bound,
        ),
    )

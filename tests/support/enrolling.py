"""Devices that enrol in process: the very operation that EST leads to, without a connection."""

from typing import Any

from fleetroll.core.secrets import Issuer, Presented
from fleetroll.service import enrollment
from fleetroll.service.enrollment import EnrollmentReply, EnrollmentRequest, Peer
from tests.support import der
from tests.support.app import App

SECURE = Peer(secure=True)


def make_line(app: App, settings: dict[str, Any]) -> None:
    """Make the DMS `line`, by Lamassu's interface."""
    body = {"id": "line", "name": "Line", "settings": settings}
    assert app.request("POST", "/api/dmsmanager/v1/dms", body).status == 201


def certificate(app: App, serial: str) -> Any:
    """As Lamassu's interface shows it."""
    return app.request("GET", f"/api/ca/v1/certificates/{serial}").json()


def enrol(
    app: App, label: str, request: bytes, operation: Any = enrollment.enroll, peer: Peer = SECURE
) -> EnrollmentReply:
    """What EST would answer. Raises Fault."""

    async def call() -> EnrollmentReply:
        services = app.services
        principal = await services.keyring.identify(Presented(Issuer.ENROLLEE, label), services.clock())

        def finish(result: EnrollmentReply) -> EnrollmentReply:
            return result

        return await services.perform(operation, principal, EnrollmentRequest(label, request, peer), "test", finish)

    return app.runner.run(call())


def enrolled(app: App, label: str, common_name: str) -> str:
    """The serial number of the certificate of a device that has just enrolled."""
    answer = enrol(app, label, der.device(common_name))
    return app.services.pki.describe(answer.certificate).serial

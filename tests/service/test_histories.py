"""What takes a whole history along, however long that is, keeps nobody waiting but those who write."""

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from fleetroll.core.secrets import Issuer, Presented
from fleetroll.service import devices, numbered_devices, organizations
from fleetroll.service.operations import Operation
from tests.support.app import ADMIN_KEY, App, about_sqlite, running

Wanted = Callable[[int], Any]


@about_sqlite
@pytest.mark.parametrize(
    ("operation", "wanted"),
    [
        pytest.param(devices.delete, lambda _: devices.Named("a"), id="a device is deleted"),
        pytest.param(devices.delete_ended, lambda _: devices.Named("ended"), id="an ended one is deleted"),
        pytest.param(numbered_devices.delete, numbered_devices.Numbered, id="one is deleted by number"),
        pytest.param(devices.transfer, lambda _: devices.Transfer("a", "below", None), id="a device is moved"),
        pytest.param(numbered_devices.clear, numbered_devices.Numbered, id="a device is cleared"),
        pytest.param(organizations.delete, lambda _: organizations.Named("below"), id="an organization is deleted"),
    ],
)
def test_it_does_not_run_where_all_others_are_answered(
    tmp_path: Path, operation: Operation[Any, Any], wanted: Wanted
) -> None:
    async def story(app: App) -> bool:
        services = app.services
        number = (await app.call("POST", "/v1/devices", {"ident": "a"})).json()["id"]
        assert (await app.call("POST", "/v1/devices", {"ident": "ended"})).status == 201
        assert (await app.call("POST", "/v1/devices/ended:decommission")).status == 200
        assert (await app.call("POST", "/v1/organizations", {"slug": "below", "name": "Below"})).status == 201
        who = await services.keyring.identify(Presented(Issuer.KEY, ADMIN_KEY), services.clock())
        main = threading.current_thread()
        done: bool = await services.perform(
            operation, who, wanted(number), "test", lambda _: threading.current_thread() is not main
        )
        return done

    with running(tmp_path / "data") as app:
        assert app.runner.run(story(app))

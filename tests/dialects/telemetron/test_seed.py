"""The vendor's two documented requests, word for word but for host and key, against a real server."""

import json
import re
import shlex
import shutil
import subprocess
from pathlib import Path
from typing import Any

from tests.support.process import Process, serving
from tests.support.transcripts import over_socket

SEED = Path(__file__).parent / "seed"


def run(server: Process, name: str) -> Any:
    """Run a command of the page; where there is no curl, send what it would."""
    written = (SEED / f"{name}.sh").read_text()
    command = written.replace("https://admin.telemetron.ai", server.url).replace("your-api-key", server.key)
    if shutil.which("curl"):
        done = subprocess.run(["sh", "-c", command], capture_output=True, check=True, timeout=120)
        return json.loads(done.stdout)
    _, _, method, url, *options = shlex.split(command)
    given = list(zip(options[::2], options[1::2], strict=True))
    headers = dict(value.split(": ", 1) for flag, value in given if flag == "-H")
    body = "".join(value for flag, value in given if flag == "-d").encode()
    return over_socket(server.port)(method, url.removeprefix(server.url), headers, body).json()


def native(server: Process, method: str, target: str, body: Any = None, media_type: str = "application/json") -> Any:
    headers = {"authorization": f"Bearer {server.key}", "content-type": media_type}
    reply = over_socket(server.port)(method, target, headers, b"" if body is None else json.dumps(body).encode())
    assert reply.status == 200, reply.body
    return reply.json()


def test_the_documented_requests_make_a_device_that_is_found_filtered_changed_and_exported(tmp_path: Path) -> None:
    with serving(tmp_path / "data") as server:
        created = run(server, "create")
        assert re.fullmatch("dev_[0-9a-z]+", created["deviceId"])
        assert created == {
            "success": True,
            "message": "Device created successfully",
            "deviceId": created["deviceId"],
            "identifier": "sensor-001",
            "type": "sensor",
        }
        assert run(server, "update") == created | {"message": "Device updated successfully"}

        found = native(server, "GET", "/v1/devices/sensor-001")
        assert found["kind"] == "sensor"
        assert found["metadata"] == {"location": "Building B", "firmware": "v2.2.0"}
        wanted = "metadata.location%20=%20%22Building%20B%22%20AND%20kind%20=%20%22sensor%22"
        assert native(server, "GET", f"/v1/devices?filter={wanted}")["devices"] == [found]
        patch = {"tags": ["north"], "metadata": {"firmware": "v3"}}
        changed = native(server, "PATCH", "/v1/devices/sensor-001", patch, "application/merge-patch+json")
        assert changed["metadata"] == {"location": "Building B", "firmware": "v3"}
        assert native(server, "GET", "/v1/devices:export") == changed

        assert run(server, "update") == created | {"message": "Device updated successfully"}
        after = native(server, "GET", "/v1/devices/sensor-001")
        assert (after["metadata"]["firmware"], after["tags"]) == ("v2.2.0", ["north"])

"""The Python of the page on the SDKs runs as it stands, against a server with a broker."""

import os
import subprocess
import sys
from pathlib import Path

from tests.support import docs
from tests.support.relay import Vendor, run, vendor

PAGE = docs.read("docs/relay.md")


def test_the_first_success_succeeds(tmp_path: Path) -> None:
    (script,) = (block.text for block in docs.blocks(PAGE) if block.language == "python")
    (command,) = (block.text for block in docs.blocks(PAGE) if block.language == "sh")

    async def story() -> None:
        async with vendor(tmp_path / "data") as served:
            environment = surroundings(served, await served.point())
            for words in (["bash", "-ec", command], [sys.executable, "-c", script]):
                done = subprocess.run(  # noqa: ASYNC221  # nothing else happens here meanwhile
                    words, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=60, check=False
                )
                assert done.returncode == 0, done.stderr
            assert "reportInterval" in done.stdout
            await served.until(lambda found: found["readings"], "GET", "/v1/devices/sensor_01/telemetry")

    run(story())


def surroundings(served: Vendor, broker: str) -> dict[str, str]:
    beside = Path(sys.executable).parent
    return {
        **os.environ,
        "FLEETROLL_URL": served.process.url,
        "FLEETROLL_KEY": served.process.key,
        "BROKER": broker,
        "PATH": f"{beside}:{os.environ['PATH']}",
    }

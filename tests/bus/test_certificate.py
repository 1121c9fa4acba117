"""The broker's certificate: shown at once, renewed before it expires, and nobody is cut off for it."""

import asyncio
import json
import ssl
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509

from fleetroll.bus.permissions import Authority
from fleetroll.bus.port import Certificate
from fleetroll.bus.settings import Files, Listeners, keep_certificate, names_to_renew, write
from tests.support.broker import (
    ORG,
    SERVER_KEY,
    Registry,
    address,
    broker,
    certificate,
    client,
    run,
    with_device,
)
from tests.support.nats_sockets import LEFT
from tests.support.waiting import PATIENCE

pytestmark = LEFT

NAMES = ["api.relay-x.io", "broker.example"]


async def shown(served: Any) -> x509.Certificate:
    """What the broker shows to whoever asks for TLS, which it offers after its first line."""
    host, port = address(served).removeprefix("nats://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    try:
        assert (await reader.readline()).startswith(b"INFO")
        context = ssl.create_default_context()
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        await writer.start_tls(context)
        return x509.load_der_x509_certificate(writer.get_extra_info("ssl_object").getpeercert(binary_form=True))
    finally:
        writer.close()


def is_shown_by(found: x509.Certificate, given: Certificate) -> bool:
    return found == x509.load_pem_x509_certificate(given.chain.encode())


@pytest.mark.parametrize("listeners", [{}, {"websocket": ("127.0.0.1", 0)}], ids=["nats", "websocket"])
def test_a_new_certificate_is_shown_at_once(tmp_path: Path, listeners: dict[str, Any]) -> None:
    async def story() -> None:
        first, second = (certificate(NAMES, timedelta(days=90)) for _ in range(2))
        async with broker(tmp_path / "nats", Registry(), **listeners) as served:
            for one in (first, second):
                await served.present(one)
                await asyncio.wait_for(served.up(), PATIENCE)
                assert is_shown_by(await shown(served), one)

    run(story())


def test_who_is_connected_stays_when_the_certificate_changes(tmp_path: Path) -> None:
    async def story() -> None:
        registry = Registry()
        keep_certificate(_files(tmp_path), certificate(NAMES, timedelta(days=90)))
        async with broker(tmp_path / "nats", registry) as served:
            device = await client(address(served), await with_device(served, registry))
            await served.present(certificate(NAMES, timedelta(days=90)))
            assert (await device.request(f"api.iot.devices.{ORG}.sdk.config.get", b"{}")).data
            await device.close()

    run(story())


def test_a_certificate_that_is_about_to_expire_is_replaced(tmp_path: Path) -> None:
    async def story() -> None:
        old = certificate(NAMES, timedelta(days=20))
        keep_certificate(_files(tmp_path), old)
        async with broker(tmp_path / "nats", Registry()) as served:
            async with asyncio.timeout(PATIENCE):
                while is_shown_by(found := await shown(served), old):
                    pass
            names = found.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
            assert [name.value for name in names] == NAMES

    run(story())


@pytest.mark.parametrize(("days", "due"), [(-1, NAMES), (0, NAMES), (44, NAMES), (46, [])])
def test_it_is_replaced_with_a_third_of_its_life_before_it(tmp_path: Path, days: int, due: list[str]) -> None:
    files = _files(tmp_path)
    assert names_to_renew(files, 0) == []
    keep_certificate(files, certificate(NAMES, timedelta(days=days)))
    assert names_to_renew(files, int(time.time())) == due


def test_a_certificate_and_its_key_belong_together_whenever_a_server_is_killed(tmp_path: Path) -> None:
    """A broker that finds the key of another certificate does not start."""
    files, made = _files(tmp_path), [certificate(NAMES, timedelta(days=90)) for _ in range(2)]
    keep_certificate(files, made[0])
    write(files, Listeners(("127.0.0.1", 0)), Authority(SERVER_KEY), 0, {})
    (line,) = [line for line in files.configuration.read_text().splitlines() if line.startswith("tls: ")]
    named = json.loads(line.removeprefix("tls: "))
    found = tmp_path / "found.pem"
    with ThreadPoolExecutor() as other:
        replacing = other.submit(lambda: [keep_certificate(files, one) for one in made * 100])
        while not replacing.done():
            kept = {name: Path(name).read_text() for name in {named["cert_file"], named["key_file"]}}
            found.write_text("".join(kept.values()))
            ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(found)


def _files(tmp_path: Path) -> Files:
    return Files(tmp_path / "nats")

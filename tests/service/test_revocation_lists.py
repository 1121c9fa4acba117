"""Revocation lists: signed once, the same until what is revoked changes, and never old."""

from collections.abc import Iterator
from email.utils import parsedate_to_datetime
from pathlib import Path

import pytest
from cryptography import x509
from msgspec import structs

from fleetroll.core.certificates import SignedList
from fleetroll.core.secrets import Issuer, Presented
from fleetroll.service import authorities
from fleetroll.service.named import Named
from tests.support.app import ADMIN_KEY, App, running
from tests.support.enrolling import enrolled

HOUR = 3_600 * 1_000_000
CRL = "/v1/authorities/default/crl"


@pytest.fixture
def app(tmp_path: Path) -> Iterator[App]:
    with running(tmp_path / "data") as app:
        settings = {"admission": {"proof": "NO_AUTH"}}
        assert app.request("POST", "/v1/dms", {"name": "line", "settings": settings}).status == 201
        yield app


def revoked(der: bytes) -> set[str]:
    return {f"{one.serial_number:x}" for one in x509.load_der_x509_crl(der)}


def number(der: bytes) -> int:
    return x509.load_der_x509_crl(der).extensions.get_extension_for_class(x509.CRLNumber).value.crl_number


def asked(app: App, at: int) -> SignedList:
    """The list of a server whose clock says `at`."""
    services = structs.replace(app.services, clock=lambda: at)

    async def perform() -> SignedList:
        who = await services.keyring.identify(Presented(Issuer.KEY, ADMIN_KEY), app.services.clock())

        def finish(result: SignedList) -> SignedList:
            return result

        return await services.perform(authorities.revocation_list, who, Named("default"), "test", finish)

    return app.runner.run(perform())


def rule(app: App, serial: str, verb: str) -> None:
    body = {"reason": "certificate_hold"} if verb == "revoke" else None
    assert app.request("POST", f"/v1/certificates/{serial}:{verb}", body).status == 200


def test_a_list_is_signed_anew_when_it_changes_and_only_then(app: App) -> None:
    first, second = (enrolled(app, "line", name) for name in ("pump-1", "pump-2"))
    empty = app.request("GET", CRL)
    assert revoked(empty.body) == set()
    rule(app, first, "revoke")
    one = app.request("GET", CRL)
    assert revoked(one.body) == {first}
    enrolled(app, "line", "pump-3")
    assert app.request("GET", CRL).body == one.body
    rule(app, second, "revoke")
    assert revoked(app.request("GET", CRL).body) == {first, second}
    rule(app, first, "restore")
    assert revoked(app.request("GET", CRL).body) == {second}


def test_a_list_is_the_same_however_much_of_it_is_read_at_a_time(app: App, monkeypatch: pytest.MonkeyPatch) -> None:
    serials = {enrolled(app, "line", f"pump-{number}") for number in range(5)}
    for serial in serials:
        rule(app, serial, "revoke")
    whole = app.request("GET", CRL).body
    assert revoked(whole) == serials
    for size in (1, 2, 5):
        monkeypatch.setattr(authorities, "_LIST_PAGE", size)
        assert app.request("GET", CRL).body == whole


def test_each_list_has_a_higher_number_than_those_before(app: App) -> None:
    """Even one that equals an earlier list: whoever knows the one in between would take it for old."""
    serial, numbers = enrolled(app, "line", "pump-1"), []
    for verb in ("revoke", "restore", "revoke", "restore"):
        numbers.append(number(app.request("GET", CRL).body))
        rule(app, serial, verb)
    assert numbers == sorted(set(numbers))


def test_who_has_the_list_is_not_sent_it_again(app: App) -> None:
    serial = enrolled(app, "line", "pump-1")
    shown = app.request("GET", CRL)
    signed = x509.load_der_x509_crl(shown.body).last_update_utc
    assert parsedate_to_datetime(shown.headers["last-modified"]) == signed
    known = {"if-none-match": shown.headers["etag"]}
    again = app.request("GET", CRL, headers=known)
    assert (again.status, again.body) == (304, b"")
    rule(app, serial, "revoke")
    assert app.request("GET", CRL, headers=known).status == 200


def test_a_list_is_signed_anew_long_before_it_ends_or_when_the_clock_goes_back(app: App) -> None:
    start = app.services.clock()
    moments = [start + hours * HOUR for hours in (1, 2, 12, 14, 13, 24)]
    listed = [asked(app, at).edition for at in moments]
    assert [one.at for one in listed] == [moments[0]] * 3 + [moments[3], moments[4], moments[4]]
    assert [one.number for one in listed] == sorted(one.number for one in listed)


def test_what_was_revoked_stays_on_a_list_issued_after_it_has_expired(app: App) -> None:
    """RFC 5280, 3.3: else whoever compares lists would think that it came back."""
    serial = enrolled(app, "line", "pump-1")
    rule(app, serial, "revoke")
    ends = app.runner.run(app.services.store.read.certificates.get(1, serial)).not_after
    assert revoked(asked(app, ends + 13 * HOUR).der) == {serial}
    assert revoked(asked(app, ends + 25 * HOUR).der) == set()


def test_numbers_rise_though_the_clock_goes_back_and_the_server_starts_again(tmp_path: Path) -> None:
    listed, days = [], (3, 2, 1, 1)
    for day in days:
        with running(tmp_path / "data") as app:
            if not listed:
                app.request("POST", "/v1/dms", {"name": "line"})
                start = app.services.clock()
            listed += [asked(app, start + day * 24 * HOUR), asked(app, start + day * 24 * HOUR + 1)]
    numbers = [number(one.der) for one in listed]
    first, second, third = numbers[0], numbers[2], numbers[4]
    assert first < second < third
    assert numbers == [first, first, second, second, third, third, third, third]


def test_a_server_that_starts_again_has_the_same_list(tmp_path: Path) -> None:
    shown = []
    for _ in range(2):
        with running(tmp_path / "data") as app:
            if not shown:
                app.request("POST", "/v1/dms", {"name": "line", "settings": {"admission": {"proof": "NO_AUTH"}}})
                rule(app, enrolled(app, "line", "pump-1"), "revoke")
            shown.append(app.request("GET", CRL))
            known = {"if-none-match": shown[0].headers["etag"]}
            assert app.request("GET", CRL, headers=known).status == 304
    first, second = (x509.load_der_x509_crl(one.body) for one in shown)
    assert first.tbs_certlist_bytes == second.tbs_certlist_bytes

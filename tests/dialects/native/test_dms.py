"""DMS by our own API: a change leaves alone what it does not name, however deep."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from msgspec import Struct

from fleetroll.core import limits
from fleetroll.dialects.native.shapes import authorities, dms
from tests.support.app import App, running

LINE = "/v1/dms/line"
SETTINGS = {
    "admission": {"proof": "NO_AUTH", "allow_expired": True, "levels": 3},
    "registration": "PRE_REGISTRATION",
    "profile": {"tags": ["new"], "metadata": {"site": "north", "hall": {"floor": 2, "row": 7}}},
    "renewal": {"revoke_replaced": False, "opens": 3_600},
    "keygen": {"type": "RSA", "bits": 3_072},
}


@pytest.fixture
def app(tmp_path: Path) -> Iterator[App]:
    with running(tmp_path / "data") as app:
        body = {"name": "line", "settings": SETTINGS, "metadata": {"owner": "ann", "phone": {"desk": 1}}}
        assert app.request("POST", "/v1/dms", body).status == 201
        yield app


def change(app: App, body: Any, media_type: str = "application/merge-patch+json") -> Any:
    reply = app.request("PATCH", LINE, body, headers={"content-type": media_type})
    assert reply.status == 200, reply.body
    return reply.json()


@pytest.mark.parametrize("media_type", ["application/merge-patch+json", "application/json"])
def test_a_change_of_one_setting_leaves_the_others(app: App, media_type: str) -> None:
    was = app.request("GET", LINE).json()["settings"]
    now = change(app, {"settings": {"lifetime": 86_400, "admission": {"levels": 2}}}, media_type)["settings"]
    assert now == was | {"lifetime": 86_400, "admission": was["admission"] | {"levels": 2}}
    assert now == app.request("GET", LINE).json()["settings"]


def test_a_malformed_name_is_refused_under_its_member(app: App) -> None:
    settings = {"settings": {"authority": "a b"}}
    for method, path, body, field in (
        ("POST", "/v1/dms", {"name": "a b"}, "name"),
        ("POST", "/v1/authorities", {"name": "a b"}, "name"),
        ("POST", "/v1/dms", {"name": "other", **settings}, "authority"),
        ("PATCH", LINE, settings, "authority"),
    ):
        refused = app.request(method, path, body)
        assert (refused.status, refused.json()["field"]) == (400, field), path
        assert refused.json()["detail"].startswith(f"{field} must be 1 to 64")


def test_an_authority_is_taken_in_by_one_certificate_alone(app: App) -> None:
    pem = app.request("POST", "/v1/authorities", {"name": "first"}).json()["certificate"]
    key = "-----BEGIN EC PRIVATE KEY-----\nAAAA\n-----END EC PRIVATE KEY-----\n"
    for text, code, words in (
        (key + pem, "private_key", "a private key, which is not stored here"),
        (pem + key.replace("EC ", "ENCRYPTED "), "private_key", "a private key, which is not stored here"),
        (pem + pem, "invalid_certificate", "add each authority by itself"),
        ("\n" * 40_000 + pem, "invalid_certificate", "at most 32768 bytes"),
        ("", "invalid_certificate", "must be a certificate in PEM"),
    ):
        refused = app.request("POST", "/v1/authorities", {"name": "other", "certificate": text})
        assert (refused.status, refused.json()["code"], refused.json()["field"]) == (400, code, "certificate")
        assert words in refused.json()["detail"]
    explained = {"name": "other", "certificate": f"subject=CN = first\n\n{pem}\n"}
    assert app.request("POST", "/v1/authorities", explained).status == 201


def test_a_key_that_cannot_be_made_is_refused_as_a_setting(app: App) -> None:
    body = {"name": "weak", "settings": {"keygen": {"type": "RSA", "bits": 1024}}}
    assert app.request("POST", "/v1/dms", body).json()["field"] == "settings"


@pytest.mark.parametrize(
    ("settings", "status"),
    [
        ({"lifetime": 3_600}, 200),
        ({"lifetime": 3_599}, 400),
        ({"lifetime": 25 * 365 * 86_400}, 200),
        ({"lifetime": 25 * 365 * 86_400 + 1}, 400),
        ({"admission": {"levels": 0}}, 400),
        ({"admission": {"levels": 1}}, 200),
        ({"admission": {"levels": limits.MAX_CHAIN}}, 200),
        ({"admission": {"levels": limits.MAX_CHAIN + 1}}, 400),
        ({"renewal": {"opens": 0}}, 200),
        ({"renewal": {"opens": -1}}, 400),
        ({"preventive": 5, "critical": 5}, 200),
        ({"preventive": 5, "critical": 6}, 400),
        ({"preventive": 5, "critical": -1}, 400),
    ],
)
def test_settings_have_bounds(app: App, settings: dict[str, Any], status: int) -> None:
    assert app.request("PATCH", LINE, {"settings": settings}).status == status


@pytest.mark.parametrize(
    "settings",
    [
        lambda name: {"authority": name},
        lambda name: {"admission": {"authorities": [name]}},
        lambda name: {"renewal": {"authorities": [name]}},
        lambda name: {"distribution": {"others": [name]}},
    ],
    ids=["issues", "admits", "renews", "is distributed"],
)
def test_an_authority_stays_while_a_dms_names_it(app: App, settings: Callable[[str], dict[str, Any]]) -> None:
    assert app.request("POST", "/v1/authorities", {"name": "maker"}).status == 201
    was = app.request("GET", LINE).json()["settings"]
    change(app, {"settings": settings("maker")})
    refused = app.request("DELETE", "/v1/authorities/maker")
    assert (refused.status, refused.json()["code"]) == (409, "authority_in_use")
    change(app, {"settings": was})
    assert app.request("DELETE", "/v1/authorities/maker").status == 204


@pytest.mark.parametrize("part", [("admission", "authorities"), ("renewal", "authorities"), ("distribution", "others")])
def test_only_the_authority_that_issues_is_made_on_first_use(app: App, part: tuple[str, str]) -> None:
    setting, member = part
    assert app.request("PATCH", LINE, {"settings": {setting: {member: ["nobody"]}}}).status == 404
    assert app.request("GET", "/v1/authorities/nobody").status == 404
    change(app, {"settings": {"authority": "somebody", setting: {member: ["somebody"]}}})
    assert app.request("GET", "/v1/authorities/somebody").status == 200


def test_a_dms_names_so_many_authorities_and_no_more(app: App) -> None:
    others = [f"maker-{number}" for number in range(limits.MAX_AUTHORITIES_PER_DMS)]
    for name in others:
        assert app.request("POST", "/v1/authorities", {"name": name}).status == 201
    change(app, {"settings": {"admission": {"authorities": others[1:]}, "renewal": {"authorities": others[1:]}}})
    refused = app.request("PATCH", LINE, {"settings": {"distribution": {"others": others[:1]}}})
    assert (refused.status, refused.json()["code"]) == (400, "invalid_settings")


@pytest.mark.parametrize(
    ("given", "preventive", "critical"),
    [
        ({}, 60 * 86_400, 14 * 86_400),
        ({"lifetime": 10 * 365 * 86_400}, 60 * 86_400, 14 * 86_400),
        ({"lifetime": 30 * 86_400}, 5 * 86_400, 108_000),
        ({"lifetime": 3_600}, 600, 150),
        ({"lifetime": 3_600, "critical": 1_200}, 1_200, 1_200),
        ({"preventive": 86_400}, 86_400, 86_400),
        ({"preventive": 3, "critical": 2}, 3, 2),
    ],
)
def test_no_identity_begins_in_a_window_that_was_not_asked_for(
    app: App, given: dict[str, int], preventive: int, critical: int
) -> None:
    made = app.request("POST", "/v1/dms", {"name": "short", "settings": given}).json()["settings"]
    assert (made["preventive"], made["critical"]) == (preventive, critical)
    assert given.get("lifetime", made["lifetime"]) > preventive


def test_null_takes_away_what_may_be_absent(app: App) -> None:
    was = app.request("GET", LINE).json()["settings"]
    gone = {"admission": {"levels": None}, "renewal": {"opens": None}, "keygen": None}
    now = change(app, {"settings": gone})["settings"]
    assert now == was | {
        "admission": was["admission"] | {"levels": None},
        "renewal": was["renewal"] | {"opens": None},
        "keygen": None,
    }
    assert change(app, {"settings": {"keygen": {"bits": 384}}})["settings"]["keygen"] == {"type": "EC", "bits": 384}
    assert app.request("PATCH", LINE, {"settings": {"lifetime": None}}).status == 400


def test_metadata_is_merged_at_every_depth(app: App) -> None:
    profile = {"metadata": {"site": None, "hall": {"row": 8}}}
    now = change(app, {"settings": {"profile": profile}, "metadata": {"phone": {"desk": None, "car": 2}}})
    assert now["settings"]["profile"] == {"tags": ["new"], "metadata": {"hall": {"floor": 2, "row": 8}}}
    assert now["metadata"] == {"owner": "ann", "phone": {"car": 2}}


def test_a_kind_of_key_is_changed_in_part(app: App) -> None:
    assert change(app, {"settings": {"keygen": {"bits": 4_096}}})["settings"]["keygen"]["type"] == "RSA"
    assert app.request("PATCH", LINE, {"settings": {"keygen": {"bits": 384}}}).status == 400


def test_sending_back_what_was_read_changes_nothing(app: App) -> None:
    was = app.request("GET", LINE).json()
    assert change(app, {name: was[name] for name in ("title", "settings", "metadata")}) == was


@pytest.mark.parametrize(
    ("whole", "change"),
    [
        (dms.Admission, dms.AdmissionChange),
        (dms.Renewal, dms.RenewalChange),
        (dms.Profile, dms.ProfileChange),
        (dms.Distribution, dms.DistributionChange),
        (dms.DmsSettings, dms.DmsSettingsChange),
        (authorities.PublicKey, dms.KeygenChange),
    ],
)
def test_every_setting_can_be_changed(whole: type[Struct], change: type[Struct]) -> None:
    assert change.__struct_fields__ == whole.__struct_fields__

"""From method and raw path to a route: segments are split before they are decoded, and verbs give way to names."""

import os
import random
from typing import Any

import pytest

from fleetroll.core.faults import Fault
from fleetroll.wire.router import Router
from tests.support.effort import often

TEMPLATES = [
    ("GET", "/v1/things"),
    ("HEAD", "/v1/things"),
    ("POST", "/v1/things"),
    ("POST", "/v1/things:import"),
    ("GET", "/v1/things/{name}"),
    ("PUT", "/v1/things/{name}"),
    ("GET", "/v1/things/{name}/parts"),
    ("GET", "/v1/things/{name}/parts/{part}"),
    ("POST", "/v1/things/{name}:move"),
    ("POST", "/v1/things/{name}:stop"),
    ("PUT", "/v1/things/{name}:lock"),
    ("GET", "/v1/things/special"),
    ("DELETE", "/v1/things/special/parts/{part}"),
]
ROUTER: Router[str] = Router((method, template, f"{method} {template}") for method, template in TEMPLATES)


@pytest.mark.parametrize(
    ("request_line", "target", "path"),
    [
        ("GET /v1/things", "GET /v1/things", {}),
        ("HEAD /v1/things", "HEAD /v1/things", {}),
        ("POST /v1/things:import", "POST /v1/things:import", {}),
        ("GET /v1/things/a", "GET /v1/things/{name}", {"name": "a"}),
        ("GET /v1/things/a%2Fb", "GET /v1/things/{name}", {"name": "a/b"}),
        ("GET /v1/things/%61", "GET /v1/things/{name}", {"name": "a"}),
        ("GET /v1/things/a+b", "GET /v1/things/{name}", {"name": "a+b"}),
        ("GET /v1/things/50%25", "GET /v1/things/{name}", {"name": "50%"}),
        ("GET /v1/things/50%", "GET /v1/things/{name}", {"name": "50%"}),
        ("GET /v1/things/%E2%82%AC", "GET /v1/things/{name}", {"name": "€"}),
        ("GET /v1/things/..", "GET /v1/things/{name}", {"name": ".."}),
        ("GET /v1/things/a/parts/b", "GET /v1/things/{name}/parts/{part}", {"name": "a", "part": "b"}),
        ("GET /v1/things/parts/parts/parts", "GET /v1/things/{name}/parts/{part}", {"name": "parts", "part": "parts"}),
        ("GET /v1/things/special", "GET /v1/things/special", {}),
        ("PUT /v1/things/special", "PUT /v1/things/{name}", {"name": "special"}),
        ("GET /v1/things/special/parts/b", "GET /v1/things/{name}/parts/{part}", {"name": "special", "part": "b"}),
        ("GET /v1/things/special/parts", "GET /v1/things/{name}/parts", {"name": "special"}),
        ("DELETE /v1/things/special/parts/b", "DELETE /v1/things/special/parts/{part}", {"part": "b"}),
        ("POST /v1/things/a:move", "POST /v1/things/{name}:move", {"name": "a"}),
        ("POST /v1/things/a:b:move", "POST /v1/things/{name}:move", {"name": "a:b"}),
        ("POST /v1/things/a:move:stop", "POST /v1/things/{name}:stop", {"name": "a:move"}),
        ("POST /v1/things/a%3Amove:stop", "POST /v1/things/{name}:stop", {"name": "a:move"}),
        ("GET /v1/things/a:move", "GET /v1/things/{name}", {"name": "a:move"}),
        ("PUT /v1/things/a:move", "PUT /v1/things/{name}", {"name": "a:move"}),
        ("PUT /v1/things/a:lock", "PUT /v1/things/{name}:lock", {"name": "a"}),
        ("GET /v1/things/:move", "GET /v1/things/{name}", {"name": ":move"}),
    ],
)
def test_a_path_leads_to_its_route_with_its_parameters(request_line: str, target: str, path: dict[str, str]) -> None:
    method, _, raw = request_line.partition(" ")
    found = ROUTER.match(method, raw.encode())
    assert found is not None
    assert (found.target, found.path) == (target, path)


@pytest.mark.parametrize(
    ("request_line", "allowed"),
    [
        ("DELETE /v1/things", ("GET", "HEAD", "POST")),
        ("HEAD /v1/things/a", ("GET", "PUT")),
        ("DELETE /v1/things/special", ("GET", "PUT")),
        ("PUT /v1/things/special/parts/b", ("DELETE", "GET")),
        ("GET /v1/things:import", ("POST",)),
        ("POST /v1/things/a", ("GET", "PUT")),
        ("POST /v1/things/a%3Amove", ("GET", "PUT")),
        ("POST /v1/things/a:fly", ("GET", "PUT")),
        ("TRACE /v1/things/a/parts", ("GET",)),
    ],
)
def test_a_known_path_names_the_methods_that_it_allows(request_line: str, allowed: tuple[str, ...]) -> None:
    method, _, raw = request_line.partition(" ")
    found = ROUTER.match(method, raw.encode())
    assert found is not None
    assert found.target is None
    assert found.allowed == allowed


@pytest.mark.parametrize(
    "raw",
    [
        "/",
        "/v1",
        "/v1/",
        "/v1/things/",
        "//v1/things",
        "/v1//things",
        "/v1/things//parts",
        "/V1/things",
        "/v1/things/a/",
        "/v1/things/a/b",
        "/v1/things/a/parts/b/c",
        "/v1%2Fthings",
        "/v1/thing%73",
        "/v1/things:fly",
        "/v1/things:",
    ],
)
def test_any_other_path_leads_nowhere(raw: str) -> None:
    assert ROUTER.match("GET", raw.encode()) is None


@pytest.mark.parametrize("raw", [b"%00", b"%ff", b"%C0%AF", b"a%0Ab", b"\x80", b"%ED%A0%80", b"%C2%85", b"\x7f"])
def test_a_parameter_that_is_not_text_is_refused(raw: bytes) -> None:
    with pytest.raises(Fault) as refused:
        ROUTER.match("GET", b"/v1/things/" + raw)
    assert refused.value.code == "invalid_text"


def test_two_routes_cannot_share_a_place() -> None:
    rows: list[Any] = [("GET", "/a/{b}", 1), ("GET", "/a/{c}", 2)]
    with pytest.raises(AssertionError, match="two routes"):
        Router(rows)


def plainly(templates: list[tuple[str, str]], method: str, path: str) -> tuple[str, list[str]] | None:
    """As a router finds it, template by template: from the left, words go before verbs, and these before parameters."""
    parts = path.split("/")[1:]
    found = []
    for verb, template in templates:
        steps = [_step(*step) for step in zip(template.split("/")[1:], parts, strict=False)]
        if verb == method and template.count("/") == len(parts) and None not in steps:
            kept = [step for step in steps if step is not None]
            found.append(([rank for rank, _ in kept], template, [value for _, value in kept if value is not None]))
    return min(found)[1:] if found else None


def _step(wanted: str, part: str) -> tuple[int, str | None] | None:
    if not wanted.startswith("{"):
        return (0, None) if part == wanted else None
    value, colon, verb = part.rpartition(":")
    if ":" in wanted:
        return (1, value) if value and wanted.endswith(colon + verb) and colon else None
    return (2, part) if part else None


def test_any_table_leads_where_its_templates_say() -> None:
    chance = random.Random(os.environ["FLEETROLL_SEED"])
    for _ in range(often(400)):
        templates = list({(chance.choice(["GET", "PUT"]), template(chance)) for _ in range(chance.randrange(1, 9))})
        router: Router[str] = Router((method, known, known) for method, known in templates)
        for _ in range(30):
            method, parts = chance.choice(["GET", "PUT"]), [chance.choice(PARTS) for _ in range(chance.randrange(1, 5))]
            path = "".join(f"/{part}" for part in parts)
            match = router.match(method, path.encode())
            found = (match.target, list(match.path.values())) if match is not None and match.target else None
            assert found == plainly(templates, method, path), (templates, method, path)


PARTS = ["a", "b", "c", "a:v", "b:w", ":v", ""]


def template(chance: random.Random) -> str:
    parts = [chance.choice(["a", "b", f"{{p{place}}}"]) for place in range(chance.randrange(1, 4))]
    verb = chance.choice(["", "", ":v", ":w"]) if parts[-1].startswith("{") else ""
    return "".join(f"/{part}" for part in parts) + verb

"""No defaults: a fresh server opens to one random key that it prints, and to nothing that could be guessed or read."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner
from msgspec import structs

from fleetroll import main
from fleetroll.cli import serving as command
from fleetroll.config import Config
from fleetroll.core import tokens
from fleetroll.core.model import KeyKind
from tests.support.app import ADMIN_KEY, App, running
from tests.support.principals import FORMS, MALFORMED, misplaced, token_of
from tests.support.process import serving
from tests.support.raw import Raw, send

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
REFUSED = 78
RANDOM = "b2f1c0d94a7e4c55931ad0e8f7263b18c4d5e6f70819a2b3"
WORDS = ["admin", "password", "secret", "fleetroll", "default", "changeme", "test", "root", "guest", "key", "0", "null"]
GUESSES = [
    *WORDS,
    *(f"flr_a_{word}" for word in WORDS),
    "a" * 32,
    "0" * 64,
    "your-api-key",
    "test-admin-key",
    ADMIN_KEY,
]
WEAK = {
    "empty but for a space": " ",
    "short": "b2f1c0d94a7e4c55931ad0e8f726",
    "31 characters": RANDOM[:31],
    "with a space": f"{RANDOM} {RANDOM}",
    "not ASCII": "é" * 20 + RANDOM,
    "not text": os.fsdecode(b"\xff" * 40) + RANDOM,
    "too long to be presented": RANDOM * 30,
    "a control character": f"{RANDOM}\x07",
}


def code_of(variables: dict[str, str], seen: list[Config] | None = None) -> tuple[int, str]:
    """The exit code and words of `serve`, with a server that only notes how it was configured."""

    def serve(config: Config) -> int:
        (seen if seen is not None else []).append(config)
        return 0

    result = CliRunner().invoke(
        command.command(lambda: structs.replace(main.backend(), serve=serve)), [], env=variables
    )
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result.exit_code, result.output


@pytest.mark.parametrize("variable", ["FLEETROLL_ADMIN_KEY", "FLEETROLL_SERVER_KEY"])
@pytest.mark.parametrize("weak", WEAK)
def test_a_weak_preset_is_refused_before_anything_starts(variable: str, weak: str) -> None:
    code, words = code_of({variable: WEAK[weak]})
    assert code == REFUSED
    assert variable in words
    assert WEAK[weak] not in words or weak.startswith("empty")


@pytest.mark.parametrize("variable", ["FLEETROLL_ADMIN_KEY", "FLEETROLL_SERVER_KEY"])
@pytest.mark.parametrize("preset", [RANDOM[:32], "a" * 32])
def test_a_preset_that_is_long_enough_is_taken_and_an_unset_one_is_none(variable: str, preset: str) -> None:
    seen: list[Config] = []
    assert code_of({variable: preset}, seen)[0] == 0
    assert code_of({variable: ""}, seen)[0] == 0
    field = variable.removeprefix("FLEETROLL_").lower()
    assert [getattr(config, field) for config in seen] == [preset, None]


@pytest.mark.parametrize(
    "variables",
    [
        {"FLEETROLL_ADMIN_KEY": "short"},
        {"FLEETROLL_SERVER_KEY": RANDOM[:31]},
        {"FLEETROLL_ADMIN_KEY": tokens.assemble(KeyKind.API, "Zx9" * 4, "aB3dEf7h" * 4)[:-1] + "!"},
    ],
    ids=["a short key", "one character too few", "a mistyped token"],
)
def test_a_real_server_refuses_to_start_and_leaves_no_usable_directory(
    variables: dict[str, str], tmp_path: Path
) -> None:
    data = tmp_path / "data"
    arguments = [sys.executable, "-m", "fleetroll", "serve", "--data", str(data), "--http", "127.0.0.1:0"]
    ended = subprocess.run(
        arguments, env={**os.environ, **variables}, capture_output=True, text=True, timeout=120, check=False
    )
    assert ended.returncode == REFUSED
    assert ended.stdout == ""
    assert ended.stderr.splitlines()[-1].startswith(f"fleetroll: {next(iter(variables))}")
    assert next(iter(variables.values())) not in ended.stderr
    with running(data) as app:  # the next start is a first one again, and takes a good key
        assert app.request("GET", "/v1/me").status == 200


# --- a fresh server --------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def fresh(tmp_path_factory: pytest.TempPathFactory) -> Iterator[App]:
    """A server that has made its own first key, which nobody here has read."""
    with running(tmp_path_factory.mktemp("fresh") / "data", admin_key=None) as app:
        yield app


@pytest.mark.parametrize("form", FORMS)
def test_nothing_that_could_be_guessed_opens_a_fresh_server(form: str, fresh: App) -> None:
    guesses = [*GUESSES, *examples()]
    statuses = {guess: fresh.request("GET", "/v1/me", key=None, headers=FORMS[form](guess)).status for guess in guesses}
    assert set(statuses.values()) == {401}, statuses


@pytest.mark.parametrize("name", MALFORMED)
def test_nothing_malformed_opens_a_fresh_server(name: str, fresh: App) -> None:
    assert fresh.request("GET", "/v1/me", key=None, headers=MALFORMED[name]).status == 401


def test_the_first_key_is_the_only_one_and_it_is_random(tmp_path: Path) -> None:
    firsts = [first_key_of(tmp_path / name) for name in ("one", "other")]
    assert len(set(firsts)) == 2
    assert all(re.fullmatch(tokens.TOKEN_PATTERN, token) for token in firsts)


def first_key_of(data: Path) -> str:
    """The key that a first start prints; it is the only one there is."""
    with serving(data, FLEETROLL_ADMIN_KEY="") as server:
        assert server.popen.stdout is not None
        printed = server.announced + server.popen.stdout.readline()
        (token,) = re.findall(tokens.TOKEN_PATTERN, printed)
    with running(data) as app:
        keys = app.request("GET", "/v1/keys", key=token).json()["keys"]
        assert [(key["name"], key["role"]) for key in keys] == [("first admin", "admin")]
        assert app.request("GET", "/v1/me").status == 401  # a preset is for the first start alone
    return str(token)


# --- what is written down --------------------------------------------------------------------------------------------

_PLACES = [
    tokens.TOKEN_PATTERN,
    r"FLEETROLL_(?:ADMIN_|SERVER_)?KEY=[\"']?([^\s\"'`]+)",
    r"(?i:x-api-key|bearer|basic|client_secret|api[-_ ]key)[\"']?[:= ]+[\"']?([^\s\"'`,}]+)",
    r"\b(tlm_\w+)",
    r"\b([0-9a-f]{32,})\b",
]


def examples() -> list[str]:
    """Whatever the documentation shows where a key would stand."""
    text = "\n".join(page.read_text() for page in PAGES)
    found = [match[match.lastindex or 0] for place in _PLACES for match in re.finditer(place, text)]
    return [example for example in found if example.isascii()]


def test_the_documentation_has_places_for_keys() -> None:
    assert len(examples()) >= 3


@pytest.mark.parametrize("variable", ["FLEETROLL_ADMIN_KEY", "FLEETROLL_SERVER_KEY"])
def test_no_example_in_the_documentation_can_be_preset(variable: str) -> None:
    taken = [example for example in examples() if code_of({variable: example})[0] != REFUSED]
    assert taken == []


def test_the_form_of_keys_is_published_for_secret_scanners() -> None:
    assert any(tokens.TOKEN_PATTERN in page.read_text() for page in PAGES)


# --- where a key may stand -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["/v1/me", "/v1/stats", "/v1/devices", "/api/ext-v1/customer/getCustomer/cus_1"])
def test_a_key_in_the_query_string_opens_nothing(path: str, tmp_path: Path) -> None:
    with running(tmp_path / "data") as app:
        made = app.request("POST", "/v1/keys", {"name": "k", "role": "admin"}).json()
        for headers, query in misplaced(token_of(made)).values():
            target = f"{path}?{query}".encode()
            encoded = tuple((name.encode(), value.encode()) for name, value in headers.items())
            assert send(app, Raw("GET", target, encoded)).status == 401

"""What README and docs say is so: their commands run, and their names, numbers and links are those of the product."""

import re
from datetime import date
from pathlib import Path
from typing import Any

import click
import pytest

from fleetroll import __version__
from fleetroll.application import DIALECTS
from fleetroll.cli.failures import EXIT_CODES, Exit, ServeExit
from fleetroll.config import ConfigError, secret
from fleetroll.core import limits, tokens
from fleetroll.core.fields import DEVICE_FIELDS, device_filter
from fleetroll.core.policy import GRANTABLE, MINIMUM_ROLE
from fleetroll.dialects.native.envelope import ENVELOPE
from fleetroll.wire.dialect import WIRE_STATUSES
from tests.support import docs
from tests.support.app import running
from tests.support.commands import COMMAND, SERVE, variables_of
from tests.support.process import Process
from tests.support.process import serving as server_process

README, NATIVE, OPERATIONS, ARCHITECTURE = (
    docs.read(page) for page in ("README.md", "docs/native-api.md", "docs/operations.md", "docs/architecture.md")
)
PACKAGE = docs.ROOT / "src" / "fleetroll"
OPTIONS = [option for option in SERVE.params if isinstance(option, click.Option)]
# Only HTTP itself can say these, before any dialect is asked.
SERVER_STATUSES = {414, 431}


def require_done(text: str, run: docs.Run) -> None:
    """Every command of the page has succeeded, every call with 2xx, and what the page shows as replies came."""
    assert run.code == 0, f"{run.printed[-1]}\n{run.errors}"
    scripts = docs.blocks(text, "sh")
    assert len(run.statuses) == sum(len(re.findall(r"\bcurl -", block.text)) for block in scripts)
    assert all(200 <= status < 300 for status in run.statuses), run.errors
    for shown, printed in shown_replies(text, run):
        assert agree(docs.values(shown), docs.values(printed)), f"the page shows {shown}, the reply is {printed}"


def shown_replies(text: str, run: docs.Run) -> list[tuple[str, str]]:
    """The JSON that stands directly below commands, with what those commands have printed."""
    printed, shown, last = iter(run.printed), [], ""
    for block in docs.blocks(text):
        if block.language == "sh":
            last = next(printed)
        elif block.language == "json":
            assert block.follows, "JSON is shown as the reply to the commands above it"
            shown.append((block.text, last))
    return shown


def agree(shown: Any, found: Any) -> bool:
    """Equal JSON, where the page's text `…` stands for any value."""
    if isinstance(shown, dict) and isinstance(found, dict):
        return shown.keys() == found.keys() and all(agree(shown[name], found[name]) for name in shown)
    if isinstance(shown, list) and isinstance(found, list):
        return len(shown) == len(found) and all(map(agree, shown, found))
    return bool(shown in ("…", found))


# --- commands ---------------------------------------------------------------------------------------------------------


def printed_key(server: Process) -> str:
    assert server.popen.stdout is not None
    label, _, key = server.popen.stdout.readline().partition(": ")
    assert f"{label}: flr_a_…" in README
    return key


def test_the_tour_of_the_readme_works_with_the_key_that_the_server_prints(tmp_path: Path) -> None:
    with server_process(tmp_path / "data", FLEETROLL_ADMIN_KEY="") as server:
        # The server cannot listen on the port that the page names: another test may.
        assert server.announced.replace(server.url, "http://127.0.0.1:8080") in README
        run = docs.run(README, server.url, folder(tmp_path), typed=printed_key(server))
    require_done(README, run)


# They are run by tests of their own: these need a newcomer, another listener, and a broker (`test_relay`).
RUN_APART = {"README.md", "docs/identity.md", "docs/relay.md"}


@pytest.mark.parametrize(
    "page", [page for page in docs.PAGES if page not in RUN_APART and docs.blocks(docs.read(page), "sh")]
)
def test_the_commands_of_a_page_work(tmp_path: Path, page: str) -> None:
    text = docs.read(page)
    with server_process(tmp_path / "data") as server:
        set_up = {
            "FLEETROLL_URL": server.url,
            "FLEETROLL_KEY": server.key,
            "FLEETROLL_DATA": str(tmp_path / "data"),
        }
        require_done(text, docs.run(text, server.url, folder(tmp_path), **set_up))


def test_the_commands_of_the_page_on_identities_work(tmp_path: Path) -> None:
    with server_process(tmp_path / "data", "--est", "127.0.0.1:0", "--est-name", "localhost") as server:
        listening = re.search(r"https://127.0.0.1:(\d+)", (tmp_path / "data.log").read_text())
        assert listening
        text = docs.read("docs/identity.md").replace("https://localhost:8443", f"https://localhost:{listening[1]}")
        set_up = {"FLEETROLL_URL": server.url, "FLEETROLL_KEY": server.key}
        require_done(text, docs.run(text, server.url, folder(tmp_path), **set_up))


def folder(path: Path) -> Path:
    made = path / "folder"
    made.mkdir()
    return made


@pytest.mark.parametrize("page", docs.PAGES)
def test_every_make_target_that_a_page_names_exists(page: str) -> None:
    targets = set(re.findall(r"^([a-z-]+):.*## ", docs.read("Makefile"), re.MULTILINE))
    text = docs.read(page)
    console = "".join(block.text for block in docs.blocks(text, "console"))
    commands = re.findall(r"^\$ (.+)$", console, re.MULTILINE)
    assert all(command.startswith("make ") for command in commands)
    named = {words.split()[1] for words in (*commands, *docs.code(text)) if words.startswith("make ")}
    assert named <= targets


def test_only_shells_json_and_consoles_are_shown() -> None:
    """So no block escapes the tests by its language. The one without any is the picture of the layers."""
    pages = {page: docs.read(page) for page in docs.PAGES}
    languages = {page: {block.language for block in docs.blocks(text)} for page, text in pages.items()}
    assert set().union(*languages.values()) == {"sh", "json", "console", "python", ""}
    assert [page for page in pages if "" in languages[page]] == ["docs/architecture.md"]
    assert [page for page in pages if "python" in languages[page]] == ["docs/relay.md"]
    fences = {page: text.count("```") + text.count("~~~") for page, text in pages.items()}
    assert fences == {page: 2 * len(docs.blocks(text)) for page, text in pages.items()}


@pytest.mark.parametrize("page", docs.PAGES)
def test_every_command_that_a_page_names_in_passing_exists(page: str) -> None:
    for words in docs.code(docs.read(page)):
        program, *rest = words.split()
        found: click.Command = COMMAND
        while program == "fleetroll" and rest and isinstance(found, click.Group):
            name = rest.pop(0)
            assert name in found.commands, words
            found = found.commands[name]


# --- options, limits and exit codes -----------------------------------------------------------------------------------


def test_the_options_of_the_page_are_those_of_serve() -> None:
    shown = [option for option in OPTIONS if not option.hidden]
    spelled = {spelling for option in shown for spelling in (*option.opts, *option.secondary_opts)}
    named = set(re.findall(r"`(--[a-z-]+)", docs.section(OPERATIONS, "Options")))
    assert named <= spelled
    assert [option.name for option in shown if not named & {*option.opts, *option.secondary_opts}] == []


def variables(text: str) -> set[str]:
    return set(re.findall(r"FLEETROLL_[A-Z_]*[A-Z]", text))


def test_the_variables_of_the_page_are_those_of_serve() -> None:
    assert variables(docs.section(OPERATIONS, "Options")) == variables_of(SERVE)
    assert len(variables_of(SERVE)) == len([option for option in OPTIONS if option.name != "help"])


@pytest.mark.parametrize("page", docs.PAGES)
def test_every_variable_that_a_page_names_is_read(page: str) -> None:
    assert variables(docs.read(page)) <= variables_of(SERVE) | variables_of(COMMAND)


IN_WORDS = {"--workers": "one process", "--log-requests": "a line per request"}


WITH_DEFAULT = [one for one in OPTIONS if not one.hidden and isinstance(one.default, str | int | float | Path)]


@pytest.mark.parametrize("option", WITH_DEFAULT, ids=lambda option: option.opts[0])
def test_the_default_of_the_page_is_that_of_serve(option: click.Option) -> None:
    cells = docs.rows(docs.section(OPERATIONS, "Options"))
    (shown,) = [
        row[2] for row in cells if {*option.opts, *option.secondary_opts} & set(re.findall(r"--[a-z-]+", row[0]))
    ]
    match option.default:
        case Path():
            assert shown == f"`./{option.default}`"
        case str():
            assert f"`{option.default}`" in shown
        case default:
            assert re.search(rf"\b{IN_WORDS.get(option.opts[0], f'{default:g}')}\b", shown)


def test_the_page_tells_how_many_characters_a_secret_needs() -> None:
    assert f"at least {limits.MIN_SECRET} random characters" in docs.section(OPERATIONS, "Options")


QUOTAS = limits.DEFAULT_QUOTAS
# For each row of the table, the bounds that its numbers stand for, in order; several where one number stands for them.
BOUNDS: dict[str, list[set[float]]] = {
    "request": [
        {limits.MAX_TARGET},
        {limits.MAX_HEADERS},
        {limits.MAX_HEADER_BLOCK},
        {limits.MAX_QUERY_PARAMETERS},
        {limits.MAX_BODY},
        {limits.MAX_BATCH_BODY},
        {limits.MAX_ENROLLMENT_BODY},
        {limits.MAX_IMPORT_LINE},
        {limits.MAX_IMPORT_COLUMNS},
        {limits.MAX_CONTAINERS},
    ],
    "client": [
        {limits.HEADER_DEADLINE},
        {limits.BODY_STALL_DEADLINE, limits.READER_STALL_DEADLINE},
        {limits.HEADER_DEADLINE},
        {limits.MAX_HANDSHAKES},
    ],
    "unfinished bodies, or rows of imports": [{limits.MAX_BODIES}, {limits.MAX_TENANT_BODIES}, {503}],
    "unread replies": [{limits.MAX_UNREAD_REPLIES}],
    "device": [
        {limits.MAX_IDENT, limits.MAX_NAME},
        {limits.MAX_TAGS},
        {limits.MAX_OWNERS_PER_DEVICE},
        {limits.MAX_KIND, limits.MAX_VERSION, limits.MAX_TAG},
        {limits.MAX_DOCUMENT},
        {limits.MAX_DOCUMENT_DEPTH},
    ],
    "event streams": [{limits.MAX_EVENT_STREAMS}, {limits.MAX_TENANT_STREAMS}],
    "pages": [
        {limits.MAX_PAGE_BYTES},
        {limits.MAX_NUMBERED_PAGE_BYTES},
        {limits.HISTORY_BYTES},
        {limits.MAX_PAGE_PARTS},
        {limits.MAX_TEMPLATE},
    ],
    "RSA keys waiting to be generated": [{limits.MAX_KEYS_DUE}, {limits.MAX_OWN_KEYS_DUE}, {503}],
    "JSON Patch": [{limits.MAX_PATCH_OPERATIONS}, {limits.MAX_PATCH}],
    "filter": [{limits.MAX_FILTER}, {limits.MAX_PREDICATES}, {limits.MAX_FILTER_DEPTH}],
    "organization": [
        {QUOTAS[noun]}
        for noun in (
            "devices",
            "keys",
            "owners",
            "groups",
            "tags",
            "metadata_fields",
            "cohorts",
            "hardware_versions",
            "software_versions",
            "templates",
            "dms",
            "authorities",
            "organizations",
        )
    ],
}
UNITS = {"KiB": 1 << 10, "MiB": 1 << 20}


def numbers(text: str) -> list[float]:
    found = re.findall(r"\b(\d[\d,]*)(?: (KiB|MiB))?", text)
    return [int(digits.replace(",", "")) * UNITS.get(unit, 1) for digits, unit in found]


def test_the_bounds_of_the_page_are_those_of_the_product() -> None:
    shown = {name: numbers(about) for name, about in docs.rows(docs.section(OPERATIONS, "Bounds"))}
    assert {name: [{number} for number in found] for name, found in shown.items()} == BOUNDS


def test_every_quota_is_on_the_page() -> None:
    assert len(BOUNDS["organization"]) == len(QUOTAS)


def test_the_exit_codes_of_the_page_are_those_of_serve() -> None:
    shown = [int(cells[0]) for cells in docs.rows(docs.section(OPERATIONS, "What to watch"))]
    assert shown == [0, *ServeExit]
    told = " ".join(EXIT_CODES.split())
    assert all(f" {code} " in told for code in ServeExit)


def test_the_page_shows_what_the_command_line_reads_and_how_it_ends() -> None:
    text = docs.section(OPERATIONS, "The command line")
    assert variables(text) == variables_of(COMMAND)
    tables = docs.rows(text)
    shown = {int(cells[0]): cells[1].replace("`", "") for cells in tables if cells[0].isdigit()}
    assert shown.keys() == {0, *Exit}
    told = " ".join(EXIT_CODES.split())
    assert [words for code, words in shown.items() if f" {code} {words}" not in told] == []


def test_the_roles_and_scopes_of_the_page_are_those_of_keys() -> None:
    shown = {cells[0]: docs.code(cells[1]) for cells in docs.rows(docs.section(NATIVE, "Roles and scopes"))}
    names = {
        f"`{role.value}`": [action.value for action in MINIMUM_ROLE if MINIMUM_ROLE[action] is role]
        for role in GRANTABLE
    }
    assert shown == names


def test_the_bounds_named_in_passing_are_those_of_the_product() -> None:
    text = " ".join(NATIVE.split())
    for sentence in (
        f"1 to {limits.MAX_IDENT} printable characters",
        f"`limit` is 1 to {limits.MAX_PAGE}.",
        f"UTF-8, {limits.MAX_JSON_DEPTH} levels",
    ):
        assert sentence in text
    assert (limits.CURSOR_LIFETIME, limits.IDEMPOTENCY_LIFETIME) == (24 * 3600, 2 * 24 * 3600)
    assert "continues a list, for a day" in text
    assert "for two days it gets the first answer" in text
    assert (limits.MIN_INTEGER, limits.MAX_INTEGER) == (-(2**63), 2**64 - 1)
    assert "integers from −2⁶³ to 2⁶⁴−1" in text  # noqa: RUF001  # the sign of mathematics
    telemetry = " ".join(docs.read("docs/telemetry.md").split())
    assert f"the last {limits.DEFAULT_RANGE:,} buckets until" in telemetry
    assert f"a reply has at most {limits.MAX_BUCKETS:,}." in telemetry
    lamassu = docs.read("docs/lamassu.md")
    assert f"at most {limits.MAX_PAGE:,}, which" in lamassu
    relay = " ".join(docs.read("docs/relay.md").split())
    assert f"at most {limits.SHOWN_READINGS:,} wait for it, the newest of their organization" in relay
    assert f"and {limits.ALL_SHOWN_READINGS:,} of all." in relay


# --- the native API ---------------------------------------------------------------------------------------------------

ROUTES = {(route.method, route.path) for dialect in DIALECTS for route in dialect.routes}
PATHS = {path for _, path in ROUTES}


@pytest.mark.parametrize("page", docs.PAGES)
def test_every_route_that_a_page_names_exists(page: str) -> None:
    for words in docs.code(docs.read(page)):
        if match := re.fullmatch(r"(GET|POST|PUT|PATCH|DELETE) (/\S+)", words):
            assert match.groups() in ROUTES
        elif words.startswith("/v1/") and not words.endswith("…"):
            assert words in PATHS
        elif re.fullmatch(r":[a-z]+", words):
            assert any(path.endswith(words) for path in PATHS), words


def test_every_path_of_the_server_itself_that_a_page_names_answers(tmp_path: Path) -> None:
    named = {words for page in docs.PAGES for words in docs.code(docs.read(page)) if re.fullmatch(r"/[a-z.]+", words)}
    named -= {"/v1"}
    assert {"/docs", "/openapi.json", "/health", "/ready", "/metrics"} <= named
    with running(tmp_path / "data") as application:
        assert {path: application.request("GET", path).status for path in named} == dict.fromkeys(named, 200)


def test_the_fields_of_the_page_are_those_of_filters() -> None:
    listed = re.search(r"^Fields: `([^`]+)`", docs.section(NATIVE, "Filters"), re.MULTILINE)
    assert listed is not None
    assert listed[1].split() == list(DEVICE_FIELDS)


def test_the_sorts_of_the_page_are_those_of_lists() -> None:
    listed = re.search(r"^`sort=-([^)]+)\)", docs.section(NATIVE, "Filters"), re.MULTILINE)
    assert listed is not None
    sortable = {field.name for field in DEVICE_FIELDS.values() if field.sortable}
    assert set(re.findall(r"\w+", listed[1])) - {"or"} == sortable


def test_every_filter_that_the_page_shows_is_understood() -> None:
    shown = [words for cells in docs.rows(docs.section(NATIVE, "Filters")) for words in docs.code(" ".join(cells))]
    others = {"q=hall", *DEVICE_FIELDS}
    filters = [words for words in shown if re.match(r"\w", words) and words not in others]
    assert len(filters) > 10
    assert all(device_filter(words) is not None for words in filters)


def test_the_statuses_of_the_page_are_those_of_refusals() -> None:
    shown = {int(status) for cells in docs.rows(docs.section(NATIVE, "Errors")) for status in cells[0].split()}
    known = {*ENVELOPE.statuses.values(), *ENVELOPE.codes.values(), *WIRE_STATUSES.values(), *SERVER_STATUSES}
    assert shown == known


# --- the map of the code ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("page", docs.PAGES)
def test_every_link_leads_somewhere(page: str) -> None:
    for target in re.findall(r"\]\(([^)]+)\)", docs.read(page)):
        if "://" not in target:
            file, _, anchor = target.partition("#")
            found = (docs.ROOT / page).parent / file if file else docs.ROOT / page
            assert found.exists(), target
            assert not anchor or anchor in anchors(found.read_text("utf-8")), target


def anchors(text: str) -> set[str]:
    """As the usual renderers derive them from headings."""
    headings = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", docs.PAGES)
def test_every_file_that_a_page_names_exists(page: str) -> None:
    """Files of the tests and of the bench by their whole path, modules by their path within the package."""
    for words in docs.code(docs.read(page)):
        if words.startswith(("tests/", "bench/")):
            assert (docs.ROOT / words).exists(), words
        elif re.fullmatch(r"[a-z_]+/[a-z_]+\.py", words):
            assert (PACKAGE / words).is_file(), words


def test_every_package_and_module_has_its_place_in_the_architecture() -> None:
    beginning = ARCHITECTURE.partition("\n## ")[0]
    named = {name for cells in docs.rows(beginning) for name in docs.code(cells[0])}
    here = {path.stem for path in PACKAGE.iterdir() if not path.name.startswith("_")}
    assert named == here - {"main"}  # which owns nothing and knows everything: the text below the picture says so
    (picture,) = docs.blocks(ARCHITECTURE)
    assert set(re.findall(r"\w+", picture.text)) == here


def test_every_dialect_is_in_the_architecture_with_its_paths() -> None:
    table = docs.rows(docs.section(ARCHITECTURE, "A dialect is data"))
    shown = {name.strip("`"): tuple(docs.code(paths)) for name, paths, _ in table}
    assert shown == {dialect.name: tuple(f"{prefix}…" for prefix in dialect.prefixes) for dialect in DIALECTS}


# --- what may not be there, and the changelog -------------------------------------------------------------------------


# The name of a variable, and the UUID of a group.
_LONG_BUT_NO_KEY = re.compile(r"FLEETROLL_\w+|[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


@pytest.mark.parametrize("page", [*docs.PAGES, "CHANGELOG.md"])
def test_nothing_on_a_page_would_do_as_a_key(page: str) -> None:
    text = docs.read(page)
    for word in re.findall(r"flr_\S+", text):
        assert tokens.parse(bytes(32), word.strip("`,.);")) is None, word
    for word in re.findall(r"[0-9A-Za-z_-]{16,}", text):
        assert not is_secret(word) or _LONG_BUT_NO_KEY.fullmatch(word), word


def is_secret(word: str) -> bool:
    try:
        return secret(word, "it") is not None
    except ConfigError:
        return False


def test_the_changelog_ends_in_this_version_and_keeps_to_its_form() -> None:
    text = docs.read("CHANGELOG.md")
    first, *released = re.findall(r"^## (.+)$", text, re.MULTILINE)
    assert first == "[Unreleased]"
    versions = [re.fullmatch(r"\[(\d+\.\d+\.\d+)\] - (\d{4}-\d{2}-\d{2})", heading) for heading in released]
    assert all(versions)
    assert versions[0] is not None
    assert versions[0][1] == __version__
    days = [date.fromisoformat(version[2]) for version in versions if version]
    assert days == sorted(days, reverse=True)
    kinds = set(re.findall(r"^### (.+)$", text, re.MULTILINE))
    assert kinds <= {"Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"}

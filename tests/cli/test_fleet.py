"""`fleetroll device import` and `export`."""

import csv
import io
import json
import math
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from fleetroll.cli.fleet import Upload
from tests.cli.impostor import impostor

Fleetroll = Callable[..., Any]
COUNT = 2000
MINE = 'tags:"in the fleet"'


def row(number: int) -> dict[str, Any]:
    """A device with what is awkward in CSV: quotes, commas, line ends, leading signs, other scripts, nothing."""
    return {
        "ident": f"r{number:04}, \"{number}\"",
        "name": ["=1+1", "ünï 😀", 'say "hi", twice', "plain"][number % 4],
        "kind": f"kind-{number % 7}" if number % 3 else None,
        "hardware_version": "0012" if number % 5 == 0 else None,
        "software": {"type": "main", "version": f"1.{number}"} if number % 2 else None,
        "metadata": {"n": number, "big": 2**63, "text": "a\nb,\"c\"", "deep": {"x": [1, None, "ü"]}},
        "tags": [f"t{number % 3}", "in the fleet"],
        "owners": [f"owner{number % 50}@example.com"],
        "schema": {"temperature": {"type": "number", "unit_symbol": "°C"}} if number % 10 == 0 else {},
        "config": {"interval": number % 60},
    }  # fmt: skip


def ndjson(rows: Iterator[dict[str, Any]] | list[dict[str, Any]]) -> bytes:
    return "".join(json.dumps(one) + "\n" for one in rows).encode()


@pytest.fixture
def fleet(fleetroll: Fleetroll, work: Path) -> None:
    """2,000 devices that MINE finds, whether or not an earlier test has made them."""
    (work / "fleet.ndjson").write_bytes(ndjson([row(number) for number in range(COUNT)]))
    assert fleetroll("device", "import", "fleet.ndjson").code == 0


@pytest.mark.parametrize("ending", ["csv", "ndjson"])
def test_importing_an_export_changes_nothing(fleetroll: Fleetroll, work: Path, fleet: None, ending: str) -> None:
    first, again = work / f"first.{ending}", work / f"again.{ending}"
    assert fleetroll("device", "export", str(first), "--filter", MINE).err == f"Exported {COUNT} devices to {first}.\n"
    imported = fleetroll("device", "import", str(first))
    assert imported.out.split() == ["created", "0", "updated", "0", "unchanged", str(COUNT), "failed", "0"]
    fleetroll("device", "export", str(again), "--filter", MINE)
    assert first.read_bytes() == again.read_bytes()


@pytest.mark.parametrize("ending", ["csv", "ndjson"])
def test_an_export_holds_all_that_a_fresh_server_needs(
    fleetroll: Fleetroll, work: Path, fleet: None, ending: str
) -> None:
    fleetroll("org", "create", f"mirror-{ending}")
    fleetroll("device", "export", f"x.{ending}", "--filter", MINE)
    elsewhere = ["--organization", f"mirror-{ending}"]
    assert fleetroll("device", "import", f"x.{ending}", *elsewhere).out.split()[1] == str(COUNT)
    fleetroll("device", "export", "y.ndjson", *elsewhere)
    copies = [json.loads(line) for line in (work / "y.ndjson").read_text().splitlines()]
    assert [{name: copy[name] for name in row(0)} for copy in copies] == [row(number) for number in range(COUNT)]


def test_csv_can_be_read_by_a_spreadsheet(fleetroll: Fleetroll, work: Path, fleet: None) -> None:
    fleetroll("device", "export", "x.csv", "--filter", 'tags:"t1" AND metadata.n < 100')
    with (work / "x.csv").open(newline="") as file:
        found = list(csv.DictReader(file))
    assert [json.loads(one["metadata"])["n"] for one in found] == list(range(1, 100, 3))
    assert found[0]["ident"] == row(1)["ident"]


def test_export_writes_to_standard_output(fleetroll: Fleetroll, fleet: None) -> None:
    shown = fleetroll("device", "export", "--filter", "metadata.n = 7")
    assert [one["ident"] for one in shown.lines()] == [row(7)["ident"]]
    assert shown.err == ""
    csv_lines = fleetroll("device", "export", "--filter", "metadata.n = 7", "--format", "csv").out.splitlines()
    assert csv_lines[0].startswith("id,ident,name")
    assert len(csv_lines) == 2


@pytest.mark.parametrize("command", [("import", "-"), ("export", "fleet.json")])
def test_a_name_that_says_no_form_is_answered_by_the_forms_there_are(
    fleetroll: Fleetroll, command: tuple[str, ...]
) -> None:
    refused = fleetroll("device", *command)
    assert (refused.code, "give --format csv or --format ndjson." in refused.err) == (2, True)


def test_a_dry_run_reports_and_changes_nothing(fleetroll: Fleetroll) -> None:
    rows = ndjson([{"ident": "dry-1"}, {"ident": "dry-2", "tags": "not a list"}])
    rehearsed = fleetroll("device", "import", "-", "--format", "ndjson", "--dry-run", stdin=rows)
    assert rehearsed.code == 6
    assert "nothing was changed" in rehearsed.out
    assert "created    1" in rehearsed.out
    assert fleetroll("device", "get", "dry-1").code == 5


def test_create_only_fails_the_rows_of_devices_that_exist(fleetroll: Fleetroll) -> None:
    fleetroll("device", "create", "old", "name=before")
    rows = b"ident,name\nold,after\nnew,after\n"
    created = fleetroll("device", "import", "-", "--format", "csv", "--create-only", "--json", stdin=rows)
    assert created.code == 6
    assert [(one["line"], one["ident"], one["outcome"]) for one in created.lines()] == [
        (2, "old", "failed"),
        (3, "new", "created"),
    ]
    assert fleetroll("device", "get", "old", "--json").json()["name"] == "before"


def test_failed_rows_are_listed_in_part_and_kept_in_full(fleetroll: Fleetroll, work: Path) -> None:
    rows = ndjson([{"ident": "good"}] + [{"ident": f"bad-{number}", "tags": [","]} for number in range(30)])
    imported = fleetroll("device", "import", "-", "--format", "ndjson", "--errors", "bad.ndjson", stdin=rows)
    assert imported.code == 6
    assert imported.out.split() == ["created", "1", "updated", "0", "unchanged", "0", "failed", "30"]
    assert imported.err.count("a tag must have no comma") == 20
    assert "line 2: tags: " in imported.err
    assert "... and 10 more" in imported.err
    kept = [json.loads(line) for line in (work / "bad.ndjson").read_text().splitlines()]
    assert [one["line"] for one in kept] == list(range(2, 32))
    assert fleetroll("device", "get", "good").code == 0


def test_failed_rows_do_not_take_the_place_of_the_file_that_is_imported(fleetroll: Fleetroll, work: Path) -> None:
    (work / "x.csv").write_text("ident\nmine\n")
    (work / "link.csv").symlink_to("x.csv")
    for name in ("x.csv", "./x.csv", "link.csv"):
        refused = fleetroll("device", "import", "x.csv", "--errors", name)
        assert (refused.code, "--errors" in refused.err) == (2, True)
    assert (work / "x.csv").read_text() == "ident\nmine\n"
    assert fleetroll("device", "get", "mine").code == 5


def test_progress_is_what_has_results_not_what_is_sent() -> None:
    advanced: list[int] = []
    upload = Upload(io.BytesIO(b"ident\n" + b"a-device-with-a-name\n" * 40_000), advanced.append)
    sizes = [len(part) for part in upload]
    assert (len(sizes) > 3, advanced) == (True, [])
    upload.done(sizes[0] // len("a-device-with-a-name\n") + 2)
    assert advanced == sizes[:1]
    upload.done(math.inf)
    assert advanced == sizes


def test_progress_without_results_is_what_no_buffer_can_hold() -> None:
    advanced: list[int] = []
    upload = Upload(io.BytesIO(b"ident\n" + b"a-device-with-a-name\n" * 500_000), advanced.append)
    sizes = [len(part) for part in upload]
    assert 0 < len(advanced) == len(sizes) - 32


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["import", "-"], 2, "give --format"),
        (["import", "x.txt"], 2, "give --format"),
        (["import", "absent.csv"], 2, "does not exist"),
        (["import", "twice.csv"], 1, 'names the column "ident" twice'),
        (["import", "x.csv", "--key", "wrong"], 4, "FLEETROLL_KEY"),
        (["import", "x.csv", "--organization", "nowhere"], 5, "nowhere"),
        (["export", "x.txt"], 2, "give --format"),
        (["export", "absent/x.csv"], 7, "absent/x.csv"),
        (["export", "x.csv", "--filter", "("], 1, "column"),
    ],
)
def test_what_cannot_be_imported_or_exported_says_why(
    fleetroll: Fleetroll, work: Path, arguments: list[str], code: int, words: str
) -> None:
    (work / "x.txt").write_text("")
    (work / "x.csv").write_text("ident\nkept\n")
    (work / "twice.csv").write_text("ident,ident\na,b\n")
    refused = fleetroll("device", *arguments)
    assert refused.code == code
    assert words in refused.err
    assert (work / "x.csv").read_text() == "ident\nkept\n"


@pytest.mark.parametrize("name", ["x.csv", "x.ndjson"])
def test_an_export_that_breaks_off_leaves_the_old_file_alone(fleetroll: Fleetroll, work: Path, name: str) -> None:
    (work / name).write_text("old")
    page = b'{"total": 2, "devices": [], "next_cursor": null}'
    for body, promised in ((b'{"id":1}\n{"error":{"code":"x","message":"disk"}}\n', None), (page, len(page) + 10)):
        with impostor(body, promised=promised) as url:
            ended = fleetroll("device", "export", name, FLEETROLL_URL=url)
        assert ended.code in {1, 3}
    assert [file.name for file in work.iterdir()] == [name]
    assert (work / name).read_text() == "old"


def test_an_import_that_breaks_off_counts_what_is_stored(fleetroll: Fleetroll, work: Path) -> None:
    (work / "x.ndjson").write_text('{"ident":"a"}\n')
    results = b'{"outcome":"created","ident":"a","line":1}\n{"error":{"code":"x","message":"Disk full."}}\n'
    with impostor(results) as url:
        ended = fleetroll("device", "import", "x.ndjson", FLEETROLL_URL=url)
    assert ended.code == 1
    assert "created    1" in ended.out
    assert "broke off after 1 rows: Disk full." in ended.err
    assert "importing the whole file again does no harm" in ended.err
    with impostor(results) as url:
        ended = fleetroll("device", "import", "x.ndjson", "--dry-run", FLEETROLL_URL=url)
    assert (ended.code, "stored" in ended.err) == (1, False)


def test_an_import_whose_failed_rows_cannot_be_kept_stores_nothing(fleetroll: Fleetroll, work: Path) -> None:
    (work / "x.ndjson").write_text('{"ident":"unkept"}\n')
    refused = fleetroll("device", "import", "x.ndjson", "--errors", "nowhere/errors")
    assert (refused.code, refused.err) == (7, "fleetroll: nowhere/errors: No such file or directory.\n")
    assert fleetroll("device", "get", "unkept").code == 5


def test_a_file_that_takes_no_failed_rows_is_named(fleetroll: Fleetroll) -> None:
    ended = fleetroll("device", "import", "-", "--format", "ndjson", "--errors", "/dev/full", stdin=b"[]\n")
    assert (ended.code, ended.err.splitlines()[-1]) == (7, "fleetroll: /dev/full: No space left on device.")


def test_an_export_through_a_link_keeps_the_link(fleetroll: Fleetroll, work: Path) -> None:
    (work / "real").mkdir()
    (work / "x.csv").symlink_to(work / "real" / "y.csv")
    assert fleetroll("device", "export", "x.csv").code == 0
    assert (work / "x.csv").is_symlink()
    assert (work / "real" / "y.csv").read_text().startswith("id,")

"""Many devices at once: import, export, and changes by filter, row by row and without half-truths."""

import asyncio
import csv
import io
import json
import re
import time
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest

from fleetroll.core import limits
from tests.support.app import App, Response, about_sqlite, running

CSV = {"content-type": "text/csv"}
NDJSON = {"content-type": "application/x-ndjson"}
AWKWARD: list[dict[str, Any]] = [
    {"ident": "=1+1", "name": "=cmd()", "kind": "+x", "tags": ["=t", "@u"]},
    {"ident": "[x]", "name": "[not, a, list]", "tags": ["[a", "b]"], "owners": ["[c"]},
    {"ident": 'say "hi"', "name": 'a,b;"c"\t'.strip(), "tags": ['"quoted"', "two words"]},
    {
        "ident": "a,b",
        "metadata": {"note": 'line one\nline "two",\r\nline three', "empty": "", "list": [1, "x,y", None]},
    },
    {
        "ident": "空 だ 😀",
        "name": "Ä́",
        "metadata": {"ключ": "значение\u2028"},
        "owners": ["o,comma", "ann@example.com"],
    },
    {"ident": "numbers", "metadata": {"big": 2**64 - 1, "low": -(2**63), "float": 1.0, "tiny": 1e-300, "no": False}},
    {"ident": "true", "name": "null", "kind": "0", "hardware_version": "1.10", "software": {"version": "1.10"}},
    {
        "ident": "'apostrophe",
        "name": "-",
        "schema": {"t": {"type": "number", "unit": "°C"}},
        "config": {"a": {"b": []}},
    },
    {"ident": "empty"},
    {"ident": "tab'\\", "metadata": {"deep": {"deeper": {"deepest": "\\n"}}, "": "no name"}},
]


def load(app: App, rows: str | bytes | list[Any], query: str = "", **headers: str) -> Response:
    if isinstance(rows, list):
        rows = "".join(json.dumps(row) + "\n" for row in rows)
    raw = rows.encode() if isinstance(rows, str) else rows
    return app.request("POST", f"/v1/devices:import{query}", raw=raw, headers={**NDJSON, **headers})


def load_csv(app: App, text: str | bytes, query: str = "") -> Response:
    return load(app, text, query, **CSV)


def outcomes(reply: Response) -> list[str]:
    assert reply.status == 200, reply.body
    return [row["outcome"] for row in reply.lines()]


def everything(app: App) -> list[dict[str, Any]]:
    return [json.loads(line) for line in app.request("GET", "/v1/devices:export").body.splitlines()]


def events(app: App) -> int:
    found: list[Any] = [0]
    for device in everything(app):
        found += app.request("GET", f"/v1/devices/{device['ident']}/timeline").json().get("events", [])
    return len(found)


# --- import and export -----------------------------------------------------------------------------------------------


def test_rows_create_update_or_leave_alone_and_say_which(app: App) -> None:
    app.request("PUT", "/v1/devices/b", {"name": "old", "kind": "valve"})
    rows = [{"ident": "a"}, {"ident": "b", "name": "new"}, {"ident": "b", "name": "new"}, {"ident": "c", "tags": ["x"]}]
    reply = load(app, rows)
    assert outcomes(reply) == ["created", "updated", "unchanged", "created"]
    assert [(row["line"], row["ident"]) for row in reply.lines()] == [(1, "a"), (2, "b"), (3, "b"), (4, "c")]
    kept = app.request("GET", "/v1/devices/b").json()
    assert (kept["name"], kept["kind"]) == ("new", "valve")


def test_a_row_may_say_what_another_server_knew(app: App) -> None:
    rows = [{"ident": "a", "seen_at": "2026-01-02T03:04:05.000006Z", "description": "In hall 1."}, {"ident": "b"}]
    assert outcomes(load(app, rows)) == ["created", "created"]
    shown = app.request("GET", "/v1/devices/a").json()
    assert (shown["last_seen"], shown["connected"], shown["revision"]) == ("2026-01-02T03:04:05.000006Z", False, 1)
    earlier = [{"ident": "a", "seen_at": "2025-01-02T03:04:05+01:00", "description": "In hall 2."}]
    assert outcomes(load(app, earlier)) == ["updated"]
    assert outcomes(load(app, earlier)) == ["unchanged"]
    path = "/api/v0/organizations/default/projects/default/devices"
    device = app.request("GET", f"{path}/a").json()["data"]
    assert (device["last_seen"], device["description"]) == ("2026-01-02T03:04:05.000006+00:00", "In hall 2.")
    assert outcomes(load(app, [{"ident": "b", "seen_at": "2999-01-01T00:00:00Z"}])) == ["unchanged"]
    assert app.request("GET", "/v1/devices/b").json()["last_seen"] < "2999"
    for wrong in ({"seen_at": "soon"}, {"seen_at": None}, {"description": 5}):
        (line,) = load(app, [{"ident": "c", **wrong}]).body.splitlines()
        assert json.loads(line)["error"]["field"] == next(iter(wrong))
    assert app.request("GET", "/v1/devices/c").status == 404
    for path, body in (("/v1/devices", {"ident": "c"}), ("/v1/devices/a", {})):
        refused = app.request("POST" if path == "/v1/devices" else "PUT", path, {**body, "description": "x"})
        assert refused.status == 400


def test_a_row_that_fails_does_not_hold_up_the_others(app: App) -> None:
    rows = [
        '{"ident":"a"}',
        "",
        "  ",
        "nonsense",
        "[]",
        "{}",
        '{"ident":"b","colour":1}',
        '{"ident":""}',
        '{"ident":"c"}',
    ]
    reply = load(app, "\n".join(rows).encode() + b'\n\xff\n{"ident":"d"}')
    assert [(row["line"], row["outcome"], row.get("error", {}).get("code")) for row in reply.lines()] == [
        (1, "created", None),
        (4, "failed", "invalid_json"),
        (5, "failed", "invalid_body"),
        (6, "failed", "invalid_body"),
        (7, "failed", "invalid_body"),
        (8, "failed", "invalid_ident"),
        (9, "created", None),
        (10, "failed", "invalid_json"),
        (11, "created", None),
    ]
    assert [device["ident"] for device in everything(app)] == ["a", "c", "d"]


def test_a_file_that_says_it_is_in_utf_8_is_read_like_any_other(app: App) -> None:
    for mark in ([b"\xef\xbb\xbf"], [b"\xef", b"\xbb\xbf"]):
        body = [*mark, b'{"ident":"a"}\n\xef\xbb\xbf{"ident":"b"}\n']
        rows = app.request("POST", "/v1/devices:import", raw=body, headers=NDJSON).lines()
        assert [(row["line"], row.get("error", {}).get("code")) for row in rows] == [(1, None), (2, "invalid_json")]
    assert load(app, b"\xef\xbb\xbf").body == b""


@pytest.mark.parametrize("header", ["ident;name;kind", "ident\tname", "Name;tags"])
def test_a_csv_with_other_separators_than_commas_is_refused_as_such(app: App, header: str) -> None:
    refused = load_csv(app, f"{header}\na;b;c\n")
    assert (refused.status, refused.json()["code"]) == (400, "invalid_csv")
    assert refused.json()["detail"] == "The cells of a CSV must be separated by commas, not by semicolons or tabs."


def test_a_row_that_is_no_json_says_why_and_where(app: App) -> None:
    reply = load(app, b'{"ident":"a",}\n{"ident":"b"')
    assert [row["error"]["message"] for row in reply.lines()] == [
        "Invalid JSON payload: trailing comma in object (byte 13)",
        "Invalid JSON payload: it ends too early",
    ]


@pytest.mark.parametrize("headers", [CSV, NDJSON])
@pytest.mark.parametrize("body", [b"", b"\n", b"\r\n\r\n"])
def test_an_import_of_nothing_reports_nothing(app: App, headers: dict[str, str], body: bytes) -> None:
    reply = load(app, body, **headers)
    assert (reply.status, reply.body) == (200, b"")


@pytest.mark.parametrize("form", ["csv", "ndjson"])
def test_importing_what_was_exported_changes_nothing(app: App, form: str) -> None:
    assert outcomes(load(app, AWKWARD)) == ["created"] * len(AWKWARD)
    before = everything(app)
    exported = app.request("GET", f"/v1/devices:export?format={form}")
    again = load(app, exported.body, **(CSV if form == "csv" else NDJSON))
    assert outcomes(again) == ["unchanged"] * len(AWKWARD)
    assert everything(app) == before
    assert [row["ident"] for row in again.lines()] == [row["ident"] for row in AWKWARD]


@pytest.mark.parametrize("form", ["csv", "ndjson"])
def test_what_was_exported_makes_the_same_fleet_elsewhere(app: App, form: str) -> None:
    load(app, AWKWARD)
    app.request("POST", "/v1/organizations", {"slug": "copy"})
    copy = {"Fleetroll-Organization": "copy"}
    exported = app.request("GET", f"/v1/devices:export?format={form}")
    load(app, exported.body, **copy, **(CSV if form == "csv" else NDJSON))
    again = app.request("GET", "/v1/devices:export", headers=copy).lines()
    own = {"id", "created_at", "updated_at"}
    assert [{name: row[name] for name in row.keys() - own} for row in again] == [
        {name: row[name] for name in row.keys() - own} for row in everything(app)
    ]


@pytest.mark.parametrize("form", ["csv", "ndjson"])
def test_when_a_device_was_activated_and_last_seen_is_known_elsewhere(app: App, form: str) -> None:
    first, last = "2026-01-02T03:04:05.000006Z", "2026-02-03T04:05:06.000007Z"
    for seen in (first, last):
        load(app, [{"ident": "a", "seen_at": seen}, {"ident": "never"}])
    app.request("POST", "/v1/organizations", {"slug": "copy"})
    headers = {"Fleetroll-Organization": "copy", **(CSV if form == "csv" else NDJSON)}
    exported = app.request("GET", f"/v1/devices:export?format={form}").body
    for outcome in ("created", "unchanged"):
        assert outcomes(load(app, exported, **headers)) == [outcome] * 2
        there = app.request("GET", "/v1/devices:export", headers=headers).lines()
        assert [(row["activated_at"], row["last_seen"]) for row in there] == [(first, last), (None, None)]
    assert outcomes(load(app, [{"ident": "a", "activated_at": "2025-01-01T00:00:00Z"}])) == ["unchanged"]
    assert outcomes(load(app, [{"ident": "b", "activated_at": "2999-01-01T00:00:00Z"}])) == ["created"]
    assert app.request("GET", "/v1/devices/a").json()["activated_at"] == first
    assert app.request("GET", "/v1/devices/b").json()["activated_at"] < "2999"


@pytest.mark.parametrize("form", ["csv", "ndjson"])
def test_a_device_that_is_out_of_service_is_so_elsewhere(app: App, form: str) -> None:
    load(app, [{"ident": "old", "name": "Old"}, {"ident": "good"}])
    app.request("POST", "/v1/devices/old:decommission")
    app.request("POST", "/v1/organizations", {"slug": "copy"})
    copy = {"Fleetroll-Organization": "copy"}
    exported = app.request("GET", f"/v1/devices:export?format={form}").body
    headers = {**copy, **(CSV if form == "csv" else NDJSON)}
    rehearsed = app.request("POST", "/v1/devices:import?dry_run=true", raw=exported, headers=headers)
    assert outcomes(rehearsed) == outcomes(load(app, exported, **headers)) == ["created", "created"]
    assert outcomes(load(app, exported, **headers)) == ["unchanged", "unchanged"]
    again = app.request("GET", "/v1/devices:export", headers=copy).lines()
    assert [(row["ident"], row["status"]) for row in again] == [("old", "DECOMMISSIONED"), ("good", "NO_IDENTITY")]
    told = app.request("GET", "/v1/devices/old/timeline", headers=copy).json()["events"]
    assert [event["type"] for event in told] == ["device.decommissioned", "device.created"]
    assert app.request("GET", "/v1/stats", headers=copy).json()["by_status"] == {"DECOMMISSIONED": 1, "NO_IDENTITY": 1}


def test_a_row_puts_no_device_out_of_service_that_is_here_already(app: App) -> None:
    rows = [{"ident": "a"}, {"ident": "a", "status": "DECOMMISSIONED"}]
    assert outcomes(load(app, rows)) == ["created", "unchanged"]
    assert outcomes(load(app, [{"ident": "a", "status": "DECOMMISSIONED", "name": "A"}])) == ["updated"]
    twice = [{"ident": "b", "status": "DECOMMISSIONED"}, {"ident": "b", "name": "B"}, {"ident": "c", "status": ["x"]}]
    assert outcomes(load(app, twice)) == ["created", "updated", "created"]
    found = [(device["ident"], device["status"]) for device in everything(app)]
    assert found == [("a", "NO_IDENTITY"), ("b", "DECOMMISSIONED"), ("c", "NO_IDENTITY")]


EXTRAS = {
    "memfault": {"description": "In hall 1,\nbehind the door."},
    "relay": {"env": "test"},
    "lamassu": {"icon": "CgBattery", "icon_color": ""},
    "blynk": {"properties": {"v1": {"color": "#ff0000"}}},
}


@pytest.mark.parametrize("form", ["csv", "ndjson"])
def test_what_other_apis_say_of_a_device_goes_along_with_an_export(app: App, form: str) -> None:
    app.request("POST", "/v1/organizations", {"slug": "copy"})
    copy = {"Fleetroll-Organization": "copy"}
    vendor = {"id": "l", "alias": "Pump", "dms_id": "line-1", "icon": "CgBattery", "icon_color": "#fff"}
    assert app.request("POST", "/api/devmanager/v1/devices", vendor).status == 201
    described = {"device_serial": "m", "hardware_version": "a", "description": "In hall 1."}
    memfault = "/api/v0/organizations/default/projects/{}/devices"
    assert app.request("POST", memfault.format("default"), described).status == 200
    load(app, [{"ident": "all", "extras": EXTRAS}, {"ident": "m", "seen_at": "2026-01-02T03:04:05Z"}])
    exported = app.request("GET", f"/v1/devices:export?format={form}")
    headers = CSV if form == "csv" else NDJSON
    assert outcomes(load(app, exported.body, **copy, **headers)) == ["created"] * 3
    assert outcomes(load(app, exported.body, **copy, **headers)) == ["unchanged"] * 3
    there = app.request("GET", memfault.format("copy") + "/m").json()["data"]
    here = app.request("GET", memfault.format("default") + "/m").json()["data"]
    assert [(device["description"], device["last_seen"]) for device in (here, there)] == [
        ("In hall 1.", "2026-01-02T03:04:05.000000+00:00")
    ] * 2
    moved = app.request("GET", "/api/devmanager/v1/devices/l", headers=copy).json()
    members = ("alias", "dms_owner", "icon", "icon_color")
    assert [moved[name] for name in members] == ["Pump", "line-1", "CgBattery", "#fff"]
    assert app.request("GET", "/v1/devices/all", headers=copy).json()["extras"] == EXTRAS


def test_of_rows_about_one_device_the_earliest_activation_counts_and_the_last_sign_of_life(app: App) -> None:
    def rows(ident: str) -> list[dict[str, Any]]:
        said = ("2025-03-01T00:00:00Z", "2025-06-01T00:00:00Z", "2025-04-01T00:00:00Z")
        return [{"ident": ident, "activated_at": at, "seen_at": at} for at in said]

    app.request("POST", "/v1/devices", {"ident": "was"})
    assert outcomes(load(app, [*rows("new"), *rows("was")])) == ["created", *["unchanged"] * 5]
    for ident in ("new", "was"):
        device = app.request("GET", f"/v1/devices/{ident}").json()
        assert (device["activated_at"], device["last_seen"]) == ("2025-03-01T00:00:00Z", "2025-06-01T00:00:00Z")


def test_what_a_row_gives_in_part_leaves_the_rest(app: App) -> None:
    def shown() -> tuple[Any, Any]:
        device = app.request("GET", "/v1/devices/a").json()
        return device["extras"], device["metadata"]

    mode, metadata = {"relay": {"env": "test"}}, {"a": 1, "b": 2}
    load(app, [{"ident": "a", "extras": EXTRAS, "metadata": metadata}])
    assert outcomes(load(app, [{"ident": "a", "description": "Moved."}])) == ["updated"]
    assert shown() == (EXTRAS | {"memfault": {"description": "Moved."}}, metadata)
    assert outcomes(load(app, [{"ident": "a", "description": "Here.", "extras": mode}])) == ["updated"]
    assert shown() == (mode | {"memfault": {"description": "Here."}}, metadata)
    assert outcomes(load(app, b"ident,metadata.b\na,3\n", **CSV)) == ["updated"]
    assert shown()[1] == {"a": 1, "b": "3"}


def test_csv_is_what_spreadsheets_read_and_write(app: App) -> None:
    load(app, AWKWARD)
    exported = app.request("GET", "/v1/devices:export", headers={"Accept": "text/csv"})
    assert exported.headers["content-type"] == "text/csv; charset=utf-8"
    records = list(csv.DictReader(io.StringIO(exported.body.decode(), newline="")))
    assert [record["ident"] for record in records] == [row["ident"] for row in AWKWARD]
    assert records[4]["owners"] == '["o,comma", "ann@example.com"]'
    assert records[0]["tags"] == "=t,@u"
    assert json.loads(records[3]["metadata"]) == AWKWARD[3]["metadata"]
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, list(records[0]), quoting=csv.QUOTE_ALL)
    writer.writeheader()
    writer.writerows(records)
    assert outcomes(load_csv(app, "\ufeff" + text.getvalue())) == ["unchanged"] * len(AWKWARD)


@pytest.mark.parametrize(
    ("text", "results"),
    [
        ("ident\na\n", [(2, "created", None)]),
        ("ident\na", [(2, "created", None)]),
        ("\ufeffident,name\r\na,b\r\n", [(2, "created", None)]),
        ("\n\nident\n\na\n\nb\n", [(5, "created", None), (7, "created", None)]),
        ('ident,metadata.note\na,"two\nlines"\nb,x\n', [(2, "created", None), (4, "created", None)]),
        ('ident,name\na,"two\nlines"\nb,x\n', [(2, "failed", "invalid_text"), (4, "created", None)]),
        ("ident,name\na\nb,x\n", [(2, "failed", "invalid_csv"), (3, "created", None)]),
        ("ident,name\na,b,c\n", [(2, "failed", "invalid_csv")]),
        ('ident,name\na,b"c\n', [(2, "failed", "invalid_csv")]),
        ('ident,name\na,5" pipe\nb,x\n', [(2, "failed", "invalid_csv"), (3, "created", None)]),
        ('ident,name\n"a",5" pipe\n"b","x"\n', [(2, "failed", "invalid_csv"), (3, "created", None)]),
        (
            'ident,metadata.x\na,"1""\n"",\n5"\n""b"",\nc,""\n',
            [(2, "created", None), (5, "failed", "invalid_csv"), (6, "created", None)],
        ),
        ('ident,name\na,"never closed\nb,x\n', [(2, "failed", "invalid_csv")]),
        ('ident,name\na,"b"c\n', [(2, "failed", "invalid_csv")]),
        ("ident,name\n,b\n", [(2, "failed", "invalid_body")]),
        (
            "ident,metadata\na,{\nb,[1]\nc,7\n",
            [(2, "failed", "invalid_json"), (3, "failed", "invalid_body"), (4, "failed", "invalid_document")],
        ),
        ("name,ident\nx,a\n", [(2, "created", None)]),
        (
            ",,\nident,,name,\na,,x,\n,,,\nb,y,x,\nc,,,z\n",
            [(3, "created", None), (5, "failed", "invalid_csv"), (6, "failed", "invalid_csv")],
        ),
        ("\ufeff,\r\n,\r\nident,name\r\na,b\r\n", [(4, "created", None)]),
        ("\ufeff", []),
    ],
)
def test_csv_is_read_by_its_header_and_its_rows_are_told_by_their_first_line(
    app: App, text: str, results: list[tuple[int, str, str | None]]
) -> None:
    found = load_csv(app, text).lines()
    assert [(row["line"], row["outcome"], row.get("error", {}).get("code")) for row in found] == results


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        (b"a,\xff", "not UTF-8"),
        (b"a,\x00", "a control character"),
        (b'a,5" pipe', r'written like "5"" pipe"'),
        (b"a,x\rb,y", "lines must end in LF or CRLF"),
    ],
)
def test_why_a_row_is_not_csv_is_told(app: App, row: bytes, reason: str) -> None:
    headers = {"content-type": "text/csv"}
    (failed,) = app.request("POST", "/v1/devices:import", raw=b"ident,name\n" + row, headers=headers).lines()
    assert (failed["outcome"], reason in failed["error"]["message"]) == ("failed", True)


def test_the_name_of_an_unknown_column_is_shown_briefly_and_in_quotes(app: App) -> None:
    for column, shown in {" ident": " ident", "c" * 5_000: "c" * 256 + "…"}.items():
        refused = load_csv(app, f"{column},name\na,b\n").json()
        assert (refused["field"], refused["detail"].startswith(f'Unknown column "{shown}";')) == (shown, True)


@pytest.mark.parametrize("media_type", ["text/csv", "application/x-ndjson"])
def test_others_have_their_turn_while_lines_without_a_row_are_read(app: App, media_type: str) -> None:
    lines = b"\n" * (256 << 10)  # as many as the server reads at once took a tenth of a second

    async def turns() -> int:
        headers = {"content-type": media_type}
        importing = asyncio.ensure_future(app.call("POST", "/v1/devices:import", raw=lines, headers=headers))
        count = 0
        while not importing.done():
            await asyncio.sleep(0)
            count += 1
        return count

    assert app.run(turns()) > 8


def test_a_header_of_many_columns_takes_no_longer_than_its_length(app: App) -> None:
    # One of 45,000 columns, each looked for among all others, stopped the server for seconds.
    few, many = (seconds_to_load(app, count) for count in (2_000, 16_000))
    assert many < 24 * few


def seconds_to_load(app: App, columns: int) -> float:
    """The processor time that a CSV with a header of so many columns takes, at best."""
    header = ",".join(f"metadata.{number}" for number in range(columns))
    taken = []
    for _ in range(3):
        began = time.thread_time()
        assert load_csv(app, header).json()["code"] == "column_required"
        taken.append(time.thread_time() - began)
    return min(taken)


@pytest.mark.parametrize(
    ("header", "code", "field"),
    [
        ("ident,colour", "unknown_column", "colour"),
        ("Ident", "unknown_column", "Ident"),
        ("name,kind", "column_required", "ident"),
        ("ident,name,ident", "invalid_csv", None),
        ("ident,metadata,metadata.x", "invalid_csv", "metadata"),
        ('ident,"name', "invalid_csv", None),
        ("ident" + limits.MAX_IMPORT_COLUMNS * ",", "invalid_csv", None),
    ],
)
def test_a_csv_header_that_no_row_can_satisfy_is_refused_before_any_row(
    app: App, header: str, code: str, field: str | None
) -> None:
    refused = load_csv(app, f"{header}\na,b,c\n")
    assert (refused.status, refused.json()["code"], refused.json().get("field")) == (400, code, field)
    assert everything(app) == []


def test_csv_cells_mean_what_their_columns_say(app: App) -> None:
    text = 'ident,tags,owners,metadata.site,metadata.floor\na,"x, y",ann,"s,1",\nb,"[""p"",""q""]",,,2\n'
    assert outcomes(load_csv(app, text)) == ["created", "created"]
    first, second = everything(app)
    assert (first["tags"], first["owners"], first["metadata"]) == (["x", "y"], ["ann"], {"site": "s,1"})
    assert (second["tags"], second["owners"], second["metadata"]) == (["p", "q"], [], {"floor": "2"})


@pytest.mark.parametrize(
    ("cell", "code", "field"),
    [
        ('["a", 1]', "invalid_body", "tags[1]"),
        ('["a"', "invalid_json", "tags"),
        ('["a"],"owners":["b"]', "invalid_json", None),
        ('["a"],"tags":["b"]', "invalid_json", None),
    ],
)
def test_a_cell_that_is_no_list_of_texts_is_refused(app: App, cell: str, code: str, field: str | None) -> None:
    text = "ident,tags\na,{}\n".format('"' + cell.replace('"', '""') + '"')
    (row,) = load_csv(app, text).lines()
    assert (row["error"]["code"], row["error"].get("field")) == (code, field)


def test_a_part_of_metadata_leaves_the_others_as_they_are(app: App) -> None:
    metadata = {"floor": 1.0, "big": 2**64 - 1, "site": "a"}
    app.request("PUT", "/v1/devices/a", {"metadata": metadata})
    text = "ident,metadata.site,metadata.note\na,b,\na,b,\nnew,c,\n"
    assert outcomes(load_csv(app, text)) == ["updated", "unchanged", "created"]
    assert [device["metadata"] for device in everything(app)] == [metadata | {"site": "b"}, {"site": "c"}]
    rows = [{"ident": "a", "metadata_members": {"floor": {"x": [2]}}}, {"ident": "a", "metadata_members": {"\x7f": 1}}]
    assert outcomes(load(app, rows)) == ["updated", "failed"]
    assert app.request("GET", "/v1/devices/a").json()["metadata"] == metadata | {"site": "b", "floor": {"x": [2]}}


def test_an_empty_cell_leaves_the_device_as_it_is(app: App) -> None:
    app.request("PUT", "/v1/devices/a", {"name": "kept", "tags": ["x"], "metadata": {"a": 1}})
    assert outcomes(load_csv(app, "ident,name,tags,metadata,kind\na,,,,valve\n")) == ["updated"]
    device = app.request("GET", "/v1/devices/a").json()
    assert (device["name"], device["tags"], device["metadata"], device["kind"]) == ("kept", ["x"], {"a": 1}, "valve")


@pytest.mark.parametrize("size", [1, 2, 3, 7, 1 << 16])
def test_csv_is_read_alike_however_its_bytes_arrive(app: App, size: int) -> None:
    text = b'ident,metadata.note\r\na,"one\r\n""two"", three\n"\r\nb,5" pipe\r\n"c",\r\n"d","""\n"""\r\n'
    parts = [text[start : start + size] for start in range(0, len(text), size)]
    found = app.request("POST", "/v1/devices:import", raw=parts, headers=CSV).lines()
    assert [(row["line"], row["outcome"]) for row in found] == [
        (2, "created"),
        (5, "failed"),
        (6, "created"),
        (7, "created"),
    ]
    notes = {device["ident"]: device["metadata"].get("note") for device in everything(app)}
    assert notes == {"a": 'one\r\n"two", three\n', "c": None, "d": '"\n"'}


def test_create_only_refuses_devices_that_exist_even_if_the_same_file_made_them(app: App) -> None:
    app.request("PUT", "/v1/devices/old", {})
    reply = load(app, [{"ident": "old", "name": "x"}, {"ident": "new"}, {"ident": "new"}], "?mode=create")
    assert outcomes(reply) == ["failed", "created", "failed"]
    assert {row["error"]["code"] for row in reply.lines() if "error" in row} == {"ident_taken"}
    assert app.request("GET", "/v1/devices/old").json()["name"] is None


def test_the_last_of_several_rows_for_one_device_wins_across_batches_and_unicode_forms(app: App) -> None:
    rows = [{"ident": "caf\u00e9", "name": "first"}]
    rows += [{"ident": f"n{number}"} for number in range(2 * limits.IMPORT_BATCH)]
    rows += [{"ident": "cafe\u0301", "name": "second"}, {"ident": "n3", "kind": "k"}, {"ident": "n3", "name": "m"}]
    assert outcomes(load(app, rows))[-3:] == ["updated", "updated", "updated"]
    assert app.request("GET", "/v1/devices/caf%C3%A9").json()["name"] == "second"
    both = app.request("GET", "/v1/devices/n3").json()
    assert (both["kind"], both["name"]) == ("k", "m")


def test_a_dry_run_tells_what_would_happen_and_changes_nothing(app: App) -> None:
    app.request("PUT", "/v1/devices/b", {"name": "old"})
    before, told = everything(app), events(app)
    rows = [{"ident": "a", "owners": ["new owner"]}, {"ident": "b", "name": "new"}, {"ident": "a"}, {"ident": ""}]
    assert outcomes(load(app, rows, "?dry_run=true")) == ["created", "updated", "unchanged", "failed"]
    assert (everything(app), events(app)) == (before, told)
    assert app.request("GET", "/v1/owners").json()["owners"] == []
    assert app.request("GET", "/v1/organizations/self").json()["usage"]["devices"] == 1


@pytest.mark.parametrize("query", ["?", "?mode=create&"])
def test_a_rehearsal_tells_of_every_row_what_the_import_does(app: App, query: str) -> None:
    """Rows about one device are more than a batch apart, and the quota ends within the last batch."""
    app.request("POST", "/v1/organizations", {"slug": "small", "quotas": {"devices": 2 * limits.IMPORT_BATCH + 2}})
    small = {"Fleetroll-Organization": "small"}
    load(app, [{"ident": "was", "name": "old", "kind": "k", "tags": ["t"]}], **small)
    many = [[{"ident": f"{name}{number}"} for number in range(limits.IMPORT_BATCH)] for name in "ab"]
    about: list[list[dict[str, Any]]] = [
        [{"ident": "new", "name": "n", "owners": ["o"]}, {"ident": "was", "name": "new"}, {"ident": "", "name": "x"}],
        [
            {"ident": "new", "name": "n"},
            {"ident": "was", "name": "new", "metadata": {"a": 1.0}},
            {"ident": "caf\u00e9", "schema": {"t": {"type": "number"}}},
            {"ident": "a7", "tags": ["x"], "software": {"version": "1"}},
        ],
        [
            {"ident": "was", "name": "new", "kind": "k", "tags": ["t"], "metadata": {"a": 1.0}},
            {"ident": "new", "owners": []},
            {"ident": "cafe\u0301", "schema": {"t": {"type": "number"}}},
            {"ident": "a7", "tags": ["x"], "software": {"version": "1"}},
            {"ident": "b7", "description": "In hall 1."},
            {"ident": "one too many"},
            {"ident": "b7", "description": "In hall 1."},
            {"ident": "new", "owners": []},
        ],
    ]
    rows = [*about[0], *many[0], *about[1], *many[1], *about[2]]
    rehearsed = load(app, rows, f"{query}dry_run=true", **small).lines()
    assert app.request("GET", "/v1/devices:export", headers=small).lines()[0]["name"] == "old"
    stored = load(app, rows, query, **small).lines()
    assert [row for row, real in zip(rehearsed, stored, strict=True) if row != real] == []
    assert {row["outcome"] for row in stored[-8:]} == (
        {"failed"} if "create" in query else {"unchanged", "updated", "failed"}
    )


def test_a_rehearsal_counts_what_devices_name_as_the_import_does(app: App) -> None:
    quotas = {"owners": 2, "hardware_versions": 2, "software_versions": 2}
    app.request("POST", "/v1/organizations", {"slug": "small", "quotas": quotas})
    small = {"Fleetroll-Organization": "small"}
    app.request("POST", "/v1/owners", {"ref": "was"}, headers=small)

    def batch(number: int, *rows: dict[str, Any]) -> list[dict[str, Any]]:
        some = [{"ident": f"{number}-{row}", **members} for row, members in enumerate(rows)]
        return some + [{"ident": f"{number}-{row}"} for row in range(len(rows), limits.IMPORT_BATCH)]

    def software(version: str) -> dict[str, Any]:
        return {"software": {"version": version}}

    rows = [
        *batch(1, {"owners": ["was", "e\u0301"]}, {"hardware_version": "1"}, software("1"), {"owners": ["was"]}),
        *batch(2, {"owners": ["e\u0301"]}, {"hardware_version": "1"}, software("1"), {"hardware_version": "2"}),
        *batch(3, {"owners": ["\u00e9"]}, {"hardware_version": "3"}, software("2"), {"owners": ["was"]}),
        *batch(4, {"owners": ["new"]}, {"hardware_version": "2"}, software("3"), software("2"), software("1")),
    ]
    rehearsed = load(app, rows, "?dry_run=true", **small).lines()
    stored = load(app, rows, **small).lines()
    assert [row for row, real in zip(rehearsed, stored, strict=True) if row != real] == []
    failed = [row["ident"] for row in stored if row["outcome"] == "failed"]
    assert failed == ["3-0", "3-1", "4-0", "4-2"]
    app.request("PATCH", "/v1/organizations/small", {"quotas": {"owners": 1, "devices": 1}})
    again = load(app, rows, "?dry_run=true", **small).lines()
    assert [row["ident"] for row in again if row["outcome"] == "failed"] == failed


def test_a_row_that_fails_leaves_nothing_that_it_names_behind(app: App) -> None:
    app.request("POST", "/v1/metadata-fields", {"name": "floor", "type": "number"})
    names = {"owners": ["ann"], "hardware_version": "evt", "software": {"type": "main", "version": "1"}}
    wrong: list[dict[str, Any]] = [{"template": 99}, {"metadata": {"floor": "one"}}, {"cohort": "nowhere"}]
    reply = load(app, [{"ident": "a", **names, **members} for members in wrong])
    assert outcomes(reply) == ["failed", "failed", "failed"]
    for noun in ("owners", "hardware-versions", "software-versions"):
        assert next(iter(app.request("GET", f"/v1/{noun}").json().values())) == []


def test_a_row_that_meets_a_quota_leaves_nothing_behind_that_it_names_as_well(app: App) -> None:
    quotas = {"owners": 2, "hardware_versions": 1, "software_versions": 0}
    app.request("POST", "/v1/organizations", {"slug": "small", "quotas": quotas})
    small = {"Fleetroll-Organization": "small"}
    load(app, [{"ident": "known", "owners": ["ann"]}], **small)
    too_many: list[dict[str, Any]] = [
        {"owners": ["ann", "bob", "eve"]},
        {"owners": ["bob"], "software": {"version": "1"}},
        {"owners": ["bob"], "hardware_version": "evt", "software": {"version": "1"}},
        {"hardware_version": "evt", "software": {"version": "1"}},
    ]
    for ident in ("new", "known"):
        reply = load(app, [{"ident": ident, **members} for members in too_many], **small)
        assert [row["error"]["code"] for row in reply.lines()] == ["quota_exceeded"] * len(too_many)
        sweeps = [{"set": members, "all": True} for members in too_many]
        swept = [app.request("POST", "/v1/devices:update", sweep, headers=small) for sweep in sweeps]
        assert [outcomes(reply) for reply in swept] == [["failed"]] * len(too_many)
    assert app.request("GET", "/v1/organizations/small").json()["usage"] == {"devices": 1, "owners": 1}
    assert [owner["ref"] for owner in app.request("GET", "/v1/owners", headers=small).json()["owners"]] == ["ann"]
    fitting = {"ident": "new", "owners": ["bob"], "hardware_version": "evt"}
    assert outcomes(load(app, [fitting], **small)) == ["created"]


def test_a_quota_met_in_the_middle_fails_only_the_rows_beyond_it(app: App) -> None:
    app.request("POST", "/v1/organizations", {"slug": "small", "quotas": {"devices": 3}})
    small = {"Fleetroll-Organization": "small"}
    app.request("PUT", "/v1/devices/a", {}, headers=small)
    rows = [{"ident": ident} for ident in ("b", "a", "c", "d", "e", "a", "b")]
    reply = load(app, rows, **small)
    assert outcomes(reply) == ["created", "unchanged", "created", "failed", "failed", "unchanged", "unchanged"]
    assert {row["error"]["code"] for row in reply.lines() if "error" in row} == {"quota_exceeded"}
    assert app.request("GET", "/v1/organizations/small").json()["usage"]["devices"] == 3


def test_one_line_that_is_too_long_fails_alone_wherever_it_lies(app: App) -> None:
    long = json.dumps({"ident": "long", "metadata": {"x": "y" * limits.MAX_IMPORT_LINE}})
    reply = load(app, f'{{"ident":"a"}}\n{long}\n{{"ident":"b"}}\n{long}')
    assert [row.get("error", {}).get("code") for row in reply.lines()] == [None, "line_too_long", None, "line_too_long"]
    assert [device["ident"] for device in everything(app)] == ["a", "b"]


@pytest.mark.parametrize("end", ["", "\n", '"\nd,x\n'])
def test_a_row_says_which_lines_a_quote_has_taken_along(app: App, end: str) -> None:
    text = 'ident,name\na,x\nb,"never closed\nc,x\nd,x' + end
    found = load_csv(app, text).lines()[1]
    assert (found["line"], found["outcome"]) == (3, "failed")
    assert "continues to line 5, because one of its cells" in found["error"]["message"]


def test_an_import_says_that_a_quote_has_made_a_row_too_long(app: App) -> None:
    parts = [b'ident,name\na,"never closed\n', *[b"b,x\n" * 1000] * 1000]
    refused = app.request("POST", "/v1/devices:import", raw=parts, headers=CSV)
    assert (refused.status, refused.json()["code"]) == (413, "line_too_long")
    assert re.search("continues to line [0-9]+, because one of its cells", refused.json()["detail"])


def test_the_largest_devices_come_back_from_an_export(app: App) -> None:
    quotes = {"a": [""] * (limits.MAX_DOCUMENT // 3 - 10)}
    schema = {f"m{number}": {"type": "number", "unit": "", "unit_symbol": ""} for number in range(900)}
    large = {"ident": "a", "metadata": quotes, "config": quotes, "schema": schema}
    large |= {"tags": [f"{number:02}" + "\U0001f600" * (limits.MAX_TAG - 2) for number in range(limits.MAX_TAGS)]}
    assert app.request("POST", "/v1/devices", large).status == 201
    for form, headers in (("csv", CSV), ("ndjson", NDJSON)):
        exported = app.request("GET", f"/v1/devices:export?format={form}")
        assert outcomes(load(app, exported.body, **headers)) == ["unchanged"]


def test_the_deepest_devices_are_taken_back_as_they_are_shown(app: App) -> None:
    """A CSV has a document without the device around it, so it can say a deeper one than any body of JSON."""
    deepest = "[" * (limits.MAX_DOCUMENT_DEPTH - 1) + "]" * (limits.MAX_DOCUMENT_DEPTH - 1)
    rows = [f'"{{""a"":{cell}}}"' for cell in (deepest, f"[{deepest}]")]
    taken, refused = load_csv(app, f"ident,metadata\na,{rows[0]}\nb,{rows[1]}\n").lines()
    assert (taken["outcome"], refused["error"]["code"]) == ("created", "invalid_document")
    assert outcomes(load(app, app.request("GET", "/v1/devices:export").body)) == ["unchanged"]
    shown = app.request("GET", "/v1/devices/a").json()
    assert app.request("PUT", "/v1/devices/a", shown).json()["revision"] == shown["revision"]


@pytest.mark.parametrize(
    ("query", "code"),
    [("?mode=merge", "invalid_parameter"), ("?dry_run=1", "invalid_parameter"), ("?colour=red", "unknown_parameter")],
)
def test_an_import_that_is_asked_for_wrongly_is_refused(app: App, query: str, code: str) -> None:
    refused = load(app, [{"ident": "a"}], query)
    assert (refused.status, refused.json()["code"]) == (400, code)
    assert everything(app) == []


@pytest.mark.parametrize(
    ("media_type", "status"),
    [
        ("text/csv; charset=utf-8; header=present", 200),
        ("text/csv; header=present", 200),
        ("TEXT/CSV", 200),
        ("text/csv; header=present; charset=latin-1", 415),
        ("text/plain", 415),
        ("application/json", 415),
        ("", 415),
    ],
)
def test_an_import_says_what_it_is(app: App, media_type: str, status: int) -> None:
    assert load(app, b"ident\na\n", **{"content-type": media_type}).status == status


def test_an_export_is_complete_filtered_and_in_the_order_of_creation(app: App) -> None:
    count = 1_050  # more than one page of the walk
    load(app, [{"ident": f"n{number}", "tags": ["odd"] if number % 2 else []} for number in range(count)])
    assert [device["ident"] for device in everything(app)] == [f"n{number}" for number in range(count)]
    odd = app.request("GET", "/v1/devices:export?filter=tags:odd&q=N10").lines()
    assert [device["ident"] for device in odd] == ["n101", "n103", "n105", "n107", "n109"] + [
        f"n{number}" for number in range(1001, 1050, 2)
    ]
    empty = app.request("GET", "/v1/devices:export?format=csv&filter=tags:none").body.decode()
    assert empty.splitlines()[1:] == []
    assert empty.startswith("id,ident,")


def test_head_of_an_export_has_no_body(app: App) -> None:
    load(app, AWKWARD)
    head = app.request("HEAD", "/v1/devices:export?format=csv")
    assert (head.status, head.headers["content-type"], head.body) == (200, "text/csv; charset=utf-8", b"")


# --- changes by filter -----------------------------------------------------------------------------------------------

SWEEPS: list[tuple[str, dict[str, Any]]] = [
    ("update", {"set": {"kind": "k"}}),
    ("tag", {"add": ["new"]}),
    ("delete", {}),
]


@pytest.fixture
def fleet(app: App) -> App:
    load(app, [{"ident": "a", "tags": ["x", "y"]}, {"ident": "b", "tags": ["x"]}, {"ident": "c", "name": "spare"}])
    return app


@pytest.mark.parametrize(("verb", "body"), SWEEPS)
def test_a_sweep_of_every_device_must_say_so(fleet: App, verb: str, body: dict[str, Any]) -> None:
    before = everything(fleet)
    for scope in ({}, {"filter": ""}, {"all": False}, {"filter": "tags:x", "all": True}, {"filter": " "}):
        refused = fleet.request("POST", f"/v1/devices:{verb}", body | scope)
        assert (refused.status, refused.json()["code"]) == (400, "filter_required"), scope
    wrong = fleet.request("POST", f"/v1/devices:{verb}", body | {"filter": "colour = red"})
    assert (wrong.status, wrong.json()["code"]) == (400, "invalid_filter")
    assert everything(fleet) == before
    assert len(outcomes(fleet.request("POST", f"/v1/devices:{verb}", body | {"all": True}))) == 3


@pytest.mark.parametrize(("verb", "body"), SWEEPS)
def test_a_dry_run_of_a_sweep_reports_the_same_and_changes_nothing(fleet: App, verb: str, body: dict[str, Any]) -> None:
    before = everything(fleet)
    wanted = body | {"filter": "tags:x"}
    rehearsed = fleet.request("POST", f"/v1/devices:{verb}", wanted | {"dry_run": True}).lines()
    assert everything(fleet) == before
    assert fleet.request("POST", f"/v1/devices:{verb}", wanted).lines() == rehearsed
    assert everything(fleet) != before
    assert [(row["outcome"], row["ident"]) for row in rehearsed] == [
        ("deleted" if verb == "delete" else "updated", ident) for ident in "ab"
    ]


def test_an_update_sets_members_of_what_the_filter_finds(fleet: App) -> None:
    body = {"set": {"kind": "valve", "tags": ["z"], "name": None}, "filter": "tags:y OR name:spare"}
    assert outcomes(fleet.request("POST", "/v1/devices:update", body)) == ["updated", "updated"]
    assert [(d["kind"], d["tags"], d["name"]) for d in everything(fleet)] == [
        ("valve", ["z"], None),
        (None, ["x"], None),
        ("valve", ["z"], None),
    ]
    unchanged = {"set": {"kind": "valve"}, "filter": "kind = valve"}
    assert outcomes(fleet.request("POST", "/v1/devices:update", unchanged)) == ["unchanged", "unchanged"]


def test_tags_are_added_and_removed_and_each_device_answers_for_itself(fleet: App) -> None:
    full = [f"t{number}" for number in range(limits.MAX_TAGS)]
    fleet.request("PUT", "/v1/devices/full", {"tags": full})
    reply = fleet.request("POST", "/v1/devices:tag", {"add": ["new"], "remove": ["x"], "all": True})
    assert [(row["ident"], row["outcome"]) for row in reply.lines()] == [
        ("a", "updated"),
        ("b", "updated"),
        ("c", "updated"),
        ("full", "failed"),
    ]
    assert reply.lines()[3]["error"]["code"] == "too_many"
    assert [device["tags"] for device in everything(fleet)] == [["y", "new"], ["new"], ["new"], full]


@pytest.mark.parametrize(
    ("verb", "body", "code"),
    [
        ("update", {"set": {"ident": "same"}, "all": True}, "read_only"),
        ("update", {"set": {"status": "DECOMMISSIONED"}, "all": True}, "read_only"),
        ("update", {"set": {"kind": "valve", "last_seen": None}, "all": True}, "read_only"),
        ("update", {"set": {"colour": "red"}, "all": True}, "invalid_body"),
        ("update", {"all": True}, "invalid_body"),
        ("tag", {"all": True}, "nothing_to_do"),
        ("tag", {"add": ["a,b"], "all": True}, "invalid_tag"),
        ("delete", {"all": True, "colour": "red"}, "invalid_body"),
    ],
)
def test_a_sweep_that_cannot_be_is_refused_as_a_whole(fleet: App, verb: str, body: dict[str, Any], code: str) -> None:
    before = everything(fleet)
    refused = fleet.request("POST", f"/v1/devices:{verb}", body)
    assert (refused.status, refused.json()["code"]) == (400, code)
    assert everything(fleet) == before


def test_a_sweep_changes_devices_that_leave_the_filter_by_it_once(app: App) -> None:
    load(app, [{"ident": f"n{number}", "tags": ["old"]} for number in range(2 * limits.BULK_BATCH + 7)])
    reply = app.request("POST", "/v1/devices:tag", {"remove": ["old"], "filter": "tags:old"})
    assert outcomes(reply) == ["updated"] * (2 * limits.BULK_BATCH + 7)
    assert app.request("GET", "/v1/devices?filter=tags:old").json()["devices"] == []


def test_a_sweep_deletes_all_that_match_and_frees_their_quota(fleet: App) -> None:
    assert outcomes(fleet.request("POST", "/v1/devices:delete", {"filter": "tags:x"})) == ["deleted", "deleted"]
    assert [device["ident"] for device in everything(fleet)] == ["c"]
    assert fleet.request("GET", "/v1/organizations/self").json()["usage"]["devices"] == 1


def test_a_change_by_a_costly_filter_keeps_no_other_writer_waiting(app: App) -> None:
    numbers = [1] * (limits.MAX_DOCUMENT // 3)
    assert set(outcomes(load(app, [{"ident": f"d{n}", "metadata": {"a": numbers}} for n in range(10)]))) == {"created"}
    any_other = " OR ".join(f"metadata.a = {number}" for number in range(2, 1 + limits.MAX_PREDICATES))
    tag = {"filter": f"ident = d* AND NOT ({any_other})", "add": ["x"]}

    async def story() -> None:
        # In computing time: a pause of the machine keeps everybody waiting.
        began, slowest = time.process_time(), 0.0
        tagging = asyncio.ensure_future(app.call("POST", "/v1/devices:tag", tag))
        while not tagging.done():
            asked = time.process_time()
            assert (await app.call("PUT", "/v1/devices/other", {"name": str(asked)})).status in {200, 201}
            slowest = max(slowest, time.process_time() - asked)
        assert outcomes(tagging.result()) == ["updated"] * 10
        assert slowest < (time.process_time() - began) / 4

    app.runner.run(story())


# --- searches that take long -----------------------------------------------------------------------------------------

COSTLY = f'NOT metadata.list = "*{"ab" * 1_900}x*"'  # of each text in a list


@about_sqlite
def test_a_change_by_filter_ends_at_a_device_that_takes_too_long_and_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "SCAN_TIME", 0.05)
    large = {"ident": "large", "metadata": {"list": ["ab" * 15_500] * 2}}
    with running(tmp_path / "data") as app:
        load(app, [{"ident": f"d{number}"} for number in range(15)] + [large, {"ident": "last"}])
        for dry_run in (True, False):
            wanted = {"filter": COSTLY, "add": ["found"], "dry_run": dry_run}
            rows = app.request("POST", "/v1/devices:tag", wanted).lines()
            assert [row.get("ident") for row in rows[:-1]] == [f"d{number}" for number in range(15)]
            assert rows[-1]["error"]["code"] == "query_too_costly"
            tagged = app.request("GET", "/v1/devices?filter=tags:found").json()["devices"]
            assert len(tagged) == (0 if dry_run else 15)
        for number in range(15):
            app.request("DELETE", f"/v1/devices/d{number}")
        for refused in (
            app.request("POST", "/v1/devices:delete", {"filter": COSTLY}),
            app.request("GET", f"/v1/devices:export?{urlencode({'filter': COSTLY})}"),
        ):
            assert (refused.status, refused.json()["code"]) == (422, "query_too_costly")
        assert len(everything(app)) == 2


@pytest.mark.parametrize("has_ended", [True, False])
def test_a_search_that_finds_nothing_ends_when_its_client_has_left(
    app: App, monkeypatch: pytest.MonkeyPatch, has_ended: bool
) -> None:
    """Of one that has closed its own half, that is known only once something is sent to it."""
    load(app, [{"ident": f"far-{number}"} for number in range(1_200)])
    monkeypatch.setattr(limits, "EVENT_HEARTBEAT", 0.0)
    gone, ended, said = asyncio.Event(), asyncio.Event(), []

    async def receive() -> dict[str, Any]:
        await gone.wait()
        return {"type": "http.disconnect"}

    async def send(message: dict[str, Any]) -> None:
        said.append(message.get("body", b""))
        if b"\n" in said:
            gone.set()

    async def export() -> None:
        if has_ended:
            ended.set()
        query = urlencode({"filter": 'metadata.n = "nowhere"'}).encode()
        path = {"path": "/v1/devices:export", "raw_path": b"/v1/devices:export", "query_string": query}
        scope = {"type": "http", "method": "GET", "scheme": "http", "headers": [(b"x-api-key", app.key.encode())]}
        await app.application.asgi({**scope, **path, "state": {"client_ended": ended}}, receive, send)

    app.runner.run(export())
    assert said[1:] == ([b"\n"] if has_ended else [b""])

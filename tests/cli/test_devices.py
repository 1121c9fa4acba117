"""`fleetroll device`: list, get, create, set, delete."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from tests.cli.impostor import impostor

Fleetroll = Callable[..., Any]


def test_a_device_is_made_shown_changed_and_deleted(fleetroll: Fleetroll) -> None:
    made = fleetroll("device", "create", "story", "name=Pump 7", "kind=pump", "tags=a,b", "--json")
    assert made.code == 0
    assert made.json()["name"] == "Pump 7"
    shown = fleetroll("device", "get", "story")
    assert {"Pump 7", "pump"} <= {line.partition(" ")[2].strip() for line in shown.out.splitlines()}
    changed = fleetroll("device", "set", "story", "kind=valve", "--json")
    assert changed.json() == fleetroll("device", "get", "story", "--json").json()
    assert (changed.json()["kind"], changed.json()["revision"]) == ("valve", 2)
    assert fleetroll("device", "delete", "story").out == "Deleted device story.\n"
    assert fleetroll("device", "get", "story").code == 5


def test_the_timeline_of_a_device_is_shown_newest_first(fleetroll: Fleetroll) -> None:
    fleetroll("device", "create", "told", "name=First")
    fleetroll("device", "set", "told", "name=Second")
    head, *events = fleetroll("device", "timeline", "told").out.splitlines()
    assert head.split() == ["AT", "EVENT", "BY", "DATA"]
    assert [line.split()[1] for line in events] == ["device.updated", "device.created"]
    assert "key:" in events[0]
    assert "name" in events[0]
    newest = fleetroll("device", "timeline", "told", "--limit", "1")
    assert "device.created" not in newest.out
    assert "--limit" in newest.err
    told = fleetroll("device", "timeline", "told", "--json").json()
    assert [event["type"] for event in told["events"]] == ["device.updated", "device.created"]
    assert fleetroll("device", "timeline", "nobody").code == 5


def test_a_timeline_that_is_longer_than_a_page_is_not_said_to_be_a_matter_of_the_limit(fleetroll: Fleetroll) -> None:
    rows = "".join(f'{{"ident":"long","name":"{number}"}}\n' for number in range(1001))
    assert fleetroll("device", "import", "-", "--format", "ndjson", stdin=rows.encode()).code == 0
    newest = fleetroll("device", "timeline", "long", "--limit", "999")
    assert "use a higher --limit" in newest.err
    newest = fleetroll("device", "timeline", "long", "--limit", "1000")
    assert len(newest.out.splitlines()) == 1001
    assert newest.err == "There are older events: the API has them, page by page.\n"


def test_a_device_is_moved_to_another_organization_and_back(fleetroll: Fleetroll) -> None:
    fleetroll("org", "create", "branch")
    fleetroll("device", "create", "mover", "name=M")
    assert fleetroll("device", "move", "mover", "branch", "--json").json()["name"] == "M"
    assert fleetroll("device", "get", "mover").code == 5
    assert fleetroll("device", "get", "mover", "--organization", "branch").code == 0
    assert fleetroll("device", "move", "mover", "self", "--organization", "branch").code == 0
    assert fleetroll("device", "get", "mover").code == 0
    assert fleetroll("device", "move", "mover", "nowhere").code == 5


def test_a_device_is_taken_out_of_service(fleetroll: Fleetroll) -> None:
    fleetroll("device", "create", "retired")
    assert fleetroll("device", "decommission", "retired", "--json").json()["status"] == "DECOMMISSIONED"
    assert fleetroll("device", "get", "retired", "--json").json()["status"] == "DECOMMISSIONED"
    assert fleetroll("device", "decommission", "nobody").code == 5


def test_a_device_that_exists_is_not_made_again(fleetroll: Fleetroll) -> None:
    fleetroll("device", "create", "once", "name=first")
    again = fleetroll("device", "create", "once", "name=second")
    assert again.code == 1
    assert "fleetroll device set" in again.err
    assert fleetroll("device", "get", "once", "--json").json()["name"] == "first"


BEFORE = ["name=Old", "kind=pump", "metadata.floor:=1", "metadata.room=a", "tags=x,y", "owners=ann@example.com"]


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        (["name=Pump = 7"], {"name": "Pump = 7"}),
        (["name="], {"name": None}),
        (["metadata.floor=3"], {"metadata": {"floor": "3", "room": "a"}}),
        (["metadata.floor:=3"], {"metadata": {"floor": 3, "room": "a"}}),
        (["metadata.room="], {"metadata": {"floor": 1}}),
        (["metadata.site.hall=2"], {"metadata": {"floor": 1, "room": "a", "site": {"hall": "2"}}}),
        ([r"metadata.fw\.rev=2"], {"metadata": {"floor": 1, "room": "a", "fw.rev": "2"}}),
        ([r"metadata.a\=b=c"], {"metadata": {"floor": 1, "room": "a", "a=b": "c"}}),
        (["metadata.up-time+x=c"], {"metadata": {"floor": 1, "room": "a", "up-time+x": "c"}}),
        (['metadata:={"room":null,"new":[1,true]}'], {"metadata": {"floor": 1, "new": [1, True]}}),
        (["metadata.room=b", 'metadata:={"new":1}'], {"metadata": {"floor": 1, "room": "b", "new": 1}}),
        (['metadata:={"site":{"hall":2}}', "metadata.site.row=3"],
         {"metadata": {"floor": 1, "room": "a", "site": {"hall": 2, "row": "3"}}}),
        (["software.version=1.2"], {"software": {"version": "1.2"}}),
        (["tags=z"], {"tags": ["z"]}),
        (["tags="], {"tags": []}),
        (['tags:=["a"]', "tags+=z"], {"tags": ["a", "z"]}),
        (["tags:=null", "tags+=z"], {"tags": ["z"]}),
        (["tags+=z,x"], {"tags": ["x", "y", "z"]}),
        (["tags-=x"], {"tags": ["y"]}),
        (["tags-=x,y", "tags+=q"], {"tags": ["q"]}),
        (["tags+=x,q", "tags-=x"], {"tags": ["y", "q"]}),
        (["tags-=x", "tags+=x"], {"tags": ["x", "y"]}),
        (["tags=a,b", "tags-=a", "kind=valve"], {"tags": ["b"], "kind": "valve"}),
        (["owners+=bob@example.com"], {"owners": ["ann@example.com", "bob@example.com"]}),
        (["ident=renamed"], {"ident": "renamed"}),
        (["--merge", '{"metadata":{"room":null},"name":"N"}'], {"name": "N", "metadata": {"floor": 1}}),
    ],
)  # fmt: skip
def test_changes_are_written_as_the_help_says(
    fleetroll: Fleetroll, changes: list[str], expected: dict[str, Any]
) -> None:
    before = fleetroll("device", "create", "changing", *BEFORE, "--json").json()
    changed = fleetroll("device", "set", "changing", *changes, "--json").json()
    fleetroll("device", "delete", changed["ident"])
    moved = {"revision", "updated_at"}
    assert {**before, **expected, **{name: changed[name] for name in moved}} == changed


@pytest.mark.parametrize(
    "changes",
    [
        [],
        ["name"],
        ["=x"],
        ["metadata..a=x"],
        [".name=x"],
        ["name+=x"],
        ["metadata.tags+=x"],
        ["metadata:={"],
        ["metadata.x:=NaN"],
        ["metadata.x:=1e999"],
        ["metadata.x:=" + "[" * 990 + "]" * 990],
        ['name:="\\ud800"'],
        ["metadata=x", "metadata.a=x"],
        ["tags:=5", "tags+=a"],
        ['tags:="abc"', "tags+=d"],
        ['owners:={"a":1}', "owners-=b"],
        ["tags:=[1]"],
        ["metadata.a=x", "metadata=x"],
        ["metadata.a=x", "metadata="],
        ["metadata.a=x", 'metadata:={"a":{"b":1}}'],
        ["--merge", "[1]"],
        ["--merge", "{}", "name=x"],
    ],
)
def test_what_is_no_change_is_wrong_usage(fleetroll: Fleetroll, changes: list[str]) -> None:
    refused = fleetroll("device", "set", "anything", *changes)
    assert (refused.code, refused.out) == (2, "")
    assert "Error: " in refused.err


def test_why_a_value_is_not_json_is_told_in_the_words_of_the_server(fleetroll: Fleetroll) -> None:
    told = {"": "it ends too early", "x": "invalid character (byte 0)", '"\\ud800"': "half of a surrogate pair"}
    for value, reason in told.items():
        assert f"is not JSON: {reason}." in fleetroll("device", "set", "anything", f"name:={value}").err


@pytest.mark.parametrize("data", ["x", "NaN", "1e999", '"\\ud800"', "[" * 100_000])
def test_what_cannot_be_sent_to_a_device_is_wrong_usage(fleetroll: Fleetroll, data: str) -> None:
    refused = fleetroll("device", "send", "anything", "move", data)
    assert (refused.code, refused.out) == (2, "")
    assert "DATA must be JSON" in refused.err


def test_where_there_is_no_broker_nobody_is_told_to_try_again(fleetroll: Fleetroll) -> None:
    assert fleetroll("device", "create", "unheard").code == 0
    for how in ([], ["--call"]):
        refused = fleetroll("device", "send", "unheard", "move", *how)
        assert (refused.code, refused.out) == (1, "")
        assert refused.err.splitlines() == [
            "fleetroll: This server runs without a broker.",
            "  It needs the broker; start the server without --nats off.",
        ]


@pytest.mark.parametrize("ident", ["a/b", "a%2Fb", "50%", "a?b#c", "x:decommission", "größe", "two words", "..x"])
def test_any_identifier_can_be_addressed(fleetroll: Fleetroll, ident: str) -> None:
    assert fleetroll("device", "create", ident).code == 0
    assert fleetroll("device", "set", ident, "name=here", "--json").json()["ident"] == ident
    assert fleetroll("device", "get", ident, "--json").json()["name"] == "here"
    assert fleetroll("device", "delete", ident).code == 0


@pytest.mark.parametrize("name", [".", ".."])
@pytest.mark.parametrize("command", ["device get {}", "group devices {}"])
def test_a_name_of_dots_leads_nowhere_else(fleetroll: Fleetroll, command: str, name: str) -> None:
    refused = fleetroll(*command.format(name).split())
    assert (refused.code, refused.out) == (5, "")
    assert f"{name} was not found" in refused.err


@pytest.fixture
def thousand(fleetroll: Fleetroll) -> None:
    """Devices n-0000 to n-1199 with the tag `listed`: more than a page can have. Numbers are names too."""
    rows = "".join(f'{{"ident":"n-{n:04}","name":"{10_999 - n}","tags":["listed"]}}\n' for n in range(1200))
    assert fleetroll("device", "import", "-", "--format", "ndjson", stdin=rows.encode()).code == 0


def test_options_narrow_and_order_a_list(fleetroll: Fleetroll, thousand: None) -> None:
    def idents(*options: str) -> list[str]:
        page = fleetroll("device", "list", "--json", *options).json()
        return [device["ident"] for device in page["devices"]]

    assert len(idents("--filter", 'tags:"listed"')) == 50
    assert idents("--filter", 'tags:"listed" AND ident = "n-000*"', "--limit", "2") == ["n-0000", "n-0001"]
    assert idents("--q", "N-119", "--sort", "-ident", "--limit", "3") == ["n-1199", "n-1198", "n-1197"]


def test_a_page_says_that_there_is_more_and_all_follows_it(fleetroll: Fleetroll, thousand: None) -> None:
    page = fleetroll("device", "list", "--filter", 'tags:"listed"')
    assert len(page.out.splitlines()) == 51
    assert "--all" in page.err
    few = fleetroll("device", "list", "--filter", 'tags:"listed"', "--limit", "1")
    assert few.err == "There are more: narrow with --filter, or use --all.\n"
    everything = fleetroll("device", "list", "--filter", 'tags:"listed"', "--all", "--json").lines()
    assert [device["ident"] for device in everything] == [f"n-{number:04}" for number in range(1200)]
    assert everything[7] == fleetroll("device", "get", "n-0007", "--json").json()
    table = fleetroll("device", "list", "--filter", 'tags:"listed"', "--all")
    titles, *rows = table.out.splitlines()
    assert titles.startswith("IDENT ")
    assert [row.split()[0] for row in rows] == [f"n-{number:04}" for number in range(1200)]
    assert len({row.index(" NO_IDENTITY ") for row in rows}) == 1


# --- what data may do to a terminal ----------------------------------------------------------------------------------

HOSTILE = "[red]x[/] \x1b[31m \x1b]0;title\x07 \x9b2J \r\n\u202e [link=http://evil]y[/link]"


def test_markup_in_a_name_is_shown_as_it_is(fleetroll: Fleetroll) -> None:
    name = "[red]x[/red] [link=http://evil]y[/link] [/] :smile:"
    fleetroll("device", "create", "marked", f"name={name}")
    assert name in fleetroll("device", "list", "--q", "marked").out
    assert name in fleetroll("device", "get", "marked").out


DEVICE = {"ident": HOSTILE, "name": HOSTILE, HOSTILE: HOSTILE, "tags": [HOSTILE], "metadata": {HOSTILE: HOSTILE}}
EVENT = {"id": 1, "at": HOSTILE, "type": HOSTILE, "name": HOSTILE, "actor": HOSTILE}


@pytest.mark.parametrize(
    ("arguments", "status", "body"),
    [
        (["device", "list"], 200, json.dumps({"devices": [DEVICE], "next_cursor": None})),
        (["device", "get", "x"], 200, json.dumps(DEVICE)),
        (["device", "get", "x"], 400, json.dumps({"code": HOSTILE, "detail": HOSTILE})),
        (["event", "tail", "--count", "1"], 200, f"id: 1\ndata: {json.dumps(EVENT)}\n\n"),
    ],
    ids=["table", "record", "refusal", "event"],
)
def test_no_control_character_of_the_server_reaches_the_terminal(
    fleetroll: Fleetroll, arguments: list[str], status: int, body: str
) -> None:
    with impostor(body.encode(), status) as url:
        shown = fleetroll(*arguments, FLEETROLL_URL=url)
    text = shown.out + shown.err
    assert "[red]x[/]" in text
    assert not [c for c in text if not c.isprintable() and c != "\n"]
    assert r"\x1b[31m" in text


def test_no_control_character_of_an_argument_comes_back(fleetroll: Fleetroll) -> None:
    for arguments in (["device", "get", HOSTILE], ["group", "get", HOSTILE], ["device", "list", "--filter", HOSTILE]):
        refused = fleetroll(*arguments)
        assert refused.code in {1, 5}
        assert "\x1b" not in refused.out + refused.err

"""The statements as text: each keeps to its tenant, names its columns, and finds its rows by an index.

The scan is itself tested: whichever tenant condition is taken out of whichever statement, it notices.
"""

import itertools
import re
from collections.abc import Iterator
from importlib import resources
from pathlib import Path

import apsw
import pytest

from fleetroll.core.fields import DEVICE_FIELDS
from fleetroll.core.query import And, Comparison, Filter, Not, Operator, Or, Page, Pattern, Search, Sort
from fleetroll.store import device_update, lists, migrations, select, sqlite, statements
from fleetroll.store.conditions import COLUMN
from fleetroll.store.sqlite_connections import configure
from fleetroll.store.sqlite_syntax import SYNTAX
from fleetroll.store.statements import SQL

FILES = sorted(resources.files("fleetroll.store").joinpath("sql").iterdir(), key=lambda file: file.name)
ABOUT = {
    name: about
    for file in FILES
    for name, about in re.findall(r"^-- (\w+): (.+)$", file.read_text("utf-8"), re.MULTILINE)
}
ENGINES = ("sqlite", "postgres")

# Statements that look across tenants on purpose. The list may only get shorter.
ACROSS_TENANTS = {
    "authority_everywhere": "whom the TLS listener knows",
    "certificate_revoked_anywhere": "what is revoked for all who trust its authority",
    "connection_page": "for comparing with what the broker says",
    "account_changes": "what the broker is to be told",
    "account_changes_settle": "what the broker was told",
    "credential_all": "what the broker is to be told",
    "credential_identify": "how the tenant becomes known",
    "credential_of_account": "how the tenant becomes known",
    "device_token": "how the tenant becomes known",
    "device_after": "housekeeping by time",
    "device_due": "housekeeping by time",
    "key_groups_of_users": "what the broker is to be told",
    "key_identify": "how the tenant becomes known",
    "key_touch": "by ids that were identified before",
    "presence_quiet": "housekeeping by age",
    "reading_old": "housekeeping by age",
    "replay_purge": "housekeeping by age",
    "series_reach": "housekeeping by age",
    "timeline_last": "the publisher's place",
    "timeline_published": "the publisher",
    "timeline_purge": "housekeeping by age",
    "timeline_reach": "housekeeping by age",
}
# A reading has the tenant of its series, whose number no caller knows: it was looked up in the tenant just before.
BY_SERIES = {"reading_purge", "reading_put"}
# What was forgotten belongs to nobody, and waits to be removed.
NOBODYS = {"gone_page", "gone_series"}
# An organization is its own tenant: these are keyed by it, or by its parent, or look into all below it.
ORGANIZATIONS = {
    "organization_get": "id = :org",
    "organization_child": "parent = :org",
    "server_key_sealed": "parent = :org",
    "organization_children": "parent = :org",
    "organization_children_at": "parent = :org",
    "organization_ids_below": "id = :org",
    "organization_names_below": "id = :org",
    "account_change_applications": "id = :org",
    "usage_below": "id = :org",
    "owner_home": "id = :org",
    "owner_homes": "id = :org",
    "template_home": "id = :org",
    "organization_replace": "id = :org",
    "organization_delete": "id = :org",
}
# What stands in other statements, and is never one by itself.
PARTS = {"organization_ids_below"}
# The counter of a table, and the substring index, which holds no more than numbers: who is found in it is looked up in
# `device`, with the tenant.
ABOUT_THE_SERVER = {name for name in SQL if name.startswith("postgres_")}
WITHOUT_TENANT_DATA = {
    "sqlite_sequence",
    "sqlite_index_add",
    "sqlite_index_remove",
    "sqlite_index_changed",
    "sqlite_index_segments",
    "sqlite_index_merge",
    "sqlite_common_trigrams",
    "lease_get",
    "lease_beat",
    "server_key_mark",
    "server_key_leave",
    *ABOUT_THE_SERVER,
}

EXCUSED = ACROSS_TENANTS.keys() | WITHOUT_TENANT_DATA | NOBODYS | BY_SERIES

TENANT = re.compile(r"\borg = :org\b")
# About the series in hand, which the statement around it has found in its tenant.
OF_THE_SERIES = re.compile(r"\(SELECT max\(p\.at\) FROM reading AS p WHERE p\.series = s\.id\)")
COLUMNS = re.compile(r"INSERT INTO (\w+) \(([^)]*)\)", re.DOTALL)


def is_confined(name: str, text: str) -> bool:
    """Whether a statement can touch no other tenant's rows."""
    if name in ORGANIZATIONS:
        return ORGANIZATIONS[name] in text
    if text.startswith("INSERT INTO organization"):
        return ":parent" in text
    if text.startswith("INSERT INTO"):
        return names_its_tenant(text)
    _, *conditions = re.split(r"\bWHERE\b", OF_THE_SERIES.sub("", text))
    return len(conditions) == 1 and bool(TENANT.search(conditions[0])) and not re.search(r"\bOR\b", conditions[0])


def names_its_tenant(text: str) -> bool:
    """An insert gives a tenant, and may replace a row only of the same one."""
    found = COLUMNS.match(text)
    assert found, text
    columns = re.split(r",\s*", found[2])
    if re.search(r"\bSELECT (c\.)?org\b", text):
        return columns[0] == "org" and bool(re.search(r"WHERE (org|id) = :org\b", text))
    values = re.split(r",\s*", re.split(r"VALUES \(|SELECT ", text, maxsplit=1)[1])
    conflict = re.search(r"ON CONFLICT \((\w+)", text)
    given = "org" in columns and values[columns.index("org")] in {":org", f"value ->> {columns.index('org')}"}
    return given and (conflict is None or conflict[1] == "org")


def without_tenant(text: str) -> Iterator[str]:
    """The statement with each of its tenant conditions, or of an insert's tenant columns and values, taken out."""
    condition = r"\b(?:org|id|parent) = :org(?: AND )?"
    # The columns of a conflict are those of a key that has the tenant in it, as every key has.
    tenant = rf"\borg, |:org, |:parent, |{condition}" if text.startswith("INSERT") else condition
    for found in re.finditer(tenant, text):
        yield text[: found.start()] + text[found.end() :]


@pytest.mark.parametrize("name", sorted(SQL.keys() - EXCUSED))
def test_a_statement_keeps_to_its_tenant(name: str) -> None:
    assert is_confined(name, SQL[name]), SQL[name]


def test_statements_across_tenants_are_declared_and_counted() -> None:
    declared = {name for name, about in ABOUT.items() if about.startswith("all tenants")}
    assert declared == ACROSS_TENANTS.keys()
    assert len(ACROSS_TENANTS) <= 22


def test_nothing_is_excused_that_is_not_there() -> None:
    assert SQL.keys() >= ACROSS_TENANTS.keys() | ORGANIZATIONS.keys() | WITHOUT_TENANT_DATA
    assert not any(is_confined(name, SQL[name]) for name in ACROSS_TENANTS)


@pytest.mark.parametrize("name", sorted(SQL.keys() - EXCUSED))
def test_a_statement_without_its_tenant_is_noticed(name: str) -> None:
    mutants = list(without_tenant(SQL[name]))
    assert mutants
    for mutant in mutants:
        assert not is_confined(name, mutant), mutant


# --- text ------------------------------------------------------------------------------------------------------------


def test_every_text_in_the_files_is_loaded_under_its_name() -> None:
    assert SQL.keys() == ABOUT.keys()
    assert sum(file.read_text("utf-8").count(";") for file in FILES) >= len(SQL)
    for name, text in SQL.items():
        assert name in PARTS or text.split()[0] in {"SELECT", "INSERT", "UPDATE", "DELETE"}, name
        assert not re.search(r"--|[{}]", text), name


@pytest.mark.parametrize("name", sorted(SQL))
def test_a_statement_names_its_columns_and_binds_its_values(name: str) -> None:
    text = SQL[name]
    assert "*" not in text.replace("count(*)", "").replace(" * ", "")
    assert "'" not in re.sub("'delete'|'merge'", "", text), "a command of the full-text index is no value"
    assert "?" not in text
    assert not re.search(r"\bLIKE\b|\blower\(|\bnow\(", text, re.IGNORECASE)


@pytest.mark.parametrize("name", sorted(name for name in SQL if not name.startswith(("sqlite_", "postgres_"))))
def test_a_shared_statement_uses_nothing_of_one_engine(name: str) -> None:
    assert not re.search(r"->|\bjson_|\browid\b|\bIFNULL\b|\bOR REPLACE\b|\bIS NOT :", SQL[name], re.IGNORECASE)


def test_two_statements_cannot_share_a_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "sql").mkdir()
    for file in ("a.sql", "b.sql"):
        (tmp_path / "sql" / file).write_text("-- same: again\nSELECT 1;\n")
    monkeypatch.setattr(resources, "files", lambda package: tmp_path)
    with pytest.raises(ValueError, match="two statements are named same"):
        statements.load()


@pytest.mark.parametrize("engine", ENGINES)
def test_migrations_are_numbered_without_a_gap(engine: str) -> None:
    found = migrations.load(engine)
    assert [step.number for step in found] == list(range(1, len(found) + 1))
    assert all(step.text.strip() and step.name for step in found)


def test_a_gap_between_migrations_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "ddl").mkdir()
    for file in ("0001_a.sql", "0003_b.sql"):
        (tmp_path / "ddl" / file).write_text("-- engine: sqlite\nSELECT 1;\n")
    monkeypatch.setattr(resources, "files", lambda package: tmp_path)
    with pytest.raises(AssertionError, match="gap"):
        migrations.load("sqlite")


# --- schema and plans ------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def database() -> Iterator[apsw.Connection]:
    connection = apsw.Connection(":memory:")
    configure(connection, 1 << 10)
    sqlite.create_schema(connection)
    yield connection
    connection.close()


def test_every_table_of_tenants_has_the_tenant_and_checks_its_types(database: apsw.Connection) -> None:
    # Readings have the tenant of their series.
    tables = database.execute(
        "SELECT name, sql FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'device_search%' "
        "AND name NOT LIKE 'sqlite_%'"
    ).fetchall()
    assert len(tables) >= 10
    for name, sql in tables:
        assert "STRICT" in sql, name
        assert name in {"organization", "lease", "reading", "server_key"} or "\n    org INTEGER NOT NULL" in sql, name


def plan(database: apsw.Connection, text: str, values: dict[str, object]) -> list[str]:
    return [str(row[3]) for row in database.execute(f"EXPLAIN QUERY PLAN {text}", values)]


def named_values(text: str) -> dict[str, object]:
    return dict.fromkeys(re.findall(r":([a-z_]\w*)", text), "1")


INNER = re.compile(
    r"VIRTUAL TABLE|json_each|SCAN (?:b|w|below|page|\(subquery-\d\))$"
)  # no table, but what was found in one
# Those that count by tallies sort no more rows than devices differ in, and the children of an organization are few.
SORTING = {
    "organization_children_at",
    "device_count_cohort",
    "device_count_hardware",
    "device_count_kind",
    "device_count_software",
    "device_count_tag",
    "sqlite_common_trigrams",
    "reading_buckets",
    "reading_spreads",
}


@pytest.mark.parametrize("name", sorted(ABOUT_THE_SERVER))
def test_a_statement_about_the_server_reads_no_rows_of_ours(name: str) -> None:
    sources = re.findall(r"\b(?:FROM|JOIN|INTO|UPDATE)\s+(\w+)", SQL[name])
    assert all(re.match(r"pg_|information_schema|generate_series|unnest|\w+_id_seq", source) for source in sources)


@pytest.mark.parametrize("name", sorted(SQL.keys() - ABOUT_THE_SERVER - {"timeline_last"}))
def test_a_named_statement_searches_by_an_index(database: apsw.Connection, name: str) -> None:
    steps = plan(database, SQL[name], named_values(SQL[name]))
    scans = [step for step in steps if step.startswith("SCAN") and not INNER.search(step)]
    assert not scans or name in {"sqlite_sequence", "sqlite_index_segments", "gone_page"}, scans
    sorts = [step for step in steps if "TEMP B-TREE" in step]
    assert not sorts or name in SORTING, sorts


def comparison(field: str, operator: Operator, value: object, *path: str) -> Comparison:
    return Comparison(field, operator, value, path)  # type: ignore[arg-type]


FILTERS: dict[str, Filter | None] = {
    "all": None,
    "tag": comparison("tags", Operator.HAS, "t"),
    "tag pattern": comparison("tags", Operator.HAS, Pattern(("t", ""))),
    "no tag": Not(comparison("tags", Operator.HAS, "t")),
    "owner": comparison("owners", Operator.HAS, "o"),
    "status": comparison("status", Operator.EQ, "ACTIVE"),
    "kind": comparison("kind", Operator.EQ, "k"),
    "kind pattern": comparison("kind", Operator.LIKE, Pattern(("k", ""))),
    "ident": comparison("ident", Operator.EQ, "i"),
    "ident range": comparison("ident", Operator.GT, "i"),
    "connected": comparison("connected", Operator.EQ, True),
    "seen since": comparison("last_seen", Operator.GT, 1),
    "never seen": Not(comparison("last_seen", Operator.EXISTS, None)),
    "seen": comparison("last_seen", Operator.EXISTS, None),
    "named": comparison("name", Operator.EXISTS, None),
    "made then": comparison("created_at", Operator.EQ, 1),
    "kind range": comparison("kind", Operator.LE, "k"),
    "made before": comparison("created_at", Operator.LT, 1),
    "metadata": comparison("metadata", Operator.EQ, "v", "k"),
    "hardware": comparison("hardware_version", Operator.EQ, "h"),
    "hardwares": Or(
        (comparison("hardware_version", Operator.EQ, "h"), comparison("hardware_version", Operator.EQ, "i"))
    ),
    "software": comparison("software_version", Operator.EQ, "1"),
    "cohort": comparison("cohort", Operator.EQ, "c"),
    "default cohort": comparison("cohort", Operator.EQ, "default"),
    "cohorts": Or((comparison("cohort", Operator.EQ, "default"), comparison("cohort", Operator.EQ, "c"))),
    "tag and status": And((comparison("tags", Operator.HAS, "t"), comparison("status", Operator.EQ, "ACTIVE"))),
    "tag or owner": Or((comparison("tags", Operator.HAS, "t"), comparison("owners", Operator.HAS, "o"))),
    "kind and status": And((comparison("kind", Operator.EQ, "k"), comparison("status", Operator.EQ, "ACTIVE"))),
    "search": Search("abc"),
    "short search": Search("ab"),
    "search and tag": And((Search("abc"), comparison("tags", Operator.HAS, "t"))),
    "two searches": And((Search("abc"), Search("bcd"))),
    "not found": Not(Search("abc")),
}
SORTS = [field.name for field in DEVICE_FIELDS.values() if field.sortable]
PLACES = {"first": None, "next": ("a", 5), "nulls": (None, 5)}


def shapes() -> Iterator[tuple[str, select.Query]]:
    for (label, wanted), sort, descending in itertools.product(FILTERS.items(), SORTS, (False, True)):
        for place, after in PLACES.items():
            queries = select.pages(SYNTAX, 1, wanted, Sort(sort, descending), Page(50, after))
            for query in queries:
                yield f"{label}, by {sort}{' descending' if descending else ''}, {place} page", query
    yield from stretches()


def stretches() -> Iterator[tuple[str, select.Query]]:
    """What a walk reads."""
    for (label, wanted), until in itertools.product(FILTERS.items(), (None, 500)):
        for driver in (None, *select.drivers(SYNTAX, wanted)):
            query = select.stretch(SYNTAX, 1, wanted, 5, until, 50, select.Plan(driver))
            yield f"{label}, led by {driver and driver.field}, up to {until}", query


def slices(*, gathered: bool, near: bool = False) -> Iterator[tuple[str, select.Query]]:
    for (label, wanted), sort, descending in itertools.product(FILTERS.items(), SORTS, (False, True)):
        by, way = Sort(sort, descending), select.Plan(gathered=gathered)
        for query in select.slices(SYNTAX, 1, wanted, by, way, near=near):
            values = {**query.values, "start": 5, "limit": 5}
            yield f"{label}, by {sort}{' descending' if descending else ''}", select.Query(query.text, values)


def planned() -> Iterator[tuple[str, Comparison, select.Query]]:
    """Lists whose devices are found by a condition that was chosen."""
    for (label, wanted), sort in itertools.product(FILTERS.items(), SORTS):
        for driver, after in itertools.product(select.drivers(SYNTAX, wanted), PLACES.values()):
            plan = select.Plan(driver, gathered=sort != "id")
            for query in select.pages(SYNTAX, 1, wanted, Sort(sort), Page(50, after), plan):
                yield f"{label}, by {sort}, led by {driver.field}", driver, query


def top_level(where: str) -> list[str]:
    """The conditions that must all hold, without what is inside parentheses."""
    while (flatter := re.sub(r"\([^()]*\)", "", where)) != where:
        where = flatter
    conditions = where.partition(" ORDER BY ")[0]
    assert " OR " not in conditions
    return conditions.split(" AND ")


def test_every_built_statement_keeps_to_its_tenant() -> None:
    """Whatever the filter: the tenant is a condition of its own beside it, for the device and for every link to it."""
    counts = [(f"count of {label}", select.count(SYNTAX, 1, wanted)) for label, wanted in FILTERS.items()]
    listed = [("by idents", lists.by_idents(SYNTAX, 1, ["a", "b"])), ("reporters", lists.reporters(1, [1, 2, 3]))]
    for label, query in (*shapes(), *counts, *listed, *((label, query) for label, _, query in planned())):
        source, _, where = query.text.partition(" WHERE ")
        assert "d.org = :org" in top_level(where), label
        links = re.findall(r"FROM device_(?:tag|owner) AS l", query.text)
        assert len(re.findall(r"l\.org = (?::org|d\.org) AND", query.text)) == len(links), label
        assert query.values["org"] == 1
        assert "device AS d" in source or "FROM device_tally) AS d" in source


def test_the_series_that_are_looked_up_are_those_of_the_tenant(database: apsw.Connection) -> None:
    query = lists.known_series(7, [(1, "", "a"), (2, "test", "b"), (3, "", "a")])
    assert "s.org = :org" in top_level(query.text.partition(" WHERE ")[2])
    assert query.values["org"] == 7
    steps = [step for step in plan(database, query.text, query.values) if not re.search("VALUES|CONSTANT", step)]
    assert not [step for step in steps if step.startswith("SCAN")], steps


def written(database: apsw.Connection, text: str) -> set[str]:
    """The tables and indexes that a statement writes to."""
    roots = {row[0]: str(row[1]) for row in database.execute("SELECT rootpage, name FROM sqlite_schema")}
    steps = database.execute(f"EXPLAIN {text}", named_values(text)).fetchall()
    return {roots[step[3]] for step in steps if step[1] == "OpenWrite"}


def test_a_change_of_a_device_keeps_to_its_tenant_and_writes_no_index_that_it_spares(
    database: apsw.Connection,
) -> None:
    always = {"device", "device_updated"}
    assert written(database, device_update.statement(())) == always
    assert written(database, device_update.statement(("kind",))) == always | {"device_kind"}
    for member in device_update.INDEXED:
        text = device_update.statement((member,))
        assert text.endswith("WHERE org = :org AND id = :device AND revision = :known RETURNING id")
        assert written(database, text) > always, member
    assert written(database, device_update.statement(device_update.INDEXED)) > {
        "device_ident",
        "device_name",
        "device_status",
    }


def test_devices_of_a_list_of_identifiers_are_looked_up(database: apsw.Connection) -> None:
    query = lists.by_idents(SYNTAX, 1, ["a", "b"])
    assert "SEARCH d USING INDEX device_ident (org=? AND ident_key=?)" in plan(database, query.text, query.values)


def test_every_list_is_read_in_order_from_an_index(database: apsw.Connection) -> None:
    """Whatever the filter and the sort: a page costs what it reads, and never a sort of everything."""
    wrong = {}
    for label, query in shapes():
        steps = plan(database, query.text, query.values)
        scans = [step for step in steps if step.startswith("SCAN") and "VIRTUAL TABLE INDEX" not in step]
        if (
            scans
            or any("TEMP B-TREE" in step for step in steps)
            or not any(re.search("INDEX|PRIMARY KEY", step) for step in steps)
        ):
            wrong[label] = steps
    assert not wrong, wrong


def test_a_list_is_planned_once_whatever_it_binds(database: apsw.Connection) -> None:
    """Planning costs more than many pages do."""
    compiled: list[tuple[object, ...]] = []

    def note(*action: object) -> int:
        compiled.append(action)
        return apsw.SQLITE_OK

    database.authorizer = note  # asked whenever a statement is compiled
    try:
        for label, query in shapes():
            database.execute(query.text, {**query.values, "limit": 5}).fetchall()
            first = len(compiled)
            database.execute(query.text, {**query.values, "limit": 50}).fetchall()
            assert len(compiled) == first > 0, label
    finally:
        database.authorizer = None


def test_what_a_text_begins_with_is_found_in_an_index(database: apsw.Connection) -> None:
    for field, operator in (("ident", Operator.LIKE), ("name", Operator.LIKE)):
        wanted = comparison(field, operator, Pattern(("abc", "")))
        column = COLUMN[field].removeprefix("d.")
        for query in (
            select.pages(SYNTAX, 1, wanted, Sort(field), Page(50))[0],
            select.count(SYNTAX, 1, wanted),
        ):
            (step,) = plan(database, query.text, query.values)
            assert f"(org=? AND {column}>? AND {column}<?)" in step


def inner(query: select.Query) -> select.Query:
    """The part of a page by number that finds its devices; what is around it fetches and orders no more than a page."""
    found = re.search(r"FROM \((SELECT .*) LIMIT :limit OFFSET :start\) AS s ", query.text)
    assert found, query.text
    values = {name: value for name, value in query.values.items() if name not in {"start", "limit"}}
    return select.Query(found[1], values)


LED_BY = {"tags": "l USING PRIMARY KEY", "owners": "l USING PRIMARY KEY", "ident": "device_ident"} | {
    "hardware_version": "device_hardware",
    "software_version": "device_software",
}


def test_a_condition_that_was_chosen_leads_to_the_devices_by_its_own_index(database: apsw.Connection) -> None:
    wrong = {}
    for label, driver, query in planned():
        steps = plan(database, query.text, query.values)
        if LED_BY.get(driver.field, f"device_{driver.field}") not in steps[0]:
            wrong[label] = steps
    assert not wrong, wrong


def test_a_condition_is_counted_within_its_tenant_by_its_index(database: apsw.Connection) -> None:
    for wanted in FILTERS.values():
        for driver in select.drivers(SYNTAX, wanted):
            query = select.up_to(SYNTAX, 7, driver, 100)
            assert re.search(r"\bWHERE [dl]\.org = :org AND ", query.text)
            assert query.values["org"] == 7
            (found,) = (step for step in plan(database, query.text, query.values) if step.startswith("SEARCH"))
            assert "INDEX" in found or "PRIMARY KEY" in found


def test_a_page_by_number_is_walked_in_the_order_of_an_index(database: apsw.Connection) -> None:
    wrong = {}
    for label, query in (*slices(gathered=False), *slices(gathered=False, near=True)):
        finding = inner(query) if " AS s " in query.text else query
        steps = plan(database, finding.text, finding.values)
        if any("TEMP B-TREE" in step for step in steps) or not re.search("SEARCH d USING .*INDEX", steps[0]):
            wrong[label] = steps
    assert not wrong, wrong


def test_a_page_by_number_of_one_condition_is_walked_in_its_own_index(database: apsw.Connection) -> None:
    wrong = {}
    alone = [(wanted, driver) for wanted in FILTERS.values() for driver in select.drivers(SYNTAX, wanted)]
    for driver in (driver for wanted, driver in alone if driver is wanted):
        (query,) = map(inner, select.slices(SYNTAX, 1, driver, Sort(), select.Plan(driver)))
        steps = plan(database, query.text, query.values)
        if LED_BY.get(driver.field, f"device_{driver.field}") not in steps[0] or len(steps) > 2:
            wrong[driver.field] = steps
    assert not wrong, wrong


GATHERED_BY = dict.fromkeys(("hardware", "hardwares", "software", "cohort"), "device_alike") | {
    "seen since": "device_seen",
    "owner": "PRIMARY KEY",
}


def test_the_few_that_match_are_gathered_by_the_index_of_their_filter(database: apsw.Connection) -> None:
    wrong = {}
    for label, query in slices(gathered=True):
        name = label.partition(", by ")[0]
        steps = plan(database, inner(query).text, inner(query).values)
        if name in GATHERED_BY and not any(GATHERED_BY[name] in step for step in steps):
            wrong[label] = steps
    assert not wrong, wrong


@pytest.mark.parametrize(
    "name", ["all", "status", "hardware", "hardwares", "software", "cohort", "default cohort", "cohorts"]
)
def test_counting_by_what_is_tallied_reads_no_devices(database: apsw.Connection, name: str) -> None:
    query = select.count(SYNTAX, 1, FILTERS[name])
    assert plan(database, query.text, query.values)[0].startswith("SEARCH device_tally USING PRIMARY KEY (org=?")


def test_counting_reads_nothing_but_the_index_of_the_filter(database: apsw.Connection) -> None:
    query = select.count(SYNTAX, 1, FILTERS["seen since"])
    assert f"USING COVERING INDEX {GATHERED_BY['seen since']}" in plan(database, query.text, query.values)[0]


def test_a_range_of_times_counts_devices_at_its_ends_alone(database: apsw.Connection) -> None:
    query = select.count_seen(SYNTAX, 7, Comparison("last_seen", Operator.GE, 5))
    assert query is not None
    _, *conditions = query.text.split(" WHERE ")
    assert len(conditions) == 3
    assert query.values["org"] == 7
    assert all(re.match(r"[td]\.org = :org AND", condition) for condition in conditions)
    steps = [step for step in plan(database, query.text, query.values) if step.startswith("SEARCH")]
    within = ("(org=? AND span>? AND span<?)", *["(org=? AND last_seen>? AND last_seen<?)"] * 2)
    assert [step.endswith(one) for step, one in zip(steps, within, strict=True)] == [True] * 3, steps

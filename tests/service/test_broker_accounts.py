"""Whom the broker is to let in no more: by name as few as will do, as an account is one message that has a bound."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from fleetroll.bus.port import AppAccount
from fleetroll.core.model import Key, KeyKind
from fleetroll.core.policy import Role
from fleetroll.core.times import DAY, HOUR, SECOND
from fleetroll.service.broker_accounts import accounts
from fleetroll.store.port import Records
from tests.support.app import App, running

ROOT = 1
BEGAN = 20_000 * DAY


@pytest.fixture
def app(tmp_path: Path) -> Iterator[App]:
    with running(tmp_path / "data") as app:
        yield app


def make(app: App, made: dict[str, int], valid: set[str]) -> None:
    """Keys of these names, made so long after the beginning, of which all but the valid ones are revoked."""

    async def work(records: Records) -> None:
        for name, at in made.items():
            new = Key(0, ROOT, name, KeyKind.NATS, Role.OPERATOR, (), created_at=BEGAN + at)
            key = await records.keys.insert(new, name, "")
            if name not in valid:
                await records.keys.revoke(ROOT, key.id, BEGAN + at + HOUR)

    app.run(app.services.store.write(work))


def account(app: App, at: int = 1_000 * DAY) -> AppAccount:
    """As it is so long after the beginning."""
    found = [one for one in app.run(accounts(app.services.store.read, BEGAN + at)) if isinstance(one, AppAccount)]
    assert len(found) == 1
    return found[0]


def test_keys_that_were_revoked_long_ago_are_not_named(app: App) -> None:
    """One a day for years, each revoked when the next is there."""
    made = {f"U{day}": day * DAY for day in range(1_000)}
    make(app, made, {"U999"})
    found = account(app)
    assert found.revoked == {"U997", "U998"}
    until = found.revoked_until * SECOND - BEGAN
    assert all(made[name] < until < made["U999"] for name in made.keys() - found.revoked - {"U999"})


def test_whoever_is_let_in_was_made_later_than_all_who_are_not_named(app: App) -> None:
    make(app, {"Ua": 0, "Ub": 9 * DAY, "Uc": 10 * DAY, "Ud": 20 * DAY}, {"Uc"})
    found = account(app)
    assert found.revoked == {"Ub", "Ud"}
    assert BEGAN < found.revoked_until * SECOND < BEGAN + 10 * DAY


def test_all_are_named_where_the_first_key_is_still_good(app: App) -> None:
    make(app, {"Ua": 0, "Ub": 9 * DAY, "Uc": 99 * DAY}, {"Ua"})
    assert (account(app).revoked, account(app).revoked_until) == ({"Ub", "Uc"}, 0)


def test_where_no_key_is_good_the_last_ones_are_named(app: App) -> None:
    make(app, {"Ua": 0, "Ub": 9 * DAY}, set())
    found = account(app)
    assert found.revoked == {"Ub"}
    assert BEGAN < found.revoked_until * SECOND < BEGAN + 9 * DAY


@pytest.mark.parametrize("valid", ["Uc", ""])
def test_nobody_is_refused_by_a_time_to_come(app: App, valid: str) -> None:
    """We make the account's streams as one of its users, also after a clock that ran ahead was put right."""
    make(app, {"Ua": 0, "Ub": 99 * DAY, "Uc": 99 * DAY}, {valid})
    found = account(app, 9 * DAY)
    assert found.revoked == {"Ub", "Uc"} - {valid}
    assert BEGAN < found.revoked_until * SECOND < BEGAN + 9 * DAY

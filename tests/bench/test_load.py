"""The load generator is what every number rests on: it counts whole replies, and only the right ones."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from bench import servers
from bench.bare import Prepared
from bench.load import Plan, UnexpectedReply, drive
from bench.servers import Server
from bench.work import request

_LONG = b"x" * 300_000


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with servers.bare(
        Prepared(200, [(b"content-length", b"300000")], _LONG, reads=True), _scratch(tmp_path_factory)
    ) as bare:
        yield bare


def _scratch(factory: pytest.TempPathFactory) -> Path:
    return factory.mktemp("bare")


def _plan(server: Server, status: int, seconds: float = 0.05, **options: int) -> Plan:
    return Plan(server.port, [request("POST", "/", b"{}")], status, seconds=seconds, connections=4, **options)


def test_a_plan_with_a_total_is_answered_so_many_times(server: Server) -> None:
    assert drive(_plan(server, 200, seconds=10.0, total=25)).answered == 25


def test_replies_that_arrive_in_pieces_are_counted_once_they_are_whole(server: Server) -> None:
    seen = drive(_plan(server, 200))
    assert seen.per_second > 0
    assert seen.p50 <= seen.p99 <= seen.worst


def test_another_status_than_the_expected_one_ends_the_measurement(server: Server) -> None:
    with pytest.raises(UnexpectedReply, match=r"expected HTTP/1.1 201, got HTTP/1.1 200"):
        drive(_plan(server, 201))


def test_each_request_takes_the_next_number(server: Server) -> None:
    template = request("POST", "/", b'"%(number)09d %(index)09d"')
    plan = Plan(server.port, [template], 200, 10.0, 4, numbered=True, first=100, span=10, total=25)
    assert drive(plan).next_number == 125

"""What every reply comes in: one record, or a page of many."""

from typing import Any

from msgspec import Struct


class One(Struct):
    """The envelope of one record."""

    data: Any


class Paging(Struct):
    item_count: int
    total_count: int
    page: int
    page_count: int
    per_page: int


class Many(Struct):
    data: list[Any]
    paging: Paging

"""The five rows that every noun with a unique name has."""

from typing import Any

from msgspec import Struct

from fleetroll.dialects.native.mapping.named import list_named, listed, made, one_named
from fleetroll.dialects.native.routes.parameters import MERGE_PATCHES, PAGE
from fleetroll.service.named import Noun
from fleetroll.wire.dialect import Decode, Encode, Route, nothing


class Bodies(Struct, frozen=True):
    """The shapes of a noun: to create one, to change one, as one is shown, and a page of them."""

    new: Any
    change: Any
    one: Any
    page: Any


class Codec(Struct, frozen=True):
    """The mapping of a noun: `new` and `change` read bodies, `one` writes them."""

    new: Decode
    change: Decode
    one: Encode


def named(nouns: str, noun: Noun[Any], words: tuple[str, str], shapes: Bodies, mapping: Codec) -> tuple[Route, ...]:
    """`nouns` is the segment of their path; `words` are the noun with its article, and its plural."""
    path = f"/v1/{nouns}"
    one, many = words
    item = f"{path}/{{name}}"
    page = listed(shapes.page, mapping.one)
    return (
        Route(
            "POST",
            path,
            noun.create,
            mapping.new,
            made(nouns, noun.label, mapping.one),
            f"Create {one}",
            status=201,
            body=shapes.new,
            reply=shapes.one,
            reply_headers=("ETag", "Location"),
            idempotent=True,
        ),
        Route("GET", path, noun.page, list_named, page, f"List {many}", reply=shapes.page, query=PAGE),
        Route(
            "GET",
            item,
            noun.get,
            one_named,
            mapping.one,
            f"Read {one}",
            reply=shapes.one,
            reply_headers=("ETag",),
            guarded=True,
        ),
        Route(
            "PATCH",
            item,
            noun.edit,
            mapping.change,
            mapping.one,
            f"Change {one}",
            body=shapes.change,
            reply=shapes.one,
            reply_headers=("ETag",),
            media_types=MERGE_PATCHES,
            guarded=True,
        ),
        Route("DELETE", item, noun.delete, one_named, nothing, f"Delete {one}", status=204, guarded=True),
    )

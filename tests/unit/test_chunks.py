"""Chunks: messages come out as they went in, however they were cut, and nothing else comes out."""

import base64
import binascii

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from fleetroll.core import chunks, limits
from fleetroll.core.chunks import Partial, Step, feed


def varint(number: int) -> bytes:
    digits = bytearray()
    while number >= 0x80:
        digits.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*digits, number])


def checksum(message: bytes) -> bytes:
    return binascii.crc_hqx(message, 0).to_bytes(2, "little")


def cut(message: bytes, size: int) -> list[bytes]:
    """The chunks of a message with up to `size` bytes of it in each, and the checksum at the end."""
    whole = message + checksum(message)
    if len(whole) <= size:
        return [b"\x08" + whole]
    pieces = [whole[start : start + size] for start in range(0, len(whole), size)]
    made = [b"\x48" + varint(len(message)) + pieces[0]]
    for number, piece in enumerate(pieces[1:], 1):
        last = number == len(pieces) - 1
        made.append((b"\x80" if last else b"\xc0") + varint(number * size) + piece)
    return made


def join(sent: list[bytes], partial: Partial | None = None) -> list[Step]:
    steps = []
    for chunk in sent:
        steps.append(feed(partial, chunk))
        partial = steps[-1].partial
    return steps


@given(st.binary(min_size=1, max_size=700), st.integers(1, 300))
@example(bytes(20_000), 170)  # lengths and offsets of one, two and three bytes
def test_a_message_comes_out_as_it_went_in(message: bytes, size: int) -> None:
    steps = join(cut(message, size))
    assert steps[-1] == Step(message=message)
    assert not any(step.lost or step.message for step in steps[:-1])


def test_the_frames_of_the_vendor_are_read() -> None:
    """Nine bytes for links that take nine at a time, in both generations of the frame."""
    message = bytes([1, 2, 3, 4, 5, 6, 7, 8, 10])
    for frames in (
        ["480901020304050607", "8007080a1b13"],
        ["40091b130102030405", "80050607080a"],
        ["08 01020304050607080a 1b13"],
        ["00 1b13 01020304050607080a"],
    ):
        assert join([bytes.fromhex(frame) for frame in frames])[-1].message == message, frames


@given(st.lists(st.binary(max_size=40), max_size=8))
def test_whatever_comes_is_taken_or_lost_and_never_a_failure(sent: list[bytes]) -> None:
    for step in join(sent):
        assert step.partial is None or step.partial.length <= limits.MAX_MESSAGE


@given(st.binary(min_size=20, max_size=200), st.integers(5, 30), st.data())
def test_a_chunk_that_is_missing_repeated_or_damaged_makes_no_message(
    message: bytes, size: int, data: st.DataObject
) -> None:
    sent = cut(message, size)
    place = data.draw(st.integers(0, len(sent) - 1))
    damaged = bytearray(sent[place])
    damaged[-1] ^= 1
    for wrong in (
        [*sent[:place], *sent[place + 1 :]],
        [*sent[: place + 1], *sent[place:]] if place < len(sent) - 1 else [*sent[:-1], sent[0]],
        [*sent[:place], bytes(damaged), *sent[place + 1 :]],
    ):
        complete = [step.message for step in join(wrong) if step.message is not None]
        assert not complete or (complete == [message] and wrong[-len(sent) :] == sent)


@pytest.mark.parametrize("chunk", [b"\x08abc\0\0", b"\x08\0\0", b"\x08\0", b"\0\0\0", b"\x08"])
def test_a_message_that_is_damaged_or_empty_is_lost(chunk: bytes) -> None:
    assert feed(None, chunk) == Step(lost=True)


def test_a_new_message_ends_the_one_before_and_says_so() -> None:
    first, whole = cut(b"x" * 50, 20), cut(b"new", 20)
    steps = join([first[0], *whole])
    assert (steps[1].message, steps[1].lost) == (b"new", True)


def test_a_message_of_any_announced_length_takes_no_more_room_than_there_is() -> None:
    assert feed(None, b"\x48" + varint(limits.MAX_MESSAGE) + b"x").partial
    assert feed(None, b"\x48" + varint(limits.MAX_MESSAGE + 1) + b"x").lost
    assert feed(None, b"\x48" + varint(3) + b"y" * 9).lost
    begun = feed(None, b"\x48" + varint(3) + b"x").partial
    assert feed(begun, b"\xc0" + varint(1) + b"y" * 9).lost


@given(st.lists(st.binary(max_size=60), min_size=1, max_size=6), st.sampled_from(["\r\n", ""]))
def test_the_parts_of_a_multipart_body_are_found_even_with_headers_run_together(sent: list[bytes], end: str) -> None:
    boundary = b"--boundary-0123456789"
    head = f"Content-Length: %d{end}Content-Type: application/octet-stream"
    body = b"".join(boundary + b"\r\n" + (head % len(one)).encode() + b"\r\n\r\n" + one + b"\r\n" for one in sent)
    assert chunks.parts(body + boundary + b"--\r\n") == sent


@pytest.mark.parametrize("before", [b"", b"\r\n", b"For readers\r\nof old mail.\r\n", b"\n", b"-\r\n"])
def test_what_is_before_the_first_boundary_is_no_part(before: bytes) -> None:
    assert chunks.parts(before + b"--x\r\n\r\none\r\n--x\r\n\r\n\n--two\r\n--x--") == [b"one", b"\n--two"]


@pytest.mark.parametrize(
    ("end", "last"),
    [
        (b"", []),
        (b"\r\n", []),
        (b"\r\n\r\ntwo", [b"two"]),
        (b"\r\nContent-Length: 3\r\n\r\ntwo\r\n", [b"two"]),
        (b"\r\nContent-Length: 9\r\n\r\ntwo", [b"two"]),
        (b"\r\ncut off", [b"cut off"]),
    ],
)
def test_a_part_that_the_end_of_the_body_cuts_off_is_not_passed_over(end: bytes, last: list[bytes]) -> None:
    assert chunks.parts(b"--x\r\n\r\none\r\n--x" + end) == [b"one", *last]


@pytest.mark.parametrize("end", [b"\n", b"\r\n", b" "])
def test_base64_may_be_on_several_lines(end: bytes) -> None:
    sent = bytes(range(100))
    lines = base64.encodebytes(sent).replace(b"\n", end)
    assert chunks.contents(lines, encoded=True, multipart=False) == [sent]


def test_what_is_not_what_it_is_said_to_be_is_one_chunk() -> None:
    assert chunks.contents(b"CAMN", encoded=True, multipart=False) == [b"\x08\x03\x0d"]
    assert chunks.contents(b"!", encoded=True, multipart=False) == [b"!"]
    assert chunks.contents(b"no boundary", encoded=False, multipart=True) == [b"no boundary"]
    assert chunks.contents(b"--x\r\n\r\n1\r\n--x--", encoded=False, multipart=False) == [b"--x\r\n\r\n1\r\n--x--"]

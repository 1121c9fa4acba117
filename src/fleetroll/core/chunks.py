"""Chunks: the frames in which firmware sends messages that are too long for its link.

The first byte of a chunk has the channel (bits 0 to 2), where the checksum is (bit 3: at the end), whether more follows
(bit 6) and whether the message began before (bit 7). A message that is not whole in its first chunk begins with its
length there, and each later chunk with its offset, both as varints. The checksum is CRC-16-CCITT of the message, low
byte first. Pure: what has arrived so far is an argument.
"""

import binascii
import re

from msgspec import Struct

from fleetroll.core import limits

_CRC_AT_END, _MORE, _CONTINUES = 0x08, 0x40, 0x80
_CRC_SIZE = 2
_MOST_VARINT = 5  # bytes, for 32 bits
_DIGITS = re.compile(rb"[0-9]+")


class Partial(Struct, frozen=True):
    """The beginning of a message of `length` bytes. Where `checksum` is None, it will follow the message in `data`."""

    length: int
    data: bytes
    checksum: bytes | None


class Step(Struct, frozen=True):
    """The result of a chunk: the message that it completes, or the one that is still incomplete.

    `lost` says that something was discarded: this chunk, or the incomplete message before it.
    """

    message: bytes | None = None
    partial: Partial | None = None
    lost: bool = False


def feed(partial: Partial | None, chunk: bytes) -> Step:
    """Take one more chunk, after what has arrived so far."""
    if not chunk:
        return Step(partial=partial, lost=True)
    if chunk[0] & _CONTINUES:
        return _continue(partial, chunk)
    begun = _begin(chunk)
    return Step(begun.message, begun.partial, lost=begun.lost or partial is not None)


def _begin(chunk: bytes) -> Step:
    header, rest = chunk[0], chunk[1:]
    length = None
    if header & _MORE:
        length, rest = _varint(rest)
        if length is None or length > limits.MAX_MESSAGE:
            return Step(lost=True)
    if header & _CRC_AT_END:
        checksum, data = None, rest
    else:
        checksum, data = rest[:_CRC_SIZE], rest[_CRC_SIZE:]
    if length is None:
        return _finish(data, checksum)
    if len(data) > length + _CRC_SIZE:
        return Step(lost=True)
    return Step(partial=Partial(length, data, checksum))


def _continue(partial: Partial | None, chunk: bytes) -> Step:
    offset, data = _varint(chunk[1:])
    if partial is None or offset != len(partial.data):
        return Step(lost=True)
    whole = partial.data + data
    if len(whole) > partial.length + _CRC_SIZE:
        return Step(lost=True)
    if chunk[0] & _MORE:
        return Step(partial=Partial(partial.length, whole, partial.checksum))
    step = _finish(whole, partial.checksum)
    return step if step.message is not None and len(step.message) == partial.length else Step(lost=True)


def _finish(data: bytes, checksum: bytes | None) -> Step:
    if checksum is None:
        data, checksum = data[:-_CRC_SIZE], data[-_CRC_SIZE:]
    is_sound = len(checksum) == _CRC_SIZE and binascii.crc_hqx(data, 0) == int.from_bytes(checksum, "little")
    return Step(message=data) if is_sound and data else Step(lost=True)


def _varint(data: bytes) -> tuple[int | None, bytes]:
    """A number in groups of seven bits, the lowest first, and what follows it; None where it does not end."""
    number = 0
    for index, byte in enumerate(data[:_MOST_VARINT]):
        number |= (byte & 0x7F) << (7 * index)
        if not byte & 0x80:
            return number, data[index + 1 :]
    return None, data


def parts(body: bytes) -> list[bytes]:
    """The contents of a multipart body, up to and including the first part beyond `MAX_CHUNKS`.

    Its boundary is the first line that begins with two hyphens. Lenient: a part's headers end at the first empty line,
    its `Content-Length`, if it has one, says how long it is, so that a boundary within its bytes does no harm, and the
    last part may end with the body.
    """
    body = body if body.startswith(b"--") else body[body.find(b"\n--") + 1 :]
    boundary = body.partition(b"\n")[0].strip()
    if not boundary.startswith(b"--"):
        return []
    found: list[bytes] = []
    position = len(boundary)
    while len(found) <= limits.MAX_CHUNKS and not body.startswith(b"--", position):
        blank = body.find(b"\r\n\r\n", position)
        head, begin = (body[position:blank], blank + 4) if blank >= 0 else (body[position:], len(body))
        length = _length(head)
        end = body.find(b"\r\n" + boundary, begin + (length or 0))
        content = body[begin : end if end >= 0 else None] if length is None else body[begin : begin + length]
        if end < 0:
            last = content or body[position:].strip()
            return [*found, last] if last else found
        found.append(content)
        position = end + 2 + len(boundary)
    return found


def _length(head: bytes) -> int | None:
    """The `Content-Length` among headers, which need not be on lines of their own."""
    _, _, value = head.lower().partition(b"content-length:")
    digits = _DIGITS.match(value.strip())
    return int(digits[0]) if digits and len(digits[0]) < 10 else None


def contents(body: bytes, *, encoded: bool, multipart: bool) -> list[bytes]:
    """The chunks of a request. A body that is not in its declared form counts as one chunk, which will not decode.

    Base64 may be on several lines, as most tools write it.
    """
    if encoded:
        try:
            body = binascii.a2b_base64(b"".join(body.split()), strict_mode=True)
        except binascii.Error:
            return [body]
    return (parts(body) or [body]) if multipart else [body]

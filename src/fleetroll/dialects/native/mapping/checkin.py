"""What came from a device in chunks."""

import base64

from fleetroll.dialects.native.mapping.times import at
from fleetroll.dialects.native.shapes import checkin as shapes
from fleetroll.service import checkin
from fleetroll.wire.request import Request


def received_chunks(result: checkin.Received, request: Request) -> shapes.Chunks:
    kept = [shapes.Chunk(at(came), base64.b64encode(data).decode()) for came, data in result.kept]
    return shapes.Chunks(result.box.received, result.box.undecoded, result.box.partial is not None, kept)

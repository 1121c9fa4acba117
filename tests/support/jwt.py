"""What a credential for the broker says of its user, as whoever reads it sees it."""

import base64
import json
from typing import Any


def claims(token: str) -> dict[str, Any]:
    body = token.split(".")[1]
    return dict(json.loads(base64.urlsafe_b64decode(body + "=" * (-len(body) % 4))))

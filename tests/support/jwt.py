"""The claims in a credential for the broker, unverified."""

import base64
import json
from typing import Any


def claims(token: str) -> dict[str, Any]:
    body = token.split(".")[1]
    return dict(json.loads(base64.urlsafe_b64decode(body + "=" * (-len(body) % 4))))

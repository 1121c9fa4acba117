"""How often randomized tests try: in a usual run as often as every commit can afford.

`make test EFFORT=50 ARGS=tests/model` has them try fifty times as often.
"""

import os

EFFORT = int(os.environ.get("FLEETROLL_EFFORT", "1"))


def often(usual: int) -> int:
    return usual * EFFORT

"""nats-py leaves the sockets of refused and broken connections to the collector.

It comes for them at the end of the test that made them (`collected`, in `conftest.py`), which does not mind: any other
test would fail by the warning.
"""

import pytest

LEFT = [
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
    pytest.mark.usefixtures("collected"),
]

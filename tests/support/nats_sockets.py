"""nats-py leaves the sockets of refused and broken connections to the collector.

It comes for them at the end of the test that made them (`collected`, in `conftest.py`), which ignores the warning: any
other test would fail with it.
"""

import pytest

LEFT = [
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
    pytest.mark.usefixtures("collected"),
]

"""The `fleetroll` command, and `python -m fleetroll`. Ctrl-C is also heard while the modules are still being loaded."""

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fleetroll.cli.backend import Backend

_INTERRUPTED = 130


def run(arguments: Sequence[str] | None = None) -> None:
    """Run the command. Ends by SystemExit with its exit code."""
    try:
        from fleetroll.cli import app  # noqa: PLC0415  # so that Ctrl-C is heard from the beginning
    except KeyboardInterrupt:
        sys.exit(_INTERRUPTED)
    sys.exit(app.run(app.group(_load_backend), sys.argv[1:] if arguments is None else arguments))


def _load_backend() -> "Backend":
    from fleetroll import main  # noqa: PLC0415  # loading the server takes several times as long as a client's command

    return main.backend()


if __name__ == "__main__":
    run()

"""The `fleetroll` command, and `python -m fleetroll`. Ctrl-C is heard while the parts are still being loaded, too."""

import sys

_INTERRUPTED = 130


def run() -> None:
    try:
        from fleetroll.main import cli  # noqa: PLC0415  # loading it takes most of a second
    except KeyboardInterrupt:
        sys.exit(_INTERRUPTED)
    cli()


if __name__ == "__main__":
    run()

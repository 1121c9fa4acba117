"""Trouble that is waited out: each reason is told once, however often it is met, until it is over."""

import logging

logger = logging.getLogger("fleetroll.broker")


class Trouble:
    """Trouble of one kind, which `text` names."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._reported: set[str] = set()

    def report(self, problem: Exception) -> None:
        if repr(problem) not in self._reported:
            self._reported.add(repr(problem))
            logger.warning("%s: %r", self._text, problem)

    def end(self) -> None:
        """The next trouble is news."""
        self._reported.clear()

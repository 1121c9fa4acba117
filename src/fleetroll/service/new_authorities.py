"""Tells the listeners of this process of an authority that is being made, before it is stored.

They learn of those that other processes make from the store, a moment later.
"""

from collections.abc import Callable


class NewAuthorities:
    """Told of a certificate in DER within the transaction, which may yet fail: who trusts it loses nothing by that."""

    def __init__(self) -> None:
        self._listeners: list[Callable[[bytes], None]] = []

    def on_new(self, listener: Callable[[bytes], None]) -> None:
        self._listeners.append(listener)

    def tell(self, certificate: bytes) -> None:
        for listener in self._listeners:
            listener(certificate)

"""How statuses are spelled: a vendor's server has other names for two of them than its documentation."""

from collections.abc import Mapping

from msgspec import Struct

OURS = {"RENEWAL_PENDING": "RENEWAL_WINDOW", "EXPIRING_SOON": "ABOUT_TO_EXPIRE"}


class Spelling(Struct, frozen=True):
    """How a profile spells statuses, by our own word for each."""

    statuses: Mapping[str, str]

    def of(self, status: str) -> str:
        return self.statuses.get(status, status)

    def within(self, text: str) -> str:
        """A description that names statuses in single quotes, as the vendor's do."""
        for ours, other in self.statuses.items():
            text = text.replace(f"'{ours}'", f"'{other}'")
        return text


DOCUMENTED = Spelling({})
UPSTREAM = Spelling({ours: other for other, ours in OURS.items()})

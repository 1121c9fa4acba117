"""A DMS (device manufacturing system): a named policy of who may enrol, what they get, and when they must renew.

Its settings are plain values; what they lead to is in `service.enrollment`.
"""

import enum
from typing import NamedTuple

from msgspec import Struct

from fleetroll.core import limits, names
from fleetroll.core.certificates import KeyKind, check_generated
from fleetroll.core.documents import EMPTY, Document
from fleetroll.core.faults import Fault, invalid
from fleetroll.core.identity import Windows
from fleetroll.core.model import Instant
from fleetroll.core.times import DAY, HOUR

DEFAULT_AUTHORITY = "default"
_YEAR = 365 * DAY


class Proof(enum.Enum):
    """What a device must show to enrol."""

    NONE = "NO_AUTH"
    CERTIFICATE = "CLIENT_CERTIFICATE"


class Registration(enum.Enum):
    """Whether a device that is not in the registry may enrol: just in time, or only when it was registered before."""

    JITP = "JITP"
    PRE_REGISTRATION = "PRE_REGISTRATION"


class Admission(Struct, frozen=True):
    """Who may enrol. `authorities` name those whose certificates are taken.

    `levels` is how far below them a certificate may be: 1 is issued by one of them, 2 by an authority that one of them
    has certified, and so on; None is at any level. The ones in between must be known authorities.
    """

    proof: Proof = Proof.CERTIFICATE
    authorities: tuple[str, ...] = ()
    allow_expired: bool = False
    levels: int | None = 1


class Renewal(Struct, frozen=True):
    """How a device renews: with the certificate that it has, or with one in its name from any of `authorities`.

    `opens` is how many microseconds before the end of a certificate renewal begins to be allowed; None is at any time.
    """

    authorities: tuple[str, ...] = ()
    allow_expired: bool = False
    revoke_replaced: bool = True
    opens: int | None = None


def windows(lifetime: int, preventive: int | None = None, critical: int | None = None) -> Windows:
    """The given windows; by default 60 and 14 days, but at most a sixth and a 24th of the lifetime (microseconds).

    So no identity starts out in a window that nobody asked for.
    """
    if preventive is None:
        preventive = max(min(60 * DAY, lifetime // 6), critical or 0)
    if critical is None:
        critical = min(14 * DAY, lifetime // 24, preventive)
    return Windows(preventive, critical)


class Profile(Struct, frozen=True):
    """What a device that enrols just in time gets. `extras` are members of vendors."""

    tags: tuple[str, ...] = ()
    metadata: Document = EMPTY
    extras: Document = EMPTY


class Distribution(Struct, frozen=True):
    """Which authorities a device is told to trust: the issuing one, others, and that of the server's certificate."""

    own: bool = True
    others: tuple[str, ...] = ()
    server: bool = False


class Settings(Struct, frozen=True):
    """Everything that a DMS decides. `keygen` is the kind of key that the server makes for a device, if any.

    `lifetime` is in microseconds. `with_names`: the alternative names of a request become part of the certificate.
    """

    authority: str = DEFAULT_AUTHORITY
    admission: Admission = Admission()
    registration: Registration = Registration.JITP
    replaceable: bool = False
    profile: Profile = Profile()
    renewal: Renewal = Renewal()
    windows: Windows = windows(_YEAR)
    distribution: Distribution = Distribution()
    keygen: KeyKind | None = None
    lifetime: int = _YEAR
    with_names: bool = False

    @property
    def authorities(self) -> set[str]:
        """Every authority that is named."""
        return {self.authority, *self.admission.authorities, *self.renewal.authorities, *self.distribution.others}


class Dms(Struct, frozen=True):
    """One DMS. `name` is its identifier, `title` what people call it; `extras` are vendors' settings without effect."""

    id: int
    org: int
    name: str
    title: str
    settings: Settings
    metadata: Document
    extras: Document
    created_at: Instant
    updated_at: Instant
    revision: int


SEPARATOR = "~"


def label(path: str, dms: str) -> str:
    """How a DMS is named where the organization is not known: its organization's path, if any, and its name."""
    return f"{path}{SEPARATOR}{dms}" if path else dms


class Label(NamedTuple):
    """The organization's path below the root, empty for the root itself, and the name of the DMS."""

    path: str
    dms: str


def parse_label(text: str) -> Label:
    """Inverse of `label`."""
    path, _, dms = text.rpartition(SEPARATOR)
    return Label(path, dms)


def check(settings: Settings) -> None:
    """Raises Fault invalid for settings that contradict each other or go too far."""
    windows = settings.windows
    names.path_segment(settings.authority, "authority")
    if len(settings.authorities) > limits.MAX_AUTHORITIES_PER_DMS:
        raise _invalid(f"they must not name more than {limits.MAX_AUTHORITIES_PER_DMS} authorities")
    if settings.admission.levels is not None and not 1 <= settings.admission.levels <= limits.MAX_CHAIN:
        raise _invalid(f"levels must be 1 to {limits.MAX_CHAIN}, or null for any")
    if settings.keygen is not None:
        check_generated(settings.keygen, "settings")
    if not 0 <= windows.critical <= windows.preventive:
        raise _invalid("the critical window must not be longer than the preventive one")
    if not HOUR <= settings.lifetime <= 25 * _YEAR:
        raise _invalid("the lifetime of certificates must be from an hour to 25 years")
    if settings.renewal.opens is not None and settings.renewal.opens < 0:
        raise _invalid("reenrollment_delta must not be negative")


def _invalid(what: str) -> Fault:
    return invalid("invalid_settings", f"The settings are not valid: {what}.", "settings")

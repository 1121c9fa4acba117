"""What a caller presents to show who it is: a secret, and whose it claims to be. The keyring says if that is true."""

import enum

from msgspec import Struct


class Issuer(enum.Enum):
    """Whose a secret claims to be, which decides how it is checked."""

    __hash__ = object.__hash__  # as in policy

    KEY = "key"  # an API key, or what was issued for one
    CLIENT = "client"  # an API key, as an OAuth2 client shows it: itself, and not what was issued for it
    PROJECT = "project"  # an organization, by its project key
    DEVICE = "device"  # a device, by its derived token
    ENROLLEE = "enrollee"  # nobody yet: the text is the label of the DMS that they are at
    BROKER = "broker"  # whoever a broker has verified, by the public half of a key pair; nothing that a request carries


class Presented(Struct, frozen=True, gc=False):
    """A secret as it came."""

    issuer: Issuer
    text: str

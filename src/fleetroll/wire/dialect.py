"""What a dialect is: a route table, an envelope for failures, where the credential sits. Data, walked by `serve`."""

import enum
from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Any

from msgspec import Meta, Raw, Struct

from fleetroll.core import limits, patch
from fleetroll.core.faults import Fault, Kind
from fleetroll.core.secrets import Issuer
from fleetroll.service.operations import Operation
from fleetroll.wire.request import Request

JSON_PATCH, MERGE_PATCH = "application/json-patch+json", "application/merge-patch+json"
"""Media types of RFC 6902 and RFC 7396."""

OPERATIONS: dict[str, Any] = {
    "type": "array",
    "maxItems": limits.MAX_PATCH_OPERATIONS,
    "items": {
        "type": "object",
        "required": ["op", "path"],
        "properties": {
            "op": {"enum": list(patch.OPERATIONS)},
            "path": {"type": "string"},
            "from": {"type": "string"},
            "value": {},
        },
    },
}
"""How a JSON Patch is described."""

Object = Annotated[Raw, Meta(extra_json_schema={"type": "object"})]
"""A JSON object that is kept as text, and written as it is kept."""

Encoded = Any
"""A shape to be written as JSON, or a `Reply` where status or headers depend on the result, or None for no body, or a
`LongList`.
"""

AnyOperation = Operation[Any, Any]
Decode = Callable[[Request], Any]
"""Makes an operation's input from a request."""
Encode = Callable[[Any, Request], Encoded]
"""Makes a reply from an operation's result."""


class Reply(Struct, frozen=True):
    """A result with more to say than its body. `etag` is the record's entity tag, `location` a path.

    A body of bytes is sent as it is, as `media_type`.
    """

    body: Any = None
    status: int | None = None
    etag: str | None = None
    location: str | None = None
    headers: tuple[tuple[str, str], ...] = ()
    media_type: str = "application/json"


class LongList(Struct, frozen=True):
    """A list of perhaps thousands of records: `shape` makes what one is shown as, `around` the body with all of them.

    They are encoded one by one, and other requests get their turn in between.
    """

    records: Sequence[Any]
    shape: Callable[[Any], Any]
    around: Callable[[list[Any]], Any]


class CredentialLocation(enum.Enum):
    """Where in a request a credential may sit."""

    __hash__ = object.__hash__  # as in policy

    HEADER = "header"
    AUTHORIZATION = "authorization"  # after a scheme
    BASIC = "basic"  # `:key`, `key:`, `email:key`, and `client_id:client_secret`
    QUERY = "query"
    CLIENT = "client"  # an OAuth2 client's id and secret, as parameters
    PATH = "path"  # not a secret: it names what decides about the caller


class CredentialForm(Struct, frozen=True):
    """One way to carry a credential. `name` is that of the header, scheme or query parameter, in lower case."""

    location: CredentialLocation
    name: str
    issuer: Issuer = Issuer.KEY


API_KEY_HEADER = CredentialForm(CredentialLocation.HEADER, "x-api-key")
BEARER = CredentialForm(CredentialLocation.AUTHORIZATION, "bearer")
BASIC = CredentialForm(CredentialLocation.BASIC, "basic")
CLIENT_BASIC = CredentialForm(CredentialLocation.BASIC, "basic", Issuer.CLIENT)
CLIENT_PARAMETERS = CredentialForm(CredentialLocation.CLIENT, "client_id", Issuer.CLIENT)


class Lines(Struct, frozen=True):
    """A request body of many rows. Each is decoded to `shape` by itself, from NDJSON, or from CSV with a header line.

    `decode` makes a row from a line's number and shape, `fail` from its number and what is wrong with it. `cells` makes
    a JSON-like object from one CSV record; `header` raises a Fault for unusable columns.
    """

    shape: Any
    decode: Callable[[int, Any], Any]
    fail: Callable[[int, Fault], Any]
    cells: Callable[[dict[str, str]], dict[str, Any]]
    header: Callable[[list[str]], None]


class Stream(enum.Enum):
    """How a reply that is sent in parts is written."""

    ROWS = "rows"  # NDJSON, or CSV if the client asks for it
    EVENTS = "events"  # server-sent events
    BYTES = "bytes"  # as it is


class Parameter(Struct, frozen=True):
    """A query parameter, for the reader of the documentation and for refusing unknown ones.

    One of type `array` may be given several times, each time as a text. `choices` are all that a text may be, and
    `bounds` the least and the greatest number.
    """

    name: str
    about: str
    type: str = "string"
    required: bool = False
    choices: tuple[str, ...] = ()
    bounds: tuple[int, int] | None = None


class Route(Struct, frozen=True):
    """One row: how a request becomes an operation's input, and its result a reply.

    - `decode` and `encode` are pure. `encode` of a streamed reply is applied to each item.
    - `status` is that of success; `created` is a second one that `encode` may answer with.
    - `body` is the shape of a JSON body, or `bytes` for one that is taken as it comes; `reply` likewise.
    - `needs`, for the documentation only: members that a body must have although its shape does not require them, so
      that the vendor's words are used where one is missing.
    - `reply_headers`, for the documentation only: the fields of a success that `encode` gives it.
    - `media_types` are those accepted, "" for a body that names none; without any, the dialect's. `encodings` are the
      content encodings that `decode` understands. `produces` are the media types of a reply of bytes.
    - `lines`: the body is many rows. `stream`: the reply is sent in parts. `columns` and `cells` are those of its
      rows as CSV.
    - `idempotent`: an Idempotency-Key is taken. `secret`: no cache may store the reply.
    - `guarded`: preconditions apply; where they do not, a change that depends on an entity tag is refused.
    - `codes` and `messages` are the vendor's statuses and words for fault codes, where they differ on this path from
      its envelope's. A `refused` route is there only to say in the vendor's words what its path lacks.
    - `peer`: the operation asks who is at the other end of the connection.
    - `form`: parameters may come in a form body as well as in the query. It must be short, since it may hold the
      credential and so is read before the caller is known.
    - `organization` finds in the path's parameters the slugs of the organization to act in: of one that the caller
      reaches, and of one below it.
    - `allowances` are the vendor's limits for each caller, shared by all routes that have them.
    """

    method: str
    path: str
    operation: AnyOperation
    decode: Decode
    encode: Encode
    about: str
    status: int = 200
    created: int | None = None
    body: Any = None
    needs: tuple[str, ...] = ()
    body_required: bool = True
    reply: Any = None
    produces: tuple[str, ...] = ("application/octet-stream",)
    reply_headers: tuple[str, ...] = ()
    query: tuple[Parameter, ...] = ()
    media_types: tuple[str, ...] = ()
    lines: Lines | None = None
    stream: Stream | None = None
    columns: tuple[str, ...] = ()
    cells: Callable[[Any], list[str]] | None = None
    idempotent: bool = False
    guarded: bool = False
    refused: bool = False
    secret: bool = False
    codes: Mapping[str, int] = {}
    messages: Mapping[str, str] = {}
    peer: bool = False
    form: bool = False
    encodings: tuple[str, ...] = ()
    organization: Callable[[Mapping[str, str]], tuple[str, str]] | None = None
    allowances: tuple["Allowance", ...] = ()


class Allowance(Struct, frozen=True):
    """How many requests a vendor allows one caller, at once or within so many seconds."""

    requests: int
    seconds: int


class Subject(Struct, frozen=True):
    """A row for requests over the broker: as `Route`, with a subject in place of the path, and JSON in and out.

    `{org}` stands for the caller's organization as the broker names it. `refuse` makes the reply to a failure.
    """

    subject: str
    operation: AnyOperation
    decode: Decode
    encode: Encode
    refuse: Callable[[Fault], Any]
    body: Any
    about: str


# The HTTP status of each kind of fault. A dialect overrides those for which its vendor has another.
STATUSES: dict[Kind, int] = {
    Kind.INVALID: 400,
    Kind.UNAUTHENTICATED: 401,
    Kind.FORBIDDEN: 403,
    Kind.NOT_FOUND: 404,
    Kind.CONFLICT: 409,
    Kind.STALE: 412,
    Kind.TOO_LARGE: 413,
    Kind.RATE_LIMITED: 429,
    Kind.UNAVAILABLE: 503,
    Kind.INTERNAL: 500,
}


class Envelope(Struct, frozen=True):
    """How failures look.

    - `statuses` maps all ten kinds, and `codes` single fault codes that have another status.
    - `body`, which is pure, makes a body of a fault, its status and the request id.
    - `messages` are the vendor's own words for a code.
    - `challenge` is the WWW-Authenticate header field of a 401.
    """

    statuses: Mapping[Kind, int]
    body: Callable[[Fault, int, str], Any]
    media_type: str = "application/json"
    codes: Mapping[str, int] = {}
    messages: Mapping[str, str] = {}
    challenge: str | None = None

    def __post_init__(self) -> None:
        if missing := set(Kind) - set(self.statuses):
            raise AssertionError(f"fault kinds without a status: {missing}")

    def status(self, fault: Fault) -> int:
        return self.codes.get(fault.code) or WIRE_STATUSES.get(fault.code) or self.statuses[fault.kind]


# Codes that only HTTP knows: their statuses are the same in every dialect that does not say otherwise.
WIRE_STATUSES: Mapping[str, int] = {
    "method_not_allowed": 405,
    "unsupported_media_type": 415,
    "storage_full": 507,
}


class Dialect(Struct, frozen=True):
    """A device API.

    - `prefixes` are the paths that are its own, so that even an unknown path there fails in its form.
    - `places`, for the documentation only: what stands where the paths have a name in braces, by that name.
    - `credentials` are the forms in which a request may carry one, in the order in which they are tried.
    - `media_types` are those of bodies, where a route names none. `max_body` is the most bytes that a body may have.
    - `strict`: a query parameter that a route does not have is refused, as is a body where it takes none.
    - `acts_in_header` names the header field with the organization to act in, in lower case.
    - `loose_names`: the names of JSON members match in any case.
    - `per_minute` is how many requests the vendor allows each organization, `allowances` how many each caller over all
      routes. Both apply in addition to the operator's rates, unless those are switched off.
    - `subjects` are its requests over the broker.
    - `part_of` is the dialect that this one is switched off with: the other half of one vendor's API.
    """

    name: str
    title: str
    prefixes: tuple[str, ...]
    routes: tuple[Route, ...]
    envelope: Envelope
    credentials: tuple[CredentialForm, ...]
    places: Mapping[str, str] = {}
    media_types: tuple[str, ...] = ("application/json",)
    max_body: int = limits.MAX_BODY
    strict: bool = False
    acts_in_header: str | None = None
    loose_names: bool = False
    per_minute: int | None = None
    allowances: tuple[Allowance, ...] = ()
    subjects: tuple[Subject, ...] = ()
    part_of: str | None = None


def no_input(request: Request) -> None:
    """The `decode` of an operation that needs nothing but its caller."""
    return


def nothing(result: object, request: Request) -> None:
    """The `encode` of an operation that returns nothing, or whose stream writes itself."""
    return

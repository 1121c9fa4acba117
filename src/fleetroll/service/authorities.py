"""Certificate authorities: made, or taken in from elsewhere without their keys; and their revocation lists."""

import asyncio
import hashlib
from collections.abc import Collection, Sequence

import msgspec
from msgspec import Struct, structs

from fleetroll.core import dms, encodings, names
from fleetroll.core.certificates import Authority, Edition, Revocation, SignedList
from fleetroll.core.certificates import KeyKind as PublicKeyKind
from fleetroll.core.faults import conflict, not_found
from fleetroll.core.model import SERVER, Instant, Key, KeyKind, Principal, unstored
from fleetroll.core.names import ABOVE_ROOT
from fleetroll.core.policy import Action, Role
from fleetroll.core.query import Part
from fleetroll.core.times import DAY, SECOND
from fleetroll.pki.port import Description, Signer, Terms
from fleetroll.service.named import Listing, Named, Noun
from fleetroll.service.operations import Call, Effect, Services, operation
from fleetroll.service.portions import portions, whole
from fleetroll.store.port import Records

# How far a device's clock may be behind for a certificate that was just issued to be valid by it.
BACKDATED = 300 * SECOND
_LIFETIME = 20 * 365 * DAY
_LIST_LIFETIME = DAY
_LIST_RENEWED_AFTER = _LIST_LIFETIME // 2
_LIST_PAGE = 2_000
_SERVER_LIFETIME = 90 * DAY
_ANCHORS_PAGE = 100
_encode_lines = msgspec.json.Encoder().encode_lines


class New(Struct, frozen=True):
    """An authority to make. With a `certificate` it is somebody else's, trusted to vouch for clients.

    `key` is its private key, where that was made in advance.
    """

    name: str
    kind: PublicKeyKind = PublicKeyKind()
    lifetime: int = _LIFETIME
    certificate: bytes | None = None
    key: bytes | None = None


class Shown(Struct, frozen=True):
    """An authority and what its certificate says, at that moment."""

    authority: Authority
    description: Description
    at: Instant


async def _require_unused(call: Call, authority: Authority) -> None:
    """Raises Fault conflict while something depends on the authority."""
    is_servers = call.principal.org.parent is None and authority.name == dms.DEFAULT_AUTHORITY
    if is_servers and call.services.presents_own:
        # Another one would be made at the next renewal, and no device would know the server by that.
        message = "Devices trust this server by this authority; delete it while the server runs without --est."
        raise conflict("authority_in_use", message)
    page = call.records.dms.page
    policies = await whole(lambda after, limit: page(call.org, after, limit), lambda last: last.name, "")
    if any(authority.name in one.settings.authorities for one in policies):
        raise conflict("authority_in_use", "A DMS uses this authority; change or delete the DMS first.")
    tally = (await call.records.certificates.counts(call.org, call.at)).get(authority.id)
    if tally and tally.issued > tally.revoked + tally.expired:
        raise conflict("authority_in_use", "Some certificates of this authority are still valid; revoke them first.")
    await call.records.certificates.forget(call.org, authority.id)


noun: Noun[Authority] = Noun(
    "authority",
    "name",
    lambda records: records.authorities,
    Action.CERTIFICATES_READ,
    Action.DMS_WRITE,
    forget=_require_unused,
    plural="authorities",
)


async def _with_key(call: Call, new: New) -> New:
    if new.certificate is not None:
        return new
    return structs.replace(new, key=await call.services.pki.make_key_off_loop(new.kind, call.org))


@operation(Action.DMS_WRITE, Effect.WRITE, prepare=_with_key)
async def create(call: Call, new: New) -> Shown:
    return _shown(call, await make(call, new))


@operation(Action.CERTIFICATES_READ, Effect.READ)
async def get(call: Call, wanted: Named) -> Shown:
    return _shown(call, await noun.find(call, wanted.name))


@operation(Action.CERTIFICATES_READ, Effect.SCAN)
async def page(call: Call, wanted: Listing) -> Part[Shown, str]:
    found = await noun.page.run(call, wanted)
    return Part([_shown(call, one) for one in found.records], found.next)


@operation(Action.CERTIFICATES_READ, Effect.SCAN)
async def revocation_list(call: Call, wanted: Named) -> SignedList:
    return await list_of(call, await noun.find(call, wanted.name))


def _shown(call: Call, authority: Authority) -> Shown:
    return Shown(authority, call.services.pki.describe(authority.certificate), call.at)


async def make(call: Call, new: New) -> Authority:
    """Store a new authority with its event. Raises Fault conflict `authority_exists`."""
    name, pki = names.path_segment(new.name, "name"), call.services.pki
    if new.certificate is None:
        terms = Terms(call.at - BACKDATED, call.at + new.lifetime)
        owner = f"{call.principal.org.slug} {call.org}"
        signer = pki.make_authority(name, owner, new.key or pki.make_key(new.kind), terms, _context(call.org, name))
        certificate, sealed = signer.certificate, signer.sealed_key
    else:
        certificate, sealed = new.certificate, None
    info = pki.describe_authority(certificate)
    described = unstored(
        Authority,
        name=name,
        serial=info.serial,
        certificate=certificate,
        sealed_key=sealed,
        not_before=info.not_before,
        not_after=info.not_after,
    )
    made = await noun.insert(call, described)
    call.services.new_authorities.tell(certificate)
    return made


async def ensure(call: Call, name: str) -> Authority:
    """The authority of that name, made on first use."""
    return await call.records.authorities.get(call.org, name) or await make(call, New(name))


async def valid_now(call: Call, excluded: Collection[str]) -> list[Authority]:
    """The authorities whose certificates are valid now, except those with a name in `excluded`."""
    others = [one for one in await noun.all(call) if one.name not in excluded]
    return [one for one in others if one.not_before <= call.at < one.not_after]


def signer(authority: Authority) -> Signer:
    """Raises Fault conflict `foreign_authority` for one whose key is elsewhere."""
    if authority.sealed_key is None:
        raise conflict("foreign_authority", f"Authority {authority.name} cannot sign: its key is not on this server.")
    return Signer(authority.certificate, authority.sealed_key, _context(authority.org, authority.name))


async def list_of(call: Call, authority: Authority) -> SignedList:
    """The list of what is revoked now: the latest one if it has the same entries and is recent, else a new one."""
    by = signer(authority)
    while True:
        # The latest list is read before the revocations, so that no list is published after it that has fewer of them.
        at, last = call.services.clock(), await call.records.authorities.edition(call.org, authority.id)
        if last is None:
            raise not_found("authority", authority.name)
        revoked, content = await _revoked(call, authority, at)
        is_good = content == last.content and last.at <= at < last.at + _LIST_RENEWED_AFTER
        edition = last if is_good else last.next(at, content)
        if is_good or await _publish(call, authority.id, last, edition):
            return await _signed(call, authority.id, by, revoked, edition)


async def _revoked(call: Call, authority: Authority, at: Instant) -> tuple[list[Revocation], str]:
    """What is revoked, and a digest of it, which would hold up the event loop if it were made of all at once.

    With those that expired within one list's lifetime: a list signed after that still has them (RFC 5280, 3.3).
    """
    page, since = call.records.certificates.revoked, at - _LIST_LIFETIME
    found, digest = list[Revocation](), hashlib.sha256()
    async for some in portions(
        lambda after, limit: page(call.org, authority.id, since, after, limit), lambda last: last.id, 0, _LIST_PAGE
    ):
        found += some
        digest.update(_encode_lines(some))
    return found, digest.hexdigest()


async def _publish(call: Call, authority: int, last: Edition, new: Edition) -> bool:
    """Whether `new` is the latest list now. Whoever asks may have no right to write, and the disk may be full."""

    async def work(records: Records) -> bool:
        return await records.authorities.publish(call.org, authority, last, new)

    return await call.services.store.write(work, relieves=True)


async def _signed(call: Call, authority: int, by: Signer, revoked: list[Revocation], edition: Edition) -> SignedList:
    """The list of that edition: as this process signed it before, or signed now, with the same number and times."""
    lists, make = call.services.revocation_lists, call.services.pki.revocation_list
    known = lists.get(authority)
    if known is not None and known.edition == edition:
        return known

    async def sign() -> SignedList:
        at, until = edition.at, edition.at + _LIST_LIFETIME
        return SignedList(await asyncio.to_thread(make, by, revoked, edition.number, at, until), edition)

    return await lists.load(authority, sign)


# --- for the server itself -------------------------------------------------------------------------------------------


class ServerCertificate(Struct, frozen=True):
    """What a TLS listener shows: a chain and its key in PEM, the key encrypted with a password; and its authority."""

    chain: str
    key: str
    password: str
    authority: str


async def certify_server(services: Services, hosts: Sequence[str]) -> ServerCertificate:
    """A certificate for this server, from the root organization's own authority."""

    async def work(records: Records) -> Authority:
        root = await records.organizations.child(ABOVE_ROOT, names.ROOT)
        assert root is not None, "it is made at the first start"
        key = Key(0, root.id, "server", KeyKind.API, Role.ADMIN, (), created_at=0)
        principal = Principal(key, root, root, SERVER)
        return await ensure(Call(principal, services.clock(), "server", records, services), dms.DEFAULT_AUTHORITY)

    authority, now = await services.store.write(work), services.clock()
    terms, password = Terms(now - BACKDATED, now + _SERVER_LIFETIME), services.random_text(32)
    der, key = services.pki.issue_for_server(signer(authority), hosts, terms, password)
    return ServerCertificate(encodings.pem(der), key, password, encodings.pem(authority.certificate))


async def server_anchors(call: Call) -> tuple[bytes, ...]:
    """What to trust to recognize this server: the end of the operator's chain, or the authority of `certify_server`."""
    if call.services.server_authority is not None:
        return (call.services.server_authority,)
    root = await call.records.organizations.child(ABOVE_ROOT, names.ROOT)
    found = await call.records.authorities.get(root.id, dms.DEFAULT_AUTHORITY) if root else None
    return (found.certificate,) if found else ()


async def trust_anchors(services: Services, after: int) -> tuple[list[bytes], int]:
    """The trust anchors, for a listener, of all authorities with an id above `after`, and the highest id."""
    anchors: list[bytes] = []
    while found := await services.store.read.authorities.everywhere(after, _ANCHORS_PAGE):
        for certificate in found:
            anchor = services.pki.anchor(certificate.der)
            if anchor is not None:
                anchors.append(anchor)
        after = found[-1].id
        await asyncio.sleep(0)  # there may be thousands
    return anchors, after


def _context(org: int, name: str) -> str:
    """What the key of an authority is sealed for: copied to another record, it does not open."""
    return f"{org}:{name}"

"""Between the bodies of Lamassu's DMS manager and CA and the operations of enrolment. Pure; raises only Fault."""

import base64
import re
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any, NoReturn

from msgspec import to_builtins

from fleetroll.core import documents, encodings, limits, names, patch
from fleetroll.core.certificates import KeyKind, KeyType, Reason, Tally
from fleetroll.core.dms import Admission, Distribution, Dms, Profile, Proof, Registration, Renewal, Settings
from fleetroll.core.faults import invalid
from fleetroll.core.identity import Occasion, Windows
from fleetroll.core.model import Device
from fleetroll.core.times import moment
from fleetroll.dialects.enrollment import shapes
from fleetroll.pki.port import Description
from fleetroll.pki.port import Name as DistinguishedName
from fleetroll.service import authorities, binding, certificates, named
from fleetroll.service import dms as service
from fleetroll.wire.bodies import convert
from fleetroll.wire.dialect import Reply
from fleetroll.wire.request import Request

_NEVER = datetime(1, 1, 1, tzinfo=UTC)
_DEFAULT_PAGE = 25
_NUMBER = re.compile(r"-?\d+", re.ASCII)
_SETTINGS = "settings"
_VENDOR = "lamassu"


# --- durations: whole units, the largest first, and a year of 364 days ---------------------------------------------

_UNITS = {
    "y": 364 * 86_400_000_000,
    "w": 7 * 86_400_000_000,
    "d": 86_400_000_000,
    "h": 3_600_000_000,
    "m": 60_000_000,
    "s": 1_000_000,
    "ms": 1_000,
    "us": 1,
}
_SPELLED = _UNITS | {"\u00b5s": 1, "ns": 0}
_STEP = re.compile(r"(\d{1,18})(ns|us|\u00b5s|ms|s|m|h|d|w|y)", re.ASCII)
_DURATION = re.compile(rf"(?:{_STEP.pattern})+", re.ASCII)


def duration(text: str, field: str) -> int:
    """Microseconds. Raises Fault invalid `invalid_duration`."""
    if len(text) > limits.MAX_VERSION or not _DURATION.fullmatch(text):
        raise invalid("invalid_duration", f"{field} must be a duration, as in 14w2d, 36h or 90m.", field)
    steps = _STEP.findall(text)
    found = sum(int(count) * _SPELLED[unit] for count, unit in steps)
    found += sum(int(count) for count, unit in steps if unit == "ns") // 1_000
    if found > limits.MAX_DURATION:
        raise invalid("invalid_duration", f"{field} is longer than a hundred years.", field)
    return found


def canonical(microseconds: int) -> str:
    """The duration as the vendor writes it: `100d` is `14w2d`."""
    text = ""
    for unit, size in _UNITS.items():
        count, microseconds = divmod(microseconds, size)
        text += f"{count}{unit}" if count else ""
    return text or "0s"


# --- DMS in --------------------------------------------------------------------------------------------------------


def _settings(given: Mapping[str, Any]) -> Settings:
    """What the settings mean. Raises Fault invalid for those that promise what is not done."""
    shape = convert(given, shapes.Settings)
    enrollment = shape.enrollment_settings or shapes.Enrollment()
    renewal = shape.reenrollment_settings or shapes.Reenrollment()
    issuance = shape.issuance_profile or shapes.IssuanceProfile()
    distribution = shape.ca_distribution_settings or shapes.Distribution()
    plain = Settings()
    if enrollment.protocol not in {"", "EST_RFC7030"}:
        _refuse("protocol", enrollment.protocol)
    return Settings(
        authority=enrollment.enrollment_ca or plain.authority,
        admission=_admission(enrollment.est_rfc7030_settings or shapes.EstSettings()),
        registration=_registration(enrollment.registration_mode),
        replaceable=enrollment.enable_replaceable_enrollment,
        profile=_profile(enrollment.device_provisioning_profile or shapes.Profile()),
        renewal=Renewal(
            tuple(renewal.additional_validation_cas or ()),
            renewal.enable_expired_renewal,
            renewal.revoke_on_reenrollment,
            _span(renewal.reenrollment_delta, "reenrollment_delta", None),
        ),
        windows=_windows(renewal, plain.windows),
        distribution=Distribution(distribution.include_enrollment_ca, tuple(distribution.managed_cas or ())),
        keygen=_keygen(shape.server_keygen_settings or shapes.Keygen()),
        lifetime=_lifetime(issuance.validity or shapes.Validity(), plain.lifetime),
        with_names=issuance.honor_extensions,
    )


def _admission(shape: shapes.EstSettings) -> Admission:
    known = {proof.value: proof for proof in Proof} | {"": Proof.CERTIFICATE}
    if shape.auth_mode not in known:
        _refuse("auth_mode", shape.auth_mode)
    shown = shape.client_certificate_settings or shapes.ClientCertificate()
    level = shown.chain_level_validation
    levels = level if 0 < level < limits.MAX_CHAIN else None
    return Admission(known[shape.auth_mode], tuple(shown.validation_cas or ()), shown.allow_expired, levels)


def _registration(mode: str) -> Registration:
    known = {one.value: one for one in Registration} | {"": Registration.JITP}
    if mode not in known:
        _refuse("registration_mode", mode)
    return known[mode]


def _refuse(field: str, value: str) -> NoReturn:
    raise invalid("unsupported_setting", f"{field} {value[: limits.MAX_TAG]!r} is not supported.", field)


def _profile(shape: shapes.Profile) -> Profile:
    tags = names.unique([names.tag(tag) for tag in shape.tags or ()], limits.MAX_TAGS, "tags")
    given = {"icon": shape.icon, "icon_color": shape.icon_color}
    icons = {name: names.line(value, name) if value else "" for name, value in given.items()}
    extras = documents.of({_VENDOR: icons} if any(icons.values()) else {}, "device_provisioning_profile")
    return Profile(tags, documents.of(shape.metadata or {}, "metadata"), extras)


def _span(text: str | None, field: str, otherwise: Any) -> Any:
    return otherwise if text is None else duration(text, field)


def _windows(shape: shapes.Reenrollment, plain: Windows) -> Windows:
    preventive = _span(shape.preventive_delta, "preventive_delta", None)
    critical = _span(shape.critical_delta, "critical_delta", None)
    if preventive is None:
        preventive = max(plain.preventive, critical or 0)
    return Windows(preventive, min(plain.critical, preventive) if critical is None else critical)


def _keygen(shape: shapes.Keygen) -> KeyKind | None:
    if not shape.enabled:
        return None
    key = shape.key or shapes.Key()
    known = {"": KeyType.EC, "ECDSA": KeyType.EC, "RSA": KeyType.RSA, "Ed25519": KeyType.ED25519}
    if key.type not in known:
        _refuse("key type", key.type)
    return KeyKind(known[key.type], key.bits or {KeyType.RSA: 2048}.get(known[key.type], 256))


def _lifetime(shape: shapes.Validity, plain: int) -> int:
    if shape.type not in {"", "Duration"}:
        _refuse("validity type", shape.type)
    return int(_span(shape.duration, "duration", plain))


def new_dms(request: Request) -> Dms:
    body, given = request.body, request.body.settings or {}
    extras = documents.of({_SETTINGS: given}, _SETTINGS)
    metadata = documents.of(body.metadata or {}, "metadata")
    title = names.line(body.name, "name") if body.name else body.id
    return Dms(0, 0, body.id, title, _settings(given), metadata, extras, 0, 0, 0)


def replace_dms(request: Request) -> named.Edit:
    new = new_dms(request)
    if new.name not in {"", request.path["id"]}:
        raise invalid("immutable_id", "The id of a DMS cannot be changed.", "id")
    change = {name: getattr(new, name) for name in ("settings", "metadata", "extras")}
    return named.Edit(request.path["id"], change | ({"title": new.title} if new.title else {}), request.guard)


def patch_metadata(request: Request) -> service.Patch:
    operations = patch.parse_operations(request.body.patches, lenient=True)

    def edit(was: Dms) -> dict[str, Any]:
        changed = patch.apply_json_patch(documents.load(was.metadata), operations, lenient=True)
        return {"metadata": documents.of(changed, "metadata")}

    return service.Patch(request.path["id"], edit, request.guard)


def one_dms(request: Request) -> named.Named:
    return named.Named(request.path["id"], request.guard)


# --- DMS out -------------------------------------------------------------------------------------------------------


def dms(record: Dms, request: Request) -> shapes.Dms:
    return shapes.Dms(record.name, record.title, record.metadata, moment(record.created_at), _settings_of(record))


def _settings_of(record: Dms) -> dict[str, Any]:
    """What was sent, with everything in it that means something as it is in force."""
    given = documents.load(record.extras).get(_SETTINGS, {})
    merged: dict[str, Any] = _merged(given, to_builtins(_shown(record.settings)))
    return merged


def _shown(settings: Settings) -> shapes.Settings:
    admission, renewal, windows = settings.admission, settings.renewal, settings.windows
    shown = shapes.ClientCertificate(list(admission.authorities), admission.levels or -1, admission.allow_expired)
    icons = documents.load(settings.profile.extras).get(_VENDOR, {})
    metadata = documents.load(settings.profile.metadata)
    keygen = settings.keygen
    return shapes.Settings(
        shapes.Enrollment(
            "EST_RFC7030",
            shapes.EstSettings(admission.proof.value, shown),
            shapes.Profile(icons.get("icon", ""), icons.get("icon_color", ""), metadata, list(settings.profile.tags)),
            settings.authority,
            settings.replaceable,
            settings.registration.value,
        ),
        shapes.Reenrollment(
            list(renewal.authorities),
            renewal.revoke_replaced,
            renewal.allow_expired,
            canonical(settings.lifetime if renewal.opens is None else renewal.opens),
            canonical(windows.preventive),
            canonical(windows.critical),
        ),
        shapes.Distribution(False, settings.distribution.own, list(settings.distribution.others)),
        shapes.Keygen(keygen is not None, shapes.Key(_key_type(keygen), keygen.bits) if keygen else shapes.Key()),
        shapes.IssuanceProfile(shapes.Validity("Duration", canonical(settings.lifetime)), settings.with_names),
    )


def _merged(given: Any, known: Any) -> Any:
    """`known` over `given`."""
    if not isinstance(given, dict) or not isinstance(known, dict):
        return known
    kept = {name: value for name, value in given.items() if name not in known}
    return {**{name: _merged(given.get(name), value) for name, value in known.items()}, **kept}


def dms_page(result: named.Page[Dms], request: Request) -> shapes.DmsList:
    return shapes.DmsList(_bookmark(result.next, request), [dms(one, request) for one in result.records])


def dms_stats(total: int, request: Request) -> shapes.Total:
    return shapes.Total(total)


# --- lists ---------------------------------------------------------------------------------------------------------


def _page_size(request: Request) -> int:
    """The last one counts; what is no number is not there."""
    given = [text for text in request.query.all("page_size") if _NUMBER.fullmatch(text)]
    wanted = int(given[-1][:6]) if given else _DEFAULT_PAGE
    return min(wanted, limits.MAX_PAGE) if wanted > 0 else _DEFAULT_PAGE


def _resume(request: Request) -> Any:
    token = request.query.get("bookmark")
    return request.resume(token, "") if token else None


def _bookmark(place: Any, request: Request) -> str:
    return "" if place is None else request.mark(place, "")


def list_dms(request: Request) -> named.Listing:
    return named.Listing(_page_size(request), _resume(request) or "")


def list_authorities(request: Request) -> authorities.Listing:
    return authorities.Listing(_page_size(request), _resume(request) or "")


_FILTER = re.compile(r"([a-z_.]+)\[([a-z_]+)\][:=]?(.*)", re.IGNORECASE)
_SERIAL = ("serial_number", {"eq", "equal", "equals", "eq_ic", "equal_ignorecase"})


def list_certificates(request: Request) -> certificates.Listing:
    """Of the vendor's filters the one by serial number; another would be a list that is not what was asked for."""
    serial = None
    for text in request.query.all("filter"):
        found = _FILTER.fullmatch(text)
        if found is None or found[1] != _SERIAL[0] or found[2].lower() not in _SERIAL[1]:
            raise invalid("unsupported_filter", "Certificates are filtered by serial_number[eq] alone.", "filter")
        serial = found[3].lower()
    return certificates.Listing(
        _page_size(request), _resume(request) or 0, authority=request.path.get("id"), serial=serial
    )


# --- certificates --------------------------------------------------------------------------------------------------

_REASONS = {
    Reason.UNSPECIFIED: "Unspecified",
    Reason.KEY_COMPROMISE: "KeyCompromise",
    Reason.CA_COMPROMISE: "CACompromise",
    Reason.AFFILIATION_CHANGED: "AffiliationChanged",
    Reason.SUPERSEDED: "Superseded",
    Reason.CESSATION_OF_OPERATION: "CessationOfOperation",
    Reason.CERTIFICATE_HOLD: "CertificateHold",
    Reason.PRIVILEGE_WITHDRAWN: "PrivilegeWithdrawn",
    Reason.AA_COMPROMISE: "AACompromise",
}
assert _REASONS.keys() == set(Reason)
_STRONG = {KeyType.RSA: 3072, KeyType.EC: 256, KeyType.ED25519: 256}


def _subject(name: DistinguishedName) -> shapes.Subject:
    return shapes.Subject(
        name.common_name, name.organization, name.organization_unit, name.country, name.state, name.locality
    )


def _key_type(kind: KeyKind) -> str:
    return "ECDSA" if kind.type is KeyType.EC else kind.type.value


def _strength(kind: KeyKind) -> shapes.KeyStrength:
    return shapes.KeyStrength(_key_type(kind), kind.bits, "HIGH" if kind.bits >= _STRONG[kind.type] else "MEDIUM")


def _described(said: Description, der: bytes, issuer: shapes.Issuer, **members: Any) -> shapes.Certificate:
    plain = {
        "metadata": {},
        "revocation_timestamp": _NEVER,
        "revocation_reason": _REASONS[Reason.UNSPECIFIED],
        "type": "EXTERNAL",
        "engine_id": "",
        "is_ca": said.is_authority,
    }
    return shapes.Certificate(
        serial_number=said.serial,
        subject_key_id=said.subject_key,
        authority_key_id=said.issuer_key,
        certificate=base64.b64encode(encodings.pem(der).encode()).decode(),
        key_metadata=_strength(said.key),
        subject=_subject(said.subject),
        issuer=_subject(said.issuer),
        valid_from=moment(said.not_before),
        issuer_metadata=issuer,
        valid_to=moment(said.not_after),
        **{**plain, **members},
    )


def certificate(result: certificates.Shown, request: Request) -> shapes.Certificate:
    record = result.certificate
    revoked = {} if record.revoked_at is None else {"revocation_timestamp": moment(record.revoked_at)}
    if record.reason is not None:
        revoked["revocation_reason"] = _REASONS[record.reason]  # type: ignore[assignment]  # members of two types
    return _described(
        result.description,
        record.der,
        shapes.Issuer(result.authority_serial, result.authority, 0),
        status=record.state(result.at).value,
        metadata={} if result.slot is None else _attached(result, result.slot.windows),
        **revoked,
    )


def _attached(result: certificates.Shown, windows: Windows) -> dict[str, Any]:
    """What the vendor keeps with the certificate of a slot: when it is due, and whose it is."""
    record = result.certificate
    deltas = {"Preventive": windows.preventive, "Critical": windows.critical}
    return {
        "lamassu.io/ca/expiration-deltas": [
            {"delta": canonical(delta), "name": name, "triggered": result.at >= record.not_after - delta}
            for name, delta in deltas.items()
        ],
        "lamassu.io/ra/attached-to": {"authorized_by": {"ra_id": record.dms or ""}, "device_id": record.common_name},
    }


def one_certificate(request: Request) -> certificates.Named:
    return certificates.Named(request.path["sn"])


def certificate_page(result: certificates.Page, request: Request) -> shapes.CertificateList:
    found = [certificate(one, request) for one in result.certificates]
    return shapes.CertificateList(_bookmark(result.next, request), found)


def change_status(request: Request) -> binding.Rule:
    body = request.body
    if body.status not in {"REVOKED", "ACTIVE"}:
        raise invalid("invalid_status", "A certificate is set to REVOKED or ACTIVE.", "status")
    if body.status == "ACTIVE":
        return binding.Rule(request.path["sn"], None)
    known = {word.lower(): reason for reason, word in _REASONS.items()} | {"": Reason.UNSPECIFIED}
    if body.revocation_reason.lower() not in known:
        raise invalid("invalid_reason", "unsupported revocation code", "revocation_reason")
    return binding.Rule(request.path["sn"], known[body.revocation_reason.lower()])


# --- authorities ---------------------------------------------------------------------------------------------------


def authority(result: authorities.Shown, request: Request) -> shapes.Authority:
    record = result.authority
    own = record.sealed_key is not None
    issuer = shapes.Issuer(record.serial, record.name, 0)
    shown = _described(
        result.description,
        record.certificate,
        issuer,
        status="ACTIVE" if result.at < record.not_after else "EXPIRED",
        type="MANAGED" if own else "EXTERNAL",
    )
    validity = shapes.TimeValidity("Time", moment(record.not_after))
    return shapes.Authority(record.name, record.serial, shown, {}, validity, moment(record.created_at), 0)


def one_authority(request: Request) -> named.Named:
    return named.Named(request.path["id"])


def authority_page(result: authorities.Page, request: Request) -> shapes.AuthorityList:
    found = [authority(one, request) for one in result.authorities]
    return shapes.AuthorityList(_bookmark(result.next, request), found)


def stats(result: certificates.Stats, request: Request) -> shapes.Stats:
    total, expired = len(result.authorities), result.expired_authorities
    issued = {name: tally.issued for name, tally in result.authorities.items()}
    by_status = {"ACTIVE": total - expired, "EXPIRED": expired, "REVOKED": 0}
    return shapes.Stats(
        shapes.AuthorityStats(total, {}, by_status),
        shapes.CertificateStats(sum(issued.values()), issued, _by_status(result.authorities.values())),
    )


def _by_status(tallies: Iterable[Tally]) -> dict[str, int]:
    all_of = list(tallies)
    revoked, expired = sum(one.revoked for one in all_of), sum(one.expired for one in all_of)
    return {"ACTIVE": sum(one.issued for one in all_of) - revoked - expired, "EXPIRED": expired, "REVOKED": revoked}


# --- binding -------------------------------------------------------------------------------------------------------


def bind(request: Request) -> binding.Bind:
    body = request.body
    known = {occasion.value: occasion for occasion in Occasion} | {"": None}
    if body.bind_mode not in known:
        raise invalid("invalid_bind_mode", "bind_mode must be PROVISIONED, RE-PROVISIONED or RENEWED.", "bind_mode")
    return binding.Bind(body.device_id, body.certificate_serial_number.lower(), known[body.bind_mode])


def bound(result: binding.Bound, request: Request) -> Reply:
    policy = dms(result.dms, request) if result.dms else None
    return Reply(shapes.Bound(certificate(result.certificate, request), policy, _device(result.device)))


def _device(record: Device) -> shapes.Device:
    return shapes.Device(
        record.ident,
        record.tags,
        record.status.value,
        moment(record.created_at),
        record.metadata,
        record.dms or "",
        None if record.identity is None else _slot(documents.load(record.identity)),
    )


def _slot(identity: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in identity.items() if name not in {"floor", "windows"}}

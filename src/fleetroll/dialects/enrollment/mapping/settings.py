"""What the settings of a DMS mean, and how those in force are shown. What was sent is kept beside what it means."""

from collections.abc import Mapping
from typing import Any, NoReturn

from msgspec import UNSET, to_builtins

from fleetroll.core import documents, extras, limits, names
from fleetroll.core.certificates import KeyKind, KeyType
from fleetroll.core.dms import Admission, Distribution, Dms, Profile, Proof, Registration, Renewal, Settings, windows
from fleetroll.core.faults import invalid
from fleetroll.dialects.enrollment import shapes
from fleetroll.dialects.enrollment.mapping.certificates import key_type
from fleetroll.dialects.enrollment.mapping.durations import canonical, duration
from fleetroll.wire.bodies import convert

SENT = "settings"
"""The member of a DMS's extras that has its settings as they were sent."""

_PROOFS = {proof.value: proof for proof in Proof} | {"": Proof.CERTIFICATE}
_REGISTRATIONS = {mode.value: mode for mode in Registration} | {"": Registration.JITP}
_KEY_TYPES = {"": KeyType.EC, "ECDSA": KeyType.EC, "RSA": KeyType.RSA, "Ed25519": KeyType.ED25519}
_DEFAULT_BITS = {KeyType.EC: 256, KeyType.RSA: 2048, KeyType.ED25519: 256}


def settings(members: Mapping[str, Any]) -> Settings:
    """What the settings mean. Raises Fault invalid for those that promise what is not supported."""
    shape = convert(members, shapes.Settings)
    enrollment = shape.enrollment_settings or shapes.Enrollment()
    renewal = shape.reenrollment_settings or shapes.Reenrollment()
    issuance = shape.issuance_profile or shapes.IssuanceProfile()
    distribution = shape.ca_distribution_settings or shapes.Distribution()
    defaults = Settings()
    lifetime = _lifetime(issuance.validity or shapes.Validity(), defaults.lifetime)
    if enrollment.protocol not in {"", "EST_RFC7030"}:
        _refuse("protocol", enrollment.protocol)
    _proof(renewal.est_rfc7030_settings or shapes.EstSettings())  # refused if unknown; it decides nothing
    return Settings(
        authority=enrollment.enrollment_ca or defaults.authority,
        admission=_admission(enrollment.est_rfc7030_settings or shapes.EstSettings()),
        registration=_registration(enrollment.registration_mode),
        replaceable=enrollment.enable_replaceable_enrollment,
        profile=_profile(enrollment.device_provisioning_profile or shapes.Profile()),
        renewal=_renewal(renewal),
        windows=windows(
            lifetime,
            _span(renewal.preventive_delta, "preventive_delta"),
            _span(renewal.critical_delta, "critical_delta"),
        ),
        distribution=Distribution(
            distribution.include_enrollment_ca, tuple(distribution.managed_cas or ()), distribution.include_system_ca
        ),
        keygen=_keygen(shape.server_keygen_settings or shapes.Keygen()),
        lifetime=lifetime,
        with_names=issuance.honor_extensions,
    )


def _proof(shape: shapes.EstSettings) -> Proof:
    if shape.auth_mode not in _PROOFS:
        _refuse("auth_mode", shape.auth_mode)
    return _PROOFS[shape.auth_mode]


def _admission(shape: shapes.EstSettings) -> Admission:
    shown = shape.client_certificate_settings or shapes.ClientCertificate()
    level = shown.chain_level_validation
    levels = level if 0 < level < limits.MAX_CHAIN else None
    return Admission(_proof(shape), tuple(shown.validation_cas or ()), shown.allow_expired, levels)


def _renewal(shape: shapes.Reenrollment) -> Renewal:
    return Renewal(
        tuple(shape.additional_validation_cas or ()),
        shape.enable_expired_renewal,
        shape.revoke_on_reenrollment,
        _span(shape.reenrollment_delta, "reenrollment_delta"),
    )


def _registration(mode: str) -> Registration:
    if mode not in _REGISTRATIONS:
        _refuse("registration_mode", mode)
    return _REGISTRATIONS[mode]


def _refuse(field: str, value: str) -> NoReturn:
    raise invalid("unsupported_setting", f"{field} {value[: limits.MAX_TAG]!r} is not supported.", field)


def _profile(shape: shapes.Profile) -> Profile:
    tags = names.unique(shape.tags or (), limits.MAX_TAGS, "tags", names.tag)
    icon, icon_color = _line(shape.icon, "icon"), _line(shape.icon_color, "icon_color")
    return Profile(tags, documents.of(shape.metadata or {}, "metadata"), extras.of_icon(icon, icon_color))


def _line(text: str, field: str) -> str:
    return names.line(text, field) if text else ""


def _span(text: str | None, field: str) -> int | None:
    """Microseconds; None where nothing was sent."""
    return None if text is None else duration(text, field)


def _keygen(shape: shapes.Keygen) -> KeyKind | None:
    if not shape.enabled:
        return None
    key = shape.key or shapes.Key()
    if key.type not in _KEY_TYPES:
        _refuse("key type", key.type)
    algorithm = _KEY_TYPES[key.type]
    return KeyKind(algorithm, key.bits or _DEFAULT_BITS[algorithm])


def _lifetime(shape: shapes.Validity, default: int) -> int:
    if shape.type not in {"", "Duration"}:
        _refuse("validity type", shape.type)
    lifetime = _span(shape.duration, "duration")
    return default if lifetime is None else lifetime


def settings_of(record: Dms) -> dict[str, Any]:
    """What was sent, except that settings which mean something here are shown as they are in force."""
    sent = documents.load(record.extras).get(SENT, {})
    merged: dict[str, Any] = _merged(sent, to_builtins(_shown(record.settings)))
    return merged


def _shown(settings: Settings) -> shapes.Settings:
    admission, renewal = settings.admission, settings.renewal
    shown = shapes.ClientCertificate(list(admission.authorities), admission.levels or -1, admission.allow_expired)
    icon = extras.icon(settings.profile.extras)
    metadata = documents.load(settings.profile.metadata)
    keygen = settings.keygen
    return shapes.Settings(
        shapes.Enrollment(
            "EST_RFC7030",
            shapes.EstSettings(admission.proof.value, shown),
            shapes.Profile(icon.name, icon.color, metadata, list(settings.profile.tags)),
            settings.authority,
            settings.replaceable,
            settings.registration.value,
        ),
        shapes.Reenrollment(
            UNSET,
            list(renewal.authorities),
            renewal.revoke_replaced,
            renewal.allow_expired,
            canonical(settings.lifetime if renewal.opens is None else renewal.opens),
            canonical(settings.windows.preventive),
            canonical(settings.windows.critical),
        ),
        shapes.Distribution(
            settings.distribution.server, settings.distribution.own, list(settings.distribution.others)
        ),
        shapes.Keygen(keygen is not None, shapes.Key(key_type(keygen), keygen.bits) if keygen else shapes.Key()),
        shapes.IssuanceProfile(shapes.Validity("Duration", canonical(settings.lifetime)), settings.with_names),
    )


def _merged(sent: Any, in_force: Any) -> Any:
    """What is in force over what was sent, setting by setting. Metadata is one of them, whatever is in it."""
    if not isinstance(sent, dict) or not isinstance(in_force, dict):
        return in_force
    without_effect = {name: value for name, value in sent.items() if name not in in_force}
    base = sent | {"metadata": None}
    return {name: _merged(base.get(name), value) for name, value in in_force.items()} | without_effect

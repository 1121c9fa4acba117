"""`fleetroll device enroll`: a device's certificate, got as the device itself would get it."""

import ssl
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

import click

from fleetroll.cli import files, output
from fleetroll.cli.connection import EMPTY_NAME, address
from fleetroll.cli.failures import Exit, Failure

if TYPE_CHECKING:
    import httpx

_REPLY_SECONDS = 30.0
_PEM = "application/x-pem-file"
_ABOUT_TRUST = "Name the authority of its certificate with --trust; `fleetroll ca show` prints the server's own."
# In TLS 1.3 a client's handshake is complete before the server looks at its certificate.
_ABOUT_CERTIFICATE = "The server may not know the authority of the presented certificate; see `fleetroll ca list`."
_NOT_TLS = "--est must begin with https://, as enrolment requires TLS."
_ABOUT_PLACE = "Check --est and --dms; `fleetroll dms list` shows the names."
_ABOUT_PRESENTING = (
    "Present one with --cert and --cert-key; `fleetroll dms get` shows which authorities the DMS trusts."
)
_ABOUT_EST = "Is it the address of `fleetroll serve --est`? Check --est."


@click.command(
    "enroll",
    help="Enrol as the device IDENT: make a key, get a certificate for it, save both as IDENT.key and IDENT.pem.",
)
@click.argument("ident")
@click.option(
    "--est", required=True, metavar="URL", help="The server's address for EST, such as https://fleet.example.com:8443."
)
@click.option(
    "--dms", "label", required=True, help="The DMS; preceded by `path~` if its organization is below the root."
)
@click.option(
    "--trust", type=files.EXISTING, help="PEM file of the server's authority, as `fleetroll ca show` prints it."
)
@click.option(
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path(),
    help="Directory of both files; by default the current one.",
)
@click.option("--cert", type=files.EXISTING, help="Certificate to present, if the DMS asks for one.")
@click.option("--cert-key", type=files.EXISTING, help="Its key.")
@click.option(
    "--renew", is_flag=True, help="Replace both files: present the certificate, and get another for a new key."
)
def enroll(
    ident: str,
    est: str,
    label: str,
    trust: Path | None,
    out: Path,
    cert: Path | None,
    cert_key: Path | None,
    renew: bool,
) -> None:
    _check_arguments(ident, label, cert, cert_key, renew=renew)
    place = address(est, "--est")
    if not place.lower().startswith("https:"):
        raise click.UsageError(_NOT_TLS)
    certificate, key = out / f"{ident}.pem", out / f"{ident}.key"
    presented = _presented(certificate, key) if renew else None
    if presented is not None:
        cert, cert_key = presented, key
    elif key.exists():
        raise Failure(Exit.FILE, f"{key} already exists.", "Renew it with --renew, or move it elsewhere.")
    from fleetroll.pki import device  # noqa: PLC0415  # cryptography takes longer than `fleetroll --help`

    try:
        made = device.renewal_request(presented) if presented else device.new_request(ident)
    except ValueError as problem:
        raise Failure(Exit.FILE, f"{presented or ident}: {problem}") from None
    verb = "simplereenroll" if renew else "simpleenroll"
    url = f"{place}/.well-known/est/{quote(label, safe='~')}/{verb}"
    # A key without its certificate could not even renew. So both files are complete before either takes its place, only
    # one program at a time replaces them, and the key's file holds the certificate too. Both are opened before the
    # server is asked, because it gives a first certificate only once.
    with (
        files.turns(out) as wait_for_turn,
        files.replacing(certificate, 0o644) as public,
        files.replacing(key, files.PRIVATE) as private,
    ):
        issued = _ask(url, made.request, trust, cert, cert_key)
        private.write(made.key + issued)
        public.write(issued)
        wait_for_turn()
    click.echo(f"{'Renewed' if renew else 'Enrolled'} {output.plain(ident)}: {certificate} and {key}.")


def _presented(certificate: Path, key: Path) -> Path:
    """The file with the certificate of the key: the key itself, if only that was replaced before an interruption."""
    return key if _belong(key, key) and not _belong(certificate, key) else certificate


def _belong(certificate: Path, key: Path) -> bool:
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_cert_chain(certificate, key)
    except OSError:
        return False
    return True


def _check_arguments(ident: str, label: str, cert: Path | None, cert_key: Path | None, *, renew: bool) -> None:
    if not (ident and label):
        raise click.UsageError(EMPTY_NAME)
    if "/" in ident:
        raise click.UsageError("The files are named after the device, so its identifier must not have a slash.")
    if renew and (cert or cert_key):
        raise click.UsageError("Give --renew, which presents the existing certificate, or --cert, not both.")
    if cert_key and not cert:
        raise click.UsageError("--cert-key is the key of a certificate: name the certificate with --cert.")


def _ask(url: str, request: bytes, trust: Path | None, cert: Path | None, key: Path | None) -> bytes:
    """The certificate in PEM. Raises Failure."""
    from fleetroll.cli.client import ABOUT_LOSS, asking, reaching  # noqa: PLC0415  # as for the other commands
    from fleetroll.core import encodings  # noqa: PLC0415

    try:
        context = ssl.create_default_context(cafile=trust)
        if cert is not None:
            context.load_cert_chain(cert, key)
    except ssl.SSLError:
        raise Failure(
            Exit.FILE, "A certificate or a key cannot be read as PEM, or they do not belong together."
        ) from None
    headers = {"content-type": "application/pkcs10", "accept": _PEM}
    with (
        reaching(url, _ABOUT_EST, _ABOUT_TRUST, _ABOUT_CERTIFICATE if cert else ABOUT_LOSS),
        asking(url, context, timeout=_REPLY_SECONDS) as http,
    ):
        reply = http.post(url, content=encodings.est(request), headers=headers)
    if reply.status_code != 200 or reply.headers.get("content-type") != _PEM:
        raise _refused(reply, is_presenting=cert is not None)
    return reply.content


def _refused(reply: "httpx.Response", *, is_presenting: bool) -> Failure:
    try:
        words = str(reply.json()["err"])
    except (ValueError, KeyError, TypeError):
        words = f"The server answers {reply.status_code}, but not as EST does."
    exits = {401: Exit.UNAUTHORISED, 403: Exit.REFUSED, 404: Exit.NOT_FOUND}
    advice = {401: "" if is_presenting else _ABOUT_PRESENTING, 404: _ABOUT_PLACE}
    return Failure(exits.get(reply.status_code, Exit.REFUSED), words, advice.get(reply.status_code, ""))

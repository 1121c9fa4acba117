"""`fleetroll ca`, `fleetroll dms` and `fleetroll device enroll`: who issues identities, to whom, and getting one."""

import json
import ssl
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import click

from fleetroll.cli import files, output
from fleetroll.cli.connection import MOST_PER_PAGE, connected, path
from fleetroll.cli.devices import as_json, show
from fleetroll.cli.failures import Exit, Failure
from fleetroll.cli.output import Column

if TYPE_CHECKING:
    import httpx

    from fleetroll.cli.client import Client

_AUTHORITIES, _DMS = "/v1/authorities", "/v1/dms"
_AUTHORITY_COLUMNS = (
    Column("NAME", "name", 32),
    Column("SERIAL", "serial"),
    Column("ISSUES", "issues"),
    Column("UNTIL", "not_after", is_time=True),
)
_DMS_COLUMNS = (Column("NAME", "name", 32), Column("TITLE", "title", 48), Column("MADE", "created_at", is_time=True))
_DAY = 86_400
_SECONDS = 30.0
_PEM = "application/x-pem-file"
_FILE = click.Path(path_type=Path, dir_okay=False)
_THERE = click.Path(path_type=Path, dir_okay=False, exists=True)


# --- authorities -----------------------------------------------------------------------------------------------------


@click.group("ca", help="Certificate authorities: who issues, and whose certificates are trusted.")
def ca() -> None:
    pass


@ca.command("list", help="List certificate authorities.")
@as_json
@connected
def list_authorities(client: "Client", as_json: bool) -> None:
    output.listing(client.pages(_AUTHORITIES, {"limit": MOST_PER_PAGE}), "authorities", _AUTHORITY_COLUMNS, as_json)


@ca.command("create", help="Make an authority, or trust one of somebody else's by its certificate.")
@click.argument("name")
@click.option("--days", type=click.IntRange(1, 36_500), default=7_300, show_default=True, help="How long it lives.")
@click.option("--certificate", type=_THERE, help="PEM file of somebody else's, which only vouches for clients.")
@as_json
@connected
def create_authority(client: "Client", name: str, days: int, certificate: Path | None, as_json: bool) -> None:
    body: dict[str, Any] = {"name": name, "lifetime": days * _DAY}
    if certificate is not None:
        body = {"name": name, "certificate": certificate.read_text(errors="replace")}
    show(client.call("POST", _AUTHORITIES, body=body), as_json)


@ca.command("show", help="Print the certificate of an authority in PEM, for whoever is to trust it.")
@click.argument("name", default="default")
@as_json
@connected
def show_authority(client: "Client", name: str, as_json: bool) -> None:
    reply = client.call("GET", path("authorities", name))
    if as_json:
        output.raw(reply.content)
    else:
        click.echo(reply.json()["certificate"], nl=False)


@ca.command("crl", help="Save what an authority has revoked, as a CRL in DER.")
@click.argument("name")
@click.argument("file", type=_FILE)
@connected
def revocation_list(client: "Client", name: str, file: Path) -> None:
    reply = client.call("GET", path("authorities", name, "crl"))
    with files.replacing(file) as stream:
        stream.write(reply.content)


@ca.command("delete", help="Delete an authority that nothing depends on.")
@click.argument("name")
@connected
def delete_authority(client: "Client", name: str) -> None:
    client.call("DELETE", path("authorities", name))
    click.echo(f"Deleted authority {output.plain(name)}.")


# --- DMS -------------------------------------------------------------------------------------------------------------


@click.group("dms", help="DMS: the policies by which devices enrol.")
def dms() -> None:
    pass


@dms.command("list", help="List DMS.")
@as_json
@connected
def list_dms(client: "Client", as_json: bool) -> None:
    output.listing(client.pages(_DMS, {"limit": MOST_PER_PAGE}), "dms", _DMS_COLUMNS, as_json)


@dms.command("get", help="Show a DMS with its settings.")
@click.argument("name")
@as_json
@connected
def get_dms(client: "Client", name: str, as_json: bool) -> None:
    show(client.call("GET", path("dms", name)), as_json)


@dms.command("create", help="Make a DMS. Without --trust or --anybody, nobody can enrol yet.")
@click.argument("name")
@click.option("--title", help="What people call it.")
@click.option("--authority", default="default", show_default=True, help="Who issues; made if it is not there.")
@click.option("--trust", multiple=True, metavar="AUTHORITY", help="Take clients with its certificates; repeatable.")
@click.option("--anybody", is_flag=True, help="Take clients without a certificate: for a closed network only.")
@click.option("--registered-only", is_flag=True, help="Make no devices: take those that are registered before.")
@click.option("--days", type=click.IntRange(1, 9_125), default=365, show_default=True, help="Lifetime of identities.")
@as_json
@connected
def create_dms(
    client: "Client",
    name: str,
    title: str | None,
    authority: str,
    trust: tuple[str, ...],
    anybody: bool,
    registered_only: bool,
    days: int,
    as_json: bool,
) -> None:
    if trust and anybody:
        raise click.UsageError("Give --trust or --anybody, not both.")
    settings = {
        "authority": authority,
        "admission": {"proof": "NO_AUTH" if anybody else "CLIENT_CERTIFICATE", "authorities": trust},
        "registration": "PRE_REGISTRATION" if registered_only else "JITP",
        "lifetime": days * _DAY,
    }
    show(client.call("POST", _DMS, body={"name": name, "title": title, "settings": settings}), as_json)


@dms.command("set", help="Change settings of a DMS by a JSON file, in the form that `fleetroll dms get --json` shows.")
@click.argument("name")
@click.argument("settings", type=_THERE)
@as_json
@connected
def change_dms(client: "Client", name: str, settings: Path, as_json: bool) -> None:
    try:
        given = json.loads(settings.read_text())
    except ValueError:
        raise Failure(Exit.FILE, f"{settings}: this is not JSON.") from None
    wanted = given.get("settings", given) if isinstance(given, dict) else given
    show(client.patch(path("dms", name), {"settings": wanted}), as_json)


@dms.command("delete", help="Delete a DMS; devices and certificates stay.")
@click.argument("name")
@connected
def delete_dms(client: "Client", name: str) -> None:
    client.call("DELETE", path("dms", name))
    click.echo(f"Deleted DMS {output.plain(name)}.")


# --- a device --------------------------------------------------------------------------------------------------------


@click.command("enroll", help="Get a device's certificate as the device does: make a key, ask over EST, keep both.")
@click.argument("ident")
@click.option("--est", required=True, metavar="URL", help="As in https://fleet.example.com:8443.")
@click.option(
    "--dms", "label", required=True, help="The DMS; after `path~` if it is of an organization below the root."
)
@click.option("--trust", type=_THERE, help="PEM file of the authority that the server must be of.")
@click.option(
    "--out", type=click.Path(path_type=Path, file_okay=False), default=Path(), help="Directory for both files."
)
@click.option("--cert", type=_THERE, help="Certificate to show, where the DMS asks for one.")
@click.option("--cert-key", type=_THERE, help="Its key.")
@click.option("--renew", is_flag=True, help="Renew what is there, showing it.")
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
    if "/" in ident:
        raise click.UsageError("The files are named after the device, so its identifier must not have a slash.")
    certificate, key = out / f"{ident}.pem", out / f"{ident}.key"
    if renew:
        cert, cert_key = certificate, key
    elif key.exists():
        raise Failure(Exit.FILE, f"{key} is there already.", "Renew it with --renew, or keep it somewhere else.")
    from fleetroll.pki import device  # noqa: PLC0415  # cryptography takes longer than `fleetroll --help`

    try:
        secret, request = device.ask_again(certificate) if renew else device.ask(ident)
    except ValueError as problem:
        raise Failure(Exit.FILE, f"{certificate if renew else ident}: {problem}") from None
    verb = "simplereenroll" if renew else "simpleenroll"
    url = f"{est.rstrip('/')}/.well-known/est/{quote(label, safe='~')}/{verb}"
    # Both are complete before either takes its place: an old key with a new certificate could not even renew. And there
    # is room for both before the server is asked: it gives a first certificate once.
    with files.replacing(certificate, 0o644) as public, files.replacing(key, files.PRIVATE) as private:
        private.write(secret)
        public.write(_ask(url, request, trust, cert, cert_key))
    click.echo(f"{'Renewed' if renew else 'Enrolled'} {output.plain(ident)}: {certificate} and {key}.")


def _ask(url: str, request: bytes, trust: Path | None, cert: Path | None, key: Path | None) -> bytes:
    """The certificate in PEM. Raises Failure."""
    import httpx  # noqa: PLC0415  # as for the other commands

    from fleetroll.cli.client import reaching  # noqa: PLC0415
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
    with reaching(url), httpx.Client(verify=context, timeout=_SECONDS) as http:
        reply = http.post(url, content=encodings.est(request), headers=headers)
    if reply.status_code != 200 or reply.headers.get("content-type") != _PEM:
        raise _refused(reply)
    return reply.content


def _refused(reply: "httpx.Response") -> Failure:
    try:
        words = str(reply.json()["err"])
    except (ValueError, KeyError, TypeError):
        words = f"The server answers {reply.status_code}, but not as EST does."
    exits = {401: Exit.UNAUTHORISED, 403: Exit.REFUSED, 404: Exit.NOT_FOUND}
    return Failure(exits.get(reply.status_code, Exit.REFUSED), words)

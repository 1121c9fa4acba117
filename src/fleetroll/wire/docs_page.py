"""The reference for people: one page made from the route tables, without a script or anything from elsewhere."""

from collections.abc import Sequence
from html import escape

from fleetroll.wire.dialect import Dialect, Place, Route

_ELSEWHERE = {Place.PATH: "a client's certificate, or none", Place.CLIENT: "client_id and client_secret"}
_STYLE = """
body{font:16px/1.5 system-ui,sans-serif;max-width:70rem;margin:2rem auto;padding:0 1rem;color:#1b1f24;background:#fff}
h1{margin-bottom:0}nav a{margin-right:1rem}table{border-collapse:collapse;width:100%;margin:1rem 0 2rem}
td,th{text-align:left;vertical-align:top;padding:.35rem .6rem;border-bottom:1px solid #d8dee4}
code{font:14px/1.4 ui-monospace,monospace}th{font-weight:600}.method{font-weight:600}
small{color:#59636e}
@media(prefers-color-scheme:dark){body{color:#e6edf3;background:#0d1117}td,th{border-color:#30363d}a{color:#79c0ff}
small{color:#9198a1}}
"""


def render(dialects: Sequence[Dialect]) -> bytes:
    """The page as UTF-8."""
    links = "".join(f'<a href="#{escape(dialect.name)}">{escape(dialect.title)}</a>' for dialect in dialects)
    sections = "".join(map(_section, dialects))
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Fleetroll API</title>'
        '<meta name="viewport" content="width=device-width">'
        f"<style>{_STYLE}</style></head><body><h1>Fleetroll API</h1>"
        f'<p>The same as <a href="/openapi.json">openapi.json</a>, for reading.</p>'
        f"<nav>{links}</nav>{sections}</body></html>"
    ).encode()


def _section(dialect: Dialect) -> str:
    forms = ", ".join(_ELSEWHERE.get(form.place, form.name) for form in dialect.credentials)
    rows = "".join(map(_row, dialect.routes))
    return (
        f'<h2 id="{escape(dialect.name)}">{escape(dialect.title)}</h2><p><small>Credential: {escape(forms)}</small></p>'
        f"<table><tr><th>Request</th><th>What it does</th><th>Success</th></tr>{rows}</table>"
    )


def _row(route: Route) -> str:
    query = "".join(
        f"<br><small><code>{escape(parameter.name)}</code> {'(required) ' * parameter.required}"
        f"{escape(parameter.about)}</small>"
        for parameter in route.query
    )
    created = f" or {route.created}" if route.created else ""
    success = "none" if route.refused else f"{route.status}{created}"
    return (
        f'<tr><td><code><span class="method">{escape(route.method)}</span> {escape(route.path)}</code></td>'
        f"<td>{escape(route.about)}{query}</td><td>{success}</td></tr>"
    )

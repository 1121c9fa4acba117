"""The reference for people: one page made from the route tables, without scripts or external resources.

What bodies hold is read from the OpenAPI document, so that the two agree.
"""

import re
from collections.abc import Collection, Mapping, Sequence
from html import escape
from typing import Any

from fleetroll.wire.dialect import CredentialLocation, Dialect, Route

_ELSEWHERE = {
    CredentialLocation.PATH: "a client's certificate, or none",
    CredentialLocation.CLIENT: "client_id and client_secret",
}
_NAME = re.compile(r"`([^`]+)`")
_STYLE = """
:root{color-scheme:light dark}
body{font:16px/1.5 system-ui,sans-serif;max-width:70rem;margin:2rem auto;padding:0 1rem;color:#1b1f24;background:#fff}
h1{margin-bottom:0}nav a{display:inline-block;margin-right:1rem}
table{border-collapse:collapse;table-layout:fixed;width:100%;margin:1rem 0 2rem;overflow-wrap:anywhere}
td,th{text-align:left;vertical-align:top;padding:.35rem .6rem;border-bottom:1px solid #d8dee4}
th:first-child{width:38%}th:last-child{width:5.5rem}
code{font:14px/1.4 ui-monospace,monospace}th{font-weight:600}.method{font-weight:600}
small{color:#59636e}
@media(max-width:40rem){th{display:none}tr,td{display:block}td{padding:.2rem 0}td:not(:last-child){border:0}
td:last-child::before{content:"Success: "}}
@media(prefers-color-scheme:dark){body{color:#e6edf3;background:#0d1117}td,th{border-color:#30363d}a{color:#79c0ff}
small{color:#9198a1}}
"""


def render(dialects: Sequence[Dialect], description: Mapping[str, Any]) -> bytes:
    """The page as UTF-8. `description` is the OpenAPI document of the same dialects."""
    links = "".join(f'<a href="#{escape(dialect.name)}">{escape(dialect.title)}</a>' for dialect in dialects)
    sections = "".join(_section(dialect, description) for dialect in dialects)
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Fleetroll API</title>'
        '<meta name="viewport" content="width=device-width">'
        f"<style>{_STYLE}</style></head><body><h1>Fleetroll API</h1>"
        f'<p><a href="/openapi.json">openapi.json</a> is for programs, and also describes the replies.</p>'
        f"<nav>{links}</nav>{sections}</body></html>"
    ).encode()


def _section(dialect: Dialect, description: Mapping[str, Any]) -> str:
    forms = ", ".join(_ELSEWHERE.get(form.location, form.name) for form in dialect.credentials)
    rows = "".join(_row(route, description) for route in dialect.routes)
    return (
        f'<h2 id="{escape(dialect.name)}">{escape(dialect.title)}</h2><p><small>Credential: {escape(forms)}</small></p>'
        f"<table><tr><th>Request</th><th>What it does</th><th>Success</th></tr>{rows}</table>"
    )


def _row(route: Route, description: Mapping[str, Any]) -> str:
    query = "".join(
        f"<br><small><code>{escape(parameter.name)}</code>{' (required)' * parameter.required}: "
        f"{_prose(parameter.about)}</small>"
        for parameter in route.query
    )
    created = f" or {route.created}" if route.created else ""
    success = "none" if route.refused else f"{route.status}{created}"
    return (
        f'<tr><td><code><span class="method">{escape(route.method)}</span> {escape(route.path)}</code></td>'
        f"<td>{_prose(route.about)}{query}{_body(route, description)}</td><td>{success}</td></tr>"
    )


def _body(route: Route, description: Mapping[str, Any]) -> str:
    """The members that a body may have. Those of a form stand among the parameters."""
    taken = description["paths"][route.path][route.method.lower()].get("requestBody")
    if taken is None or route.form:
        return ""
    schemas = description["components"]["schemas"]
    schema = next(iter(taken["content"].values()))["schema"]
    shape = _shape(schema, schemas)
    required = schema.get("required", shape.get("required", ()))
    members = _members(shape, schemas, required)
    about = _prose(shape.get("description", "").replace("\n", " "))
    media_types = " or ".join(map(escape, taken["content"]))
    return f"<br><small>Body: {media_types}{': ' * bool(members)}{members}</small><br><small>{about}</small>"


def _prose(text: str) -> str:
    """Words for people, in which names stand in backticks."""
    return _NAME.sub(r"<code>\1</code>", escape(text))


def _members(shape: Mapping[str, Any], schemas: Mapping[str, Any], required: Collection[str]) -> str:
    return ", ".join(
        f"<code>{escape(name)}</code>{' (required)' * (name in required)} {_words(member, schemas)}"
        for name, member in shape.get("properties", {}).items()
    )


def _shape(schema: Mapping[str, Any], schemas: Mapping[str, Any]) -> Mapping[str, Any]:
    """The schema behind references and lists: of a list, that of its items."""
    while "$ref" in schema or "items" in schema:
        schema = _behind(schema, schemas) if "$ref" in schema else schema["items"]
    return schema


def _behind(schema: Mapping[str, Any], schemas: Mapping[str, Any]) -> Mapping[str, Any]:
    found: Mapping[str, Any] = schemas[schema["$ref"].rpartition("/")[2]]
    return found


def _words(schema: Mapping[str, Any], schemas: Mapping[str, Any]) -> str:
    """A member in words: its types, its own members, or its alternatives."""
    if "$ref" in schema:
        return _words(_behind(schema, schemas), schemas)
    if "anyOf" in schema:
        return " or ".join(dict.fromkeys(_words(one, schemas) for one in schema["anyOf"]))
    if "enum" in schema:
        return " or ".join(escape(str(one)) for one in schema["enum"])
    if "items" in schema:
        return f"list of {_words(schema['items'], schemas)}"
    if "properties" in schema:
        return f"object ({_members(schema, schemas, schema.get('required', ()))})"
    types = schema.get("type", "anything")
    return types if isinstance(types, str) else " or ".join(types)

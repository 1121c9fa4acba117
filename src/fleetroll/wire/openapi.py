"""The description of every HTTP dialect, made from the route tables, so that it cannot say anything else."""

import inspect
import re
from collections.abc import Sequence
from typing import Any

import msgspec

from fleetroll import __version__
from fleetroll.core import limits
from fleetroll.core.faults import Fault, Kind
from fleetroll.core.guards import TAGS
from fleetroll.wire.bodies import FORM
from fleetroll.wire.dialect import (
    JSON_PATCH,
    MERGE_PATCH,
    OPERATIONS,
    WIRE_STATUSES,
    CredentialForm,
    CredentialLocation,
    Dialect,
    Envelope,
    Parameter,
    Route,
    Stream,
)

_REQUEST_ID = "0" * 32
_CSV = "text/csv"
_PRECONDITIONS = ("If-Match", "If-None-Match")
_HEADER_BOUNDS: dict[str, dict[str, Any]] = {
    "Idempotency-Key": {"minLength": 1, "maxLength": limits.MAX_IDEMPOTENCY_KEY, "pattern": "^[ -~]*$"},
    **{name: {"pattern": f"^{TAGS.pattern}$"} for name in _PRECONDITIONS},
}
_HEADER_FIELDS = {
    "If-Match": "Answer only if the record has one of these entity tags; `*` is any.",
    "If-None-Match": "Answer only if the record has none of these entity tags; `*` is any.",
    "Idempotency-Key": "A name for this request, which is answered only once: sent again, it gets the first reply.",
    "Last-Event-ID": "The number of the last event seen, after which the stream continues.",
}
_ACTS_IN = "The organization to act in, below the caller's own: its slugs, joined by dots."
_TEXT = {"type": "string"}
_OBJECT: dict[str, Any] = {"type": "object"}
_HEADERS = {
    "X-Request-Id": "The name of this request in the server's log: the one that was sent, or a new one.",
    "ETag": "The version of the record, for If-Match and If-None-Match.",
    "Location": "The path of what was made.",
    "Last-Modified": "When the file was last written.",
    "Cache-Control": "No cache may keep this reply: it holds a secret, or what changes as it is read.",
    "Idempotency-Replayed": "`true`, where an earlier request with this Idempotency-Key was answered with this reply.",
    "Retry-After": "In how many seconds to ask again, with a 429 or 503.",
    "WWW-Authenticate": "The way to show who is asking, with a 401.",
    "Allow": "The methods of this path, with a 405.",
}
_CAMEL = re.compile(r"\W+(\w)")


def describe(dialects: Sequence[Dialect]) -> dict[str, Any]:
    """The OpenAPI 3.1 document of these dialects, each with a tag of its name."""
    components: dict[str, Any] = {}
    paths: dict[str, Any] = {}
    security: dict[str, Any] = {}
    refusals: dict[str, Any] = {}
    for dialect in dialects:
        schemas = _schemas(dialect, components)
        refusals[dialect.name] = _refusal(dialect, schemas)
        for route in dialect.routes:
            for schemes in _schemes(dialect, route):
                security.update(schemes)
            paths.setdefault(route.path, {})[route.method.lower()] = _operation(dialect, route, schemas)
    return {
        "openapi": "3.1.0",
        "info": {"title": "Fleetroll", "version": __version__, "description": "One device registry, several APIs."},
        "tags": [{"name": dialect.name, "description": dialect.title} for dialect in dialects],
        "paths": paths,
        "components": {
            "schemas": components,
            "responses": refusals,
            "headers": {name: {"description": about, "schema": _TEXT} for name, about in _HEADERS.items()},
            "securitySchemes": security,
        },
    }


def _ref(kind: str, name: str) -> str:
    return f"#/components/{kind}/{name}"


def _schemes(dialect: Dialect, route: Route) -> list[dict[str, Any]]:
    """The ways to show who is asking, any of which will do."""
    known = [_scheme(form) for form in dialect.credentials]
    return [{"clientCertificate": {"type": "mutualTLS"}}, *known] if route.peer else known


def _scheme(form: CredentialForm) -> dict[str, Any]:
    """A way to carry a credential, under a name made of its own: `x-api-key` is `xApiKey`.

    There is no scheme for a credential in the path or in parameters of its own: these are described where they stand.
    """
    if form.location in {CredentialLocation.PATH, CredentialLocation.CLIENT}:
        return {}
    name = _CAMEL.sub(lambda found: found[1].upper(), form.name)
    if form.location in {CredentialLocation.HEADER, CredentialLocation.QUERY}:
        return {name: {"type": "apiKey", "in": form.location.value, "name": form.name}}
    return {name: {"type": "http", "scheme": form.name}}


def _schemas(dialect: Dialect, components: dict[str, Any]) -> dict[int, Any]:
    """The schema of each shape of a dialect, by the shape's identity. Vendors share names; each has a prefix."""
    shapes = {id(shape): shape for route in dialect.routes for shape in _shapes(route)}
    failure = _example_failure(dialect)
    if isinstance(failure, msgspec.Struct):
        shapes[id(type(failure))] = type(failure)
    template = _ref("schemas", f"{dialect.name}.{{name}}")
    found, named = msgspec.json.schema_components(shapes.values(), ref_template=template)
    components.update({f"{dialect.name}.{name}": _cleaned(schema) for name, schema in named.items()})
    return dict(zip(shapes, found, strict=True))


def _cleaned(schema: dict[str, Any]) -> dict[str, Any]:
    """The schema of a shape, without the indentation of its docstring, which some versions of Python leave there."""
    about = schema.get("description")
    return schema if about is None else schema | {"description": inspect.cleandoc(about)}


def _shapes(route: Route) -> list[Any]:
    shapes = (route.body, route.reply, route.lines.shape if route.lines else None)
    return [shape for shape in shapes if shape is not None and shape is not bytes]


def _operation(dialect: Dialect, route: Route, schemas: dict[int, Any]) -> dict[str, Any]:
    refusal = _ref("responses", dialect.name)
    described: dict[str, Any] = {
        "operationId": _operation_id(dialect, route),
        "summary": route.about,
        "tags": [dialect.name],
        "parameters": [
            *_path_parameters(dialect, route),
            *map(_query_parameter, route.query),
            *_header_parameters(dialect, route),
        ],
        "security": [{name: [] for name in one} for one in _schemes(dialect, route)],
        "responses": _responses(route, schemas, refusal),
    }
    content = _request_content(dialect, route, schemas)
    if content:
        described["requestBody"] = {"required": route.body_required and not route.form, "content": content}
    return described


def _operation_id(dialect: Dialect, route: Route) -> str:
    # Two routes may share an operation (a bulk tag is a bulk update), so the path is part of the name.
    return f"{dialect.name}.{route.method.lower()}{re.sub(r'[^A-Za-z0-9]+', '_', route.path).rstrip('_')}"


def _path_parameters(dialect: Dialect, route: Route) -> list[dict[str, Any]]:
    return [
        {"name": name, "in": "path", "required": True, "description": dialect.places.get(name, name), "schema": _TEXT}
        for name in re.findall(r"{(\w+)}", route.path)
    ]


def _query_parameter(parameter: Parameter) -> dict[str, Any]:
    return {
        "name": parameter.name,
        "in": "query",
        "required": parameter.required,
        "description": parameter.about,
        "schema": _parameter_schema(parameter),
    }


def _parameter_schema(parameter: Parameter) -> dict[str, Any]:
    if parameter.type == "array":
        return {"type": "array", "items": {"type": "string"}}
    found: dict[str, Any] = {"type": parameter.type}
    if parameter.choices:
        found["enum"] = list(parameter.choices)
    if parameter.bounds:
        found["minimum"], found["maximum"] = parameter.bounds
    return found


def _form_member(parameter: Parameter) -> dict[str, Any]:
    return {**_parameter_schema(parameter), "description": parameter.about}


def _header_parameters(dialect: Dialect, route: Route) -> list[dict[str, Any]]:
    names = [
        *(_PRECONDITIONS if route.guarded else ()),
        *(["Idempotency-Key"] if route.idempotent else ()),
        *(["Last-Event-ID"] if route.stream is Stream.EVENTS else ()),
    ]
    found = [_header_parameter(name, _HEADER_FIELDS[name]) for name in names]
    if dialect.acts_in_header and route.organization is None:
        found.append(_header_parameter(dialect.acts_in_header.title(), _ACTS_IN))
    return found


def _header_parameter(name: str, about: str) -> dict[str, Any]:
    schema = {**_TEXT, **_HEADER_BOUNDS.get(name, {})}
    return {"name": name, "in": "header", "required": False, "description": about, "schema": schema}


def _request_content(dialect: Dialect, route: Route, schemas: dict[int, Any]) -> dict[str, Any]:
    if route.form:
        fields = {parameter.name: _form_member(parameter) for parameter in route.query}
        return {FORM: {"schema": {"type": "object", "properties": fields}}}
    shape = route.lines.shape if route.lines else route.body
    if shape is None:
        return {}
    media_types = route.media_types or dialect.media_types or ("application/json",)
    if JSON_PATCH in media_types:
        return {media_type: {"schema": _patch(media_type)} for media_type in media_types}
    schema = {"type": "string", "format": "binary"} if shape is bytes else schemas[id(shape)]
    needed = schema | _required_members(route)
    return {media_type: _content(media_type, needed) for media_type in media_types if media_type}


def _patch(media_type: str) -> dict[str, Any]:
    """What a patch of this type looks like; of a type that names no kind, it may be of either."""
    kinds = {JSON_PATCH: OPERATIONS, MERGE_PATCH: _OBJECT}
    return kinds.get(media_type) or {"anyOf": [_OBJECT, OPERATIONS]}


def _required_members(route: Route) -> dict[str, Any]:
    """What a route asks beyond the shape of its body, where null is as good as nothing."""
    if not route.needs:
        return {}
    return {"required": list(route.needs), "properties": {name: {"not": {"type": "null"}} for name in route.needs}}


def _content(media_type: str, schema: dict[str, Any]) -> dict[str, Any]:
    """Each line of NDJSON has the schema; CSV is only a text."""
    return {"schema": {"type": "string"} if media_type == _CSV else schema}


def _refusal(dialect: Dialect, schemas: dict[int, Any]) -> dict[str, Any]:
    """How a dialect words a refusal. Those that have no shape for it are known by the example alone."""
    example = _example_failure(dialect)
    schema = schemas.get(id(type(example)))
    content = {"example": example} if schema is None else {"schema": schema, "example": example}
    challenge = ["WWW-Authenticate"] if dialect.envelope.challenge else []
    return {
        "description": f"Refused; nothing has changed. The status says why: {_reasons(dialect.envelope)}.",
        "headers": _headers("Retry-After", "Allow", *challenge),
        "content": {dialect.envelope.media_type: content},
    }


def _reasons(envelope: Envelope) -> str:
    """What each status of a refusal stands for. A route may have another status for some of them."""
    kinds = {kind.value: status for kind, status in envelope.statuses.items()}
    reasons: dict[int, list[str]] = {}
    for reason, status in (kinds | dict(WIRE_STATUSES) | dict(envelope.codes)).items():
        reasons.setdefault(status, []).append(reason)
    return "; ".join(f"{status} {', '.join(reasons[status])}" for status in sorted(reasons))


def _example_failure(dialect: Dialect) -> Any:
    """The body of a failure that every dialect has."""
    fault = Fault(Kind.RATE_LIMITED, "rate_limited", "Too many requests.", retry_after=1)
    envelope = dialect.envelope
    return envelope.body(fault, envelope.status(fault), _REQUEST_ID)


def _responses(route: Route, schemas: dict[int, Any], refusal: str) -> dict[str, Any]:
    if route.refused:
        return {"default": {"$ref": refusal}}
    success = _success(route, schemas) | {"headers": _headers(*_success_headers(route))}
    done = {str(status): success for status in (route.status, route.created) if status is not None}
    if route.guarded and route.method == "GET":
        unchanged = "Not modified: the caller has the current version."
        done["304"] = {"description": unchanged, "headers": _headers("ETag")}
    return {**done, "default": {"$ref": refusal}}


def _success_headers(route: Route) -> list[str]:
    """The header fields of a success, but for those that say how its body is sent."""
    return [
        *route.reply_headers,
        *(["Idempotency-Replayed"] if route.idempotent else ()),
        *(["Cache-Control"] if route.secret or route.stream else ()),
    ]


def _headers(*names: str) -> dict[str, Any]:
    return {name: {"$ref": _ref("headers", name)} for name in ("X-Request-Id", *names)}


def _success(route: Route, schemas: dict[int, Any]) -> dict[str, Any]:
    if route.stream is Stream.BYTES:
        return {"description": "A file.", "content": {"application/octet-stream": {}}}
    if route.reply is None:
        return {"description": "Done; there is no body."}
    if route.reply is bytes:
        return {"description": "Done.", "content": {media_type: {} for media_type in route.produces}}
    schema = schemas[id(route.reply)]
    return {"description": "Done.", "content": {name: _content(name, schema) for name in _success_media_types(route)}}


def _success_media_types(route: Route) -> tuple[str, ...]:
    if route.stream is Stream.ROWS:
        return ("application/x-ndjson", _CSV) if route.cells is not None else ("application/x-ndjson",)
    return ("text/event-stream",) if route.stream is Stream.EVENTS else ("application/json",)

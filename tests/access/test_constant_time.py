"""Secrets are compared in constant time, everywhere: the source is read for any comparison that is not."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import fleetroll

SOURCE = Path(fleetroll.__file__).parent
FILES = sorted(str(file.relative_to(SOURCE)) for file in SOURCE.rglob("*.py"))
SECRETS = ("secret", "token", "digest", "signature", "password", "passwd", "hmac", "fingerprint", "credential")
# Where something secret is checked. A new place joins by hand, after somebody has looked at it.
CHECKING = {"core/tokens.py", "wire/cursors.py", "wire/idempotency.py"}


def comparisons(source: str) -> Iterator[tuple[int, str]]:
    """Each operand of `==`, `!=`, `in` and `not in` that is named like a secret, with its line."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Compare) and any(
            isinstance(operator, ast.Eq | ast.NotEq | ast.In | ast.NotIn) for operator in node.ops
        ):
            for operand in (node.left, *node.comparators):
                if any(word in _name(operand).lower() for word in SECRETS):
                    yield operand.lineno, ast.unparse(node)


def _name(node: ast.expr) -> str:
    """What an operand is called: `b` of `a.b`, `f` of `f(x)`, `key` of `a["key"]`."""
    match node:
        case ast.Name(id=name) | ast.Attribute(attr=name):
            return name
        case ast.Call(func=inner) | ast.Await(value=inner):
            return _name(inner)
        case ast.Subscript(value=inner, slice=index):
            key = index.value if isinstance(index, ast.Constant) and isinstance(index.value, str) else ""
            return f"{_name(inner)} {key}"
        case ast.BinOp(left=left, right=right):
            return f"{_name(left)} {_name(right)}"
    return ""


@pytest.mark.parametrize("file", FILES)
def test_no_secret_is_compared_by_an_operator(file: str) -> None:
    assert list(comparisons((SOURCE / file).read_text())) == []


def test_secrets_are_checked_in_the_known_places_and_by_compare_digest() -> None:
    using = {file for file in FILES if "hmac.compare_digest(" in (SOURCE / file).read_text()}
    assert using == CHECKING


@pytest.mark.parametrize(
    "line",
    [
        "if secret == given: pass",
        "x = key.digest != stored",
        "assert given == tokens.digest(key, text)",
        "while mac.hexdigest() == b: pass",
        "found = row['token'] == text",
        "found = presented_secret in known",
        "found = a if (await read_password()) != b else c",
        "found = signature[:16] == other",
        "found = 'a' + fingerprint == other",
    ],
)
def test_the_search_finds_every_form_of_comparison(line: str) -> None:
    assert list(comparisons(line if "await" not in line else f"async def f():\n    {line}"))


@pytest.mark.parametrize("line", ["if token is None: pass", "x = hmac.compare_digest(token, other)", "x = a == b"])
def test_the_search_leaves_other_code_alone(line: str) -> None:
    assert not list(comparisons(line))

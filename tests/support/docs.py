"""The pages a user reads, taken apart, and their commands run as one reader would: in order, in one shell.

Run as a program this is a stand-in for curl on machines without it, as far as the pages use it.
"""

import argparse
import http.client
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

from msgspec import Struct

ROOT = Path(__file__).parents[2]
PAGES = ("README.md", *sorted(f"docs/{file.name}" for file in (ROOT / "docs").glob("*.md")))
# Every call says on standard error how it ended, and an HTTP error ends the shell as any failed command does.
_CURLRC = """\
silent
show-error
fail-with-body
max-time = 20
noproxy = "*"
write-out = "%{stderr}HTTP %{http_code}\\n"
"""
_BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_CODE = re.compile(r"`([^`\n]+)`")
_BETWEEN = "\x1e"
_SECONDS = 600  # a page starts a dozen programs one after the other, and each takes seconds on a busy machine


class Block(Struct, frozen=True):
    """A fenced block. `follows` says that nothing but blank lines is between it and the block before."""

    language: str
    text: str
    follows: bool


class Run(Struct):
    """How the commands of a page ended: what each of its blocks printed, and the status of every HTTP call."""

    code: int
    printed: list[str]
    errors: str
    statuses: list[int]


def read(page: str) -> str:
    return (ROOT / page).read_text("utf-8")


def blocks(text: str, language: str = "") -> list[Block]:
    """The fenced blocks, all of them or those in one language."""
    found: list[Block] = []
    end = 0
    for match in _BLOCK.finditer(text):
        found.append(Block(match[1], match[2], follows=bool(found) and not text[end : match.start()].strip()))
        end = match.end()
    return [block for block in found if language in {"", block.language}]


def section(text: str, heading: str) -> str:
    """What stands under a heading of the second level."""
    _, found, rest = text.partition(f"\n## {heading}\n")
    assert found, f"there is no section {heading!r}"
    return rest.partition("\n## ")[0]


def rows(text: str) -> list[list[str]]:
    """The cells of the rows of all tables in `text`, heads left out."""
    found: list[list[str]] = []
    for line in text.splitlines():
        if re.fullmatch(r"\|[-|]+\|", line):
            found.pop()
        elif line.startswith("|"):
            found.append([cell.strip() for cell in line.strip("|").split("|")])
    return found


def code(text: str) -> list[str]:
    """What is written as code within lines."""
    return _CODE.findall(_BLOCK.sub("", text))


def values(text: str) -> list[Any]:
    """The JSON values that stand one after the other in `text`."""
    decoder, found, rest = json.JSONDecoder(), [], text.strip()
    while rest:
        value, end = decoder.raw_decode(rest)
        found.append(value)
        rest = rest[end:].lstrip()
    return found


def run(text: str, url: str, folder: Path, *, typed: str = "", **variables: str) -> Run:
    """Run the `sh` blocks of a page against the server at `url`, which stands in for the address that pages name.

    What is `typed` comes from a newcomer, whose PATH does not have the command yet.
    """
    scripts = [block.text.replace("http://127.0.0.1:8080", url) for block in blocks(text, "sh")]
    whole = "set -euo pipefail\n" + f"printf '{_BETWEEN}'\n".join(scripts)
    done = subprocess.run(
        [shutil.which("bash") or "bash", "-c", whole],
        input=typed,
        env=_environment(folder, newcomer=bool(typed)) | variables,
        cwd=folder,
        capture_output=True,
        encoding="utf-8",
        timeout=_SECONDS,
        check=False,
    )
    statuses = [int(status) for status in re.findall(r"^HTTP (\d{3})$", done.stderr, re.MULTILINE)]
    return Run(done.returncode, done.stdout.split(_BETWEEN), done.stderr, statuses)


def _environment(folder: Path, *, newcomer: bool) -> dict[str, str]:
    """Nothing of Fleetroll is set, and `.venv` is in the folder, as it is in a checkout."""
    (folder / ".venv").symlink_to(Path(sys.executable).parents[1])
    (folder / ".curlrc").write_text(_CURLRC)
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("FLEETROLL_")}
    entries = [entry for entry in os.environ["PATH"].split(os.pathsep) if not shutil.which("fleetroll", path=entry)]
    known = [] if newcomer else [str(folder / ".venv" / "bin")]
    path = os.pathsep.join((*known, str(_tools(folder)), *entries))
    return inherited | {"PATH": path, "HOME": str(folder), "CURL_HOME": str(folder)}


def _tools(folder: Path) -> Path:
    """A folder with the stand-in for curl, if it is needed."""
    tools = folder / "tools"
    tools.mkdir()
    if not shutil.which("curl"):
        stand_in = tools / "curl"
        stand_in.write_text(f'#!/bin/sh\nPYTHONPATH="{ROOT}" exec "{sys.executable}" -m {__name__} "$@"\n')
        stand_in.chmod(0o755)
    return tools


def _curl(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(allow_abbrev=False)
    parser.add_argument("url")
    parser.add_argument("-X", dest="method")
    parser.add_argument("-H", dest="headers", action="append", default=[])
    parser.add_argument("-d", "--data-binary", dest="body")
    parser.add_argument("--data-urlencode", dest="query", action="append", default=[])
    for flag in "Gis":
        parser.add_argument(f"-{flag}", action="store_true")
    given = parser.parse_args(arguments)
    url = urlsplit(given.url)
    query = "&".join([*filter(None, [url.query]), *_encoded(given.query)])
    body = sys.stdin.buffer.read() if given.body == "@-" else given.body.encode() if given.body else None
    connection = http.client.HTTPConnection(url.netloc, timeout=20)
    headers = dict(header.split(": ", 1) for header in given.headers)
    connection.request(given.method or ("POST" if body else "GET"), f"{url.path}?{query}", body, headers)
    reply = connection.getresponse()
    if given.i:
        print(f"HTTP/1.1 {reply.status} {reply.reason}\n{reply.headers}", end="")
    print(reply.read().decode(), end="")
    print(f"HTTP {reply.status}", file=sys.stderr)
    return 22 if reply.status >= 400 else 0


def _encoded(pairs: list[str]) -> Iterator[str]:
    for pair in pairs:
        name, _, value = pair.partition("=")
        yield f"{name}={quote(value, safe='')}"


if __name__ == "__main__":
    sys.exit(_curl(sys.argv[1:]))

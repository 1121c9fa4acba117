"""What the vendor's SDKs offer, as they stand in the installed packages, and which of it a piece of code has called."""

import base64
import inspect
import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import CodeType, FrameType
from typing import Any

from relayx_app_sdk import RelayApp
from relayx_device_sdk import RelayDevice
from relayx_device_sdk.subsystems.rpc_manager import RpcRequest


def _token() -> str:
    said = {"nats": {"org_data": {"org_id": "org", "api_key_id": "id"}}}
    return "e30." + base64.urlsafe_b64encode(json.dumps(said).encode()).decode().rstrip("=") + ".sig"


def methods() -> dict[str, Callable[..., Any]]:
    """Every public method and property of both SDKs, by the name that a user has for it."""
    config = {"api_key": _token(), "secret": "none", "mode": "test"}
    found: dict[str, Callable[..., Any]] = _methods("device.rpc.request", RpcRequest)
    for root, made in (("app", RelayApp(config)), ("device", RelayDevice(config))):
        found |= _methods(root, type(made))
        for name, part in vars(made).items():
            if not name.startswith("_"):
                found |= _methods(f"{root}.{name}", type(part))
    return found


def _methods(prefix: str, kind: type) -> dict[str, Callable[..., Any]]:
    found: dict[str, Callable[..., Any]] = {}
    for name, member in inspect.getmembers(kind):
        method = member.fget if isinstance(member, property) else member
        if not name.startswith("_") and inspect.isfunction(method):
            found[f"{prefix}.{name}"] = method
    return found


@contextmanager
def calls() -> Iterator[set[str]]:
    """The names of the methods that are called meanwhile. Nothing replaces them: the interpreter's profiler tells."""
    names: dict[CodeType, str] = {method.__code__: name for name, method in methods().items()}
    seen: set[str] = set()

    def note(frame: FrameType, event: str, _: Any) -> None:
        if event == "call" and frame.f_code in names:
            seen.add(names[frame.f_code])

    before = sys.getprofile()
    sys.setprofile(note)
    try:
        yield seen
    finally:
        sys.setprofile(before)

"""The terms on which OpenClaw's gateway let us in."""

from typing import Final

import msgspec

from .openclaw_forms import Auth, Policy, Server, read, seconds
from .openclaw_forms import Hello as HelloForm
from .vault import TokenPair
from .wire_values import short_id, whole

TICK_S: Final = 30.0
"""What every gateway so far has, for a hello that does not say."""
TICK_S_MIN: Final = 1.0


class Hello(msgspec.Struct, frozen=True, kw_only=True):
    """Every ``tick_s`` seconds the gateway says something, if only that it lives. A frame of more than ``max_payload``
    bytes makes it close the connection, None if it told no limit. ``scopes`` are the rights that were given,
    ``method`` is what they were given for (``token``, ``device-token``). ``boot_id`` is another after each start.
    """

    tick_s: float = TICK_S
    max_payload: int | None = None
    method: str = ""
    scopes: tuple[str, ...] = ()
    server_version: str = ""
    boot_id: str = ""
    connection_id: str = ""


def read_hello(payload: msgspec.Raw) -> tuple[Hello, TokenPair | None]:
    """The terms, and apart from them the device token (as the pair's ``access``), if there is one."""
    form = read(payload, HelloForm) or HelloForm()
    server = read(form.server, Server) or Server()
    auth = read(form.auth, Auth) or Auth()
    policy = read(form.policy, Policy) or Policy()
    limit = whole(policy.max_payload)
    hello = Hello(
        tick_s=max(seconds(policy.tick_interval_ms) or TICK_S, TICK_S_MIN),
        max_payload=limit if limit is not None and limit > 0 else None,
        method=short_id(auth.method),
        scopes=_scopes(auth.scopes),
        server_version=short_id(server.version),
        boot_id=short_id(server.boot_id),
        connection_id=short_id(server.conn_id),
    )
    return hello, _device_token(auth.device_token)


def _scopes(raw: msgspec.Raw) -> tuple[str, ...]:
    try:
        return tuple(scope for each in msgspec.json.decode(raw, type=list[object]) if (scope := short_id(each)))
    except (ValueError, RecursionError):
        return ()


def _device_token(value: object) -> TokenPair | None:
    try:
        return TokenPair(value) if isinstance(value, str) else None
    except ValueError:  # no token looks like that
        return None

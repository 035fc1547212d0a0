"""The front door: checks what a link is to be run with, and makes one."""

from collections.abc import Iterable

from .adapters import (
    DEFAULT_ACCOUNT,
    Clock,
    ConfigMirror,
    CredentialStore,
    Dialect,
    Hook,
    MemoryMessages,
    MessageStore,
    Settings,
    SystemClock,
    Transport,
    WebSocketTransport,
    base_url_for,
    check_base_url,
    check_device_id,
    check_ws_url,
)
from .link import Link
from .statecharts import STRICT, Policy


def connect(
    url: str,
    *,
    dialect: Dialect,
    store: CredentialStore,
    account: str = DEFAULT_ACCOUNT,
    base_url: str | None = None,
    device_id: str | None = None,
    messages: MessageStore | None = None,
    mirror: ConfigMirror | None = None,
    notify: Hook | None = None,
    policy: Policy = STRICT,
    insecure_hosts: Iterable[str] = (),
    transport: Transport | None = None,
    clock: Clock | None = None,
) -> Link:
    """A link to the gateway at ``url``, kept alive while its ``async with`` block runs.

    ``base_url`` is the REST root; unless given, the same host and port by ``https://``, or ``http://`` for ``ws://``.
    ``device_id`` is presented verbatim for connecting and refreshing; without one, the pairing's and the resolved one
    are used. ``messages`` keeps what is to be sent and remembers what was handled: with ``SqliteMessages(path)`` also
    beyond this process. ``mirror`` is a configuration file that follows the store (and seeds an empty one).
    ``notify(level, text)`` is called with what a user must see. ``ws://`` and ``http://`` are refused except to
    loopback and to hosts named in ``insecure_hosts``.

    Raises:
        ConfigError: an address or the device id cannot be used.
    """
    hosts = frozenset(insecure_hosts)
    check_ws_url(url, hosts)
    root = check_base_url(base_url if base_url is not None else base_url_for(url), hosts)
    if device_id is not None:
        check_device_id(device_id)
    return Link(
        Settings(
            account=account,
            url=url,
            base_url=root,
            dialect=dialect,
            store=store,
            messages=MemoryMessages() if messages is None else messages,
            transport=WebSocketTransport() if transport is None else transport,
            clock=SystemClock() if clock is None else clock,
            policy=policy,
            device_id=device_id,
            mirror=mirror,
            notify=notify,
        )
    )

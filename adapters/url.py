"""What may be dialled: checked once, before a token goes anywhere.

A URL carries no secret here (tokens travel in frames, headers and bodies), so user information, queries and fragments
are refused: URLs end up in logs. No message repeats such a part.
"""

from collections.abc import Set as AbstractSet
from ipaddress import ip_address
from typing import Final
from urllib.parse import SplitResult, urlsplit

from .errors import ConfigError

DEVICE_ID_BYTES_MAX: Final = 128
"""The refresh endpoint's limit for ``X-Device-Id`` (S1-40)."""

_HTTP_OF: Final = {"ws": "http", "wss": "https"}


def check_ws_url(url: str, insecure_hosts: AbstractSet[str] = frozenset()) -> str:
    """``url`` if it may be dialled: ``wss://``, or ``ws://`` to loopback or to a host named in ``insecure_hosts``.

    Raises:
        ConfigError: it may not; the message says why.
    """
    _checked("WebSocket URL", url, ("ws", "wss"), insecure_hosts)
    return url


def check_base_url(url: str, insecure_hosts: AbstractSet[str] = frozenset()) -> str:
    """The base URL of the REST service without a slash at its end, under the same rule for ``http://``.

    Raises:
        ConfigError: it may not be used; the message says why.
    """
    _checked("base URL", url, ("http", "https"), insecure_hosts)
    return url.rstrip("/")


def base_url_for(ws_url: str) -> str:
    """The base URL a checked WebSocket URL implies: ``wss://host:8443/ws`` gives ``https://host:8443``."""
    parts = urlsplit(ws_url)
    return f"{_HTTP_OF[parts.scheme]}://{parts.netloc}"


def check_device_id(device_id: str) -> str:
    """``device_id`` if it can be sent verbatim: 1 to 128 bytes of printable text without blanks at its ends.

    Raises:
        ConfigError: it cannot.
    """
    if not device_id or not device_id.isprintable() or device_id != device_id.strip():
        raise ConfigError("device id", "must be printable text without blanks at its ends")
    size = len(device_id.encode())  # Printable text has no lone surrogates, so this cannot fail.
    if size > DEVICE_ID_BYTES_MAX:
        raise ConfigError("device id", f"is {size} bytes long; use at most {DEVICE_ID_BYTES_MAX}")
    return device_id


def usable_device_id(device_id: object) -> str | None:
    """``device_id`` if :func:`check_device_id` lets it pass: for what a peer said or an older store holds."""
    try:
        return check_device_id(device_id) if isinstance(device_id, str) else None
    except ConfigError:
        return None


def _checked(setting: str, url: str, schemes: tuple[str, str], insecure_hosts: AbstractSet[str]) -> None:
    parts = _split(setting, url)
    plain, secure = schemes
    if parts.scheme not in schemes:
        raise ConfigError(setting, f"must begin with {secure}:// (or, to this machine only, {plain}://)")
    if parts.username is not None or parts.password is not None:
        raise ConfigError(setting, "must not hold a user name or password; credentials belong into the store")
    if "?" in url or "#" in url:
        raise ConfigError(setting, "must not have a query or a fragment; tokens never travel in a URL")
    host = (parts.hostname or "").removesuffix(".")
    if not host:
        raise ConfigError(setting, "names no host")
    if parts.scheme == plain and not (_is_loopback(host) or host in {name.lower() for name in insecure_hosts}):
        allow = f"--insecure-host {host} on the command line, insecure_hosts in the library"
        raise ConfigError(setting, f"would send tokens to {host} unencrypted; use {secure}://, or allow it: {allow}")


def _split(setting: str, url: str) -> SplitResult:
    # urlsplit drops tabs and line breaks silently and lets a backslash pass, which others read as a slash.
    if not url.isascii() or not url.isprintable() or " " in url or "\\" in url:
        raise ConfigError(setting, "holds a character that no URL has; write host names in their ASCII form")
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:
        raise ConfigError(setting, "is no valid URL; check the host and the port") from None
    return parts


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False

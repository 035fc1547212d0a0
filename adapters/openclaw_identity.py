"""The device that we are to OpenClaw's gateway: an Ed25519 key, made once and kept in a file of its own."""

import os
from base64 import urlsafe_b64decode, urlsafe_b64encode
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal, NoReturn

import msgspec
from filelock import FileLock

from .errors import ConfigError, StoreCorrupt, StoreUnavailable
from .files import CHECK_ACCESS, PRIVATE_FILE, make_private_folder, replace_file

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

FORMAT: Final = "holdfast-device-identity"
KEY_BYTES: Final = 32
FILE_BYTES_MAX: Final = 4096
LOCK_S: Final = 5.0
"""How long to wait for another process that makes the same file."""

_REMEDY: Final = "the file is left as it is: restore it, or move it away for a new identity, which must be paired anew"


class DeviceIdentity:
    """An Ed25519 key. Immutable, and not to be pickled or copied out: only its signatures leave it.

    ``public_key`` is the raw key in base64url without padding, ``device_id`` the SHA-256 of the raw key in hex.
    """

    __slots__ = ("_key", "device_id", "public_key")

    device_id: str
    public_key: str
    _key: "Ed25519PrivateKey"

    def __init__(self, seed: bytes) -> None:
        try:
            from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
        except ImportError:
            raise ConfigError("openclaw", "needs an extra: pip install 'holdfast[openclaw]'") from None
        key = Ed25519PrivateKey.from_private_bytes(seed)
        public = key.public_key().public_bytes_raw()
        object.__setattr__(self, "_key", key)
        object.__setattr__(self, "public_key", base64url(public))
        object.__setattr__(self, "device_id", sha256(public).hexdigest())

    def sign(self, text: str) -> str:
        """The signature of ``text`` in UTF-8, in base64url without padding."""
        return base64url(self._key.sign(text.encode()))

    def __repr__(self) -> str:
        return f"DeviceIdentity({self.device_id})"

    def __setattr__(self, name: str, value: object) -> NoReturn:
        raise AttributeError("DeviceIdentity is immutable; make a new one")

    def __reduce_ex__(self, protocol: Any) -> NoReturn:
        raise TypeError("a device identity is not pickled; open its file where it is needed")


def open_identity(path: str | os.PathLike[str]) -> DeviceIdentity:
    """The identity in the file at ``path``, which is made on first use, for this user only (mode 0600, folders 0700).

    Several processes that begin at once get the same one. A file is never replaced.

    Raises:
        StoreCorrupt: the file is damaged, or something else.
        StoreUnavailable: it can be neither read nor made.
    """
    target = Path(path)
    try:
        found = _read(target)
        if found is not None:
            return found
        make_private_folder(target.parent)
        with FileLock(f"{target}.lock", timeout=LOCK_S, mode=PRIVATE_FILE, thread_local=False):
            return _read(target) or _made(target)
    except OSError as error:  # a lock that nobody releases, too
        raise StoreUnavailable(target, f"{error.strerror or error}; {CHECK_ACCESS}") from error


def base64url(data: bytes) -> str:
    """``data`` in base64url (RFC 4648, 5) without padding."""
    return urlsafe_b64encode(data).rstrip(b"=").decode()


class _File(msgspec.Struct, forbid_unknown_fields=True):
    """The public part is there to tell damage: any 32 bytes are a key, but of another device."""

    format: Literal["holdfast-device-identity"]
    version: Literal[1]
    device_id: str
    private_key: str


def _read(path: Path) -> DeviceIdentity | None:
    try:
        with path.open("rb") as file:
            data = file.read(FILE_BYTES_MAX + 1)
            if os.name == "posix" and os.fstat(file.fileno()).st_mode & 0o077:
                os.fchmod(file.fileno(), PRIVATE_FILE)
    except FileNotFoundError:
        return None
    identity = _parsed(data)
    if identity is None:
        raise StoreCorrupt(path, f"is damaged or no device identity; {_REMEDY}")
    return identity


def _parsed(data: bytes) -> DeviceIdentity | None:
    try:
        found = msgspec.json.decode(data, type=_File)
        seed = urlsafe_b64decode(found.private_key + "=")
    except (ValueError, RecursionError):
        return None
    if len(seed) != KEY_BYTES:
        return None
    identity = DeviceIdentity(seed)
    return identity if identity.device_id == found.device_id else None


def _made(path: Path) -> DeviceIdentity:
    """A new identity, in a file that is there whole or not at all. Only for who holds the lock."""
    seed = os.urandom(KEY_BYTES)
    identity = DeviceIdentity(seed)
    content = _File(format=FORMAT, version=1, device_id=identity.device_id, private_key=base64url(seed))
    replace_file(path, msgspec.json.encode(content))
    return identity

"""The edge to the world: they carry out commands and report events, and decide nothing."""

from .credentials import read_lifetime
from .errors import (
    AccountBusy,
    AckTimeout,
    BodyNotReplayable,
    ConfigError,
    ConnectionLost,
    HoldfastError,
    NotConnected,
    NotPaired,
    NotSupported,
    PairingFailed,
    RefreshFailed,
    SendRefused,
    Stopped,
    StoreCorrupt,
    StoreError,
    StoreTooNew,
    StoreUnavailable,
)
from .logs import RedactingLogger, quiet_logger
from .memory_store import MemoryStore
from .mirror import ConfigMirror
from .sqlite_store import SqliteStore
from .store import DEFAULT_ACCOUNT, CredentialStore, HistoryRow, Identity, Lease, Stored
from .url import base_url_for, check_base_url, check_device_id, check_ws_url
from .vault import TokenPair, Vault, token_pair

__all__ = [
    "DEFAULT_ACCOUNT",
    "AccountBusy",
    "AckTimeout",
    "BodyNotReplayable",
    "ConfigError",
    "ConfigMirror",
    "ConnectionLost",
    "CredentialStore",
    "HistoryRow",
    "HoldfastError",
    "Identity",
    "Lease",
    "MemoryStore",
    "NotConnected",
    "NotPaired",
    "NotSupported",
    "PairingFailed",
    "RedactingLogger",
    "RefreshFailed",
    "SendRefused",
    "SqliteStore",
    "Stopped",
    "StoreCorrupt",
    "StoreError",
    "StoreTooNew",
    "StoreUnavailable",
    "Stored",
    "TokenPair",
    "Vault",
    "base_url_for",
    "check_base_url",
    "check_device_id",
    "check_ws_url",
    "quiet_logger",
    "read_lifetime",
    "token_pair",
]

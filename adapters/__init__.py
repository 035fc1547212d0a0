"""The edge to the world: they carry out commands and report events, and decide nothing."""

from .clawchat import ClawChat
from .clock import Alarm, Clock, SystemClock
from .credentials import read_lifetime
from .dialect import (
    Decoded,
    Dialect,
    NotRotated,
    Outgoing,
    PairingAnswer,
    PairingDenied,
    PairingGranted,
    RefreshAnswer,
    Rotated,
)
from .driver import Driver
from .errors import (
    AccountBusy,
    AckTimeout,
    BodyNotReplayable,
    ConfigError,
    ConnectionLost,
    HoldfastError,
    NotConnected,
    NotEntered,
    NotPaired,
    NotSupported,
    PairingFailed,
    SendRefused,
    Sent,
    Stopped,
    StoreCorrupt,
    StoreError,
    StoreTooNew,
    StoreUnavailable,
)
from .exchange import Exchange
from .http import HttpPool, http_client, http_pool
from .inbound import (
    Ack,
    HistoryTruncated,
    Inbound,
    Mention,
    Message,
    MetadataInvalidated,
    Nack,
    Other,
    Permission,
    Presence,
    Reaction,
    ReadMark,
    Signal,
    StreamPart,
    Typing,
    is_own_echo,
)
from .logs import RedactingLogger, quiet_logger
from .memory_store import MemoryStore
from .mirror import ConfigMirror
from .notifier import Hook
from .pairing import Paired, check_pairing_code, pair
from .rest import Bearer, rest_client
from .runner import Listener, RefreshOutcome, Runner, Settings
from .signals import SeenSignals
from .sockets import Sockets
from .sqlite_store import SqliteStore
from .store import DEFAULT_ACCOUNT, CredentialStore, HistoryRow, Identity, Lease, Stored
from .text import clean_text
from .transport import Connection, OpenError, Sink, Transport, WebSocketTransport
from .url import base_url_for, check_base_url, check_device_id, check_ws_url
from .vault import TokenPair, Vault, token_pair

__all__ = [
    "DEFAULT_ACCOUNT",
    "AccountBusy",
    "Ack",
    "AckTimeout",
    "Alarm",
    "Bearer",
    "BodyNotReplayable",
    "ClawChat",
    "Clock",
    "ConfigError",
    "ConfigMirror",
    "Connection",
    "ConnectionLost",
    "CredentialStore",
    "Decoded",
    "Dialect",
    "Driver",
    "Exchange",
    "HistoryRow",
    "HistoryTruncated",
    "HoldfastError",
    "Hook",
    "HttpPool",
    "Identity",
    "Inbound",
    "Lease",
    "Listener",
    "MemoryStore",
    "Mention",
    "Message",
    "MetadataInvalidated",
    "Nack",
    "NotConnected",
    "NotEntered",
    "NotPaired",
    "NotRotated",
    "NotSupported",
    "OpenError",
    "Other",
    "Outgoing",
    "Paired",
    "PairingAnswer",
    "PairingDenied",
    "PairingFailed",
    "PairingGranted",
    "Permission",
    "Presence",
    "Reaction",
    "ReadMark",
    "RedactingLogger",
    "RefreshAnswer",
    "RefreshOutcome",
    "Rotated",
    "Runner",
    "SeenSignals",
    "SendRefused",
    "Sent",
    "Settings",
    "Signal",
    "Sink",
    "Sockets",
    "SqliteStore",
    "Stopped",
    "StoreCorrupt",
    "StoreError",
    "StoreTooNew",
    "StoreUnavailable",
    "Stored",
    "StreamPart",
    "SystemClock",
    "TokenPair",
    "Transport",
    "Typing",
    "Vault",
    "WebSocketTransport",
    "base_url_for",
    "check_base_url",
    "check_device_id",
    "check_pairing_code",
    "check_ws_url",
    "clean_text",
    "http_client",
    "http_pool",
    "is_own_echo",
    "pair",
    "quiet_logger",
    "read_lifetime",
    "rest_client",
    "token_pair",
]

"""The edge to the world: they carry out commands and report events, and decide nothing."""

from .clawchat import ClawChat
from .clawchat_api import AgentInfo, Conversation, Profile, RestFailed, get_agent, get_conversation, get_profile
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
    OutboxFull,
    PairingFailed,
    ProcessFailed,
    SendError,
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
    Paired,
    Permission,
    Presence,
    Reaction,
    ReadMark,
    Signal,
    StreamPart,
    Typing,
    Unsent,
    is_own_echo,
)
from .logs import RedactingLogger, quiet_logger
from .memory_messages import MemoryMessages
from .memory_store import MemoryStore
from .messages import Handled, MessageStore, OutboxItem, owner_of
from .mirror import ConfigMirror
from .notifier import Hook
from .openclaw_connect import build_connect, build_request, pack_challenge, proof_text, unpack_challenge
from .openclaw_frames import GatewayDecoded, decode_frame
from .openclaw_hello import Hello
from .openclaw_identity import DeviceIdentity, open_identity
from .openclaw_inbound import GatewayEvent, RpcAnswer, ShutdownNotice, StateVersion
from .openclaw_profile import ClientProfile
from .pairing import Grant, check_pairing_code, pair
from .process import ProcessRunner, ProcessSettings
from .process_output import Tail, read_lines
from .process_port import default_lock_folder
from .process_profile import OPENCLAW_PROFILE, ProcessProfile, RepairHook
from .process_profile import Hook as ProcessHook
from .process_readiness import NotReady, Readiness, connect_challenge, first_frame
from .receipts import Receipts, Ticket
from .rest import Bearer, rest_client
from .runner import Listener, RefreshOutcome, Runner, Settings, Settlement
from .signals import SeenSignals
from .sockets import Sockets
from .sqlite_messages import SqliteMessages
from .sqlite_store import SqliteStore
from .store import DEFAULT_ACCOUNT, CredentialStore, HistoryRow, Identity, Lease, Stored
from .text import clean_text
from .transport import Connection, OpenError, Sink, Transport, WebSocketTransport
from .url import base_url_for, check_base_url, check_device_id, check_ws_url
from .vault import TokenPair, Vault, token_pair

__all__ = [
    "DEFAULT_ACCOUNT",
    "OPENCLAW_PROFILE",
    "AccountBusy",
    "Ack",
    "AckTimeout",
    "AgentInfo",
    "Alarm",
    "Bearer",
    "BodyNotReplayable",
    "ClawChat",
    "ClientProfile",
    "Clock",
    "ConfigError",
    "ConfigMirror",
    "Connection",
    "ConnectionLost",
    "Conversation",
    "CredentialStore",
    "Decoded",
    "DeviceIdentity",
    "Dialect",
    "Driver",
    "Exchange",
    "GatewayDecoded",
    "GatewayEvent",
    "Grant",
    "Handled",
    "Hello",
    "HistoryRow",
    "HistoryTruncated",
    "HoldfastError",
    "Hook",
    "HttpPool",
    "Identity",
    "Inbound",
    "Lease",
    "Listener",
    "MemoryMessages",
    "MemoryStore",
    "Mention",
    "Message",
    "MessageStore",
    "MetadataInvalidated",
    "Nack",
    "NotConnected",
    "NotEntered",
    "NotPaired",
    "NotReady",
    "NotRotated",
    "NotSupported",
    "OpenError",
    "Other",
    "OutboxFull",
    "OutboxItem",
    "Outgoing",
    "Paired",
    "PairingAnswer",
    "PairingDenied",
    "PairingFailed",
    "PairingGranted",
    "Permission",
    "Presence",
    "ProcessFailed",
    "ProcessHook",
    "ProcessProfile",
    "ProcessRunner",
    "ProcessSettings",
    "Profile",
    "Reaction",
    "ReadMark",
    "Readiness",
    "Receipts",
    "RedactingLogger",
    "RefreshAnswer",
    "RefreshOutcome",
    "RepairHook",
    "RestFailed",
    "Rotated",
    "RpcAnswer",
    "Runner",
    "SeenSignals",
    "SendError",
    "SendRefused",
    "Sent",
    "Settings",
    "Settlement",
    "ShutdownNotice",
    "Signal",
    "Sink",
    "Sockets",
    "SqliteMessages",
    "SqliteStore",
    "StateVersion",
    "Stopped",
    "StoreCorrupt",
    "StoreError",
    "StoreTooNew",
    "StoreUnavailable",
    "Stored",
    "StreamPart",
    "SystemClock",
    "Tail",
    "Ticket",
    "TokenPair",
    "Transport",
    "Typing",
    "Unsent",
    "Vault",
    "WebSocketTransport",
    "base_url_for",
    "build_connect",
    "build_request",
    "check_base_url",
    "check_device_id",
    "check_pairing_code",
    "check_ws_url",
    "clean_text",
    "connect_challenge",
    "decode_frame",
    "default_lock_folder",
    "first_frame",
    "get_agent",
    "get_conversation",
    "get_profile",
    "http_client",
    "http_pool",
    "is_own_echo",
    "open_identity",
    "owner_of",
    "pack_challenge",
    "pair",
    "proof_text",
    "quiet_logger",
    "read_lifetime",
    "read_lines",
    "rest_client",
    "token_pair",
    "unpack_challenge",
]

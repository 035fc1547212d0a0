"""What the commands about an account are told, by flags or environment: read here, checked here, told nowhere."""

import os
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Annotated, Final, Literal

import anyio
import msgspec
import platformdirs
import typer

from .. import (
    COMPAT,
    EXACT,
    SEED,
    STRICT,
    AccountBusy,
    ClawChat,
    ConfigError,
    ConfigMirror,
    Identity,
    Link,
    Policy,
    SqliteMessages,
    SqliteStore,
    StoreUnavailable,
    TokenPair,
    connect,
)
from ..adapters import DEFAULT_ACCOUNT, Hook, base_url_for, check_base_url, check_device_id, check_ws_url, token_pair

STORE_NAME: Final = "accounts.db"
MESSAGES_NAME: Final = "messages.db"
ACCESS_TOKEN: Final = "HOLDFAST_ACCESS_TOKEN"
REFRESH_TOKEN: Final = "HOLDFAST_REFRESH_TOKEN"
BUSY_PAUSES_S: Final = (0.05, 0.1, 0.2)
"""Somebody who only asks for the status holds an account for an instant."""

WsUrl = Annotated[
    str | None,
    typer.Option("--ws-url", envvar="HOLDFAST_WS_URL", metavar="URL", help="The gateway's WebSocket: wss://HOST/ws."),
]
BaseUrl = Annotated[
    str | None,
    typer.Option(
        "--base-url",
        envvar="HOLDFAST_BASE_URL",
        metavar="URL",
        help="Root of the REST service. Without it: https:// and the host of the WebSocket URL.",
    ),
]
StateDir = Annotated[
    Path | None,
    typer.Option(
        "--state-dir",
        envvar="HOLDFAST_STATE_DIR",
        metavar="DIR",
        help="The only place for durable state. Without it: the user's state folder.",
    ),
]
UserId = Annotated[
    str | None,
    typer.Option("--user-id", envvar="HOLDFAST_USER_ID", metavar="ID", help="The account's user, if already known."),
]
AgentId = Annotated[
    str | None,
    typer.Option("--agent-id", envvar="HOLDFAST_AGENT_ID", metavar="ID", help="The account's agent, if already known."),
]
DeviceId = Annotated[
    str | None,
    typer.Option(
        "--device-id",
        envvar="HOLDFAST_DEVICE_ID",
        metavar="ID",
        help="Presented verbatim for connecting, refreshing and pairing, at most 128 bytes.",
    ),
]
TimeScale = Annotated[
    float,
    typer.Option(
        "--time-scale",
        envvar="HOLDFAST_TIME_SCALE",
        metavar="F",
        help="Multiply every duration of the policy by F. For tests and demos.",
    ),
]
Config = Annotated[
    Path | None,
    typer.Option("--config", metavar="FILE", help="A .json or .toml file that mirrors the tokens, and seeds a store."),
]
Section = Annotated[
    str,
    typer.Option("--config-section", metavar="A.B", help="The table of --config that holds the tokens; '' is the top."),
]
InsecureHosts = Annotated[
    list[str] | None,
    typer.Option("--insecure-host", metavar="HOST", help="Allow ws:// and http:// to this host. May be repeated."),
]
ProfileName = Annotated[
    Literal["strict", "compat"],
    typer.Option(
        "--profile", envvar="HOLDFAST_PROFILE", help="The policy's numbers: strict, or as the older plug-ins have them."
    ),
]
ClassifierName = Annotated[
    Literal["seed", "exact"],
    typer.Option(
        "--classifier",
        envvar="HOLDFAST_CLASSIFIER",
        help="What a refused hello says of the token: many phrases, or only the one of the newer contract.",
    ),
]
MultiDevice = Annotated[
    bool,
    typer.Option("--multi-device", envvar="HOLDFAST_MULTI_DEVICE", help="Also get what the user's other devices send."),
]
WhenFull = Annotated[
    Literal["wait", "reject", "drop_oldest"],
    typer.Option("--outbox", envvar="HOLDFAST_OUTBOX", help="What happens to messages beyond the 128 that may wait."),
]
POLICIES: Final = {"strict": STRICT, "compat": COMPAT}
CLASSIFIERS: Final = {"seed": SEED, "exact": EXACT}
DEFAULT_SECTION: Final = "channels.clawchat"


class LinkSettings(msgspec.Struct, frozen=True, kw_only=True):
    """All that ``holdfast run`` needs. ``first_pair`` is what an empty store begins with.

    ``explicit``: a frame counts as handled only when the program says so.
    """

    ws_url: str
    base_url: str
    store: SqliteStore
    messages: SqliteMessages
    first_pair: TokenPair | None
    identity: Identity
    time_scale: float
    mirror: ConfigMirror | None
    insecure_hosts: tuple[str, ...]
    profile: Literal["strict", "compat"] = "strict"
    classifier: Literal["seed", "exact"] = "seed"
    outbox_full: Literal["wait", "reject", "drop_oldest"] = "wait"
    multi_device: bool = False
    explicit: bool = False

    @property
    def policy(self) -> Policy:
        """The profile's policy, scaled.

        Raises:
            ConfigError: the scale is no finite number above zero.
        """
        policy = msgspec.structs.replace(
            POLICIES[self.profile], classifier=CLASSIFIERS[self.classifier], outbox_full=self.outbox_full
        )
        try:
            return policy.scaled(self.time_scale)
        except ValueError as error:
            raise ConfigError("HOLDFAST_TIME_SCALE", str(error)) from None


def store_in(state_dir: Path | None) -> SqliteStore:
    """The store of a state folder. Nothing is opened or made yet."""
    return SqliteStore(_folder(state_dir) / STORE_NAME)


def messages_in(state_dir: Path | None) -> SqliteMessages:
    """The message store of a state folder. Nothing is opened or made yet."""
    return SqliteMessages(_folder(state_dir) / MESSAGES_NAME)


def _folder(state_dir: Path | None) -> Path:
    return state_dir or Path(platformdirs.user_state_dir("holdfast"))


def mirror_in(config: Path | None, section: str) -> ConfigMirror | None:
    """The mirror, readable.

    Raises:
        ConfigError: the file cannot be read or understood.
    """
    if config is None:
        return None
    mirror = ConfigMirror(config, [part for part in section.split(".") if part])
    try:
        mirror.read()
    except StoreUnavailable as error:
        raise ConfigError(str(config), error.problem) from None
    return mirror


def required_ws_url(ws_url: str | None) -> str:
    """The WebSocket URL.

    Raises:
        ConfigError: there is none.
    """
    if not ws_url:
        raise ConfigError("--ws-url", "the WebSocket URL is not set; give it here, or as HOLDFAST_WS_URL")
    return ws_url


def base_url_of(ws_url: str | None, base_url: str | None, insecure_hosts: list[str] | None) -> str:
    """The REST root, given or implied.

    Raises:
        ConfigError: it cannot be used.
    """
    hosts = frozenset(insecure_hosts or ())
    if base_url is None:
        if not ws_url:
            raise ConfigError(
                "--base-url", "the base URL is not set; give it here or as HOLDFAST_BASE_URL, or give --ws-url"
            )
        base_url = base_url_for(check_ws_url(ws_url, hosts))
    return check_base_url(base_url, hosts)


def checked_device_id(device_id: str | None) -> str | None:
    """The device id, if it can be sent.

    Raises:
        ConfigError: it cannot.
    """
    return None if device_id is None else check_device_id(device_id)


def first_pair() -> TokenPair | None:
    """The tokens in the environment, if any. They are no flags: a process list shows those to everybody.

    Raises:
        ConfigError: what is there is no token, or a refresh token without an access token.
    """
    access, refresh = os.environ.get(ACCESS_TOKEN), os.environ.get(REFRESH_TOKEN)
    try:
        pair = token_pair(access, refresh)
    except ValueError:
        raise ConfigError(f"{ACCESS_TOKEN} or {REFRESH_TOKEN}", "is no token: printable ASCII is wanted") from None
    if pair is None and refresh and refresh.strip():
        raise ConfigError(ACCESS_TOKEN, f"is not set, but {REFRESH_TOKEN} is; set both")
    return pair


@asynccontextmanager
async def linked(settings: LinkSettings, notify: Hook | None) -> AsyncGenerator[Link]:
    """The account's live link; its store is seeded first if it is empty.

    Raises:
        AccountBusy: another live link owns the account.
        HoldfastError: as :func:`connect` and entering its link.
    """
    link = connect(
        settings.ws_url,
        dialect=ClawChat(multi_device=settings.multi_device),
        store=settings.store,
        messages=settings.messages,
        base_url=settings.base_url,
        device_id=settings.identity.device_id,
        mirror=settings.mirror,
        notify=notify,
        policy=settings.policy,
        insecure_hosts=settings.insecure_hosts,
    )
    try:
        await _enter(link, settings)
        try:
            yield link
        finally:
            await link.stop()
    finally:
        settings.store.close()


async def _enter(link: Link, settings: LinkSettings) -> None:
    for pause_s in (*BUSY_PAUSES_S, None):
        try:
            _sow(settings)
            await link.__aenter__()
        except AccountBusy:
            if pause_s is None:
                raise
            await anyio.sleep(pause_s)
        else:
            return


def _sow(settings: LinkSettings) -> None:
    """Only whoever may run the account may seed it: another owner might be waiting to be paired."""
    if settings.first_pair is not None:
        with settings.store.lease(DEFAULT_ACCOUNT):
            settings.store.seed(DEFAULT_ACCOUNT, settings.first_pair, settings.identity)

"""As what we introduce ourselves to OpenClaw's gateway."""

from typing import Literal, get_args

import msgspec

from .errors import ConfigError

# Both sets are closed: another name is refused. A webchat is, too: the gateway wants to know its origin.
ClientId = Literal[
    "cli", "gateway-client", "webchat-ui", "webchat", "openclaw-control-ui", "openclaw-browser-copilot", "openclaw-tui",
    "openclaw-macos", "openclaw-linux", "openclaw-ios", "openclaw-watchos", "openclaw-android", "node-host",
    "openclaw-worker", "test", "fingerprint", "openclaw-probe",
]  # fmt: skip
ClientMode = Literal["webchat", "cli", "ui", "backend", "node", "worker", "probe", "test"]


class ClientProfile(msgspec.Struct, frozen=True, kw_only=True):
    """As what we introduce ourselves.

    The gateway binds a device to its ``platform`` and ``device_family``: with others it must be paired anew. Two
    devices with the same ``display_name`` may push each other out, hence it is made of the device id unless given.
    ``scopes`` are the rights asked for: none is given that is not. ``caps`` ask for more events (``tool-events``).

    Raises:
        ConfigError: the gateway would refuse it.
    """

    client_id: ClientId = "gateway-client"
    mode: ClientMode = "ui"
    platform: str = "python"
    device_family: str = ""
    display_name: str = ""
    scopes: tuple[str, ...] = ("operator.read", "operator.write")
    caps: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for setting, allowed in (("client_id", ClientId), ("mode", ClientMode)):
            if getattr(self, setting) not in get_args(allowed):
                raise ConfigError(setting, f"must be one of {', '.join(get_args(allowed))}")
        # The signature is over these, joined.
        for setting, values in (
            ("platform", (self.platform,)), ("device_family", (self.device_family,)), ("scopes", self.scopes),
        ):  # fmt: skip
            if any(not value.isprintable() or "|" in value or "," in value for value in values):
                raise ConfigError(setting, "must be printable, without | and comma")
        if not self.platform.strip():
            raise ConfigError("platform", "must not be empty")
        if not all(self.scopes):
            raise ConfigError("scopes", "must not have an empty one")

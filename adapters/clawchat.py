"""The ClawChat Protocol, version 2."""

import re
from collections.abc import Callable
from typing import Any, Final, Literal

import httpx
import msgspec
from ulid import ULID

from .about import USER_AGENT, VERSION
from .clawchat_frames import build_frame, decode_frame
from .clawchat_http import read_pairing, read_refresh
from .dialect import Decoded, Outgoing, PairingAnswer, RefreshAnswer
from .errors import SendRefused
from .url import check_device_id

FRAME_BYTES_MAX: Final = 1_000_000
"""Of a frame we send. The service's limit applies to its own, larger frame: this leaves the margin it advises."""
CHAT_PREFIX: Final = "cnv_"
# Crockford's base 32 has no I, L, O, U; 26 characters hold 130 bits, so the first of a 128-bit value is at most 7.
MESSAGE_ID: Final = re.compile(r"msg-[0-7][0-9A-HJKMNP-TV-Z]{25}")


class ClawChat:
    """The :class:`Dialect` of ClawChat.

    ``reliable`` asks for numbered frames, each of which is acknowledged once it was handled; ``multi_device`` for what
    one's other devices send, too. ``platform`` is what a pairing reports. ``mint`` makes the ids of messages and
    frames, and tells their time: both come from one ULID, so that a simulation can give its own.
    """

    name = "clawchat"
    default_device_id = "clawchat-plugin-openclaw"

    def __init__(
        self,
        *,
        reliable: bool = True,
        multi_device: bool = False,
        platform: str = "openclaw",
        mint: Callable[[], ULID] = ULID,
    ) -> None:
        self._capabilities = _capabilities(reliable=reliable, multi_device=multi_device)
        self._platform = platform
        self._mint = mint

    def decode(self, socket: int, data: str | bytes) -> Decoded:
        """See :meth:`Dialect.decode`."""
        return decode_frame(socket, data)

    def authenticate(self, *, token: str, nonce: str, device_id: str) -> str:
        """See :meth:`Dialect.authenticate`."""
        payload = {
            "token": token,
            "nonce": nonce,
            "device_id": check_device_id(device_id),
            "client_version": USER_AGENT,
            "protocol_version": 2,
            "capabilities": self._capabilities,
        }
        return build_frame("connect", self._mint(), payload).decode()

    def message(self, *, chat_id: str, text: str, message_id: str | None = None) -> Outgoing:
        """See :meth:`Dialect.message`."""
        _check_chat_id(chat_id)
        ulid = self._mint()
        if message_id is None:
            message_id = f"msg-{ulid}"
        elif not MESSAGE_ID.fullmatch(message_id):
            raise SendRefused("bad_request", "a message id is msg- and a ULID of 26 characters")
        content = {"body": {"fragments": [{"kind": "text", "text": text}]}, "context": {"mentions": (), "reply": None}}
        payload = {"message_id": message_id, "message_mode": "normal", "message": content}
        frame = _sendable("message.send", ulid, chat_id, payload)
        return Outgoing(trace_id=str(ulid), message_id=message_id, chat_id=chat_id, frame=frame)

    def typing(self, *, chat_id: str, is_typing: bool) -> str:
        """See :meth:`Dialect.typing`."""
        _check_chat_id(chat_id)
        return _sendable("typing.update", self._mint(), chat_id, {"is_typing": is_typing})

    def receipt(self, *, kind: Literal["seq", "dseq"], number: int, epoch: str | int = "") -> str:
        """See :meth:`Dialect.receipt`."""
        event, payload = (
            ("message.cursor_ack", {"seq": number})
            if kind == "seq"
            else ("message.sync_ack", {"dseq": number, "epoch": epoch})
        )
        return build_frame(event, self._mint(), payload).decode()

    def refresh_request(
        self, client: httpx.AsyncClient, base_url: str, refresh_token: str, device_id: str
    ) -> httpx.Request:
        """See :meth:`Dialect.refresh_request`. It carries no Authorization (S1-40)."""
        return _post(client, f"{base_url}/v1/auth/refresh", device_id, {"refresh_token": refresh_token})

    def read_refresh(self, response: httpx.Response) -> RefreshAnswer:
        """See :meth:`Dialect.read_refresh`."""
        return read_refresh(response)

    def pair_request(
        self, client: httpx.AsyncClient, base_url: str, code: str, *, device_id: str, user_id: str | None
    ) -> httpx.Request:
        """See :meth:`Dialect.pair_request`."""
        body = {"code": code, "platform": self._platform, "type": "clawbot", "plugin_version": VERSION}
        if user_id is not None:
            body["user_id"] = user_id
        return _post(client, f"{base_url}/v1/agents/connect", device_id, body)

    def read_pairing(self, response: httpx.Response) -> PairingAnswer:
        """See :meth:`Dialect.read_pairing`."""
        return read_pairing(response)


def _capabilities(*, reliable: bool, multi_device: bool) -> dict[str, bool]:
    """What is implemented and wanted, and nothing else: a capability changes what the service sends."""
    names = ["device_replay", "notify_signals", "chat_meta_events", "permission_events"]
    if reliable:
        names += ["reliable_delivery", "reliable_delivery_v2"]
    if multi_device:
        names += ["multi_device"]
    return dict.fromkeys(names, True)


def _check_chat_id(chat_id: str) -> None:
    if not chat_id.startswith(CHAT_PREFIX):
        raise SendRefused("chat_not_found", f"chat ids of this service start with {CHAT_PREFIX}")


def _sendable(event: str, ulid: ULID, chat_id: str, payload: dict[str, Any]) -> str:
    try:
        frame = build_frame(event, ulid, payload, chat_id=chat_id)
    except UnicodeEncodeError:
        raise SendRefused("bad_request", "the text is no valid Unicode") from None
    if len(frame) > FRAME_BYTES_MAX:
        raise SendRefused("message_too_large", f"its frame has {len(frame)} bytes, {FRAME_BYTES_MAX} are allowed")
    return frame.decode()


def _post(client: httpx.AsyncClient, url: str, device_id: str, body: dict[str, str]) -> httpx.Request:
    # As bytes: httpx refuses a device id that isn't ASCII, and it is to be sent verbatim.
    headers = {b"Content-Type": b"application/json", b"X-Device-Id": check_device_id(device_id).encode()}
    return client.build_request("POST", url, content=msgspec.json.encode(body), headers=headers)

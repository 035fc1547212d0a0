"""What we send to OpenClaw's gateway, protocol 4: the proof of who we are, and requests.

Its objects are closed: one property too many, and the frame is refused.
"""

from typing import Any, Final

import msgspec

from .about import USER_AGENT, VERSION
from .errors import SendRefused
from .openclaw_identity import DeviceIdentity
from .openclaw_profile import ClientProfile

PROTOCOL: Final = 4
ROLE: Final = "operator"
CONNECT_ID: Final = "connect"
"""Of the one request whose answer is the hello. Those of the user have other ids."""
FRAME_BYTES_MAX: Final = 26_214_400
"""What the gateway takes after the hello, unless the hello says otherwise."""


def pack_challenge(nonce: str, ts: int) -> str:
    """Both parts of a challenge as the one text that the account's events carry."""
    return f"{ts}:{nonce}"


def unpack_challenge(packed: str) -> tuple[str, int]:
    """The nonce and the time, in epoch milliseconds by the gateway's clock.

    Raises:
        ValueError: :func:`pack_challenge` did not make it.
    """
    ts, colon, nonce = packed.partition(":")
    if not colon:
        raise ValueError("no packed challenge")
    return nonce, int(ts)


def proof_text(device_id: str, profile: ClientProfile, *, signed_at: int, token: str, nonce: str) -> str:
    """What is signed: version 3 of the gateway's form. ``token`` is the first one of those that are sent."""
    return "|".join(
        (
            "v3", device_id, profile.client_id, profile.mode, ROLE, ",".join(profile.scopes), str(signed_at), token,
            nonce, _folded(profile.platform), _folded(profile.device_family),
        )
    )  # fmt: skip


def build_connect(
    identity: DeviceIdentity,
    profile: ClientProfile,
    *,
    challenge: str,
    token: str | None = None,
    device_token: str | None = None,
) -> str:
    """The frame that answers a challenge, as :func:`pack_challenge` packed it.

    With the shared token, with the device token, or with both: then the gateway takes the second if the first is wrong.
    """
    nonce, signed_at = unpack_challenge(challenge)
    proof = proof_text(identity.device_id, profile, signed_at=signed_at, token=token or device_token or "", nonce=nonce)
    params = {
        "minProtocol": PROTOCOL,
        "maxProtocol": PROTOCOL,
        "client": _client(identity, profile),
        "role": ROLE,
        "scopes": profile.scopes,
        "caps": profile.caps,
        "auth": _without_blanks({"token": token, "deviceToken": device_token}),
        "userAgent": USER_AGENT,
        "device": {
            "id": identity.device_id,
            "publicKey": identity.public_key,
            "signature": identity.sign(proof),
            "signedAt": signed_at,
            "nonce": nonce,
        },
    }
    return build_request(CONNECT_ID, "connect", params)


def build_request(request_id: str, method: str, params: object = msgspec.UNSET, *, limit: int = FRAME_BYTES_MAX) -> str:
    """A request. ``limit`` is the hello's ``max_payload``, in bytes: the gateway closes on a larger frame.

    Raises:
        SendRefused: ``params`` is no JSON, or the frame is too large.
    """
    frame = {"type": "req", "id": request_id, "method": method, "params": params}
    try:
        data = msgspec.json.encode({name: value for name, value in frame.items() if value is not msgspec.UNSET})
    except (TypeError, ValueError, OverflowError, RecursionError) as error:
        raise SendRefused("bad_request", f"the parameters are no JSON ({type(error).__name__})") from None
    if len(data) > limit:
        raise SendRefused("message_too_large", f"its frame has {len(data)} bytes, {limit} are allowed")
    return data.decode()


def _client(identity: DeviceIdentity, profile: ClientProfile) -> dict[str, str]:
    names = {
        "id": profile.client_id,
        "mode": profile.mode,
        "version": VERSION,
        "platform": profile.platform,
        "deviceFamily": profile.device_family,
        "displayName": profile.display_name or f"holdfast {identity.device_id[:8]}",
    }
    return _without_blanks(names)


def _without_blanks(fields: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if value}


_UPPER: Final = {ord(letter): letter.lower() for letter in "ABCDEFGHIJKLMNOPQRSTUVWXYZ"}


def _folded(text: str) -> str:
    """As the gateway compares it: only the letters of ASCII are folded."""
    return text.strip().translate(_UPPER)

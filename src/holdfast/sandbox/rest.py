"""The service's REST routes: refresh with strict rotation, pairing, and what a paired client may read."""

from collections.abc import Callable
from typing import TypeVar

import msgspec

from .book import Account, BookFull, Grant, Refused
from .faults import Fault, Point
from .frames import AGENT_NAME, DEVICE_ID_BYTES_MAX
from .http_wire import Answer, Fate, HttpRequest, Reply, Respond, json_reply
from .journal import PATH_CHARS_MAX
from .tokens import digest, short
from .world import World

OK = 0
INTERNAL = 1
BAD_REQUEST = 400
REFRESH_DEAD = 10003
CODE_DEAD = 16000
USER_GONE = 16001
AGENT_TYPE = "clawbot"
CODE_CHARS_MAX = 256

T = TypeVar("T")

GARBAGE = Reply(200, b"<html>This is not the answer you are looking for", "text/html")


class RefreshBody(msgspec.Struct, frozen=True):
    """Body of a refresh."""

    refresh_token: str


class PairingBody(msgspec.Struct, frozen=True):
    """Body of a pairing."""

    code: str
    platform: str
    type: str
    plugin_version: str
    user_id: str | None = None


class Refusal(Exception):
    """A request that is answered by HTTP 200 and an envelope code other than 0."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


def envelope(code: int, message: str, data: object = None, *, status: int = 200) -> Reply:
    """The form of every answer."""
    return json_reply(status, {"code": code, "message": message, "data": data})


def handle(world: World, request: HttpRequest, respond: Respond) -> None:
    """Answer a request, unless a fault has it otherwise."""
    if request.path == "/v1/auth/refresh":
        _handle_post(world, "refresh", refresh, request, respond)
    elif request.path == "/v1/agents/connect":
        _handle_post(world, "pairing", pair, request, respond)
    else:
        world.journal.counters.rest_requests += 1
        if request.method == "GET":
            world.journal.count_read(request.path)
            world.journal.note("rest-read", detail=request.path[:PATH_CHARS_MAX])
        _with_fault(world, "rest", lambda _fault: read(world, request), respond)


Route = Callable[[World, HttpRequest, Fault | None], dict[str, object]]


def _handle_post(world: World, point: Point, route: Route, request: HttpRequest, respond: Respond) -> None:
    if request.method != "POST":
        respond(envelope(405, "POST only", status=405))
        return
    _count(world, point, request)

    def answer(fault: Fault | None) -> Answer:
        try:
            return envelope(OK, "ok", route(world, request, fault))
        except Refusal as refusal:
            world.journal.note(f"{point}-refused", detail=f"{refusal.code}: {refusal.message}")
            return envelope(refusal.code, refusal.message)

    _with_fault(world, point, answer, respond)


def _count(world: World, point: Point, request: HttpRequest) -> None:
    if point == "pairing":
        world.journal.counters.pairing_posts += 1
        return
    world.journal.counters.refresh_posts += 1
    try:
        token = short(digest(msgspec.json.decode(request.body, type=RefreshBody).refresh_token)) or ""
    except (ValueError, RecursionError):
        token = "unreadable"
    world.journal.count_refresh(token)
    world.journal.note("refresh-post", detail=token)


def _with_fault(world: World, point: Point, answer: Callable[[Fault | None], Answer], respond: Respond) -> None:
    fault = world.fault(point)
    if fault is None:
        respond(answer(None))
    elif fault.kind in ("delay", "hold"):
        ready = answer(None)  # Carried out now: a client that gives up meanwhile has lost the answer, not the act.
        world.faults.postpone(fault, lambda: respond(ready))
    elif fault.kind in ("lose", "swallow"):
        answer(None)
        respond(Fate.DROP if fault.kind == "lose" else Fate.NEVER)
    elif fault.kind in ("no_refresh_token", "same_token"):
        respond(answer(fault))
    else:
        respond(_without_acting(fault))


def _without_acting(fault: Fault) -> Answer:
    if fault.kind == "code":
        return envelope(fault.code, "scripted")
    if fault.kind == "status":
        return envelope(fault.status, "scripted", status=fault.status)
    if fault.kind == "garbage":
        return GARBAGE
    return Fate.DROP if fault.kind == "drop" else Fate.NEVER


def refresh(world: World, request: HttpRequest, fault: Fault | None) -> dict[str, object]:
    """``POST /v1/auth/refresh``.

    Raises:
        Refusal: 400 malformed, 10003 the refresh token is dead or another device's, 1 the backend is down.
    """
    if "authorization" in request.headers:
        raise Refusal(BAD_REQUEST, "a refresh carries no Authorization header")
    device_id = _device_id(request)
    body = _body(request, RefreshBody)
    if world.outage:
        raise Refusal(INTERNAL, "internal error")
    grant = world.book.find_refresh(body.refresh_token, device_id, world.now)
    if grant is None:
        raise Refusal(REFRESH_DEAD, "refresh token unknown, revoked, expired or another device's")
    pair = world.mint.pair(grant.user_id, device_id, world.now)
    data: dict[str, object] = {"access_token": pair.access}
    if fault is None:
        world.book.rotate(grant, pair, world.now)
        data["refresh_token"] = pair.refresh
    else:
        world.book.add_access(grant, pair, world.now)
        if fault.kind == "same_token":
            data["refresh_token"] = body.refresh_token
    world.commit()
    world.journal.counters.refreshes += 1
    world.journal.note("refreshed", user_id=grant.user_id, device_id=device_id, detail=short(grant.refresh))
    return data


def pair(world: World, request: HttpRequest, fault: Fault | None) -> dict[str, object]:
    """``POST /v1/agents/connect``. The request's ``X-Device-Id`` becomes the pairing's device id.

    Raises:
        Refusal: 400 malformed, 16000 the code is unknown or used, 16001 the user is gone (the code stays good).
    """
    device_id = _device_id(request)
    body = _body(request, PairingBody)
    if body.type != AGENT_TYPE or not 0 < len(body.code) <= CODE_CHARS_MAX:
        raise Refusal(BAD_REQUEST, f'type must be "{AGENT_TYPE}", and code must not be empty')
    try:
        account = world.book.redeem(body.code, body.user_id or None)
    except BookFull as full:
        raise Refusal(INTERNAL, str(full)) from full
    if account is Refused.USER:
        raise Refusal(USER_GONE, "the user no longer exists")
    if account is Refused.CODE:
        raise Refusal(CODE_DEAD, "pairing code unknown or used")
    tokens = world.mint.pair(account.user_id, device_id, world.now)
    world.book.pair(account, device_id, tokens, world.now)
    world.commit()
    world.journal.counters.pairings += 1
    world.journal.note("paired", user_id=account.user_id, device_id=device_id)
    data: dict[str, object] = {
        "access_token": tokens.access, "refresh_token": tokens.refresh, "agent": agent(account),
        "conversation": {"id": account.conversation_id},
    }  # fmt: skip
    if fault is not None:  # no_refresh_token
        del data["refresh_token"]
    return data


def read(world: World, request: HttpRequest) -> Reply:
    """The GET routes, for whoever has a good access token."""
    if not request.path.startswith(("/v1/users/", "/v1/conversations/", "/v1/agents/")):
        return envelope(404, "not found", status=404)
    if request.method != "GET":
        return envelope(405, "GET only", status=405)
    grant = _bearer(world, request)
    if grant is None:
        world.journal.note("rest-unauthorized")
        return envelope(401, "unauthorized", status=401)
    found = _find(world, world.book.account(grant.user_id), request.path)
    return envelope(404, "not found", status=404) if found is None else envelope(OK, "ok", found)


def _find(world: World, account: Account, path: str) -> dict[str, object] | None:
    if path == "/v1/users/me":
        return _user(account)
    if path == f"/v1/agents/{account.agent_id}":
        return {
            **agent(account), "name": AGENT_NAME, "behavior": account.behavior, "version": account.behavior_version
        }  # fmt: skip
    chat_id = path.removeprefix("/v1/conversations/")
    members = world.book.members(chat_id)
    if members is None or account.user_id not in members:
        return None
    about = world.book.about(chat_id)
    return {
        "id": chat_id, "type": about.kind, "title": about.title, "description": about.description,
        "members": list(members), "version": about.version, "updated_at": about.updated_at,
    }  # fmt: skip


def _user(account: Account) -> dict[str, object]:
    return {
        "id": account.user_id, "user_id": account.user_id, "owner_id": account.owner_id,
        "agent_id": account.agent_id, "nick_name": AGENT_NAME, "avatar_url": "",
    }  # fmt: skip


def agent(account: Account) -> dict[str, object]:
    """An account's agent as a pairing shows it."""
    return {"id": account.agent_id, "user_id": account.user_id, "owner_id": account.owner_id}


def _bearer(world: World, request: HttpRequest) -> Grant | None:
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    return world.book.find_access(token.strip(), world.now) if scheme.lower() == "bearer" else None


def _device_id(request: HttpRequest) -> str:
    device_id = request.headers.get("x-device-id", "")
    if not 0 < len(device_id.encode()) <= DEVICE_ID_BYTES_MAX:
        raise Refusal(BAD_REQUEST, f"X-Device-Id is required, at most {DEVICE_ID_BYTES_MAX} bytes")
    return device_id


def _body(request: HttpRequest, form: type[T]) -> T:
    try:
        return msgspec.json.decode(request.body, type=form)
    except (ValueError, RecursionError):
        # Without the decoder's words: they may quote the body, and the body holds a token.
        raise Refusal(BAD_REQUEST, "the body is not what this route takes") from None

"""Scripting over HTTP: ``POST /_sandbox/<action>`` with a JSON object, ``GET /_sandbox/state``.

Answers are ``{"ok": true, …}`` or, with status 400 and up, ``{"ok": false, "error": …}``.
"""

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec

from .book import BookFull
from .faults import Fault, check_kind
from .forms import (
    Advance,
    AtPoint,
    Conversation,
    FaultName,
    Issue,
    Kick,
    MaybeUser,
    OfUser,
    Outage,
    PairingCode,
    PushFrame,
    PushInvalidation,
    PushMessage,
    PushRaw,
    PushSignal,
    Resolve,
    Revoke,
    SetBehavior,
    SetConversation,
    Wait,
)
from .http_wire import HttpRequest, Reply, Respond, json_reply
from .journal import Counters

if TYPE_CHECKING:
    from .gateway import Gateway

PREFIX = "/_sandbox/"
WAIT_MAX_S = 600.0
LOOPBACK_NAMES = ("127.", "localhost", "[::1]")

T = TypeVar("T")
Result = dict[str, Any]


def _issue(gateway: "Gateway", form: Issue) -> Result:
    issued = gateway.issue(form.user_id, device_id=form.device_id, access_lifetime_s=form.access_lifetime_s)
    return {name: getattr(issued, name) for name in type(issued).__slots__}


def _conversation(gateway: "Gateway", form: Conversation) -> Result:
    if not form.leave:
        return {"chat_id": gateway.add_conversation(form.user_id, form.chat_id)}
    if form.chat_id is None:
        raise ValueError("chat_id is needed to leave")
    gateway.leave_conversation(form.user_id, form.chat_id)
    return {}


def _push_message(gateway: "Gateway", form: PushMessage) -> Result:
    return {"message_id": gateway.push_message(**msgspec.structs.asdict(form))}


def _push_signal(gateway: "Gateway", form: PushSignal) -> Result:
    event_id = gateway.push_signal(
        form.user_id, form.type, form.entity_id, version=form.version, event_id=form.event_id
    )
    return {"event_id": event_id}


def _set_conversation(gateway: "Gateway", form: SetConversation) -> Result:
    version = gateway.set_conversation(
        form.chat_id, title=form.title, description=form.description, kind=form.kind
    )  # fmt: skip
    return {"version": version}


def _fault(gateway: "Gateway", body: bytes) -> None:
    # Decoded twice: of a kind that no point has, the second could not say which ones this point has.
    named = msgspec.json.decode(body or b"{}", type=FaultName)
    check_kind(named.point, named.kind)
    gateway.inject_fault(msgspec.json.decode(body, type=Fault))


def _push_raw(gateway: "Gateway", form: PushRaw) -> Result:
    data = form.text if form.text is not None else form.binary
    if data is None:
        raise ValueError("text or binary (base64) is needed")
    return {"sessions": gateway.push_raw(form.user_id, data)}


Action = Callable[["Gateway", bytes], Result | None]


def _action(form: type[T], run: Callable[["Gateway", T], Result | None]) -> Action:
    return lambda gateway, body: run(gateway, msgspec.json.decode(body or b"{}", type=form))


ACTIONS: dict[str, Action] = {
    "issue": _action(Issue, _issue),
    "pairing-code": _action(PairingCode, lambda gateway, form: {"code": gateway.pairing_code(form.code)}),
    "conversation": _action(Conversation, _conversation),
    "set-conversation": _action(SetConversation, _set_conversation),
    "set-behavior": _action(
        SetBehavior, lambda gateway, form: {"version": gateway.set_behavior(form.user_id, form.text)}
    ),
    "revoke": _action(
        Revoke, lambda gateway, form: gateway.revoke(form.user_id, access=form.access, refresh=form.refresh)
    ),
    "forget": _action(OfUser, lambda gateway, form: gateway.forget(form.user_id)),
    "resolve": _action(Resolve, lambda gateway, form: gateway.resolve_device(form.user_id, form.device_id)),
    "advance": _action(Advance, lambda gateway, form: gateway.advance(form.seconds)),
    "fault": _fault,
    "clear": _action(AtPoint, lambda gateway, form: gateway.clear(form.point)),
    "release": _action(AtPoint, lambda gateway, form: {"released": gateway.release(form.point)}),
    "outage": _action(Outage, lambda gateway, form: gateway.outage(form.down)),
    "drop": _action(MaybeUser, lambda gateway, form: {"sessions": gateway.drop(form.user_id)}),
    "kick": _action(Kick, lambda gateway, form: {"sessions": gateway.kick(form.user_id, form.code, form.reason)}),
    "silence": _action(MaybeUser, lambda gateway, form: {"sessions": gateway.silence(form.user_id)}),
    "push-message": _action(PushMessage, _push_message),
    "push-signal": _action(PushSignal, _push_signal),
    "push-frame": _action(
        PushFrame,
        lambda gateway, form: gateway.push_frame(form.user_id, form.event, form.payload, **form.fields),
    ),
    "push-invalidation": _action(
        PushInvalidation, lambda gateway, form: gateway.push_invalidation(**msgspec.structs.asdict(form))
    ),
    "push-raw": _action(PushRaw, _push_raw),
}


def handle(gateway: "Gateway", request: HttpRequest, respond: Respond) -> None:
    """Answer a scripting request."""
    if "origin" in request.headers or not request.headers.get("host", "").startswith(LOOPBACK_NAMES):
        respond(_error(403, "scripting is for local programs, not for web pages"))
        return
    name = request.path.removeprefix(PREFIX)
    try:
        if name == "wait" and request.method == "POST":
            _wait(gateway, msgspec.json.decode(request.body, type=Wait), respond)
        else:
            respond(_answer(gateway, request, name))
    except LookupError as error:
        respond(_error(404, str(error)))
    except (ValueError, TypeError, RecursionError, BookFull, RuntimeError) as error:
        respond(_error(400, str(error)))


def _answer(gateway: "Gateway", request: HttpRequest, name: str) -> Reply:
    if request.method == "GET":
        if name == "state":
            return json_reply(200, {"ok": True, **gateway.state()})
        if name == "messages":
            return json_reply(200, {"ok": True, "messages": gateway.messages(request.query.get("user_id", ""))})
    elif request.method == "POST" and name in ACTIONS:
        return json_reply(200, {"ok": True, **(ACTIONS[name](gateway, request.body) or {})})
    return _error(404, f"no such action; POST one of: {', '.join([*ACTIONS, 'wait'])}; or GET state, messages")


def _wait(gateway: "Gateway", form: Wait, respond: Respond) -> None:
    if form.counter not in Counters.__struct_fields__:
        raise ValueError(f"no counter {form.counter!r}; there are: {', '.join(Counters.__struct_fields__)}")
    future = gateway.when(lambda found: getattr(found.counters, form.counter) >= form.at_least)
    limit = asyncio.get_running_loop().call_later(min(max(form.timeout_s, 0.0), WAIT_MAX_S), future.cancel)

    def answer(done: "asyncio.Future[None]") -> None:
        limit.cancel()
        value = getattr(gateway.counters, form.counter)
        respond(json_reply(200, {"ok": True, "reached": not done.cancelled(), "value": value}))

    future.add_done_callback(answer)


def _error(status: int, message: str) -> Reply:
    return json_reply(status, {"ok": False, "error": message})

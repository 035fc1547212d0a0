"""The demo's scenes: what happens, and what has to be seen of it at the gateway, on the disk and at the link."""

from collections.abc import Awaitable, Callable
from typing import Final

import anyio
import msgspec

from .stage import Stage

TINY_LIFE_S: Final = 0.1
SHORT_LIFE_S: Final = 8.0
QUIET_S: Final = 0.5
FINAL_TEXT: Final = "ClawChat token expired and could not be refreshed. Re-pair with `/clawchat-activate <code>`."
REFUSALS: Final = 5
MESSAGE: Final = "are you still there?"
REPLY: Final = "yes, all the time"


class Scene(msgspec.Struct, frozen=True):
    """A scene and its title."""

    title: str
    play: Callable[[Stage], Awaitable[None]]


async def pair(stage: Stage) -> None:
    """An account without tokens waits, and connects when it is paired."""
    await stage.start()
    await stage.until("the link to wait for a pairing", lambda: stage.states() == "waiting")
    stage.show.say("-> activate with a pairing code")
    await stage.link.activate(stage.gateway.pairing_code())
    await stage.until_connected()
    await _until_mirrored(stage)
    stage.expect("states", "waiting, connecting, connected", stage.states())
    stage.expect("pairings at the gateway", 1, stage.since("pairings"))
    stage.expect("SQLite and config file", "the same tokens in both", stage.on_disk.stores)


async def start_expired(stage: Stage) -> None:
    """A program that was off for long starts with a token that is dead already."""
    await stage.stop()
    await stage.until("the gateway to see the end", lambda: not stage.gateway.sessions)
    dead = stage.issue(access_lifetime_s=TINY_LIFE_S)
    stage.replace_tokens(dead)
    # Stored a moment after it was issued, it lives that moment longer by the clock of whoever has it.
    await stage.until("the token to expire", lambda: stage.gateway.now > dead.access_expires_at + TINY_LIFE_S)
    stage.begin()
    stage.show.say("-> started again, and the stored access token has expired")
    await stage.start()
    await stage.until_connected()
    stage.expect("order at the gateway", "refreshed, hello-ok", stage.order("refreshed", "hello-ok", "hello-fail"))
    stage.expect("refresh POSTs", 1, stage.since("refresh_posts"))
    await _until_mirrored(stage)
    stage.expect("SQLite and config file", "the same tokens in both", stage.on_disk.stores)


async def refresh_ahead(stage: Stage) -> None:
    """A token is rotated before it expires, and the session moves to the new one."""
    short = stage.issue(access_lifetime_s=SHORT_LIFE_S)
    stage.replace_tokens(short)
    stage.show.say(f"-> the account gets a token that lives {SHORT_LIFE_S:g} s only")
    await stage.until("a session with that token", lambda: stage.since("hellos") == 1)
    await stage.until("the refresh", lambda: stage.since("refreshes") == 1)
    left = short.access_expires_at - stage.gateway.now
    stage.show.say(f"<- refreshed, {left:.1f} s before it expires")
    await stage.until("a session with the rotated token", lambda: stage.since("hellos") == 2)
    await stage.until_connected()
    await _until_mirrored(stage)
    order = stage.order("refreshed", "hello-ok", "hello-fail")
    stage.expect("order at the gateway", "hello-ok, refreshed, hello-ok", order)
    stage.check("refreshed before the expiry", "more than 0 s", f"{left:.1f} s", left > 0)
    stage.expect("refresh POSTs", 1, stage.since("refresh_posts"))
    stage.expect("tokens on the disk", "others", "the old" if short.access_token in stage.on_disk.sqlite else "others")


async def auth_outage(stage: Stage) -> None:
    """The gateway's auth service is down: that says nothing about the token."""
    tokens = stage.on_disk.sqlite
    stage.show.say("-> the auth service goes down, and the line is cut")
    stage.gateway.outage(True)
    stage.gateway.drop_all()
    await stage.until("refused connects", lambda: stage.since("hello_fails") >= REFUSALS)
    stage.show.say("-> the auth service is back")
    stage.gateway.outage(False)
    await stage.until_connected()
    refused = stage.since("hello_fails")
    stage.check("connects refused meanwhile", f"at least {REFUSALS}", refused, refused >= REFUSALS)
    stage.expect("refresh POSTs", 0, stage.since("refresh_posts"))
    stage.expect("tokens on the disk", "unchanged", "unchanged" if stage.on_disk.sqlite == tokens else "changed")


async def generic_failure(stage: Stage) -> None:
    """A refusal that names no reason, while the token is far from its expiry."""
    tokens = stage.on_disk.sqlite
    stage.gateway.inject("hello", "refuse", reason="internal error", times=2)
    stage.show.say("-> the line is cut; the next two connects fail: internal error")
    stage.gateway.drop_all()
    await stage.until("two refused connects", lambda: stage.since("hello_fails") == 2)
    await stage.until_connected()
    stage.expect("connects refused", 2, stage.since("hello_fails"))
    stage.expect("refresh POSTs", 0, stage.since("refresh_posts"))
    stage.expect("tokens on the disk", "unchanged", "unchanged" if stage.on_disk.sqlite == tokens else "changed")


async def dropped_socket(stage: Stage) -> None:
    """The line is cut while somebody says something."""
    ((user_id, device_id),) = stage.gateway.sessions
    stage.show.say("-> the line is cut, and meanwhile somebody says something")
    stage.gateway.drop_all()
    await stage.until("the gateway to see the cut", lambda: not stage.gateway.sessions)
    stage.gateway.push_message(user_id, text=MESSAGE)
    await stage.until("another session", lambda: stage.since("hellos") == 1)
    await stage.until_connected()
    await stage.until("the message", lambda: bool(stage.messages))
    stage.expect("states", "connected, backoff, connecting, connected", f"connected, {stage.states()}")
    stage.expect("the same device again", device_id, stage.gateway.sessions[0][1])
    stage.expect("said meanwhile", MESSAGE, ", ".join(message.text for message in stage.messages))
    stage.expect("refresh POSTs", 0, stage.since("refresh_posts"))


async def lost_answer(stage: Stage) -> None:
    """The line is cut after a message has left, and before its answer came."""
    chat_id = stage.messages[-1].chat_id
    stage.gateway.inject("send", "lose")
    stage.show.say("-> a message is sent, and the line is cut before the answer")
    ack = await stage.link.send(chat_id, REPLY, timeout=None)
    await stage.until_connected()
    again = stage.since("duplicates")
    stage.expect("states", "connected, backoff, connecting, connected", f"connected, {stage.states()}")
    stage.check("sent again", "at least once", "once" if again == 1 else f"{again} times", again >= 1)
    stage.expect("in the chat", 1, stage.since("messages_stored"))
    stage.expect("the answer names it", "yes", "yes" if ack.message_id.startswith("msg-") else "no")


async def logged_out(stage: Stage) -> None:
    """The account's tokens are dead for good."""
    before = stage.on_disk
    user_id = stage.gateway.sessions[0][0]
    stage.show.say("-> all tokens of the account are revoked, and the line is cut")
    stage.gateway.revoke(user_id)
    stage.gateway.drop_all()
    await stage.until("the logout", lambda: stage.link.status.state == "logged_out" and bool(stage.notices))
    await stage.until("both stores to be blank", lambda: stage.on_disk.stores == "both blank")
    dials = stage.since("dials")
    await anyio.sleep(QUIET_S)
    after = stage.on_disk
    stage.expect("refresh POSTs", 1, stage.since("refresh_posts"))
    stage.expect("SQLite and config file", "both blank", after.stores)
    leftovers = [token for token in before.sqlite if token and stage.holds(token)]
    stage.expect("traces of the tokens in any file", 0, len(leftovers))
    stage.expect("who the account is", "still known", "still known" if after.identity == before.identity else "lost")
    stage.expect("other settings in the config", "kept", "kept" if after.other_settings else "damaged")
    stage.expect("the message", FINAL_TEXT, " / ".join(stage.notices))
    stage.expect("dials after the logout", 0, stage.since("dials") - dials)


async def pair_again(stage: Stage) -> None:
    """A new code brings the same account back."""
    before = stage.on_disk.identity
    stage.show.say("-> activate with another pairing code")
    await stage.link.activate(stage.gateway.pairing_code())
    await stage.until_connected()
    await _until_mirrored(stage)
    stage.expect("states", "logged_out, connecting, connected", f"logged_out, {stage.states()}")
    stage.expect("the account", "the same", "the same" if stage.on_disk.identity == before else "another")
    stage.expect("SQLite and config file", "the same tokens in both", stage.on_disk.stores)
    await stage.stop()
    stage.expect("sessions left after the end", 0, len(stage.gateway.sessions))


async def _until_mirrored(stage: Stage) -> None:
    await stage.until("the config file to follow", lambda: stage.on_disk.stores == "the same tokens in both")


SCENES: Final = (
    Scene("An account is paired", pair),
    Scene("An expired token is refreshed before the first connect", start_expired),
    Scene("A token is refreshed ahead of its expiry", refresh_ahead),
    Scene("An outage of the auth service is ridden out", auth_outage),
    Scene("An unexplained refusal costs no refresh", generic_failure),
    Scene("A cut line comes back, and nothing is missed", dropped_socket),
    Scene("A message survives a lost connection", lost_answer),
    Scene("A dead token logs the account out", logged_out),
    Scene("A new pairing brings it back", pair_again),
)

"""The gateway's state as JSON values, for whoever scripts it from another process. Tokens are short digests."""

from typing import Any

import msgspec

from .book import Account, Grant
from .registry import Sessions
from .sessions import Session
from .tokens import short
from .world import World


def snapshot(world: World, sessions: Sessions) -> dict[str, Any]:
    """Accounts, sessions, counters, faults and the log."""
    journal = world.journal
    return {
        "now": world.now,
        "accounts": [_account(world, account) for account in world.book.pages.accounts.values()],
        "sessions": [_session(session) for session in sessions.all],
        "counters": msgspec.to_builtins(journal.counters),
        "refresh_posts_by_token": dict(journal.refresh_posts_by_token),
        "rest_reads": dict(journal.rest_reads),
        "unused_pairing_codes": sum(not used for used in world.book.pages.codes.values()),
        "faults": msgspec.to_builtins(world.faults.pending),
        "outage": world.outage,
        "events": msgspec.to_builtins(list(journal.events)),
    }


def _account(world: World, account: Account) -> dict[str, Any]:
    mailbox = world.mailbox(account.user_id)
    return {
        "user_id": account.user_id,
        "agent_id": account.agent_id,
        "owner_id": account.owner_id,
        "conversation_id": account.conversation_id,
        "devices": [_grant(grant) for grant in account.grants.values()],
        "messages_stored": len(mailbox.sent),
        "frames_queued": len(mailbox.frames),
        "delivered_up_to": {device_id: max(place - mailbox.first, 0) for device_id, place in mailbox.cursors.items()},
        "unconfirmed": {device_id: mailbox.unconfirmed(device_id) for device_id in mailbox.cursors},
    }


def _grant(grant: Grant) -> dict[str, Any]:
    return {
        "device_id": grant.device_id,
        "refresh": short(grant.refresh),
        "refresh_expires_at": grant.refresh_expires_at,
        "access": [{"token": short(key), "expires_at": expires_at} for key, expires_at in grant.access.items()],
    }


def _session(session: Session) -> dict[str, Any]:
    return {
        "state": session.state,
        "user_id": session.user_id or None,
        "device_id": session.device_id or None,
        "silent": session.wire.frozen,
        **_delivery(session),
    }


def _delivery(session: Session) -> dict[str, Any]:
    if session.state not in ("replaying", "live") or session.delivery.level == "off":
        return {}
    delivery = session.delivery
    return {
        "delivery": {
            "level": delivery.level,
            "epoch": delivery.epoch,
            "sent": delivery.sent,
            "acked": delivery.acked,
            "in_flight": delivery.in_flight,
        }
    }

"""What changed metadata mean: which of them are fetched anew, as a table of scopes (S0-59, S0-60, S0-64)."""

from typing import Final

import msgspec


class Invalidation(msgspec.Struct, frozen=True, kw_only=True):
    """The service says that metadata of a chat changed. ``version`` grows with each change; None where none came."""

    chat_id: str
    chat_type: str = ""
    scope: tuple[str, ...] = ()
    version: int | None = None


class Refetch(msgspec.Struct, frozen=True, kw_only=True):
    """What is fetched anew: the conversation, the agent's behaviour, or both."""

    conversation: bool = False
    behavior: bool = False


EVERYTHING: Final = Refetch(conversation=True, behavior=True)
NOTHING: Final = Refetch()

SCOPES: Final[dict[str, Refetch]] = {
    "title": Refetch(conversation=True),
    "description": Refetch(conversation=True),
}
NO_SCOPE: Final = EVERYTHING
OTHER_SCOPE: Final = Refetch(behavior=True)
"""Also of a scope that is unknown here: what it changed can only be the behaviour, since a title is named so."""
WITH_BEHAVIOR: Final = frozenset({"direct"})
"""The types of the chats that an agent's behaviour lives in. A group has none, whatever the scope."""


def plan_refetch(invalidation: Invalidation, seen_version: int | None) -> Refetch | None:
    """What to fetch anew, or None. ``seen_version`` is the newest that an invalidation of this chat has named so far.

    A version that is not newer is stale (S0-64); an invalidation without one never is. No scope means everything
    (S0-59). ``title`` and ``description`` mean the conversation. Any other scope, known or not, means the behaviour and
    not the conversation, and in a chat that is not known to be direct it means nothing (S0-60).
    """
    if _is_stale(invalidation.version, seen_version):
        return None
    wanted = [SCOPES.get(scope, OTHER_SCOPE) for scope in invalidation.scope] or [NO_SCOPE]
    refetch = Refetch(
        conversation=any(each.conversation for each in wanted),
        behavior=any(each.behavior for each in wanted) and invalidation.chat_type in WITH_BEHAVIOR,
    )
    return None if refetch == NOTHING else refetch


def _is_stale(version: int | None, seen: int | None) -> bool:
    """Whether a version was seen already, or a newer one. Where one is unknown, nothing can be said: it is not."""
    return version is not None and seen is not None and version <= seen


def newer(version: int | None, seen: int | None) -> int | None:
    """The newer of two versions, as far as they are known."""
    return seen if version is None or _is_stale(version, seen) else version

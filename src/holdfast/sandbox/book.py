"""The account book: who is paired, which tokens are good, which codes are unused. Pure: time arrives as an argument."""

import secrets
from enum import Enum
from typing import Literal

import msgspec

from .frames import new_chat_id
from .tokens import TokenPair, digest

ACCOUNTS_MAX = 10_000
CODES_MAX = 10_000
CHATS_MAX = 20_000
GRANTS_MAX = 100  # Devices per account. The oldest pairing gives way.
ACCESS_TOKENS_MAX = 32  # Per grant. A client that refreshes more often within a lifetime is testing something else.


ChatKind = Literal["direct", "group"]


class BookFull(Exception):
    """A bound of the book was reached; forget accounts or start with a fresh state file."""


class Refused(Enum):
    """Why a pairing came to nothing."""

    CODE = "code"
    """The code is unknown or was used before."""
    USER = "user"
    """The replayed user id no longer exists. The code stays good."""


class Grant(msgspec.Struct, kw_only=True):
    """One pairing of an account: a device and the digests of its tokens. Expiries are epoch seconds."""

    user_id: str
    device_id: str
    refresh: str | None
    refresh_expires_at: float
    access: dict[str, float]
    """Digest of an access token to its expiry. An old one stays good until it expires."""


class Account(msgspec.Struct, kw_only=True):
    """A user of the service with the agent that it stands for."""

    user_id: str
    agent_id: str
    owner_id: str
    conversation_id: str
    grants: dict[str, Grant]
    """By device id."""
    behavior: str = ""
    """What the agent is told about how to act."""
    behavior_version: int = 1


class About(msgspec.Struct, frozen=True, kw_only=True):
    """What a conversation is called. Its version rises with each change; ``updated_at`` is epoch milliseconds."""

    kind: ChatKind = "direct"
    title: str = ""
    description: str = ""
    version: int = 1
    updated_at: int = 0


class Pages(msgspec.Struct, kw_only=True):
    """What the book consists of, as it is stored. Codes are kept as digests too."""

    accounts: dict[str, Account] = msgspec.field(default_factory=dict[str, Account])
    chats: dict[str, list[str]] = msgspec.field(default_factory=dict[str, list[str]])
    """Conversation id to its members' user ids."""
    about: dict[str, About] = msgspec.field(default_factory=dict[str, About])
    """By conversation id, of those that were ever described."""
    codes: dict[str, bool] = msgspec.field(default_factory=dict[str, bool])
    """Digest of a pairing code to whether it was used."""


class Book:
    """Accounts, grants and codes, with the rules of rotation and pairing."""

    def __init__(self, pages: Pages | None = None) -> None:
        self.pages = Pages() if pages is None else pages
        self._by_access: dict[str, Grant] = {}
        self._by_refresh: dict[str, Grant] = {}
        for account in self.pages.accounts.values():
            for grant in account.grants.values():
                self._index(grant)

    def account(self, user_id: str) -> Account:
        """Raises:
        LookupError: no such user.
        """
        try:
            return self.pages.accounts[user_id]
        except KeyError:
            raise LookupError(f"the sandbox knows no user {user_id!r}") from None

    def add_account(self, user_id: str | None = None) -> Account:
        """Open an account with an agent, an owner and a conversation between the two.

        Raises:
            BookFull: there are :data:`ACCOUNTS_MAX` accounts.
        """
        if len(self.pages.accounts) >= ACCOUNTS_MAX:
            raise BookFull(f"the sandbox holds {ACCOUNTS_MAX} accounts, its limit")
        account = Account(
            user_id=user_id or _new_id("usr"), agent_id=_new_id("agt"), owner_id=_new_id("usr"),
            conversation_id=new_chat_id(), grants={},
        )  # fmt: skip
        self.pages.accounts[account.user_id] = account
        self.join(account.conversation_id, account.user_id)
        self.join(account.conversation_id, account.owner_id)
        return account

    def forget_account(self, user_id: str) -> None:
        """The account no longer exists: its tokens die and its user id is stale."""
        account = self.account(user_id)
        for grant in account.grants.values():
            self._unindex(grant)
        del self.pages.accounts[user_id]
        for chat_id in [chat for chat, members in self.pages.chats.items() if user_id in members]:
            self.leave(chat_id, user_id)

    def join(self, chat_id: str, user_id: str) -> None:
        """Make the user a member of the conversation, which begins to exist if need be.

        Raises:
            BookFull: there are :data:`CHATS_MAX` conversations.
        """
        if chat_id not in self.pages.chats and len(self.pages.chats) >= CHATS_MAX:
            raise BookFull(f"the sandbox holds {CHATS_MAX} conversations, its limit")
        members = self.pages.chats.setdefault(chat_id, [])
        if user_id not in members:
            members.append(user_id)

    def leave(self, chat_id: str, user_id: str) -> None:
        """End a membership; a conversation without members is gone."""
        members = self.pages.chats.get(chat_id, [])
        if user_id in members:
            members.remove(user_id)
        if not members:
            self.pages.chats.pop(chat_id, None)
            self.pages.about.pop(chat_id, None)

    def members(self, chat_id: str) -> tuple[str, ...] | None:
        """User ids of the conversation, or None if it doesn't exist."""
        members = self.pages.chats.get(chat_id)
        return None if members is None else tuple(members)

    def about(self, chat_id: str) -> About:
        """What the conversation is called; nothing much if nobody ever said."""
        return self.pages.about.get(chat_id, About())

    def describe(
        self, chat_id: str, now_ms: int, title: str | None, description: str | None, kind: ChatKind | None
    ) -> int:
        """Change what a conversation is called, except what is None; returns the new version.

        Raises:
            LookupError: no such conversation.
        """
        if chat_id not in self.pages.chats:
            raise LookupError(f"the sandbox knows no conversation {chat_id!r}")
        old = self.about(chat_id)
        self.pages.about[chat_id] = About(
            kind=old.kind if kind is None else kind,
            title=old.title if title is None else title,
            description=old.description if description is None else description,
            version=old.version + 1,
            updated_at=now_ms,
        )
        return old.version + 1

    def set_behavior(self, user_id: str, text: str) -> int:
        """Change what the user's agent is told; returns the new version.

        Raises:
            LookupError: no such user.
        """
        account = self.account(user_id)
        account.behavior = text
        account.behavior_version += 1
        return account.behavior_version

    def add_code(self, code: str) -> None:
        """A new pairing code. A code that is already known keeps its state: used stays used.

        Raises:
            BookFull: there are :data:`CODES_MAX` codes.
        """
        if len(self.pages.codes) >= CODES_MAX:
            raise BookFull(f"the sandbox holds {CODES_MAX} pairing codes, its limit")
        self.pages.codes.setdefault(digest(code), False)

    def redeem(self, code: str, user_id: str | None) -> Account | Refused:
        """Use up a code for a new account, or for the account that is paired again."""
        key = digest(code)
        if self.pages.codes.get(key, True):
            return Refused.CODE
        if user_id is not None and user_id not in self.pages.accounts:
            return Refused.USER
        account = self.add_account() if user_id is None else self.account(user_id)
        self.pages.codes[key] = True
        return account

    def pair(self, account: Account, device_id: str, pair: TokenPair, now: float) -> Grant:
        """Pair a device. An earlier pairing of the same device is void with all its tokens."""
        if device_id in account.grants:
            self._unindex(account.grants.pop(device_id))
        while len(account.grants) >= GRANTS_MAX:
            self._unindex(account.grants.pop(next(iter(account.grants))))
        grant = Grant(user_id=account.user_id, device_id=device_id, refresh=None, refresh_expires_at=0.0, access={})
        account.grants[device_id] = grant
        self.rotate(grant, pair, now)
        return grant

    def find_refresh(self, token: str, device_id: str, now: float) -> Grant | None:
        """The grant whose living refresh token this is, if it was paired with this device id."""
        grant = self._by_refresh.get(digest(token))
        if grant is None or grant.device_id != device_id or grant.refresh_expires_at <= now:
            return None
        return grant

    def find_access(self, token: str, now: float) -> Grant | None:
        """The grant of an access token that is known and not expired."""
        key = digest(token)
        grant = self._by_access.get(key)
        return grant if grant is not None and grant.access[key] > now else None

    def rotate(self, grant: Grant, pair: TokenPair, now: float) -> None:
        """Put a new pair in force. The refresh token before it is dead at once: single use, no grace."""
        self.add_access(grant, pair, now)
        if grant.refresh is not None:
            del self._by_refresh[grant.refresh]
        grant.refresh = digest(pair.refresh)
        grant.refresh_expires_at = pair.refresh_expires_at
        self._by_refresh[grant.refresh] = grant

    def add_access(self, grant: Grant, pair: TokenPair, now: float) -> None:
        """Only the access token of the pair comes into force (a service that doesn't rotate)."""
        stale = [key for key, expires_at in grant.access.items() if expires_at <= now]
        for key in stale + list(grant.access)[: max(0, len(grant.access) - ACCESS_TOKENS_MAX + 1)]:
            if grant.access.pop(key, None) is not None:
                self._by_access.pop(key, None)
        key = digest(pair.access)
        grant.access[key] = pair.access_expires_at
        self._by_access[key] = grant

    def revoke(self, user_id: str, *, access: bool, refresh: bool) -> None:
        """Kill the tokens of an account, of all its devices."""
        for grant in self.account(user_id).grants.values():
            if access:
                for key in grant.access:
                    self._by_access.pop(key, None)
                grant.access.clear()
            if refresh and grant.refresh is not None:
                self._by_refresh.pop(grant.refresh, None)
                grant.refresh = None

    def _index(self, grant: Grant) -> None:
        self._by_access.update(dict.fromkeys(grant.access, grant))
        if grant.refresh is not None:
            self._by_refresh[grant.refresh] = grant

    def _unindex(self, grant: Grant) -> None:
        for key in grant.access:
            self._by_access.pop(key, None)
        if grant.refresh is not None:
            self._by_refresh.pop(grant.refresh, None)


def _new_id(prefix: str) -> str:
    return f"{prefix}_{secrets.token_hex(8)}"

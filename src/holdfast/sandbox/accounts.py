"""What a script does to accounts, their credentials and their conversations."""

from .book import ChatKind
from .frames import check_chat_id, new_chat_id
from .tokens import Credentials, new_code
from .world import World


class Accounts:
    """The part of a :class:`Gateway` that changes what the service knows."""

    _world: World

    def issue(
        self, user_id: str | None = None, *, device_id: str = "dev-sandbox", access_lifetime_s: float | None = None
    ) -> Credentials:
        """Credentials of a freshly paired device, of a new account unless a user id is given.

        Raises:
            LookupError: no such user.
            BookFull: no room for another account.
        """
        world = self._world
        account = world.book.add_account() if user_id is None else world.book.account(user_id)
        pair = world.mint.pair(account.user_id, device_id, world.now, access_lifetime_s)
        world.book.pair(account, device_id, pair, world.now)
        world.commit()
        world.journal.note("issued", user_id=account.user_id, device_id=device_id)
        return Credentials(
            user_id=account.user_id, agent_id=account.agent_id, owner_id=account.owner_id,
            conversation_id=account.conversation_id, device_id=device_id, access_token=pair.access,
            refresh_token=pair.refresh, access_expires_at=pair.access_expires_at,
            refresh_expires_at=pair.refresh_expires_at,
        )  # fmt: skip

    def pairing_code(self, code: str | None = None) -> str:
        """A single-use pairing code. One given by name that was used before stays used.

        Raises:
            BookFull: too many codes.
        """
        fresh = code or new_code()
        self._world.book.add_code(fresh)
        self._world.commit()
        self._world.journal.note("pairing-code")
        return fresh

    def add_conversation(self, user_id: str, chat_id: str | None = None) -> str:
        """Make the user a member of a conversation, a new one unless its id is given.

        Raises:
            LookupError: no such user.
            ValueError: the id doesn't start with ``cnv_``.
        """
        chosen = new_chat_id() if chat_id is None else check_chat_id(chat_id)
        self._world.book.account(user_id)
        self._world.book.join(chosen, user_id)
        self._world.commit()
        return chosen

    def leave_conversation(self, user_id: str, chat_id: str) -> None:
        """End a membership: the user's sends there are refused from now on."""
        self._world.book.leave(chat_id, user_id)
        self._world.commit()

    def set_conversation(
        self, chat_id: str, *, title: str | None = None, description: str | None = None, kind: ChatKind | None = None
    ) -> int:
        """Change what a conversation is called, except what is None; returns its new metadata version.

        Nobody is told: that is what :meth:`Gateway.push_invalidation` is for.

        Raises:
            LookupError: no such conversation.
        """
        version = self._world.book.describe(chat_id, self._world.now_ms, title, description, kind)
        self._world.commit()
        return version

    def set_behavior(self, user_id: str, text: str) -> int:
        """Change what the user's agent is told about how to act; returns the agent's new version.

        Raises:
            LookupError: no such user.
        """
        version = self._world.book.set_behavior(user_id, text)
        self._world.commit()
        return version

    def revoke(self, user_id: str, *, access: bool = True, refresh: bool = True) -> None:
        """Kill the user's tokens. A live session stays: a token is checked only at connect.

        Raises:
            LookupError: no such user.
        """
        self._world.book.revoke(user_id, access=access, refresh=refresh)
        self._world.commit()
        self._world.journal.note("revoked", user_id=user_id)

    def resolve_device(self, user_id: str, device_id: str | None) -> None:
        """From now on hello-ok names this device id whatever is presented; None ends that."""
        self._world.resolved.pop(user_id, None)
        if device_id is not None:
            self._world.resolved[user_id] = device_id

    def advance(self, seconds: float) -> None:
        """Set the sandbox's clock forward: tokens expire. Timers of the gateway and of its clients don't notice."""
        self._world.advance(seconds)
        self._world.commit()
        self._world.journal.note("advanced", detail=f"{seconds:g} s")

"""Which sessions there are, and when one may take another's place."""

from collections import deque
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .sessions import Session

# The service throttles more than 3 takeovers in 10 s and doesn't say how. Here the newer session is refused, and the
# older one stays.
TAKEOVERS_MAX = 3
TAKEOVERS_WINDOW_S = 10.0
TAKEOVERS_KEPT_MAX = 1_000


class Sessions:
    """The sessions of one gateway. At most one is live for a user and device."""

    def __init__(self) -> None:
        self.all: set[Session] = set()
        self._live: dict[tuple[str, str], Session] = {}
        self._takeovers: deque[tuple[float, str, str]] = deque(maxlen=TAKEOVERS_KEPT_MAX)

    def is_throttled(self, user_id: str, device_id: str, now: float) -> bool:
        """One more takeover of the device now (epoch seconds) would be too many."""
        if (user_id, device_id) not in self._live:
            return False
        since = now - TAKEOVERS_WINDOW_S
        recent = [at for at, *whom in self._takeovers if at > since and whom == [user_id, device_id]]
        return len(recent) >= TAKEOVERS_MAX

    def take_over(self, session: "Session", now: float) -> "Session | None":
        """Make the session the live one of its user and device; returns the one that it displaced."""
        key = (session.user_id, session.device_id)
        older = self._live.get(key)
        self._live[key] = session
        if older is not None:
            self._takeovers.append((now, *key))
        return older

    def remove(self, session: "Session") -> None:
        """The session is over."""
        self.all.discard(session)
        if self._live.get((session.user_id, session.device_id)) is session:
            del self._live[session.user_id, session.device_id]

    def live(self, user_id: str | None = None) -> list["Session"]:
        """The live sessions, of one user or of all."""
        return [session for session in self._live.values() if user_id in (None, session.user_id)]

    def pump(self, user_id: str) -> None:
        """Send what waits for the user's devices to those that are live."""
        for session in self.live(user_id):
            session.pump()

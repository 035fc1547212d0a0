"""The modelled disk: a store fenced by its generation, and a mirror beside it. Both may fail for a while."""

import math
from collections.abc import Sequence

from holdfast.statecharts import Credential

from .gateway import Tokens


class DiskFull(Exception):
    """The modelled disk does not work now."""


class Disk:
    """What survives a crash: a generation, the pair, and the intent of a refresh that was not settled."""

    def __init__(self) -> None:
        self.generation = 0
        self.pair: Tokens | None = None
        self.obtained_at: float | None = None
        self.intent: int | None = None
        self.broken = False
        self.fails_until = math.inf
        self.ours: list[int] = []  # the generations that the account itself wrote

    def _work(self) -> None:
        if self.broken:
            raise DiskFull("the disk is full")

    def write(self, pair: Tokens | None, obtained_at: float | None) -> int:
        """Somebody else pairs or logs out: never refused, since their disk may work while ours does not."""
        self.generation += 1
        self.pair, self.obtained_at, self.intent = pair, obtained_at, None
        return self.generation

    def read(self) -> tuple[int, Tokens | None, float | None, bool]:
        """Generation, pair, when it was obtained, and whether its refresh was interrupted."""
        self._work()
        return self.generation, self.pair, self.obtained_at, self.intent == self.generation

    def begin(self, generation: int) -> bool:
        """Journal that this generation's token is about to be posted."""
        self._work()
        if generation != self.generation or self.pair is None:
            return False
        self.intent = generation
        return True

    def settle(self, generation: int) -> None:
        """Journal that it was answered."""
        self._work()
        if self.intent == generation:
            self.intent = None

    def rotate(self, generation: int, pair: Tokens, obtained_at: float) -> bool:
        """Replace the pair of a generation. A pair without refresh token keeps the stored one (P08)."""
        self._work()
        if generation != self.generation or self.pair is None:
            return False
        self.ours.append(self.write(pair._replace(refresh=pair.refresh or self.pair.refresh), obtained_at))
        return True

    def clear(self, generation: int | None) -> bool:
        """Blank the tokens of a generation, or whatever there is."""
        self._work()
        if generation not in (None, self.generation):
            return False
        self.ours.append(self.write(None, None))
        return True


class Mirror:
    """The configuration file that follows the store."""

    def __init__(self) -> None:
        self.pair: Tokens | None = None
        self.broken = False
        self.fails_until = math.inf
        self.fails_until = math.inf

    def write(self, pair: Tokens | None) -> None:
        """Take over the pair, or blank it."""
        if self.broken:
            raise DiskFull("the mirror cannot be written")
        self.pair = pair


def credential_of(generation: int, pair: Tokens, obtained_at: float | None) -> Credential:
    """What the chart may know of a pair."""
    return Credential(
        generation=generation,
        issued_at=pair.issued_at,
        expires_at=pair.expires_at,
        obtained_at=obtained_at,
        refreshable=pair.refresh is not None,
    )


def secrets(pairs: Sequence[Tokens | None]) -> list[str]:
    """The refresh tokens of some pairs."""
    return [pair.refresh for pair in pairs if pair is not None and pair.refresh is not None]

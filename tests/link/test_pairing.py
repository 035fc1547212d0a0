"""Pairing beside a live link: a code works once, so what it brought is never lost on the way into the store."""

import asyncio
from collections.abc import Callable

import httpx
import pytest

from holdfast import ClawChat, PairingFailed, connect
from holdfast.adapters import DEFAULT_ACCOUNT, PairingAnswer
from holdfast.sandbox import Gateway
from holdfast.testing import VirtualClock

from .kit import LIMIT_S, FaultyStore, link_to, ready

pytestmark = pytest.mark.anyio


class Telling(ClawChat):
    """Tells when the answer to a pairing was read."""

    def __init__(self, tell: Callable[[], None]) -> None:
        super().__init__()
        self._tell = tell

    def read_pairing(self, response: httpx.Response) -> PairingAnswer:
        self._tell()
        return super().read_pairing(response)


@pytest.mark.rule("P06", "P47")
@pytest.mark.parametrize("stale", [False, True], ids=["first", "stale user"])
async def test_cancelled_as_soon_as_the_answer_is_there_the_pair_is_stored(
    gateway: Gateway, store: FaultyStore, clock: VirtualClock, stale: bool
) -> None:
    posts = 2 if stale else 1
    answers: list[bool] = []

    def cancel_at_the_last() -> None:
        answers.append(True)
        if len(answers) == posts:
            asyncio.get_running_loop().call_soon(activating.cancel)

    link = connect(gateway.ws_url, dialect=Telling(cancel_at_the_last), store=store, clock=clock)
    async with link:
        user_id = "usr_long_gone" if stale else None
        if stale:
            gateway.inject("pairing", "code", code=16001)
        activating = asyncio.create_task(link.activate(gateway.pairing_code(), user_id=user_id))
        await asyncio.wait((activating,), timeout=LIMIT_S)
        assert activating.cancelled()
        assert gateway.counters.pairing_posts == posts
        assert store.read(DEFAULT_ACCOUNT).pair is not None
        clock.advance(1.0)
        await ready(link)


async def test_what_cannot_be_a_code_is_refused_and_the_link_is_none_the_worse(
    gateway: Gateway, store: FaultyStore, clock: VirtualClock
) -> None:
    async with link_to(gateway, store, clock) as link:
        for code in ("", "\ud800x", "x" * 201):
            with pytest.raises(PairingFailed):
                await link.activate(code)
        assert gateway.counters.pairing_posts == 0
        await link.activate(gateway.pairing_code())
        await ready(link)

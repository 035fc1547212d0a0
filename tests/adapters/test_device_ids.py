"""Which device an account says it is: the configured one, else what the pairing or the gateway gave it."""

import httpx
import pytest

from holdfast.adapters import (
    ClawChat,
    Identity,
    Inbound,
    MemoryMessages,
    MemoryStore,
    Paired,
    Runner,
    Settings,
    Settlement,
    TokenPair,
    WebSocketTransport,
)
from holdfast.statecharts import STRICT, LoadCredentials, Status
from holdfast.testing import VirtualClock


class _Deaf:
    def on_status(self, status: Status) -> None: ...
    def on_inbound(self, inbound: Inbound) -> None: ...
    def on_paired(self, paired: Paired) -> None: ...
    def on_bad_frame(self, error: str) -> None: ...

    def on_kept(self, traces: tuple[str, ...]) -> None: ...

    def on_settled(self, settlement: Settlement) -> None: ...


def _unheard(request: httpx.Request) -> httpx.Response:
    raise AssertionError(request.url)


def ids(configured: str | None, paired: str | None, resolved: str | None) -> tuple[str, str]:
    """The ids for refreshing and for connecting."""
    store = MemoryStore()
    store.activate("a", TokenPair("access-0", "refresh-0"), Identity(device_id=paired), 1.0)
    if resolved is not None:
        store.remember_device("a", resolved)
    settings = Settings(
        account="a",
        url="ws://localhost/ws",
        base_url="http://localhost",
        dialect=ClawChat(),
        store=store,
        messages=MemoryMessages(),
        transport=WebSocketTransport(),
        clock=VirtualClock(),
        policy=STRICT,
        device_id=configured,
    )
    runner = Runner(settings, httpx.AsyncClient(transport=httpx.MockTransport(_unheard)), _Deaf())
    runner.keeper.load(LoadCredentials())
    return runner.refresh_device_id(), runner.connect_device_id()


@pytest.mark.anyio
@pytest.mark.rule("S1-39", "S0-08", "S0-14")
async def test_which_device_id_is_presented() -> None:
    assert ids("mine", "paired", "resolved") == ("mine", "mine")
    assert ids(None, "paired", "resolved") == ("paired", "resolved")
    assert ids(None, "paired", None) == ("paired", "paired")
    assert ids(None, "paired ", "My Laptop ") == ("clawchat-plugin-openclaw", "clawchat-plugin-openclaw")  # a bad store
    assert ids(None, None, None) == ("clawchat-plugin-openclaw", "clawchat-plugin-openclaw")

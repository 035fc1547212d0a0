"""A REST call whose token is refused: one refresh, one more call, and then it is the caller's."""

import httpx
import pytest

from holdfast.adapters import Bearer, RefreshOutcome, rest_client

URL = "https://gateway.example"


class Account:
    """A service that knows one good token, and an account whose refresh ends as told."""

    def __init__(self, good: str, outcome: str = "success") -> None:
        self.good = good
        self.outcome = outcome
        self.generation = 1
        self.refreshes: list[tuple[str, int | None]] = []
        self.calls: list[str] = []
        self.status = 401

    def answer(self, request: httpx.Request) -> httpx.Response:
        self.calls.append(request.headers["Authorization"])
        good = self.calls[-1] == f"Bearer {self.good}"
        return httpx.Response(200 if good else self.status, json={"call": len(self.calls)})

    async def refresh(self, cause: str, generation: int | None) -> RefreshOutcome:
        self.refreshes.append((cause, generation))
        self.generation += self.outcome == "success"
        return RefreshOutcome(self.outcome)

    async def call(self) -> httpx.Response:
        def bearer() -> Bearer:
            return Bearer(self.generation, f"access-{self.generation}", "dev-1")

        pool = httpx.MockTransport(self.answer)
        async with rest_client(pool, URL, bearer=bearer, refresh=self.refresh) as client:
            return await client.get("/v1/users/me")


@pytest.mark.anyio
@pytest.mark.rule("S0-49")
@pytest.mark.parametrize("status", [401, 403])
async def test_a_refused_call_is_made_once_more_with_the_fresh_token(status: int) -> None:
    account = Account("access-2")
    account.status = status
    response = await account.call()
    assert response.status_code == 200
    assert account.calls == ["Bearer access-1", "Bearer access-2"]
    assert account.refreshes == [("rest-401", 1)]


@pytest.mark.anyio
@pytest.mark.rule("S0-50")
async def test_refused_again_it_is_the_callers_after_one_refresh() -> None:
    account = Account("none")
    response = await account.call()
    assert (response.status_code, response.json()) == (401, {"call": 2})
    assert len(account.refreshes) == 1


@pytest.mark.anyio
@pytest.mark.rule("S0-51")
@pytest.mark.parametrize("outcome", ["permanent", "transient", "skipped"])
async def test_without_a_fresh_token_the_first_refusal_is_the_callers(outcome: str) -> None:
    account = Account("access-2", outcome)
    response = await account.call()
    assert (response.status_code, response.json()) == (401, {"call": 1})
    assert len(account.calls) == 1


@pytest.mark.anyio
@pytest.mark.rule("S0-52")
@pytest.mark.parametrize("status", [400, 404, 429, 500, 503])
async def test_any_other_answer_is_the_callers_without_a_refresh(status: int) -> None:
    account = Account("none")
    account.status = status
    assert (await account.call()).status_code == status
    assert account.refreshes == []

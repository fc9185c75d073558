"""A user's and an approver's side: turns, approvals and answers over Restate's ingress."""

import asyncio
import itertools
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self

import httpx

# A turn may wait for a pod, for Restate's next try, or for a real model.
TIMEOUT = httpx.Timeout(180.0)
POLL_SECONDS = 0.3
PATIENCE_SECONDS = 120.0


class Turns:
    """Talks to agents. ``ingress`` is the address of Restate's ingress."""

    def __init__(self, ingress: str) -> None:
        self.ingress = ingress
        self._http = httpx.AsyncClient(base_url=ingress, timeout=TIMEOUT, trust_env=False)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        tb: TracebackType | None,
    ) -> None:
        await self._http.aclose()

    async def turn(self, agent: str, session: str, message: str) -> dict[str, Any]:
        """Send a message and wait for the answer."""
        return await self._post(f"/{agent}/{session}/turn", {"message": message})

    async def start(self, agent: str, session: str, message: str) -> str:
        """Send a message without waiting; answers the invocation's id."""
        sent = await self._post(f"/{agent}/{session}/turn/send", {"message": message})
        return str(sent["invocationId"])

    async def result(self, invocation: str) -> dict[str, Any]:
        """Wait for what an invocation answers."""
        answer = await self._http.get(f"/restate/invocation/{invocation}/attach")
        return dict(_checked(answer).json())

    async def approvals(self, agent: str, session: str) -> list[dict[str, Any]]:
        """What a session waits for a person to allow."""
        answer = await self._http.post(f"/{agent}/{session}/approvals")
        return list(_checked(answer).json())

    async def history(self, agent: str, session: str) -> list[dict[str, Any]]:
        """A session's messages, the oldest first."""
        answer = await self._http.post(f"/{agent}/{session}/history")
        return list(_checked(answer).json()["messages"])

    async def approval(self, agent: str, session: str) -> dict[str, Any]:
        """The first approval that a session asks for, as soon as it does."""

        async def ask() -> dict[str, Any]:
            while not (found := await self.approvals(agent, session)):  # noqa: ASYNC110
                await asyncio.sleep(POLL_SECONDS)
            return found[0]

        return await asyncio.wait_for(ask(), PATIENCE_SECONDS)

    async def answer(self, agent: str, session: str, approval: str, *, approved: bool) -> None:
        """Answer an approval."""
        body = {"id": approval, "approved": approved, "by": "demo@example.com"}
        await self._post(f"/{agent}/{session}/answer", body)

    async def _post(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        return dict(_checked(await self._http.post(path, json=body)).json())


def _checked(answer: httpx.Response) -> httpx.Response:
    if not answer.is_success:
        raise RuntimeError(
            f"{answer.request.url.path} answered {answer.status_code}: {answer.text}"
        )
    return answer


@dataclass
class Load:
    """Turns sent one after another until enough are sent and the upgrade is over."""

    sent: int = 0
    by_revision: Counter[str] = field(default_factory=Counter)
    errors: list[str] = field(default_factory=list)

    async def run(self, turns: Turns, at_least: int, over: Callable[[], bool]) -> None:
        """Send turns, each in a session of its own."""
        for number in itertools.count():
            if self.sent >= at_least and over():
                return
            self.sent += 1
            try:
                answer = await turns.turn("WeatherAgent", f"load-{number}", "Weather in Paris?")
            except (RuntimeError, httpx.HTTPError) as error:
                self.errors.append(repr(error))
            else:
                self.by_revision[str(answer["revision"])] += 1
            await asyncio.sleep(0.02)

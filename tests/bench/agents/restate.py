"""What the bench asks of Restate: turns, bytes, and who waits."""

import json
from types import TracebackType
from typing import Any, Self

import httpx

from hack.restate import RestateServer
from tests.bench.agents.processes import SDK, Contestant, Serving

INVOCATION_HEADER = "x-restate-id"


class Restate:
    """A client of one server. Bytes are those of journal entries and of state as SQL shows them."""

    def __init__(self, server: RestateServer) -> None:
        self._server = server
        # No limit of connections: a thousand calls may wait.
        limits = httpx.Limits(max_connections=None, max_keepalive_connections=64)
        self._http = httpx.AsyncClient(timeout=300, trust_env=False, limits=limits)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        tb: TracebackType | None,
    ) -> None:
        await self._http.aclose()

    async def register(self, serving: Serving) -> None:
        """Registers a process as the place of its contestant's service."""
        await self._post(f"{self._server.admin_url}/deployments", {"uri": serving.url})

    async def turn(self, contestant: Contestant, session: str, text: str) -> str:
        """Runs a turn and waits for its answer; returns its invocation's id."""
        answer = await self._call(contestant, session, "turn", contestant.body(text))
        return answer.headers[INVOCATION_HEADER]

    async def start(self, contestant: Contestant, session: str, text: str) -> None:
        """Starts a turn."""
        await self._call(contestant, session, "turn/send", contestant.body(text))

    async def answer(self, contestant: Contestant, session: str, identity: str) -> None:
        """Approves what a session waits for, as a user of this contestant does."""
        if contestant is SDK:
            ingress = self._server.ingress_url
            await self._post(f"{ingress}/restate/awakeables/{identity}/resolve", True)
        else:
            await self._call(contestant, session, "answer", {"id": identity, "approved": True})

    async def journal_bytes(self, invocation: str) -> int:
        """The bytes of an invocation's journal.

        Raises:
            RuntimeError: it has none.
        """
        sql = f"select sum(raw_length) as n from sys_journal where id = '{invocation}'"
        found = int((await self.query(sql))[0].get("n") or 0)
        if not found:
            raise RuntimeError(f"{invocation} has no journal")
        return found

    async def state_bytes(self, contestant: Contestant, session: str) -> int:
        """The bytes of a session's state, without keys."""
        sql = (
            "select sum(octet_length(encode(value, 'hex')) / 2) as n from state where"
            f" service_name = '{contestant.name}' and service_key = '{session}'"
        )
        return int((await self.query(sql))[0]["n"])

    async def state(self, contestant: Contestant, key: str) -> dict[str, Any]:
        """One entry of the state of all sessions that have it, by the session's key."""
        sql = (
            "select service_key as session, value_utf8 as value from state where"
            f" service_name = '{contestant.name}' and key = '{key}'"
        )
        return {row["session"]: json.loads(row["value"]) for row in await self.query(sql)}

    async def count(self, contestant: Contestant, status: str) -> int:
        """How many invocations of a contestant's service have a status."""
        sql = (
            "select count(1) as n from sys_invocation where"
            f" target_service_name = '{contestant.name}' and status = '{status}'"
        )
        return int((await self.query(sql))[0]["n"])

    async def query(self, sql: str) -> list[dict[str, Any]]:
        """Runs SQL."""
        answer = await self._post(
            f"{self._server.admin_url}/query", {"query": sql}, accept="application/json"
        )
        rows: list[dict[str, Any]] = answer.json()["rows"]
        return rows

    async def _call(
        self, contestant: Contestant, session: str, handler: str, body: object
    ) -> httpx.Response:
        url = f"{self._server.ingress_url}/{contestant.name}/{session}/{handler}"
        return await self._post(url, body)

    async def _post(self, url: str, body: object, **headers: str) -> httpx.Response:
        answer = await self._http.post(url, json=body, headers=headers)
        if not answer.is_success:
            raise RuntimeError(f"{url} answered {answer.status_code}: {answer.text}")
        return answer

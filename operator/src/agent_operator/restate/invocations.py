"""Single invocations: what holds a deployment, and moving one to another deployment.

Facts behind it (server 1.7): an invocation that is suspended or paused is pinned anew by
``resume?deployment=``, which tries it there at once; where the code takes other steps than the
journal has, it backs off with RT0016 and nothing is lost. ``pause`` takes effect when the step
under way ends, on a suspended one not at all. ``restart-as-new`` is for completed ones only: so a
kill comes first, and the journal must outlive it. It may be asked for twice, and then runs twice.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final

import httpx
from pydantic import TypeAdapter

from agent_operator.restate.client import (
    UNANSWERED,
    RestateClient,
    RestateUnavailableError,
    quoted,
)

MISMATCH: Final = frozenset({"RT0012", "RT0013", "RT0015", "RT0016"})
"""Restate's codes for code that can't go on with a journal: other steps, another protocol."""

# Of Restate's answers to a restart those that stay: it is gone, or can't be begun from its journal.
_FINAL: Final = frozenset({400, 404, 410, 422})

KILLED: Final = "[409] killed"
# The operator may be away between a kill and the restart.
RETENTION_NEEDED: Final = timedelta(hours=1)
_DURATION: Final = TypeAdapter(timedelta)

_HELD_SQL: Final = """
select i.id as id, i.status as status, i.target_service_name as service,
  i.target_handler_name as handler, i.target_service_ty as kind,
  i.pinned_deployment_id as pinned, i.last_failure_error_code as code,
  i.invoked_by as invoked_by, i.journal_retention as retention,
  i.completion_failure as failure, last_value(e.event_json order by e.appended_at) as event
from sys_invocation i
  left join sys_journal_events e on e.id = i.id and e.event_type = 'Paused'
where {where}
group by 1, 2, 3, 4, 5, 6, 7, 8, 9, 10
"""
_STARTING_SQL: Final = """
select count(1) as n from sys_invocation
where pinned_deployment_id is null and status in ('running', 'backing-off')
  and last_attempt_deployment_id = {deployment}
"""
_RESTARTS_SQL: Final = """
select id, restarted_from as old from sys_invocation where restarted_from in ({ids})
"""


class RestartRefusedError(Exception):
    """Restate will not begin an invocation again, however often it is asked."""


@dataclass(frozen=True)
class Invocation:
    """One invocation as Restate has it. ``code``: of its last failure, if it has failed."""

    id: str
    status: str
    service: str
    handler: str
    pinned: str | None
    code: str
    killed: bool
    restartable: bool

    @property
    def ended(self) -> bool:
        """Whether nothing of it will run any more."""
        return self.status == "completed"

    @property
    def at_rest(self) -> bool:
        """Whether it can be given to another deployment as it is."""
        return self.status in {"suspended", "paused"}

    @property
    def at_work(self) -> bool:
        """Whether it must be paused before it can be given to another deployment."""
        return self.status in {"running", "backing-off", "ready"}

    @property
    def unanswered(self) -> bool:
        """Whether nobody answered when it was tried last."""
        return self.code == UNANSWERED

    @property
    def mismatched(self) -> bool:
        """Whether the code where it was tried last can't go on with it."""
        return self.code in MISMATCH and self.status in {"paused", "backing-off"}


@dataclass(frozen=True)
class Invocations:
    """The invocations of one Restate server."""

    client: RestateClient

    async def pinned_to(self, deployment_id: str) -> list[Invocation]:
        """What is not completed and is pinned to a deployment, the oldest first."""
        where = f"i.pinned_deployment_id = {quoted(deployment_id)} and i.status != 'completed'"
        return [_invocation(row) for row in await self._held(where)]

    async def by_id(self, ids: Iterable[str]) -> dict[str, Invocation]:
        """Those of these invocations that Restate still knows, completed ones included."""
        wanted = _list(ids)
        rows = await self._held(f"i.id in ({wanted})") if wanted else []
        return {row["id"]: _invocation(row) for row in rows}

    async def starting_on(self, deployment_id: str) -> int:
        """How many are under way on a deployment without being pinned yet: they may soon be."""
        rows = await self.client.query(_STARTING_SQL.format(deployment=quoted(deployment_id)))
        return sum(int(row["n"]) for row in rows)

    async def restarts_of(self, ids: Iterable[str]) -> dict[str, str]:
        """The new invocation of each of these that was restarted as new."""
        wanted = _list(ids)
        rows = await self.client.query(_RESTARTS_SQL.format(ids=wanted)) if wanted else []
        return {row["old"]: row["id"] for row in rows}

    async def pause(self, invocation: str) -> None:
        """Stop one after the step under way; one that has stopped or ended is fine."""
        await self.client.control(invocation, "pause")

    async def resume(self, invocation: str, deployment_id: str) -> bool | None:
        """Let one go on at a deployment: whether it will; ``None`` where it can't be told yet."""
        answer = await self.client.control(invocation, "resume", deployment=deployment_id)
        # 409: it is at work again. 404: it has ended.
        undecided = answer.status_code in {httpx.codes.CONFLICT, httpx.codes.NOT_FOUND}
        return None if undecided else answer.is_success

    async def kill(self, invocation: str) -> None:
        """End one at once; one that has ended is fine."""
        await self.client.control(invocation, "kill")

    async def restart(self, invocation: str) -> str:
        """Begin a completed one again, on the latest deployment; answers its new id.

        Raises:
            RestartRefusedError: Restate never will.
            RestateUnavailableError: Restate did not.
        """
        answer = await self.client.control(invocation, "restart-as-new")
        if answer.is_success:
            return str(answer.json()["new_invocation_id"])
        why = f"{self.client.url} answered {answer.status_code}: {answer.text[:300]}"
        if answer.status_code in _FINAL and _is_restates(answer):
            raise RestartRefusedError(why)
        raise RestateUnavailableError(f"{invocation} was killed to be restarted, but {why}")

    async def _held(self, where: str) -> list[Mapping[str, Any]]:
        order = "order by min(i.created_at)"
        return await self.client.query(_HELD_SQL.format(where=where) + order)


def _invocation(row: Mapping[str, Any]) -> Invocation:
    code = row.get("code") or ""
    if not code and row["status"] == "paused":
        # Restate's memory of a failure does not outlive its process; the journal's does.
        last = json.loads(row.get("event") or "{}").get("last_failure") or {}
        code = last.get("restate_doc_error_code") or ""
    return Invocation(
        id=row["id"],
        status=row["status"],
        service=row["service"],
        handler=row["handler"],
        pinned=row.get("pinned"),
        code=code,
        killed=KILLED in (row.get("failure") or ""),
        restartable=_restartable(row),
    )


def _restartable(row: Mapping[str, Any]) -> bool:
    """Restate must know how, nobody else's turn may fail by it, and its journal must remain."""
    if row.get("kind") == "workflow" or row.get("invoked_by") == "service":
        return False
    retention = row.get("retention")
    return bool(retention) and _DURATION.validate_python(retention) >= RETENTION_NEEDED


def _is_restates(answer: httpx.Response) -> bool:
    """Whether it is Restate's own word, and not that of a proxy in front of it."""
    try:
        said = answer.json()
    except ValueError:
        return False
    return isinstance(said, dict) and "message" in said


def _list(ids: Iterable[str]) -> str:
    return ", ".join(quoted(text) for text in ids)

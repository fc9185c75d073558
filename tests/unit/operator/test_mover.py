"""Moves of what was killed to be restarted: Restate may never restart it, or not yet."""

from dataclasses import dataclass, field
from typing import Any

import httpx
import pytest

from agent_operator.reconcile import actions as do
from agent_operator.reconcile.move_record import Moves
from agent_operator.reconcile.mover import Mover, event
from agent_operator.restate.client import RestateClient, RestateUnavailableError
from agent_operator.restate.invocations import Invocations
from tests.unit.operator.build import URL, agent, registered, revision, snapshot, view

V1, V2 = "claims:1", "claims:2"
BOTH = (registered(V1), registered(V2))
RECORD = Moves("dp_claims:2", restart=True, restarting=("inv_1",))


@dataclass
class Refusing:
    """A Restate that has a killed invocation, and answers as told to a restart."""

    status: int
    body: Any
    known: bool = True
    written: list[Moves] = field(default_factory=list)
    told: list[Moves] = field(default_factory=list)

    def answer(self, request: httpx.Request) -> httpx.Response:
        if request.url.path.endswith("/restart-as-new"):
            return httpx.Response(self.status, json=self.body)
        sql = request.content.decode()
        killed = {
            "id": "inv_1", "status": "completed", "service": "ClaimAgent", "handler": "turn",
            "kind": "object", "failure": "[409] killed",
        }  # fmt: skip
        rows = [killed] if self.known and "i.id in" in sql else []
        return httpx.Response(200, json={"rows": rows})

    async def run(self, *, begin: bool = False) -> Moves:
        action = do.MoveInvocations(revision(V1, moves=RECORD), "dp_claims:1", RECORD, begin=begin)

        async def write(record: Moves) -> None:
            self.written.append(record)

        async def tell(record: Moves) -> None:
            self.told.append(record)

        async with RestateClient(URL, httpx.MockTransport(self.answer)) as client:
            given = snapshot(agent(V2), restate=view(*BOTH))
            mover = Mover(action, given, Invocations(client), write, tell)
            await mover.run()
        return self.written[-1]


@pytest.mark.parametrize("status", [400, 404, 410, 422])
async def test_what_restate_will_never_restart_holds_nothing_up(status: int) -> None:
    restate = Refusing(status, {"message": "no journal"})
    record = await restate.run()
    assert not record.open
    assert record.lost.first == ("inv_1",)
    (told,) = restate.told
    said = event("claims-1", told)
    assert (said.kind, said.reason) == ("Warning", "InvocationsLost")
    assert "inv_1" in said.message


async def test_what_restate_has_forgotten_is_told_too() -> None:
    record = await Refusing(500, {}, known=False).run(begin=True)
    assert not record.open
    assert record.lost.first == ("inv_1",)


@pytest.mark.parametrize(
    ("status", "body"),
    [(409, {"message": "not yet"}), (429, {"message": "later"}), (503, {}), (404, "no such route")],
    ids=str,
)
async def test_what_may_be_restarted_yet_is_tried_again(status: int, body: Any) -> None:
    restate = Refusing(status, body)
    with pytest.raises(RestateUnavailableError, match="restart"):
        await restate.run()
    assert all(record.open for record in restate.written)

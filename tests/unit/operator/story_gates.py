"""Gates and promotion in the stories' world: Jobs that run, pass and fail, pods that trust."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final

from agent_operator.api.status import GateState
from agent_operator.reconcile import actions as do
from agent_operator.reconcile.gate_facts import GateJob, hash_of, job_name
from agent_operator.reconcile.snapshot import Revision, Snapshot

GATE: Final = {"name": "smoke", "smoke": {"message": "hello"}}
OTHER: Final = {"name": "scores", "job": {}}
ROLLOUTS: Final[list[dict[str, Any]]] = [
    {},
    {"gates": [GATE]},
    {"gates": [{**GATE, "smoke": {"message": "who is there?"}}]},
    {"gates": [OTHER, GATE], "strategy": "Manual"},
    {"strategy": "Manual"},
]


@dataclass
class Gates:
    promoted: str = ""
    jobs: dict[str, GateJob] = field(default_factory=dict)

    def start(self, action: do.StartGate, snapshot: Snapshot) -> None:
        (revision,) = [r for r in snapshot.revisions if r.name == action.revision.name]
        assert revision.checked, "a gate began before the checks"
        gates = hash_of(snapshot.agent.spec.rollout.gates)
        name = job_name(revision.name, action.gate, gates)
        assert name not in self.jobs, "a gate began twice"
        self.jobs[name] = GateJob(name, revision.name, GateState.RUNNING, key="key")

    def end(self, *, passed: bool) -> None:
        state = GateState.PASSED if passed else GateState.FAILED
        for name, job in self.jobs.items():
            if job.state is GateState.RUNNING:
                self.jobs[name] = replace(job, state=state, key=None)

    def check_turns(self, revision: Revision, snapshot: Snapshot, *, again: bool) -> None:
        """A revision is about to be registered: may it?

        ``again``: Restate has lost it, and work waits for it, whoever takes the turns afterwards.
        """
        spec, status = snapshot.agent.spec.rollout, snapshot.agent.status
        assert not revision.trusted - {None}, "what takes turns trusts a gate's key"
        # What was active, and is registered anew since Restate lost it, was tried before.
        if again or _served(revision, status):
            return
        if spec.gates and not revision.deployment_id:
            assert revision.gates, "registered before its gates"
            assert revision.gates.gates == hash_of(spec.gates), "registered after other gates"
            assert all(result.passed for result in revision.gates.results)
        if spec.strategy == "Manual" and status.get("history"):
            assert revision.name == self.promoted, "nobody promoted it"


def _served(revision: Revision, status: Mapping[str, Any]) -> bool:
    return revision.name in list(status.get("history", ()))[:1]

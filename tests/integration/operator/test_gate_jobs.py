"""Gates' Jobs on the real API server: it takes them all, and finds their pods restricted."""

import subprocess
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from typing import Any

import pytest
import yaml

from agent_operator.api import AgentDeployment, names
from agent_operator.kube.client import JOBS, PODS, Kube
from agent_operator.kube.store import Store
from agent_operator.reconcile import actions as do
from agent_operator.reconcile import gate_jobs, gate_manifests
from agent_operator.reconcile.errors import NotNowError
from agent_operator.reconcile.gate_runs import GateRuns
from agent_operator.reconcile.revisions import wanted
from agent_operator.reconcile.snapshot import Snapshot
from agent_operator.settings import Settings
from hack import cluster
from tests.support import kube
from tests.unit.operator.build import fresh

pytestmark = pytest.mark.integration

SETTINGS = Settings(gate_image="example/operator:1", gate_restate_image="example/restate:1")
SIDECAR = {"name": "proxy", "image": "example/proxy:1"}
CHECK = {"containers": [{"name": "check", "image": "example/check:1"}]}
SETS: list[dict[str, Any]] = [{"path": "/a.json"}, {"configMap": {"name": "s", "key": "a.json"}}]
GATES: dict[str, dict[str, Any]] = {
    "smoke": {"smoke": {"message": "hello", "expect": {"cel": "answer.turn == 1"}}},
    "image": {"evaluation": {**SETS[0], "thresholds": {"m": 1}}},
    "map": {"evaluation": {**SETS[1], "thresholds": {"m": 0.5}, "agent": "a:b"}},
    "own": {"job": {"spec": {"template": {"spec": CHECK}}}},
    "again": {
        "job": {
            "spec": {
                "backoffLimit": 2,
                "template": {"spec": {**CHECK, "restartPolicy": "OnFailure"}},
            }
        }
    },
}


@pytest.fixture(scope="module")
def kubectl() -> Iterator[kube.Kubectl]:
    cluster.up()
    kube.crd()
    with kube.namespace("gates") as found:
        found("label", "namespace", found.namespace, "pod-security.kubernetes.io/warn=restricted")
        yield found


@pytest.fixture
async def runs(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[GateRuns]:
    monkeypatch.setenv("KUBECONFIG", str(cluster.kubeconfig()))
    api = await Kube.connect()
    yield GateRuns(api, Store(), SETTINGS)
    await api.close()


def agent(namespace: str, name: str, **gate: Any) -> AgentDeployment:
    template = {"spec": {"containers": [SIDECAR]}}
    return AgentDeployment.model_validate(
        {
            "metadata": {"name": "claims", "namespace": namespace},
            "spec": {
                "image": "claims:1",
                "args": ["a:b"],
                "template": template,
                "rollout": {"gates": [{"name": name, **gate}]},
            },
        }
    )


@pytest.mark.parametrize("name", GATES)
def test_they_are_taken_and_restricted(kubectl: kube.Kubectl, name: str) -> None:
    owner = agent(kubectl.namespace, name, **GATES[name])
    gate = (owner.spec.rollout.gates or [])[0]
    job = gate_manifests.job(owner, wanted(owner, SETTINGS), gate, SETTINGS)
    done = subprocess.run(
        [
            str(kube.KUBECTL), f"--kubeconfig={cluster.kubeconfig()}", "create",
            "--dry-run=server", "--validate=strict", "-f", "-",
        ],
        input=yaml.safe_dump(job), capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "Warning" not in done.stderr


async def test_a_job_is_made_once_and_removed(kubectl: kube.Kubectl, runs: GateRuns) -> None:
    owner = agent(kubectl.namespace, "own", **GATES["own"])
    revision = fresh("claims:1", name=wanted(owner, SETTINGS).name)
    snapshot = Snapshot(owner, wanted(owner, SETTINGS), (revision,))
    start = do.StartGate(revision, "own")
    assert await runs.run(start, snapshot) is None
    with pytest.raises(NotNowError, match="still there"):
        await runs.run(start, snapshot)
    key = (kubectl.namespace, "claims")
    (job,) = gate_jobs.of_jobs(runs.store.children(JOBS, key), ())
    assert job.revision == revision.name
    assert kubectl.list("jobs", f"{names.CANDIDATE_LABEL}={revision.name}")
    await runs.run(do.RemoveGate(job.name), snapshot)
    kube.eventually(lambda: not kubectl.list("jobs"), "the Job to go")
    assert runs.store.children(JOBS, key) == []


async def test_what_the_api_server_refuses_is_final(kubectl: kube.Kubectl, runs: GateRuns) -> None:
    container = {"name": "own", "image": "own", "imagePullPolicy": "Sometimes"}
    refused: dict[str, Any] = {"spec": {"template": {"spec": {"containers": [container]}}}}
    owner = agent(kubectl.namespace, "own", job=refused)
    snapshot = Snapshot(owner, wanted(owner, SETTINGS))
    note = await runs.run(do.StartGate(fresh("claims:1"), "own"), snapshot)
    assert note is not None
    failure = note.notes[names.FAILURE_ANNOTATION] or ""
    assert "gate own failed: the API server refuses its Job" in failure
    assert "imagePullPolicy: Unsupported value" in failure


async def test_pods_are_told_whom_to_trust(kubectl: kube.Kubectl, runs: GateRuns) -> None:
    owner = agent(kubectl.namespace, "own", **GATES["own"])
    revision = fresh("claims:1", name=wanted(owner, SETTINGS).name)
    snapshot = Snapshot(owner, wanted(owner, SETTINGS), (revision,))
    for name in (revision.name, "other"):
        labels = {names.REVISION_LABEL: name, names.AGENT_LABEL: "claims"}
        metadata = {"name": f"{name}-a", "labels": labels}
        # Nobody schedules it: only what is written to it counts.
        spec = {**CHECK, "schedulerName": "nobody"}
        body = {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}
        runs.store.put(PODS, await runs.kube.create(PODS, kubectl.namespace, body))
    for key in ("publickeyv1_x", None):
        await runs.run(do.TrustGate(revision, key), snapshot)
        found = {p["metadata"]["name"]: p["metadata"] for p in kubectl.list("pods")}
        notes = found[f"{revision.name}-a"].get("annotations") or {}
        assert notes.get(names.GATE_KEY_ANNOTATION) == key
        assert names.GATE_KEY_ANNOTATION not in (found["other-a"].get("annotations") or {})
    gone = replace(revision, name="other")
    kubectl("delete", "pod", "other-a", "--grace-period=0", "--force")
    await runs.run(do.TrustGate(gone, "publickeyv1_x"), snapshot)

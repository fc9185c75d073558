"""Gates and promotion: what is done when, what is shown, and what their Jobs are like."""

import json
from dataclasses import replace
from typing import Any

import pytest

from agent_operator.api import Phase, names
from agent_operator.api.status import GateState
from agent_operator.reconcile import actions as do
from agent_operator.reconcile import events, gate_jobs, gate_manifests, gates
from agent_operator.reconcile.errors import GateSetupError
from agent_operator.reconcile.gate_facts import (
    GateJob,
    GateRecord,
    GateResult,
    hash_of,
    job_name,
)
from agent_operator.reconcile.plan import Plan, plan
from agent_operator.reconcile.snapshot import Failure, Revision, Snapshot
from agent_operator.settings import Settings
from agent_operator.smoke import calls
from tests.unit.operator.build import (
    NOW,
    agent,
    fresh,
    load,
    registered,
    revision,
    snapshot,
    view,
    wish,
)

V1, V2 = "claims:1", "claims:2"
SMOKE = {"name": "smoke", "smoke": {"message": "hello"}}
SCORES = {
    "name": "scores",
    "evaluation": {"path": "/sets/a.json", "thresholds": {"tool_trajectory_avg_score": 1}},
}
TWO = {"gates": [SMOKE, SCORES]}
MANUAL = {"strategy": "Manual"}
KEY = "publickeyv1_" + "A" * 44
SETTINGS = Settings(gate_image="operator:1", gate_restate_image="restate:1")
PASSED = GateResult("smoke", passed=True)


def gates_hash(rollout: dict[str, Any]) -> str:
    return hash_of(agent(rollout=rollout).spec.rollout.gates)


def job(gate: str, state: GateState, rollout: dict[str, Any] = TWO, **more: Any) -> GateJob:
    name = job_name(wish(V2).name, gate, gates_hash(rollout))
    return GateJob(name, wish(V2).name, state, **more)


def record(*results: GateResult, rollout: dict[str, Any] = TWO) -> GateRecord:
    return GateRecord(gates_hash(rollout), results)


def seen(
    candidate: Revision,
    *jobs: GateJob,
    rollout: dict[str, Any] = TWO,
    old: Revision | None = None,
    **metadata: Any,
) -> Snapshot:
    """A candidate beside an active revision."""
    active = old or revision(V1)
    status = {"activeRevision": active.name, "history": [active.name]}
    owner = agent(V2, status=status, rollout=rollout)
    owner = owner.model_copy(update={"metadata": owner.metadata.model_copy(update=metadata)})
    found = snapshot(owner, active, candidate, restate=view(registered(V1)))
    return replace(found, jobs=jobs)


def due(found: Snapshot) -> Plan:
    return plan(found, NOW)


def condition(found: Snapshot) -> tuple[str, str, str]:
    (only,) = [c for c in due(found).status.conditions if c.type == "Progressing"]
    return only.status, only.reason, only.message


CHECKED = fresh(V2, checked=True, trusted=frozenset({None}))
TRUSTING = replace(CHECKED, trusted=frozenset({KEY}))
HALF = replace(CHECKED, gates=record(PASSED))
WHOLE = replace(CHECKED, gates=record(PASSED, GateResult("scores", passed=True)))
FAILED = replace(
    CHECKED,
    gates=record(GateResult("smoke", passed=False, message="no")),
    failure=Failure(gates.GATE_FAILED, "gate smoke failed: no"),
)
RUNNING = job("smoke", GateState.RUNNING)
DONE = (job("smoke", GateState.PASSED), job("scores", GateState.PASSED))
NAME = wish(V2).name


ROWS: dict[str, tuple[Snapshot, list[do.Action]]] = {
    "no gate before the pods are ready": (seen(fresh(V2, ready=0)), []),
    "the checks come first": (seen(fresh(V2)), [do.CheckRevision(fresh(V2))]),
    "then the first gate": (seen(CHECKED), [do.StartGate(CHECKED, "smoke")]),
    "one gate at a time": (seen(CHECKED, RUNNING), []),
    "pods learn of the gate's key": (
        seen(CHECKED, replace(RUNNING, key=KEY)),
        [do.TrustGate(CHECKED, KEY)],
    ),
    "once": (seen(TRUSTING, replace(RUNNING, key=KEY)), []),
    "a gate that has passed is on record": (
        seen(CHECKED, job("smoke", GateState.PASSED)),
        [
            do.Annotate(
                CHECKED,
                {
                    names.GATES_ANNOTATION: json.dumps(
                        {
                            "gates": gates_hash(TWO),
                            "results": [{"name": "smoke", "passed": True, "message": ""}],
                        }
                    ),
                    names.FAILURE_ANNOTATION: None,
                },
            )
        ],
    ),
    "then the next one": (
        seen(HALF, job("smoke", GateState.PASSED)),
        [do.StartGate(HALF, "scores")],
    ),
    "a passed gate's Job may be gone": (seen(HALF), [do.StartGate(HALF, "scores")]),
    "nobody may be trusted any more": (
        seen(replace(WHOLE, trusted=frozenset({None, KEY})), *DONE),
        [do.TrustGate(replace(WHOLE, trusted=frozenset({None, KEY})), None)],
    ),
    "all gates passed: it takes the turns": (seen(WHOLE, *DONE), [do.RegisterRevision(WHOLE)]),
    "a failed gate takes the pods": (
        seen(FAILED, job("smoke", GateState.FAILED, message="no")),
        [do.ScaleRevision(FAILED, 0)],
    ),
    "its Job stays for its log": (
        seen(replace(FAILED, replicas=0, ready=0), job("smoke", GateState.FAILED)),
        [],
    ),
    "other gates: once more, and the old Jobs go": (
        seen(
            replace(FAILED, replicas=0, ready=0),
            job("smoke", GateState.FAILED),
            rollout={"gates": [SMOKE]},
        ),
        [
            do.RemoveGate(job("smoke", GateState.FAILED).name),
            do.ScaleRevision(replace(FAILED, replicas=0, ready=0), 1),
        ],
    ),
    "what passed other gates passes these anew": (
        seen(WHOLE, rollout={"gates": [SMOKE]}),
        [do.StartGate(WHOLE, "smoke")],
    ),
    "no gates any more: nothing stands in its way": (
        seen(FAILED, rollout={}),
        [do.RegisterRevision(FAILED)],
    ),
    "by hand: the checks, then it waits": (
        seen(fresh(V2), rollout=MANUAL),
        [do.CheckRevision(fresh(V2))],
    ),
    "and waits": (seen(CHECKED, rollout=MANUAL), []),
    "for its own name": (
        seen(CHECKED, rollout=MANUAL, annotations={names.PROMOTE_ANNOTATION: wish(V1).name}),
        [],
    ),
    "promoted": (
        seen(CHECKED, rollout=MANUAL, annotations={names.PROMOTE_ANNOTATION: NAME}),
        [do.RegisterRevision(CHECKED)],
    ),
    "a promotion does not jump a gate": (
        seen(CHECKED, rollout={**TWO, **MANUAL}, annotations={names.PROMOTE_ANNOTATION: NAME}),
        [do.StartGate(CHECKED, "smoke")],
    ),
    "going back runs no gates": (
        seen(revision(V2)),
        [do.RegisterRevision(revision(V2))],
    ),
    "and asks by hand": (seen(revision(V2, checked=True), rollout=MANUAL), []),
}


@pytest.mark.parametrize("row", ROWS.values(), ids=ROWS)
def test_what_is_done(row: tuple[Snapshot, list[do.Action]]) -> None:
    found, actions = row
    assert list(due(found).actions) == actions


def test_the_first_revision_promotes_itself() -> None:
    only = fresh(V2, checked=True)
    found = snapshot(agent(V2, rollout=MANUAL), only)
    assert list(due(found).actions) == [do.RegisterRevision(only)]


def test_what_was_active_needs_no_promotion_to_be_registered_anew() -> None:
    only = revision(V2, checked=True)
    status = {"activeRevision": only.name, "history": [only.name]}
    found = snapshot(agent(V2, status=status, rollout=MANUAL), only)
    assert do.RegisterRevision(only) in due(found).actions


def test_what_waits_for_somebody_still_wakes() -> None:
    waking = revision(V2, checked=True, waking=True)
    found = seen(waking, rollout=MANUAL)
    restate = view(registered(V1), registered(V2), latest=V1, loads={V2: load(backing_off=1)})
    found = replace(found, restates={waking.restate: restate})
    assert list(due(found).actions) == [do.ResumeInvocations(waking, "dp_claims:2")]


def test_jobs_and_trust_end_with_the_candidacy() -> None:
    """Another image, an active revision, a deletion: whatever was tried is taken back."""
    left = job("smoke", GateState.RUNNING, key=KEY)
    active = revision(V2, trusted=frozenset({KEY}))
    after = replace(
        snapshot(agent(V2, rollout=TWO), active, restate=view(registered(V2))), jobs=(left,)
    )
    assert list(due(after).actions) == [do.RemoveGate(left.name), do.TrustGate(active, None)]
    deleted = replace(snapshot(agent(V2, rollout=TWO, deleting=True)), jobs=(left,))
    assert list(due(deleted).actions) == [do.RemoveGate(left.name)]
    assert list(due(replace(deleted, jobs=())).actions) == [do.RemoveFinalizer()]
    other = replace(seen(fresh(V2)), jobs=(left,))
    other = replace(other, wanted=wish("claims:3"))
    assert do.RemoveGate(left.name) in due(other).actions


def test_a_failed_gate_says_where_its_log_is() -> None:
    failed = job("smoke", GateState.FAILED, message="answer is not 42")
    (note,) = due(seen(CHECKED, failed)).actions
    assert isinstance(note, do.Annotate)
    failure = json.loads(note.notes[names.FAILURE_ANNOTATION] or "")
    assert failure == {
        "reason": "GateFailed",
        "message": "gate smoke failed: answer is not 42. Its log:"
        f" kubectl logs job/{failed.name} -n team",
    }


def test_without_a_pod_there_is_no_log() -> None:
    failed = job("smoke", GateState.FAILED, message="it did not end within 9 s", logged=False)
    (note,) = due(seen(CHECKED, failed)).actions
    assert isinstance(note, do.Annotate)
    assert "kubectl" not in (note.notes[names.FAILURE_ANNOTATION] or "")


def test_what_is_shown() -> None:
    running = seen(HALF, job("scores", GateState.RUNNING, message="pod x: no such image"))
    truth, reason, message = condition(running)
    assert (truth, reason) == ("True", "GateRunning")
    assert message == f"{NAME}: gate scores runs: pod x: no such image"
    newest = next(r for r in due(running).status.revisions if r.name == NAME)
    assert newest.phase is Phase.CHECKING
    assert [(g.name, g.state) for g in newest.gates or ()] == [
        ("smoke", GateState.PASSED),
        ("scores", GateState.RUNNING),
    ]

    truth, reason, message = condition(seen(CHECKED, rollout=MANUAL))
    assert (truth, reason) == ("False", "WaitsForPromotion")
    assert message.endswith(
        f"kubectl annotate agd claims -n team --overwrite durableagents.dev/promote={NAME}"
    )

    truth, reason, message = condition(seen(FAILED))
    assert (truth, reason) == ("False", "GateFailed")
    (_, first) = due(seen(FAILED)).status.revisions[0].gates or (None, None)
    assert first is not None
    assert first.state is GateState.PENDING


def test_each_fact_is_told_once() -> None:
    before, after = due(seen(CHECKED)).status, due(seen(HALF)).status
    assert [e.reason for e in events.between(before, after)] == ["GatePassed"]
    assert events.between(after, due(seen(HALF, *DONE)).status) == []
    waits = due(seen(CHECKED, rollout=MANUAL)).status
    (told,) = events.between(before, waits)
    assert told.reason == "WaitsForPromotion"
    assert events.between(waits, waits) == []


def test_gates_take_the_time_they_need() -> None:
    """The progress deadline is for pods that don't start, not for gates or people."""
    old = replace(CHECKED, created=NOW.replace(year=2020))
    assert condition(seen(old, RUNNING))[1] == "GateRunning"
    assert condition(seen(old, rollout=MANUAL))[1] == "WaitsForPromotion"
    late = replace(old, ready=0)
    assert condition(seen(late))[1] == "ProgressDeadlineExceeded"
    # A pod that was evicted comes back.
    assert condition(seen(late, RUNNING))[1] == "PodsStarting"
    assert condition(seen(late, rollout=MANUAL))[1] == "PodsStarting"


def test_gates_make_no_revision() -> None:
    assert wish(rollout=TWO).name == wish().name == wish(rollout=MANUAL).name


def test_names_of_jobs_fit_and_differ() -> None:
    long = job_name("a" * 63, "b" * 40, "1")
    assert len(long) <= 63
    assert long != job_name("a" * 63, "c" * 40, "1")
    assert long != job_name("a" * 63, "b" * 40, "2")


def made(gate: dict[str, Any], **spec: Any) -> dict[str, Any]:
    owner = agent(V2, rollout={"gates": [gate]}, **spec)
    only = (owner.spec.rollout.gates or [])[0]
    return gate_manifests.job(owner, wish(V2), only, SETTINGS)


def containers(body: dict[str, Any]) -> dict[str, dict[str, Any]]:
    pod = body["spec"]["template"]["spec"]
    return {c["name"]: c for c in [*pod.get("initContainers", ()), *pod["containers"]]}


CHECK = {"name": "check", "image": "checks:1"}
OWN: dict[str, Any] = {
    "name": "own",
    "job": {"spec": {"template": {"spec": {"containers": [CHECK]}}}},
}


@pytest.mark.parametrize("gate", [SMOKE, SCORES, OWN], ids=["smoke", "evaluation", "job"])
def test_jobs_are_restricted_and_never_a_revisions_pods(gate: dict[str, Any]) -> None:
    body = made({**gate, "timeoutSeconds": 42})
    pod = body["spec"]["template"]["spec"]
    assert body["spec"]["activeDeadlineSeconds"] == 42
    assert body["spec"]["backoffLimit"] == 0
    assert pod["restartPolicy"] == "Never"
    assert pod["automountServiceAccountToken"] is False
    assert pod["securityContext"]["runAsNonRoot"] is True
    for container in containers(body).values():
        assert container["securityContext"]["allowPrivilegeEscalation"] is False
        assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}
        assert container["securityContext"]["readOnlyRootFilesystem"] is True
    for labels in (body["metadata"]["labels"], body["spec"]["template"]["metadata"]["labels"]):
        assert labels[names.CANDIDATE_LABEL] == NAME
        assert labels[names.MANAGED_BY_LABEL] == names.MANAGER
        assert names.REVISION_LABEL not in labels
        assert names.ROLE_LABEL not in labels


def test_the_smoke_gates_own_restate() -> None:
    found = containers(made(SMOKE))
    assert list(found) == ["gate-key", "restate", "gate"]
    assert found["restate"]["restartPolicy"] == "Always"
    addresses = [e["value"] for e in found["restate"]["env"] if "BIND" in e["name"]]
    assert len(addresses) == 3
    assert all(address.startswith("127.0.0.1:") for address in addresses)
    assert f"--uri={wish(V2).uri}" in found["gate"]["args"]


def test_a_smoke_gate_calls_as_restate_is_told_to() -> None:
    secret = {"name": "mesh", "key": "token"}
    told = {
        "http11": True,
        "headers": [
            {"name": "x-tenant", "value": "a$(b)"},
            {"name": "x-mesh", "valueFrom": {"secretKeyRef": secret}},
        ],
    }
    owner = agent(V2, rollout={"gates": [SMOKE]}, restate=told)
    (only,) = owner.spec.rollout.gates or []
    gate = containers(gate_manifests.job(owner, wish(V2, restate=told), only, SETTINGS))["gate"]
    assert gate["args"][-3:] == ["--http11", "--header=x-mesh", "--header=x-tenant"]
    assert gate["env"] == [
        {"name": "GATE_HEADER_0", "valueFrom": {"secretKeyRef": secret}},
        {"name": "GATE_HEADER_1", "value": "a$$(b)"},
    ]
    read = calls.read(
        True, ["x-tenant", "x-mesh"], {"GATE_HEADER_0": "shop", "GATE_HEADER_1": "t\n"}
    )
    assert (read.http11, read.headers) == (True, {"x-tenant": "shop", "x-mesh": "t"})


def test_an_evaluation_runs_as_the_candidate_does() -> None:
    body = made(
        {**SCORES, "evaluation": {**SCORES["evaluation"], "agent": "a:b"}},  # type: ignore[dict-item]
        env=[{"name": "SHOP", "value": "x"}],
        model={"apiKeySecret": {"name": "gemini", "key": "key"}},
        resources={"limits": {"memory": "1Gi"}},
    )
    gate = containers(body)["gate"]
    assert gate["image"] == V2
    assert {"SHOP", "GOOGLE_API_KEY", "AGENT_REVISION"} <= {e["name"] for e in gate["env"]}
    assert gate["resources"] == {"limits": {"memory": "1Gi"}}
    assert gate["command"] == ["python", "-m", "agent_service.evaluate"]
    assert gate["args"] == [
        "--set=/sets/a.json",
        "--threshold=tool_trajectory_avg_score=1.0",
        "a:b",
    ]
    assert not {"ports", "startupProbe", "readinessProbe"} & set(gate)


def test_a_set_from_a_config_map() -> None:
    source = {"configMap": {"name": "sets", "key": "a.json"}, "thresholds": {"m": 0.5}}
    body = made({"name": "e", "evaluation": source}, args=["a:b"])
    gate = containers(body)["gate"]
    assert gate["args"] == ["--set=/etc/durable-agents-gate/a.json", "--threshold=m=0.5", "a:b"]
    volumes = {v["name"]: v for v in body["spec"]["template"]["spec"]["volumes"]}
    assert volumes["gate-set"]["configMap"] == {"name": "sets"}


def test_a_users_own_job_keeps_what_it_says() -> None:
    template = {
        "metadata": {"labels": {"team": "a", names.CANDIDATE_LABEL: "other"}},
        "spec": {
            "backoffLimit": 3,
            "template": {
                "spec": {
                    "restartPolicy": "OnFailure",
                    "containers": [
                        {
                            **CHECK,
                            "env": [{"name": "AGENT_URL", "value": "mine"}],
                            "securityContext": {"readOnlyRootFilesystem": False},
                        }
                    ],
                }
            },
        },
    }
    body = made({"name": "own", "job": template})
    check = containers(body)["check"]
    env = {e["name"]: e["value"] for e in check["env"]}
    assert body["spec"]["backoffLimit"] == 3
    assert "podFailurePolicy" not in body["spec"], "Kubernetes allows it for Never alone"
    assert body["metadata"]["labels"]["team"] == "a"
    assert body["metadata"]["labels"][names.CANDIDATE_LABEL] == NAME
    assert env["AGENT_URL"] == "mine"
    assert env["AGENT_REVISION"] == NAME
    assert check["securityContext"]["readOnlyRootFilesystem"] is False
    assert check["securityContext"]["allowPrivilegeEscalation"] is False


def test_a_users_own_job_stays_until_the_operator_removes_it() -> None:
    """One that had gone by itself would be run again."""
    spec = {"ttlSecondsAfterFinished": 0, "template": {"spec": {"containers": [{**CHECK}]}}}
    assert "ttlSecondsAfterFinished" not in made({"name": "own", "job": {"spec": spec}})["spec"]


def in_pod(**fields: Any) -> dict[str, Any]:
    return {"spec": {"template": {"spec": {"containers": [CHECK], **fields}}}}


NO_JOBS: list[tuple[dict[str, Any], str]] = [
    ({}, "needs spec.template.spec.containers"),
    ({"spec": {"template": {"spec": None}}}, "needs spec.template.spec.containers"),
    (in_pod(containers=[]), "needs spec.template.spec.containers"),
    ({"spec": []}, "job.spec must be an object, and is a list"),
    ({"spec": {"template": "x"}}, "job.spec.template must be an object, and is a string"),
    (OWN["job"] | {"metadata": 3}, "job.metadata must be an object, and is a number"),
    (OWN["job"] | {"metadata": {"labels": "x"}}, "job.metadata.labels must be an object"),
    (OWN["job"] | {"metadata": {"annotations": []}}, "job.metadata.annotations must be"),
    (
        {"spec": {"template": {"metadata": {"labels": ["a"]}, "spec": {"containers": [CHECK]}}}},
        "job.spec.template.metadata.labels must be an object, and is a list",
    ),
    (in_pod(containers={"a": 1}), "spec.containers must be a list, and is an object"),
    (in_pod(containers=[CHECK, None]), r"spec.containers\[1\] must be an object, and is none"),
    (in_pod(initContainers=["x"]), r"spec.initContainers\[0\] must be an object"),
    (in_pod(securityContext="x"), "spec.securityContext must be an object, and is a string"),
    (
        in_pod(containers=[{**CHECK, "securityContext": True}]),
        r"containers\[0\].securityContext must be an object, and is true or false",
    ),
    (in_pod(containers=[{**CHECK, "env": {}}]), r"containers\[0\].env must be a list"),
    (in_pod(containers=[{**CHECK, "env": ["A=b"]}]), r"env\[0\] must be an object"),
]


@pytest.mark.parametrize(("template", "words"), NO_JOBS, ids=[words for _, words in NO_JOBS])
def test_what_is_no_job_is_refused_for_good(template: dict[str, Any], words: str) -> None:
    with pytest.raises(GateSetupError, match=words) as refused:
        made({"name": "own", "job": template})
    assert refused.value.final


@pytest.mark.parametrize(
    "template",
    [
        in_pod(securityContext=None, initContainers=None),
        in_pod(containers=[{**CHECK, "env": [{"name": {}}, {}], "securityContext": None}]),
        OWN["job"] | {"metadata": {"labels": None}},
    ],
)
def test_what_else_is_wrong_with_a_job_the_api_server_says(template: dict[str, Any]) -> None:
    assert made({"name": "own", "job": template})["kind"] == "Job"


def test_without_its_images_the_operator_says_so() -> None:
    owner = agent(V2, rollout=TWO)
    smoke = (owner.spec.rollout.gates or [])[0]
    with pytest.raises(GateSetupError, match="GATE_IMAGE is empty") as refused:
        gate_manifests.job(owner, wish(V2), smoke, Settings())
    assert not refused.value.final


def body_of(status: dict[str, Any]) -> dict[str, Any]:
    labels = {names.CANDIDATE_LABEL: NAME}
    return {
        "metadata": {"name": "j", "uid": "1", "labels": labels},
        "spec": {"activeDeadlineSeconds": 9},
        "status": status,
    }


def pod_of(**status: Any) -> dict[str, Any]:
    return {
        "metadata": {
            "name": "p",
            "creationTimestamp": "2026-05-04T12:00:00Z",
            "ownerReferences": [{"uid": "1"}],
        },
        "status": status,
    }


def ended(message: str, code: int = 1, name: str = "gate") -> dict[str, Any]:
    return {"name": name, "state": {"terminated": {"exitCode": code, "message": message}}}


BROKEN = {"conditions": [{"type": "Failed", "status": "True", "reason": "BackoffLimitExceeded"}]}
LATE = {"conditions": [{"type": "Failed", "status": "True", "reason": "DeadlineExceeded"}]}
GOOD = {"conditions": [{"type": "Complete", "status": "True"}]}
READS = {
    "passed": (GOOD, [], GateState.PASSED, ""),
    "late": (LATE, [], GateState.FAILED, "it did not end within 9 s"),
    "told as JSON": (
        BROKEN,
        [pod_of(containerStatuses=[ended('{"passed": false, "reason": "cold"}')])],
        GateState.FAILED,
        "cold",
    ),
    "told in words": (
        BROKEN,
        [pod_of(containerStatuses=[ended("too\ncold\n")])],
        GateState.FAILED,
        "too cold",
    ),
    "not told": (
        BROKEN,
        [pod_of(containerStatuses=[ended("", code=3)])],
        GateState.FAILED,
        "it ended with exit code 3",
    ),
    "begins": ({}, [], GateState.RUNNING, ""),
    "going on": (
        {"conditions": [{"type": "FailureTarget", "status": "True"}]},
        [],
        GateState.RUNNING,
        "",
    ),
}


@pytest.mark.parametrize("row", READS.values(), ids=READS)
def test_how_a_job_stands(row: tuple[Any, Any, GateState, str]) -> None:
    status, pods, state, message = row
    (found,) = gate_jobs.of_jobs([body_of(status)], pods)
    assert (found.state, found.message) == (state, message)
    assert found.logged is bool(pods) or state is not GateState.FAILED


def test_the_key_comes_from_its_own_container_alone() -> None:
    told = pod_of(initContainerStatuses=[ended(KEY, 0, "gate-key")])
    (found,) = gate_jobs.of_jobs([body_of({})], [told])
    assert found.key == KEY
    for other in (ended(KEY, 1, "gate-key"), ended(KEY, 0, "restate"), ended("x", 0, "gate-key")):
        (found,) = gate_jobs.of_jobs([body_of({})], [pod_of(initContainerStatuses=[other])])
        assert found.key is None

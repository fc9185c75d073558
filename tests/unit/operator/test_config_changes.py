"""Contents of Secrets and ConfigMaps: which of them matter, and what becomes of a change."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from agent_operator.api import AgentDeploymentSpec, names
from agent_operator.reconcile import actions as do
from agent_operator.reconcile import config_changes, manifests
from agent_operator.reconcile.config_changes import Reference, config_of, references
from agent_operator.reconcile.events import between
from agent_operator.reconcile.plan import plan
from agent_operator.reconcile.revisions import wanted
from agent_operator.reconcile.snapshot import Config, Failure, Revision, Snapshot
from tests.unit.operator.build import NOW, SETTINGS, agent, registered, revision, snapshot, view

ROLLOUT: dict[str, Any] = {
    "rollout": {"onConfigChange": "NewRevision"},
    "envFrom": [{"secretRef": {"name": "s"}}],
}
MISSING = Config("absent", Failure("ConfigMissing", "Secret s is gone"))
UNREADABLE = Config("", Failure("ConfigUnreadable", "Secret s may not be read"))


def refers(**spec: Any) -> list[str]:
    found = references(AgentDeploymentSpec.model_validate({"image": "x", **spec}))
    return [f"{r}{'?' if r.optional else ''}" for r in found]


KEY = {"name": "o", "key": "k"}
REFERENCES: list[tuple[dict[str, Any], list[str]]] = [
    ({}, []),
    ({"env": [{"name": "A", "value": "x"}]}, []),
    ({"env": [{"name": "A", "valueFrom": {"secretKeyRef": KEY}}]}, ["Secret o, key k"]),
    (
        {"env": [{"name": "A", "valueFrom": {"configMapKeyRef": {**KEY, "optional": True}}}]},
        ["ConfigMap o, key k?"],
    ),
    ({"envFrom": [{"configMapRef": {"name": "o"}}]}, ["ConfigMap o"]),
    ({"envFrom": [{"secretRef": {"name": "o", "optional": True}}]}, ["Secret o?"]),
    ({"model": {"apiKeySecret": KEY}}, ["Secret o, key k"]),
    ({"imagePullSecrets": [{"name": "o"}]}, []),
]
IN_TEMPLATES: list[tuple[dict[str, Any], list[str]]] = [
    ({}, []),
    (
        {"containers": [{"name": "agent", "env": [{"valueFrom": {"secretKeyRef": KEY}}]}]},
        ["Secret o, key k"],
    ),
    (
        {"initContainers": [{"name": "i", "envFrom": [{"configMapRef": {"name": "o"}}]}]},
        ["ConfigMap o"],
    ),
    ({"volumes": [{"name": "v", "configMap": {"name": "o"}}]}, ["ConfigMap o"]),
    (
        {"volumes": [{"name": "v", "secret": {"secretName": "o", "optional": True}}]},
        ["Secret o?"],
    ),
    (
        {"volumes": [{"name": "v", "secret": {"secretName": "o", "items": [{"key": "k"}]}}]},
        ["Secret o, key k"],
    ),
    (
        {"volumes": [{"name": "v", "projected": {"sources": [
            {"secret": {"name": "o"}}, {"configMap": {"name": "o"}}, {"serviceAccountToken": {}},
        ]}}]},
        ["ConfigMap o", "Secret o"],
    ),
    ({"volumes": [{"name": "v", "emptyDir": {}}]}, []),
]  # fmt: skip


@pytest.mark.parametrize(("spec", "found"), REFERENCES, ids=[str(s) for s, _ in REFERENCES])
def test_references(spec: dict[str, Any], found: list[str]) -> None:
    assert refers(**spec) == found


@pytest.mark.parametrize(("pod", "found"), IN_TEMPLATES, ids=[str(s) for s, _ in IN_TEMPLATES])
def test_references_of_a_template(pod: dict[str, Any], found: list[str]) -> None:
    assert refers(template={"spec": pod}) == found


WHOLE = Reference("ConfigMap", "o", None, optional=False)
ONE_KEY = Reference("ConfigMap", "o", "k", optional=False)


def digest(wish: Reference, content: dict[str, str] | None, namespace: str = "team") -> str:
    return config_of(namespace, [wish], {("ConfigMap", "o"): content}).digest


def test_the_digest_follows_the_content() -> None:
    first = digest(WHOLE, {"k": "1"})
    assert digest(WHOLE, {"k": "2"}) != first
    assert digest(WHOLE, {"k": "1", "other": "2"}) != first
    assert digest(WHOLE, None) != first
    assert digest(WHOLE, {}) not in {first, digest(WHOLE, None)}
    assert digest(WHOLE, {"k": "1"}) == first
    assert digest(WHOLE, {"k": "1"}, "other") != first


def test_only_the_key_that_pods_take_matters() -> None:
    assert digest(ONE_KEY, {"k": "1", "other": "2"}) == digest(ONE_KEY, {"k": "1"})
    assert digest(ONE_KEY, {"k": "2"}) != digest(ONE_KEY, {"k": "1"})


@pytest.mark.parametrize("content", [None, {"other": "1"}])
def test_what_is_missing_is_told(content: dict[str, str] | None) -> None:
    found = config_of("team", [ONE_KEY], {("ConfigMap", "o"): content}).trouble
    assert found == Failure(
        "ConfigMissing", "pods refer to what does not exist: ConfigMap o, key k"
    )
    optional = replace(ONE_KEY, optional=True)
    assert config_of("team", [optional], {("ConfigMap", "o"): content}).trouble is None


def made(config: str, **changes: Any) -> Revision:
    """A revision of the agent with ROLLOUT, made from contents of that digest."""
    it = wanted(agent(**ROLLOUT), SETTINGS, config)
    return revision(name=it.name, uri=it.uri, spec_hash=it.spec_hash, **changes)


def seen(config: Config, *revisions: Revision, **status: Any) -> Snapshot:
    owner = agent(status=status, **ROLLOUT)
    chosen = config_changes.target(owner, SETTINGS, config, revisions)
    active = status.get("activeRevision")
    uri = next((r.uri for r in revisions if r.name == active), None)
    deployments = [replace(registered(), uri=uri)] if uri else []
    base = snapshot(owner, *revisions, restate=view(*deployments))
    return replace(base, wanted=chosen, config=config)


def test_contents_are_no_part_of_a_revision_unless_asked_for() -> None:
    assert wanted(agent(), SETTINGS).spec_hash is None
    assert config_changes.target(agent(), SETTINGS, None, ()) == wanted(agent(), SETTINGS)
    notes = manifests.replica_set(agent(), wanted(agent(), SETTINGS))["metadata"]["annotations"]
    assert names.SPEC_HASH_ANNOTATION not in notes


def test_another_content_is_another_revision_and_the_earlier_the_earlier() -> None:
    first, second = made("d1"), made("d2")
    owner = agent(**ROLLOUT)
    assert first.name != second.name
    assert first.spec_hash == second.spec_hash
    back = config_changes.target(owner, SETTINGS, Config("d1"), (first, second))
    assert (back.name, back.uri) == (first.name, first.uri)


def test_a_new_content_makes_a_revision() -> None:
    first = made("d1")
    seen_now = seen(Config("d2"), first, activeRevision=first.name)
    (create,) = plan(seen_now, NOW).actions
    assert isinstance(create, do.CreateRevision)
    assert create.wanted.name == made("d2").name


@pytest.mark.parametrize("config", [MISSING, UNREADABLE])
def test_what_goes_missing_replaces_no_revision_that_runs(config: Config) -> None:
    old, first = made("d0", replicas=1), made("d1")
    it = plan(seen(config, first, old, activeRevision=first.name), NOW)
    assert not [a for a in it.actions if isinstance(a, do.CreateRevision)]
    assert it.status.active_revision == first.name
    progressing = next(c for c in it.status.conditions if c.type == "Progressing")
    assert config.trouble is not None
    assert (progressing.status, progressing.reason) == ("False", config.trouble.reason)
    assert "Secret s" in progressing.message


def test_a_first_revision_waits_for_what_is_missing_and_says_so() -> None:
    it = plan(seen(MISSING), NOW)
    assert any(isinstance(a, do.CreateRevision) for a in it.actions)
    progressing = next(c for c in it.status.conditions if c.type == "Progressing")
    assert (progressing.status, progressing.reason) == ("True", "ConfigMissing")
    assert "can't start until then" in progressing.message


def test_what_can_not_be_read_makes_no_revision() -> None:
    it = plan(seen(UNREADABLE), NOW)
    assert it.actions == ()
    assert it.status.candidate_revision is None
    progressing = next(c for c in it.status.conditions if c.type == "Progressing")
    assert (progressing.status, progressing.reason) == ("True", "ConfigUnreadable")
    assert it.look_again == config_changes.LOOK, "nothing else will move"


def test_another_spec_is_not_held_back_by_what_is_missing() -> None:
    first = replace(made("d1"), spec_hash="of another spec")
    it = plan(seen(MISSING, first, activeRevision=first.name), NOW)
    assert any(isinstance(a, do.CreateRevision) for a in it.actions)


def test_contents_are_looked_at_again_only_where_they_matter() -> None:
    first = made("d1")
    steady = seen(Config("d1"), first, activeRevision=first.name)
    assert plan(steady, NOW).look_again == config_changes.LOOK
    assert plan(replace(steady, config=None), NOW).look_again > config_changes.LOOK


def test_missing_contents_are_told_once() -> None:
    first = made("d1")
    fine = plan(seen(Config("d1"), first, activeRevision=first.name), NOW).status
    gone = plan(seen(MISSING, first, activeRevision=first.name), NOW).status
    assert [e.reason for e in between(fine, gone)] == ["ConfigMissing"]
    assert between(gone, gone) == []


def test_a_deadline_s_failure_says_what_was_missing() -> None:
    wish = wanted(agent(**ROLLOUT), SETTINGS, MISSING.digest)
    late = made(MISSING.digest, created=NOW - timedelta(days=1), ready=0, deployment_id=None)
    it = plan(seen(MISSING, late), NOW).status
    progressing = next(c for c in it.conditions if c.type == "Progressing")
    assert late.name == wish.name
    assert progressing.reason == "ProgressDeadlineExceeded"
    assert "Secret s is gone" in progressing.message


def test_a_deadline_s_failure_says_what_the_pods_wait_for() -> None:
    words = "pod p, container agent runs, but its startup probe does not succeed"
    late = revision(created=NOW - timedelta(days=1), ready=0, deployment_id=None, waits_for=words)
    it = plan(snapshot(agent(), late), NOW).status
    progressing = next(c for c in it.conditions if c.type == "Progressing")
    assert progressing.reason == "ProgressDeadlineExceeded"
    assert words in progressing.message

"""From the cluster's objects and Restate to one immutable snapshot.

I/O only towards Restate, and for what Secrets and ConfigMaps say where an agent asked for that.
"""

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from typing import Final

from pydantic import TypeAdapter

from agent_operator.api import AgentDeployment, names, times
from agent_operator.kube.client import (
    AUTOSCALERS,
    BUDGETS,
    JOBS,
    PODS,
    REPLICA_SETS,
    SERVICES,
    Body,
)
from agent_operator.kube.store import Key, Store
from agent_operator.reconcile import (
    config_changes,
    gate_jobs,
    move_record,
    parked,
    restates,
    trouble,
)
from agent_operator.reconcile.asleep import only_asleep
from agent_operator.reconcile.contents import Contents
from agent_operator.reconcile.gate_facts import GateRecord
from agent_operator.reconcile.history import at_rest
from agent_operator.reconcile.snapshot import Failure, Front, Revision, Setback, Snapshot
from agent_operator.restate.observer import RestateObserver
from agent_operator.restate.server import Server
from agent_operator.restate.view import RestateView, Unreachable
from agent_operator.settings import Settings

# Seconds that a look at Restate may be old: while something moves, and while nothing does.
MOVING: Final = 0.9
STEADY: Final = 10.0

_FAILURE: Final = TypeAdapter(Failure)
_GATES: Final = TypeAdapter(GateRecord)


async def observe(
    key: Key,
    store: Store,
    restate: RestateObserver,
    settings: Settings,
    setback: Setback | None,
    contents: Contents,
) -> Snapshot | None:
    """The snapshot of an AgentDeployment, or ``None`` where it does not exist (any more)."""
    body = store.get(key)
    if body is None:
        restate.sleepers.put(key, {})
        return None
    agent = AgentDeployment.model_validate(body)
    revisions = _revisions(store, key, settings)
    config = await contents.look(agent)
    target = config_changes.target(agent, settings, config, revisions)
    servers = {target.restate, *(r.restate for r in revisions)}
    jobs = gate_jobs.of_jobs(store.children(JOBS, key), store.children(PODS, key))
    front, cluster = _front(agent, store), settings.cluster
    here = Snapshot(agent, target, revisions, {}, setback, config, jobs, front, cluster)
    asleep = _asleep(here)
    steady = _looks_settled(here) and not asleep
    max_age = STEADY if steady else MOVING
    looks: dict[Server, RestateView | Unreachable] = {
        server: await restate.view(server, max_age, asleep=asleep.get(server, frozenset()))
        for server in sorted(servers, key=repr)
    }
    restate.sleepers.put(key, asleep, _witnesses(here, looks))
    return replace(here, restates=looks)


def _looks_settled(here: Snapshot) -> bool:
    """Whether nothing is expected to move, going by what is known before Restate is asked."""
    if here.agent.suspended:
        return True
    if here.agent.deleting or here.target is None:
        return False
    active = here.agent.status.get("activeRevision")
    # Those kept for a rollback have nothing that could move.
    moving = [r.name for r in parked.moving(here) if not at_rest(r)]
    return all(name == active for name in moving) and (
        here.wanted.name in moving or parked.candidate(here) is not None
    )


def _asleep(here: Snapshot) -> dict[Server, frozenset[str]]:
    """The deployments that sleep, by their Restate, if that is all there is to watch."""
    sleeping = only_asleep(here)
    return {
        server: frozenset(
            r.deployment_id for r in sleeping if r.deployment_id and r.restate == server
        )
        for server in {r.restate for r in sleeping}
    }


def _witnesses(
    here: Snapshot, looks: Mapping[Server, RestateView | Unreachable]
) -> dict[Server, frozenset[str]]:
    """For each revision that sleepers hold, one of them: until it ends, nothing is due."""
    found: dict[Server, frozenset[str]] = {}
    for revision in here.revisions:
        view = looks.get(revision.restate)
        if not parked.held(here, revision) or not isinstance(view, RestateView):
            continue
        oldest = view.load(revision.deployment_id or "").oldest
        if oldest is not None:
            found[revision.restate] = found.get(revision.restate, frozenset()) | {oldest.id}
    return found


def _revisions(store: Store, key: Key, settings: Settings) -> tuple[Revision, ...]:
    services = {body["metadata"]["name"]: body for body in store.children(SERVICES, key)}
    pods = store.children(PODS, key)
    autoscaled = {
        body["metadata"]["name"]: str(
            (body["metadata"].get("annotations") or {}).get(names.AUTOSCALER_ANNOTATION, "")
        )
        for body in store.children(AUTOSCALERS, key)
    }
    budgets = {body["metadata"]["name"] for body in store.children(BUDGETS, key)}
    found = [
        replace(
            _revision(body, services, pods, settings),
            autoscaled=autoscaled.get(body["metadata"]["name"]),
            budget=body["metadata"]["name"] in budgets,
        )
        for body in store.children(REPLICA_SETS, key)
        if "deletionTimestamp" not in body["metadata"]
    ]
    return tuple(sorted(found, key=lambda r: (r.created, r.name)))


def _revision(
    body: Body, services: dict[str, Body], pods: list[Body], settings: Settings
) -> Revision:
    metadata, spec = body["metadata"], body["spec"]
    notes = metadata.get("annotations") or {}
    name = metadata["name"]
    restate, calling = restates.read_notes(notes, metadata["namespace"], settings)
    own_pods = [p for p in pods if _label(p, names.REVISION_LABEL) == name]
    return Revision(
        name=name,
        image=_image(spec),
        uri=notes.get(names.URI_ANNOTATION, ""),
        restate=restate,
        created=times.parse(metadata["creationTimestamp"]),
        replicas=int(spec.get("replicas", 1)),
        ready=int((body.get("status") or {}).get("readyReplicas", 0)),
        has_service=name in services,
        published=_published(services.get(name)),
        deployment_id=notes.get(names.DEPLOYMENT_ID_ANNOTATION),
        registering=names.REGISTERING_ANNOTATION in notes,
        failure=_failure(notes.get(names.FAILURE_ANNOTATION)),
        idle_since=_time(notes.get(names.IDLE_SINCE_ANNOTATION)),
        draining_since=_time(notes.get(names.DRAINING_SINCE_ANNOTATION)),
        quiet_since=_time(notes.get(names.QUIET_SINCE_ANNOTATION)),
        waking=names.WAKING_ANNOTATION in notes,
        waking_since=_time(notes.get(names.WAKING_ANNOTATION)),
        orphaned=names.ORPHANED_ANNOTATION in notes,
        moves=move_record.load(notes.get(names.MOVES_ANNOTATION)),
        untouched_since=_time(notes.get(names.UNTOUCHED_SINCE_ANNOTATION)),
        role=_label(spec["template"], names.ROLE_LABEL),
        pod_roles=_pod_roles(own_pods),
        trouble=trouble.of_revision(body, own_pods),
        calling=calling,
        closed=_list(notes.get(names.CLOSED_ANNOTATION)),
        lost_ids=_list(notes.get(names.LOST_IDS_ANNOTATION)),
        waits_for=trouble.waits_for(body, own_pods),
        spec_hash=notes.get(names.SPEC_HASH_ANNOTATION),
        checked=names.CHECKED_ANNOTATION in notes,
        gates=_gates(notes.get(names.GATES_ANNOTATION)),
        trusted=gate_jobs.trusted_by(own_pods),
    )


def _published(service: Body | None) -> bool | None:
    return bool(service["spec"].get("publishNotReadyAddresses")) if service else None


def _pod_roles(pods: list[Body]) -> tuple[tuple[str, str], ...]:
    living = [pod for pod in pods if "deletionTimestamp" not in pod["metadata"]]
    return tuple((p["metadata"]["name"], _label(p, names.ROLE_LABEL) or "") for p in living)


def _front(agent: AgentDeployment, store: Store) -> Front:
    metadata = agent.metadata
    for body in store.children(SERVICES, (metadata.namespace, metadata.name)):
        if body["metadata"]["name"] == metadata.name:
            selector = body["spec"].get("selector") or {}
            port = next((port["port"] for port in body["spec"]["ports"]), None)
            return Front(str(selector.get(names.REVISION_LABEL, "")), port)
    return Front()


def _label(body: Body, label: str) -> str | None:
    value = body["metadata"].get("labels", {}).get(label)
    return None if value is None else str(value)


def _image(spec: Body) -> str:
    containers = spec["template"]["spec"]["containers"]
    return next(str(c["image"]) for c in containers if c["name"] == names.IMAGE_CONTAINER)


def _list(text: str | None) -> tuple[str, ...]:
    return tuple(text.split(",")) if text else ()


def _time(text: str | None) -> datetime | None:
    return times.parse(text) if text else None


def _failure(text: str | None) -> Failure | None:
    return _FAILURE.validate_json(text) if text else None


def _gates(text: str | None) -> GateRecord | None:
    return _GATES.validate_json(text) if text else None

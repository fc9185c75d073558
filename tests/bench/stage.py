"""What the bench measures on: an agent, a plain Deployment of the same image, and their watches."""

import asyncio
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import httpx

from hack.demo import shell
from hack.demo.release import AGENTS
from tests.bench.prober import Prober
from tests.bench.watch import Seen, Watch, is_leaving, is_ready, is_rolled_out, labelled
from tests.e2e.world import V1, World

AGENT, PLAIN = "assistant", "plain"
SERVICE = "WeatherAgent"
PORT = 9080
REVISION = "durableagents.dev/revision"
POLL_SECONDS = 0.01


@dataclass(frozen=True)
class Started:
    """A pod: when it was made, and when it was Ready, in monotonic seconds."""

    name: str
    revision: str
    made: float
    ready: float

    @property
    def seconds(self) -> float:
        return self.ready - self.made


@dataclass(frozen=True)
class Left:
    """A revision that a turn keeps: its session and approval. ``at``: when a newer was asked for.

    ``route`` is the revision's deployment in Restate.
    """

    session: str
    revision: str
    route: str
    invocation: str
    approval: str
    at: float


@dataclass(frozen=True)
class Stage:
    """``admin`` is a client of Restate's admin API."""

    world: World
    admin: httpx.AsyncClient
    pods: Watch
    replica_sets: Watch
    deployments: Watch
    prober: Prober

    def apply_agent(self, version: str, **drain: str) -> None:
        """The agent in a version of its own: a variable makes a revision."""
        agent = self.world.release.agent(V1)
        agent["spec"]["env"] = [*agent["spec"]["env"], {"name": "BENCH", "value": version}]
        shell.apply(self.world.namespace, {**agent, "spec": {**agent["spec"], "drain": drain}})

    def apply_plain(self, version: str) -> None:
        """The Deployment in a version of its own, with a Service for this version alone."""
        shell.apply(self.world.namespace, _service(version), _deployment(self.world, version))

    async def leave_behind(self, session: str, drain: Mapping[str, str]) -> Left:
        """A turn that waits on the active revision, and then a new version of the agent."""
        revision, route = str(self.world.status()["activeRevision"]), await self.route()
        invocation, approval = await self.world.claim(session)
        at = time.monotonic()
        await asyncio.to_thread(self.apply_agent, session, **drain)
        return Left(session, revision, route, invocation, approval, at)

    async def route(self) -> str:
        """The deployment in Restate that new turns go to; empty while there is none."""
        answer = await self.admin.get(f"/services/{SERVICE}")
        return str(answer.json()["deployment_id"]) if answer.is_success else ""

    async def routed_elsewhere(self, before: str) -> float:
        """When new turns go to another deployment than before."""
        while await self.route() == before:  # noqa: ASYNC110 - Restate tells nobody
            await asyncio.sleep(POLL_SECONDS)
        return time.monotonic()

    async def registration(self, revision: str) -> float:
        """Seconds that Restate takes to ask a revision's pods what they serve: a dry run."""
        rows = await self.world.query("select endpoint from sys_deployment")
        (uri,) = [row["endpoint"] for row in rows if revision in row["endpoint"]]
        body = {"uri": uri, "force": True, "dry_run": True}
        started = time.monotonic()
        (await self.admin.post("/deployments", json=body)).raise_for_status()
        return time.monotonic() - started

    async def turn(self, session: str, revision: str) -> float:
        """Seconds of a turn, which a revision has to answer."""
        started = time.monotonic()
        answer = await self.world.weather(session)
        if answer["revision"] != revision:
            raise RuntimeError(f"{answer['revision']} answered, not {revision}")
        return time.monotonic() - started

    async def pod_started(self, since: float, revision: str = "", not_of: str = "") -> Started:
        """The first pod of the agent that was made after a moment, once it is Ready."""

        def of_agent(seen: Seen) -> bool:
            labels = seen.body["metadata"].get("labels", {})
            name = labels.get(REVISION, "")
            return bool(name) and name != not_of and (not revision or name == revision)

        return await self._started(of_agent, since)

    async def plain_started(self, since: float) -> Started:
        """The same for the Deployment."""
        return await self._started(labelled("app", PLAIN), since)

    async def _started(self, matches: Any, since: float) -> Started:
        made = await asyncio.to_thread(
            self.pods.first, lambda s: s.kind == "ADDED" and matches(s), since, "new pod"
        )
        name = made.body["metadata"]["name"]
        ready = await asyncio.to_thread(
            self.pods.first, lambda s: _name(s) == name and is_ready(s), made.at, f"Ready {name}"
        )
        revision = made.body["metadata"]["labels"].get(REVISION, "")
        return Started(name, revision, made.at, ready.at)

    async def counted_ready(self, revision: str, since: float) -> float:
        """When the ReplicaSet says that its pod is ready, which is what an operator goes by."""

        def ready(seen: Seen) -> bool:
            return _name(seen) == revision and seen.body.get("status", {}).get("readyReplicas") == 1

        seen = await asyncio.to_thread(self.replica_sets.first, ready, since, f"ready {revision}")
        return seen.at

    async def pod_leaves(self, label: str, value: str, since: float, but: str = "") -> float:
        """When a pod with a label is asked to go."""
        has = labelled(label, value)
        seen = await asyncio.to_thread(
            self.pods.first,
            lambda s: has(s) and is_leaving(s) and _name(s) != but,
            since,
            f"leaving pod of {value}",
        )
        return seen.at

    async def replica_set_leaves(self, revision: str, since: float) -> float:
        """When a revision is deleted."""
        seen = await asyncio.to_thread(
            self.replica_sets.first,
            lambda s: _name(s) == revision and is_leaving(s),
            since,
            f"end of {revision}",
        )
        return seen.at

    async def plain_answers(self, version: str) -> float:
        """When the Deployment's Service of a version leads to a pod."""
        found = shell.get(self.world.namespace, "service", f"{PLAIN}-{version}") or {}
        return await asyncio.to_thread(self.prober.answers, found["spec"]["clusterIP"], PORT)

    async def rolled_out(self, since: float) -> float:
        """When the Deployment has rolled out."""
        seen = await asyncio.to_thread(
            self.deployments.first,
            lambda s: _name(s) == PLAIN and is_rolled_out(s),
            since,
            "rollout",
        )
        return seen.at

    def old_pods(self) -> int:
        """Pods of the agent that aren't the active revision's; those in their end don't count."""
        active = self.world.status().get("activeRevision")
        pods = shell.items(self.world.namespace, "pods", f"durableagents.dev/agent={AGENT}")
        return sum(
            pod["metadata"]["labels"][REVISION] != active
            and "deletionTimestamp" not in pod["metadata"]
            for pod in pods
        )


@contextmanager
def watching(namespace: str) -> Iterator[tuple[Watch, Watch, Watch]]:
    """Watches of pods, ReplicaSets and Deployments."""
    with (
        Watch(namespace, "api/v1", "pods") as pods,
        Watch(namespace, "apis/apps/v1", "replicasets") as replica_sets,
        Watch(namespace, "apis/apps/v1", "deployments") as deployments,
    ):
        yield pods, replica_sets, deployments


def _name(seen: Seen) -> str:
    return str(seen.body["metadata"]["name"])


def _service(version: str) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": f"{PLAIN}-{version}"},
        "spec": {
            "selector": {"app": PLAIN, "version": version},
            "ports": [{"port": PORT, "targetPort": PORT}],
        },
    }


def _deployment(world: World, version: str) -> dict[str, Any]:
    probe = {"httpGet": {"path": "/health", "port": PORT}, "timeoutSeconds": 5}
    container = {
        "name": "agent",
        "image": world.release.images[V1],
        "imagePullPolicy": "IfNotPresent",
        "args": AGENTS,
        "env": [
            *world.release.agent(V1)["spec"]["env"],
            {"name": "BENCH", "value": version},
        ],
        # As the operator's pods have them.
        "startupProbe": {**probe, "periodSeconds": 1, "failureThreshold": 600},
        "readinessProbe": {**probe, "periodSeconds": 5},
    }
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": PLAIN},
        "spec": {
            "selector": {"matchLabels": {"app": PLAIN}},
            "strategy": {"rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}},
            "template": {
                "metadata": {"labels": {"app": PLAIN, "version": version}},
                "spec": {"containers": [container], "enableServiceLinks": False},
            },
        },
    }

"""What the end-to-end tests do and see: the agent's object, its pods, and Restate."""

import asyncio
import time
import uuid
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import httpx

from hack.demo import shell
from hack.demo.release import Release
from hack.demo.turns import Turns

PATIENCE = 180.0
V1, V2 = "agent-service", "agent-service-v2"
OURS = "app.kubernetes.io/managed-by=durable-agents"


@dataclass(frozen=True)
class World:
    """One agent named ``assistant``, in a release of the chart. ``admin``: Restate's admin API."""

    release: Release
    turns: Turns
    admin: str
    run: str

    def key(self, session: str) -> str:
        """A session's key: of this test alone, since Restate keeps sessions when agents go."""
        return f"{session}-{self.run}"

    @property
    def namespace(self) -> str:
        return self.release.namespace

    def kubectl(self, *arguments: str) -> str:
        return shell.run("kubectl", "-n", self.namespace, *arguments)

    def apply(self, version: str, /, name: str = "assistant", **spec: Any) -> None:
        """Apply the AgentDeployment with one of the images; drains take no longer than needed."""
        usual = {"drain": {"delay": "1s"}}
        shell.apply(self.namespace, self.release.agent(version, name, **{**usual, **spec}))

    def agent(self, name: str = "assistant") -> dict[str, Any] | None:
        return shell.get(self.namespace, "agd", name)

    def status(self, name: str = "assistant") -> dict[str, Any]:
        return dict((self.agent(name) or {}).get("status", {}))

    def condition(self, kind: str, name: str = "assistant") -> dict[str, Any]:
        found = [c for c in self.status(name).get("conditions", ()) if c["type"] == kind]
        return dict(found[0]) if found else {}

    def phases(self) -> dict[str, str]:
        """Each revision's phase, by the name of its image."""
        names = {reference: name for name, reference in self.release.images.items()}
        return {
            names.get(r["image"], r["image"]): r["phase"]
            for r in self.status().get("revisions", ())
        }

    def replica_sets(self) -> list[dict[str, Any]]:
        return shell.items(self.namespace, "replicasets", OURS)

    async def until(self, what: Callable[[], Any], hint: str) -> None:
        """Wait until something holds; fail with the agent's description otherwise."""
        deadline = time.monotonic() + PATIENCE
        while not await asyncio.to_thread(what):
            if time.monotonic() > deadline:
                described = self.kubectl("describe", "agd")
                raise AssertionError(f"after {PATIENCE:.0f} s still not: {hint}\n{described}")
            await asyncio.sleep(0.2)

    async def active(self, image: str) -> str:
        """Wait until an image's revision is active; answers the revision's name."""
        await self.until(lambda: self.phases().get(image) == "Active", f"{image} to be active")
        return str(self.status()["activeRevision"])

    async def started(self, image: str = V1, **spec: Any) -> str:
        """Apply an image and wait until it is active."""
        await asyncio.to_thread(self.apply, image, **spec)
        return await self.active(image)

    async def weather(self, session: str) -> dict[str, Any]:
        """A turn that is answered at once."""
        return await self.turns.turn("WeatherAgent", self.key(session), "Weather in Paris?")

    async def claim(self, session: str) -> tuple[str, str]:
        """A claim that waits: its invocation, suspended, and the approval it waits for."""
        key = self.key(session)
        invocation = await self.turns.start("ClaimAgent", key, "Claim C-17: 800 EUR, a bicycle")
        approval = await self.turns.approval("ClaimAgent", key)
        sql = f"select id from sys_invocation where id = '{invocation}' and status = 'suspended'"

        async def suspended() -> None:
            while not await self.query(sql):  # noqa: ASYNC110 - Restate tells nobody
                await asyncio.sleep(0.2)

        await asyncio.wait_for(suspended(), PATIENCE)
        return invocation, str(approval["id"])

    async def approve(self, session: str, invocation: str, approval: str) -> dict[str, Any]:
        await self.turns.answer("ClaimAgent", self.key(session), approval, approved=True)
        return await self.turns.result(invocation)

    async def query(self, sql: str) -> list[dict[str, Any]]:
        """Ask Restate."""
        async with httpx.AsyncClient(trust_env=False, timeout=30) as http:
            answer = await http.post(
                f"{self.admin}/query", json={"query": sql}, headers={"accept": "application/json"}
            )
            answer.raise_for_status()
            return list(answer.json()["rows"])

    async def deployments(self) -> set[str]:
        """The addresses registered with Restate."""
        rows = await self.query("select endpoint from sys_deployment")
        return {str(row["endpoint"]).rstrip("/") for row in rows}

    async def deregister(self, deployment: str) -> None:
        """Take a registration out of Restate by hand."""
        async with httpx.AsyncClient(trust_env=False) as http:
            path = f"{self.admin}/deployments/{deployment}?force=true"
            (await http.delete(path)).raise_for_status()

    async def gone(self, revision: str) -> None:
        """Wait until nothing is left of a revision, in Kubernetes and in Restate."""

        def nothing() -> bool:
            kinds = ("replicasets", "services", "pods")
            selector = f"durableagents.dev/revision={revision}"
            return not any(shell.items(self.namespace, kind, selector) for kind in kinds)

        await self.until(nothing, f"{revision} to be gone")
        assert not any(revision in uri for uri in await self.deployments())

    def kill_operator(self) -> None:
        """Kill the operator's pod without notice; its Deployment makes another."""
        self.kubectl(
            "delete", "pod", "--selector=app.kubernetes.io/component=operator",
            "--grace-period=0", "--force",
        )  # fmt: skip

    async def clear(self) -> None:
        """End what a test left: turns are killed, agents deleted."""
        await asyncio.to_thread(self.kubectl, "delete", "agd", "--all", "--wait=false")
        rows = await self.query("select id from sys_invocation where status != 'completed'")
        async with httpx.AsyncClient(trust_env=False) as http:
            for row in rows:
                await http.patch(f"{self.admin}/invocations/{row['id']}/kill")
        await self.until(lambda: not shell.items(self.namespace, "agd"), "agents to be gone")
        await self.until(lambda: not self.replica_sets(), "revisions to be gone")


@asynccontextmanager
async def looking_at(release: Release, run: str = "") -> AsyncIterator[World]:
    """A world, reached through port-forwards that live as long as Restate's pod."""
    with (
        shell.forward(release.namespace, release.restate, 8080) as ingress,
        shell.forward(release.namespace, release.restate, 9070) as admin,
    ):
        async with Turns(ingress) as turns:
            yield World(release, turns, admin, run or uuid.uuid4().hex[:6])

"""What the tests of agents do and see: agents of their own, a scripted model, and a witness."""

import asyncio
import shutil
import tempfile
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
from pydantic import TypeAdapter

from agent_service.testing import Rule
from hack import agent
from hack.demo import shell
from hack.demo.release import RELEASE, Release
from tests.e2e.kit import shop, witness
from tests.e2e.world import PATIENCE, V1, World

KIT = Path(witness.__file__).parent
PODS = "--selector=durableagents.dev/revision"
_RULES = TypeAdapter(list[Rule])


def build_image() -> str:
    """Builds the image of `kit` and loads it into the cluster; returns its name."""
    # A name of its own: a node keeps images, and one that it has is not loaded anew.
    image = f"localhost/kit-of-tests:{uuid.uuid4().hex[:8]}"
    with tempfile.TemporaryDirectory() as folder:
        shutil.copytree(KIT, Path(folder, "kit"), ignore=shutil.ignore_patterns("__pycache__"))
        shutil.move(Path(folder, "kit", "Dockerfile"), folder)
        Path(folder, "requirements.txt").write_text(f"{_locked('mcp')}\n")
        agent.load(agent.build(Path(folder), image), image)
    return image


def _locked(package: str) -> str:
    lines = (shell.ROOT / "requirements.lock").read_text().splitlines()
    return next(line.split(" ")[0] for line in lines if line.startswith(f"{package}=="))


def start_helpers(namespace: str, image: str) -> None:
    """Starts the witness and the shop, each a pod with a Service of its name."""
    ports = {"witness": witness.PORT, "shop": shop.PORT}
    shell.apply(namespace, *(one for name in ports for one in _helper(name, image, ports[name])))
    shell.run(
        "kubectl", "-n", namespace, "wait", "--for=condition=Ready", "--timeout=120s",
        *(f"pod/{name}" for name in ports),
    )  # fmt: skip


def _helper(name: str, image: str, port: int) -> tuple[dict[str, Any], dict[str, Any]]:
    meta = {"name": name, "labels": {"app": name}}
    container = {
        "name": name,
        "image": image,
        "imagePullPolicy": "IfNotPresent",
        "command": ["python", "-m", f"kit.{name}"],
        "readinessProbe": {"tcpSocket": {"port": port}, "periodSeconds": 1},
    }
    spec: dict[str, Any] = {
        "containers": [container],
        "enableServiceLinks": False,
        "terminationGracePeriodSeconds": 0,
    }
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": meta, "spec": spec}
    ports = [{"port": port}]
    service = {"selector": {"app": name}, "ports": ports}
    return pod, {"apiVersion": "v1", "kind": "Service", "metadata": meta, "spec": service}


@dataclass(frozen=True)
class AgentsWorld:
    """A world whose agents are those of an image of the tests' own.

    Attributes:
        world: the cluster, and Restate.
        image: the image.
        witness: a client of the pod that sees what tools do.
        model: a client of the scripted model.
        ingress: a client of Restate's ingress, for answers of any status.
        admin: a client of Restate's admin API.
    """

    world: World
    image: str
    witness: httpx.AsyncClient
    model: httpx.AsyncClient
    ingress: httpx.AsyncClient
    admin: httpx.AsyncClient

    async def serve(self, *agents: str, **env: str) -> str:
        """Serves agents of the image with these variables; returns the active revision."""
        usual = self.world.release.agent(V1)["spec"]["env"]
        given = [*usual, *({"name": name, "value": value} for name, value in env.items())]
        spec: dict[str, Any] = {"image": self.image, "args": list(agents), "env": given}
        before = self.world.status().get("activeRevision")
        await asyncio.to_thread(self.world.apply, V1, **spec)

        def another() -> bool:
            return self.world.status().get("activeRevision") not in (None, before)

        await self.world.until(another, "the new revision to be active")
        return str(self.world.status()["activeRevision"])

    async def script(self, *rules: Rule) -> None:
        """Puts rules before the model's own."""
        body = _RULES.dump_json(list(rules))
        (await self.model.put("/rules", content=body)).raise_for_status()

    async def asked(self, text: str) -> list[str]:
        """The rules by which the model answered messages with this text, oldest first."""
        calls = (await self.model.get("/calls")).raise_for_status().json()
        return [call["rule"] for call in calls if text in call["text"]]

    async def notes(self, name: str) -> list[str]:
        """What tools did about something, oldest first."""
        lines = (await self.witness.get("/notes")).raise_for_status().json()
        return [line for line in lines if name in line]

    async def noted(self, line: str, times: int = 1) -> None:
        """Waits until tools have noted a line so often."""

        async def look() -> bool:
            return (await self.notes(line)).count(line) >= times

        await self.until(look, f"{line!r} {times} times, and not {await self.notes(line)}")

    async def release(self, name: str) -> None:
        """Lets the step of this name go on."""
        (await self.witness.post(f"/released/{name}")).raise_for_status()

    def kill_pods(self) -> None:
        """Kills all pods of agents without notice."""
        self.world.kubectl("delete", "pod", PODS, "--grace-period=0", "--force")

    async def call(
        self, agent: str, session: str, handler: str, body: Any = None, expected: int = 200
    ) -> Any:
        """Calls a handler of an agent, and checks the status of its answer."""
        answer = await self.ingress.post(f"/{agent}/{session}/{handler}", json=body)
        assert answer.status_code == expected, answer.text
        return answer.json()

    async def pending(self, agent: str, session: str, count: int) -> list[dict[str, Any]]:
        """Waits until a session waits for so many approvals; oldest first."""
        found: list[dict[str, Any]] = []

        async def look() -> bool:
            found[:] = await self.call(agent, session, "approvals")
            return len(found) == count

        await self.until(look, f"{count} approvals")
        return found

    async def status_of(self, invocation: str) -> str:
        """Restate's word for what a turn does."""
        rows = await self.world.query(f"select status from sys_invocation where id='{invocation}'")
        return str(rows[0]["status"]) if rows else ""

    async def until_status(self, invocation: str, status: str) -> None:
        """Waits until a turn has this status."""

        async def look() -> bool:
            return await self.status_of(invocation) == status

        await self.until(look, f"{invocation} to be {status}")

    async def control(self, invocation: str, verb: str, **query: Any) -> dict[str, Any]:
        """Cancels, kills, pauses, resumes or restarts a turn; returns Restate's answer."""
        answer = await self.admin.patch(f"/invocations/{invocation}/{verb}", params=query)
        assert answer.is_success, answer.text
        return dict(answer.json()) if answer.content else {}

    async def ended(self, invocation: str) -> httpx.Response:
        """Waits for a turn's answer, of any status."""
        return await self.ingress.get(f"/restate/invocation/{invocation}/attach")

    async def until(self, holds: Callable[[], Awaitable[bool]], what: str) -> None:
        """Waits until something holds."""
        try:
            async with asyncio.timeout(PATIENCE):
                while not await holds():  # noqa: ASYNC110 - pods and Restate tell nobody
                    await asyncio.sleep(0.2)
        except TimeoutError:
            raise AssertionError(f"after {PATIENCE:.0f} s still not: {what}") from None


@asynccontextmanager
async def agents_of(world: World, image: str) -> AsyncIterator[AgentsWorld]:
    """A world of agents; the model forgets the test's rules in the end."""
    namespace = world.namespace
    with (
        shell.forward(namespace, "svc/witness", witness.PORT) as seen,
        shell.forward(namespace, f"svc/{RELEASE}-model", 8080) as model,
    ):
        addresses = (seen, model, world.turns.ingress, world.admin)
        clients = [
            httpx.AsyncClient(base_url=address, timeout=PATIENCE, trust_env=False)
            for address in addresses
        ]
        try:
            found = AgentsWorld(world, image, *clients)
            yield found
            await found.script()
        finally:
            for client in clients:
                await client.aclose()


def prepared(installed: Release) -> str:
    """Makes the image, and starts the pods that help; returns the image's name."""
    image = build_image()
    start_helpers(installed.namespace, image)
    return image


def pods_of(world: World, revision: str) -> Sequence[str]:
    """The names of a revision's pods."""
    found = shell.items(world.namespace, "pods", f"durableagents.dev/revision={revision}")
    return [pod["metadata"]["name"] for pod in found]

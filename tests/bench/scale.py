"""Hundreds of AgentDeployments on a stub node, next to as many plain Deployments."""

import asyncio
import re
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from agent_operator.kube.client import AGENT_DEPLOYMENTS, Kube, Resource
from hack.demo import shell
from tests.bench import answerer
from tests.bench.figures import Figure, Samples, Wanted
from tests.bench.requests import Client, per_minute
from tests.bench.watch import Seen, Watch, each_of, is_gone, is_ready, is_rolled_out
from tests.e2e.world import V1, World
from tests.support.stub import StubNode, stub_node

DEPLOYMENTS = Resource("Deployment", "deployments", "/apis/apps/v1")
IMAGE = "stub:1"
ANSWERER = "answerer"
AT_ONCE = 16
PATIENCE = 1800.0
# Until the last looks are over, so that what they ask for counts.
SETTLED_SECONDS = 15.0
# Once its picture and Python's memory have come to rest.
REST_SECONDS = 30.0
MEMORY_LIMITS = {200: 150.0, 1000: 300.0}
_IMPORT = """
import agent_operator.run
print([line.split()[1] for line in open("/proc/self/status") if line.startswith("VmRSS")][0])
"""


@dataclass(frozen=True)
class Numbers:
    """What the operator says of itself at ``/metrics``, at a moment."""

    at: float
    queries: float
    memory: float
    cpu: float


@dataclass
class Scale:
    """What is measured of so many objects."""

    count: int
    total: Samples = field(default_factory=Samples)
    plain: Samples = field(default_factory=Samples)
    requests: Samples = field(default_factory=lambda: Samples("requests"))
    cpu: Samples = field(default_factory=Samples)
    removed: Samples = field(default_factory=Samples)
    plain_removed: Samples = field(default_factory=Samples)
    idle_requests: Samples = field(default_factory=lambda: Samples("requests/min"))
    idle_queries: Samples = field(default_factory=lambda: Samples("queries/min"))
    idle_cpu: Samples = field(default_factory=lambda: Samples("% of a CPU"))
    memory: Samples = field(default_factory=lambda: Samples("MB"))
    imported: Samples = field(default_factory=lambda: Samples("MB"))

    def figures(self) -> list[Figure]:
        many = f"{self.count} objects"
        plain = "as many Deployments"
        share = 1.2 * self.plain.median
        return [
            Figure(
                f"{many} created on a stub node -> all serve",
                self.total, plain, self.plain, Wanted(round(share, 1)),
            ),
            Figure("- API requests of the operator for each", self.requests, wanted=Wanted(12)),
            Figure("- CPU time of the operator", self.cpu),
            Figure(f"{many} idle: API requests", self.idle_requests, wanted=Wanted(1)),
            Figure(f"{many} idle: SQL queries", self.idle_queries, wanted=Wanted(12)),
            Figure(f"{many} idle: CPU of the operator", self.idle_cpu),
            Figure(
                f"{many}: memory of the operator", self.memory, "its imports alone",
                self.imported, Wanted(MEMORY_LIMITS.get(self.count)),
            ),
            Figure(f"{many} deleted -> all gone", self.removed, plain, self.plain_removed),
        ]  # fmt: skip


async def measure(
    world: World, counts: Sequence[int], operator: Client, idle_seconds: float
) -> list[Scale]:
    """Measure each number of objects, one after another."""
    if not counts:
        return []
    address = await asyncio.to_thread(_answering, world.namespace, world.release.images[V1])
    async with AsyncExitStack() as stack:
        node = stack.enter_context(stub_node(address))
        metrics = stack.enter_context(shell.forward(world.namespace, world.release.operator, 8080))
        http = await stack.enter_async_context(
            httpx.AsyncClient(base_url=metrics, trust_env=False, timeout=30)
        )
        kube = await Kube.connect()
        stack.push_async_callback(kube.close)
        bench = _Bench(world, node, kube, http, operator, idle_seconds)
        return [await bench.measure(Scale(count)) for count in counts]


@dataclass(frozen=True)
class _Bench:
    world: World
    node: StubNode
    kube: Kube
    http: httpx.AsyncClient
    operator: Client
    idle_seconds: float

    async def measure(self, found: Scale) -> Scale:
        found.imported.add(await asyncio.to_thread(self._imported))
        made, removed = await self._life(DEPLOYMENTS, self._plain, is_rolled_out, found.count)
        found.plain.add(made)
        found.plain_removed.add(removed)
        requests, before = await self._requests(), await self._numbers()

        async def meanwhile() -> None:
            await asyncio.sleep(SETTLED_SECONDS)
            found.requests.add((await self._requests() - requests) / found.count)
            found.cpu.add((await self._numbers()).cpu - before.cpu)
            await self._idle(found)

        made, removed = await self._life(
            AGENT_DEPLOYMENTS, self._agent, is_ready, found.count, meanwhile
        )
        found.total.add(made)
        found.removed.add(removed)
        print(
            f"  {found.count} objects in {made:.1f} s (Deployments: {found.plain.median:.1f} s),"
            f" {found.requests.median:.1f} requests each, {found.memory.median:.0f} MB",
            flush=True,
        )
        return found

    async def _life(
        self,
        resource: Resource,
        manifest: Callable[[str], dict[str, Any]],
        is_there: Callable[[Seen], bool],
        count: int,
        meanwhile: Callable[[], Awaitable[None]] | None = None,
    ) -> tuple[float, float]:
        """Seconds until all objects are there, and until all are gone again, with their pods."""
        names = [f"scale-{number}" for number in range(count)]
        namespace, api = self.world.namespace, resource.base.strip("/")
        with Watch(namespace, api, resource.plural) as watch:
            started = time.monotonic()
            all_there = asyncio.create_task(
                asyncio.to_thread(
                    watch.first, each_of(names, is_there), started, "end of it", PATIENCE
                )
            )
            await self._each(
                names, lambda name: self.kube.create(resource, namespace, manifest(name))
            )
            made = (await all_there).at - started
            if meanwhile:
                await meanwhile()
            started = time.monotonic()
            await self._each(names, lambda name: self.kube.delete(resource, namespace, name))
            gone = await asyncio.to_thread(
                watch.first, each_of(names, is_gone), started, "end of all", PATIENCE
            )
        await self._no_pods()
        return made, gone.at - started

    async def _each(self, names: Sequence[str], act: Callable[[str], Awaitable[Any]]) -> None:
        slots = asyncio.Semaphore(AT_ONCE)

        async def one(name: str) -> None:
            async with slots:
                await act(name)

        await asyncio.gather(*(one(name) for name in names))

    async def _no_pods(self) -> None:
        field = f"--field-selector=spec.nodeName={self.node.name}"
        arguments = ("-n", self.world.namespace, "get", "pods", field, "-o", "name")
        while await asyncio.to_thread(shell.run, "kubectl", *arguments):  # noqa: ASYNC110
            await asyncio.sleep(1)

    async def _idle(self, found: Scale) -> None:
        await asyncio.sleep(REST_SECONDS)
        before = await self._numbers()
        found.idle_requests.add(await per_minute(self.operator, self.idle_seconds))
        after = await self._numbers()
        seconds = after.at - before.at
        found.idle_queries.add((after.queries - before.queries) / seconds * 60)
        found.idle_cpu.add((after.cpu - before.cpu) / seconds * 100)
        found.memory.add(after.memory)

    def _agent(self, name: str) -> dict[str, Any]:
        return {
            "apiVersion": "durableagents.dev/v1alpha1",
            "kind": "AgentDeployment",
            "metadata": {"name": name},
            "spec": {"image": IMAGE, "template": {"spec": self.node.pod_spec}},
        }

    def _plain(self, name: str) -> dict[str, Any]:
        labels = {"app": name}
        return {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": {"name": name},
            "spec": {
                "selector": {"matchLabels": labels},
                "template": {
                    "metadata": {"labels": labels},
                    "spec": {
                        **self.node.pod_spec,
                        "containers": [{"name": "agent", "image": IMAGE}],
                    },
                },
            },
        }

    async def _requests(self) -> int:
        return await asyncio.to_thread(self.operator.requests)

    def _imported(self) -> float:
        command = ("exec", self.world.release.operator, "--", "python", "-c", _IMPORT)
        return int(self.world.kubectl(*command)) / 1000

    async def _numbers(self) -> Numbers:
        answer = (await self.http.get("/metrics")).raise_for_status().text
        query = r'durable_agents_restate_request_seconds_count\{operation="POST /query"\}'
        return Numbers(
            time.monotonic(),
            _value(query, answer),
            _value("process_resident_memory_bytes", answer) / 1e6,
            _value("process_cpu_seconds_total", answer),
        )


def _value(name: str, text: str) -> float:
    found = re.search(rf"^{name} (\S+)$", text, re.MULTILINE)
    return float(found.group(1)) if found else 0.0


def _answering(namespace: str, image: str) -> str:
    """Start the pod that answers for all stub pods; its address."""
    container = {
        "name": ANSWERER,
        "image": image,
        "imagePullPolicy": "IfNotPresent",
        "command": ["python", "-c", Path(answerer.__file__).read_text()],
        "readinessProbe": {"tcpSocket": {"port": answerer.PORT}, "periodSeconds": 1},
    }
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": ANSWERER},
        "spec": {"containers": [container], "enableServiceLinks": False},
    }
    shell.apply(namespace, pod)
    ready = ("wait", "--for=condition=Ready", f"pod/{ANSWERER}", "--timeout=120s")
    shell.run("kubectl", "-n", namespace, *ready)
    found = shell.get(namespace, "pod", ANSWERER) or {}
    return str(found["status"]["podIP"])

"""``python -m tests.bench``, which is ``make bench``: figures from the cluster in use, as a table.

With ``--write`` they also go to docs/benchmarks.md, with the command that made them.
"""

import argparse
import asyncio
import json
import os
import platform
import sys
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import httpx

from hack import cluster
from hack.cluster import ClusterError
from hack.demo import release, shell
from hack.images import ImageError
from hack.restate import RestateError
from tests.bench import scale, sleepers, upgrades
from tests.bench.figures import Figure, table
from tests.bench.prober import Prober
from tests.bench.requests import Client, counted
from tests.bench.stage import Stage, watching
from tests.e2e.world import looking_at

PAGE = shell.ROOT / "docs" / "benchmarks.md"


@dataclass(frozen=True)
class Options:
    """As given on the command line."""

    rounds: int
    idle: int
    scale: tuple[int, ...]
    scale_idle: int
    write: bool

    @property
    def command(self) -> str:
        scale = f" SCALE={','.join(map(str, self.scale))}" if self.scale else ""
        return f"make bench ROUNDS={self.rounds} IDLE={self.idle}{scale} WRITE=1"


def _options() -> Options:
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument(
        "--rounds", type=int, default=10, help="upgrades to measure (10); 0: none, and no sleepers"
    )
    parser.add_argument("--idle", type=int, default=120, help="seconds to watch idleness (120)")
    parser.add_argument(
        "--scale", type=_counts, default=(), help="numbers of objects on a stub node: 200,1000"
    )
    parser.add_argument(
        "--scale-idle", type=int, default=300, help="seconds to watch those idle (300)"
    )
    parser.add_argument("--write", action="store_true", help="write docs/benchmarks.md")
    given = parser.parse_args()
    return Options(given.rounds, given.idle, given.scale, given.scale_idle, given.write)


def _counts(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in text.split(","))


async def run(options: Options) -> list[Figure]:
    """Measure all of it in a release of its own, which goes again."""
    namespace = f"bench-{uuid.uuid4().hex[:6]}"
    print(f"bench: installing into {namespace} ...", flush=True)
    try:
        installed = release.install(namespace)
        return await _measure(installed, options)
    finally:
        print("bench: uninstalling ...", flush=True)
        await _clean_up(namespace)


async def _measure(installed: release.Release, options: Options) -> list[Figure]:
    namespace = installed.namespace
    account = f"{release.RELEASE}-operator"
    operator = Client(f"{namespace}-operator", namespace, account, "workload-low")
    controller = Client(
        f"{namespace}-controller", "kube-system", "deployment-controller", "workload-high"
    )
    async with (
        looking_at(installed) as world,
        httpx.AsyncClient(base_url=world.admin, trust_env=False, timeout=30) as admin,
    ):
        with (
            watching(namespace) as watches,
            counted(operator, controller),
            Prober(namespace, f"deploy/{release.RELEASE}-model") as prober,
        ):
            stage = Stage(world, admin, *watches, prober)
            figures: list[Figure] = []
            if options.rounds:
                figures += await _one_agent(stage, options, operator, controller)
            scales = await scale.measure(world, options.scale, operator, options.scale_idle)
            return [*figures, *(figure for found in scales for figure in found.figures())]


async def _one_agent(
    stage: Stage, options: Options, operator: Client, controller: Client
) -> list[Figure]:
    await asyncio.to_thread(stage.apply_agent, "0", **upgrades.DRAIN)
    await stage.world.active("agent-service")
    upgraded = await upgrades.measure(stage, options.rounds, operator, controller)
    slept = await sleepers.measure(stage, operator, options.idle)
    await stage.world.clear()
    return [*upgraded.figures(), *slept.figures(upgraded.turn)]


async def _clean_up(namespace: str) -> None:
    """Take the release away; what is left of turns is killed first, or it would wait for them."""
    if shell.get("default", "namespace", namespace) is None:
        return
    try:
        async with looking_at(release.Release(namespace, {})) as world:
            await world.clear()
        await asyncio.to_thread(release.uninstall, namespace)
    except (RuntimeError, AssertionError, httpx.HTTPError) as error:
        # Said, not raised: it would hide what went wrong before.
        print(f"bench: {namespace} is not cleaned up: {error}", file=sys.stderr)
    finally:
        shell.run("kubectl", "delete", "namespace", namespace, "--wait=false")


def _page(options: Options, text: str, loads: Sequence[str]) -> str:
    version = json.loads(shell.run("kubectl", "version", "-o", "json"))["serverVersion"]
    return f"""\
# Benchmarks

<!-- Made by `{options.command}`: measure again, don't edit. -->
`{options.command}`, on {datetime.now(UTC):%Y-%m-%d}: {os.cpu_count()} CPUs ({platform.machine()}),
Kubernetes {version["gitVersion"]} (cluster: {cluster.provider()}), the scripted model. Load average
of the machine: {loads[0]} before, {loads[1]} after.

{text}

- Times are between events as a watch sees them, or polls every 10 ms, on one clock. A baseline is
  of the same run: a plain Deployment of the same image is rolled out after each upgrade.
- Ratio: the median to the baseline's median. Wanted: what the project set out to reach.
- A Service leads to a new pod when kube-proxy has taken it in, up to a second after it is Ready.
- Requests to the API server, watches included, are counted by a flow schema for the operator's
  service account. Idle, they are the leader's Lease and watches that are opened anew.
- A rollout's baseline of 0 requests means that this cluster's controllers share one account.
- Many objects: their pods are on a stub node (kwok) that takes them for Ready at once; one real pod
  answers Restate for all of them. Deployments have no Service and nothing to register.
- SQL queries, memory (resident) and CPU time are the operator's own metrics.
"""


def _load() -> str:
    return ", ".join(f"{value:.1f}" for value in os.getloadavg())


def main() -> int:
    """Measure, print, and write."""
    options = _options()
    os.environ.pop("GOOGLE_API_KEY", None)  # a bench costs no one's money
    before = _load()
    try:
        cluster.up()
        figures = asyncio.run(run(options))
    except (ClusterError, ImageError, RestateError, RuntimeError) as error:
        print(f"bench: {error}", file=sys.stderr)
        return 1
    text = table(figures)
    print(f"\n{text}\n\nload average: {before} before, {_load()} after")
    if options.write:
        PAGE.write_text(_page(options, text, (before, _load())))
        print(f"written to {PAGE.relative_to(shell.ROOT)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""The operator's figures, measured in a release of its own on the cluster in use."""

import asyncio
import json
import sys
import traceback
import uuid

import httpx

from hack import cluster
from hack.demo import release, shell
from tests.bench import scale, sleepers, upgrades
from tests.bench.figures import Figure
from tests.bench.page import Part
from tests.bench.prober import Prober
from tests.bench.requests import Client, counted
from tests.bench.stage import Stage, watching
from tests.e2e.world import looking_at

ONE_AGENT, MANY = "upgrades", "many-objects"


async def measure(rounds: int, idle: int, counts: tuple[int, ...], scale_idle: int) -> list[Part]:
    """Measures all of it; the release goes again.

    Args:
        rounds: upgrades to measure; 0: none, and no sleepers.
        idle: seconds to watch idleness.
        counts: numbers of objects on a stub node.
        scale_idle: seconds to watch those idle.
    """
    namespace = f"bench-{uuid.uuid4().hex[:6]}"
    print(f"bench: installing into {namespace} ...", flush=True)
    try:
        installed = release.install(namespace)
        one, many = await _measure(installed, rounds, idle, counts, scale_idle)
    except Exception:
        # Now: the cleaning up may take long, and fail as well.
        traceback.print_exc()
        raise
    finally:
        print("bench: uninstalling ...", flush=True)
        await _clean_up(namespace)
    told = _with_what()
    parts = [Part(ONE_AGENT, one, told), Part(MANY, many, told)]
    return [part for part in parts if part.figures]


async def _measure(
    installed: release.Release, rounds: int, idle: int, counts: tuple[int, ...], scale_idle: int
) -> tuple[list[Figure], list[Figure]]:
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
            one: list[Figure] = []
            if rounds:
                one = await _one_agent(stage, rounds, idle, operator, controller)
            scales = await scale.measure(world, counts, operator, scale_idle)
            return one, [figure for found in scales for figure in found.figures()]


async def _one_agent(
    stage: Stage, rounds: int, idle: int, operator: Client, controller: Client
) -> list[Figure]:
    await asyncio.to_thread(stage.apply_agent, "0", **upgrades.DRAIN)
    await stage.world.active("agent-service")
    upgraded = await upgrades.measure(stage, rounds, operator, controller)
    slept = await sleepers.measure(stage, operator, idle)
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


def _with_what() -> str:
    version = json.loads(shell.run("kubectl", "version", "-o", "json"))["serverVersion"]
    kubernetes = f"Kubernetes {version['gitVersion']} (cluster: {cluster.provider()})"
    return f"{kubernetes}, the scripted model"

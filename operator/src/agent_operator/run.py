"""The operator's process: health, then the lease, the CRD, the watches, until told to stop."""

import asyncio
import contextlib
import logging
import signal
from collections.abc import Coroutine, Iterator
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Final

import kopf

from agent_operator import handlers, health, metrics
from agent_operator.kube import cluster, secrets
from agent_operator.kube.client import AGENT_DEPLOYMENTS, Body, Kube
from agent_operator.kube.errors import KubeError
from agent_operator.kube.store import Key, Store, resync
from agent_operator.leader import Election, Timing
from agent_operator.loop import Loop
from agent_operator.reconcile.reconciler import Reconciler
from agent_operator.restate.access import Access
from agent_operator.restate.client import RestateClient
from agent_operator.restate.observer import RestateObserver
from agent_operator.restate.server import Server
from agent_operator.settings import Settings

log = logging.getLogger(__name__)

NOT_YET_SECONDS: Final = 2.0
# All watches that break together are read anew within this time.
LISTED_SECONDS: Final = 5.0
# What a list answers where the namespace is gone, and the Role in it with it.
GONE: Final = frozenset({403, 404})


async def run(settings: Settings, stop: asyncio.Event | None = None) -> None:
    """Run the operator until ``stop`` is set or the process is told to end."""
    stop = stop or _stop_on_signals()
    kube, store = await Kube.connect(), Store()
    restate = RestateObserver(lambda server: _client(server, kube))
    reconciler = Reconciler(kube, store, restate, settings)
    loop = Loop(reconciler.reconcile)
    restate.sleepers.woken = loop.wake
    election = _election(settings, kube)
    state = _State(election)
    server = await health.serve(
        settings.health_port, state.why_not_ready, loop.longest_look, state.role
    )
    try:
        with metrics.showing(lambda: _statuses(store)):
            work = _work(reconciler, stop, kube, store, loop, state)
            await _until_first(stop, _lead(election, work))
    finally:
        await loop.close()
        if election:
            await election.release()  # only now that nothing acts any more
        await restate.close()
        await kube.close()
        await server.cleanup()


def _client(server: Server, kube: Kube) -> RestateClient:
    access = Access(server, partial(secrets.read, kube)) if server.has_credentials else None
    return RestateClient(server.url, access=access)


@dataclass
class _State:
    election: Election | None
    not_ready: str | None = "starting"

    def why_not_ready(self) -> str | None:
        match self.role():
            case "starting":
                return (self.election and self.election.trouble) or "starting"
            case "standby":
                return None
        return self.not_ready

    def role(self) -> str:
        if self.election and self.election.role != "leader":
            return self.election.role
        return "ok"


def _election(settings: Settings, kube: Kube) -> Election | None:
    if not settings.lease_namespace:
        return None
    timing = Timing.lasting(settings.lease_seconds)
    return Election(kube, settings.identity, settings.lease_namespace, settings.lease_name, timing)


async def _lead(election: Election | None, work: Coroutine[Any, Any, None]) -> None:
    """Do the work while this replica holds the lease."""
    try:
        if election is None:
            metrics.LEADER.set(1)
            await work
            return
        await election.acquire()
        async with asyncio.TaskGroup() as group:
            holding = group.create_task(election.hold())
            await work
            holding.cancel()
    finally:
        work.close()  # where it was never begun


def _statuses(store: Store) -> Iterator[tuple[Key, Body]]:
    for key in store.names(AGENT_DEPLOYMENTS):
        yield key, (store.get(key) or {}).get("status") or {}


async def _work(
    reconciler: Reconciler, stop: asyncio.Event, kube: Kube, store: Store, loop: Loop, state: _State
) -> None:
    settings = reconciler.settings = await _with_cluster(reconciler.settings, kube, state)
    served = await _first_list(settings, kube, store, state)
    for key in store.names(AGENT_DEPLOYMENTS):
        loop.wake(key)
    registry, listed = kopf.OperatorRegistry(), asyncio.Event()
    handlers.register(registry, store, loop.wake, stop.set, listed.set)
    async with asyncio.TaskGroup() as group:
        group.create_task(_resync_for_ever(settings, kube, store, loop, served, stop, listed))
        group.create_task(
            kopf.operator(
                registry=registry,
                settings=handlers.settings(),
                namespaces=[name for name in served if name],
                clusterwide=None in served,
                standalone=True,
                stop_flag=stop,
            )
        )


async def _with_cluster(settings: Settings, kube: Kube, state: _State) -> Settings:
    """The settings with the cluster's id, which tells its registrations from other clusters'."""
    while not settings.cluster:
        try:
            settings = replace(settings, cluster=await cluster.read_id(kube))
        except KubeError as error:
            state.not_ready = f"can't read the cluster's id ({error}); CLUSTER_ID may give one"
            log.warning("%s", state.not_ready)
            await asyncio.sleep(NOT_YET_SECONDS)
    return settings


async def _first_list(
    settings: Settings, kube: Kube, store: Store, state: _State
) -> set[str | None]:
    """Wait until the API server serves AgentDeployments and lets us see them; answers where."""
    while True:
        try:
            if served := await _list_all(settings, kube, store):
                state.not_ready = None
                return served
            state.not_ready = "none of the namespaces in WATCH_NAMESPACES may be listed"
        except KubeError as error:
            state.not_ready = f"can't list what the operator works on: {error}"
        log.warning("%s; is the CRD installed?", state.not_ready)
        await asyncio.sleep(NOT_YET_SECONDS)


async def _list_all(settings: Settings, kube: Kube, store: Store) -> set[str | None]:
    """List each namespace, or all at once (``None``); a deleted one must not stop the others."""
    served: set[str | None] = set()
    for namespace in settings.namespaces or (None,):
        try:
            await resync(store, kube, namespace)
        except KubeError as error:
            if namespace is None or error.status not in GONE:
                raise
            log.warning("namespace %s is left out: %s", namespace, error)
        else:
            served.add(namespace)
    return served


async def _resync_for_ever(
    settings: Settings,
    kube: Kube,
    store: Store,
    loop: Loop,
    served: set[str | None],
    stop: asyncio.Event,
    listed: asyncio.Event,
) -> None:
    """At long intervals; and soon after a watch began anew, which tells of no deletion before."""
    while True:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(listed.wait(), settings.resync_seconds)
            await asyncio.sleep(LISTED_SECONDS)
        listed.clear()
        before = store.names(AGENT_DEPLOYMENTS)
        try:
            if await _list_all(settings, kube, store) != served:
                log.warning("the namespaces to watch have changed: starting anew")
                stop.set()
        except KubeError as error:
            log.warning("can't compare with a full list: %s", error)
        for key in before | store.names(AGENT_DEPLOYMENTS):
            loop.wake(key)


async def _until_first(stop: asyncio.Event, work: Coroutine[Any, Any, None]) -> None:
    """Run the work; end it when ``stop`` is set."""
    working = asyncio.ensure_future(work)
    stopping = asyncio.create_task(stop.wait())
    await asyncio.wait({working, stopping}, return_when=asyncio.FIRST_COMPLETED)
    stopping.cancel()
    if working.done():
        working.result()
    working.cancel()
    await asyncio.gather(working, return_exceptions=True)


def _stop_on_signals() -> asyncio.Event:
    stop, loop = asyncio.Event(), asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    return stop

"""kopf's wiring, nothing else: every event only says which AgentDeployment to look at again."""

from collections.abc import Awaitable, Callable
from typing import Any

import kopf

from agent_operator.api import names
from agent_operator.kube import keep_alive
from agent_operator.kube.client import AGENT_DEPLOYMENTS, CHILDREN_RESOURCES, Resource
from agent_operator.kube.no_storage import NoDiffs, NoProgress
from agent_operator.kube.store import OURS, Key, Store, key_of


def register(
    registry: kopf.OperatorRegistry,
    store: Store,
    wake: Callable[[Key], None],
    stop: Callable[[], None],
    listed: Callable[[], None],
) -> None:
    """Feed the store from kopf's watches, and wake the object that each event is about.

    ``stop`` is called when kopf was told to end; ``listed`` when a watch began with a list, at the
    start or after a gap.
    """
    kopf.on.login(id="login", registry=registry)(keep_alive.login)

    # kopf puts its own signal handlers in place of ours, and waits for our tasks before it returns.
    @kopf.on.cleanup(id="stop", registry=registry)
    async def stopping(**_: Any) -> None:
        stop()

    def take_in(resource: Resource) -> Callable[..., Awaitable[None]]:
        # async, since kopf runs other handlers in threads, where there is no loop to wake.
        async def handler(event: kopf.RawEvent, **_: Any) -> None:
            body = {**event["object"], "kind": resource.kind}
            if event["type"] is None:
                listed()
            news = True
            if event["type"] == "DELETED":
                store.remove(resource, body)
            else:
                news = store.put(resource, body)
            # The echo of a write of our own brings nothing that its look has not seen.
            if news:
                wake(key_of(resource, body))

        return handler

    kopf.on.event(names.GROUP, names.VERSION, names.PLURAL, id="agents", registry=registry)(
        take_in(AGENT_DEPLOYMENTS)
    )
    for resource in CHILDREN_RESOURCES:
        group, version = _group_version(resource)
        kopf.on.event(
            group,
            version,
            resource.plural,
            labels={names.MANAGED_BY_LABEL: names.MANAGER, names.AGENT_LABEL: kopf.PRESENT},
            id=resource.plural,
            registry=registry,
        )(take_in(resource))


def settings() -> kopf.OperatorSettings:
    """Kopf's settings: no annotations, no finalizers, no events of its own on our objects."""
    chosen = kopf.OperatorSettings()
    chosen.posting.enabled = False
    chosen.peering.standalone = True
    chosen.persistence.diffbase_storage = NoDiffs()
    chosen.persistence.progress_storage = NoProgress()
    chosen.scanning.disabled = True
    # An hour, since each watch opened anew is a request. One of a kind with no objects may
    # be silent all the time; that the other end is there is seen to by TCP (kube/keep_alive.py).
    chosen.watching.server_timeout = 3600
    chosen.watching.client_timeout = 3610
    chosen.watching.inactivity_timeout = 3600
    chosen.watching.connect_timeout = 10
    chosen.networking.request_timeout = 30
    # kopf holds one worker for each object; it would wait seconds between events of one object.
    chosen.queueing.idle_timeout = 1
    for resource in CHILDREN_RESOURCES:
        chosen.watching.label_selectors[resource.plural] = OURS
    return chosen


def _group_version(resource: Resource) -> tuple[str, str]:
    parts = resource.base.strip("/").split("/")
    return ("", parts[-1]) if parts[0] == "api" else (parts[1], parts[2])

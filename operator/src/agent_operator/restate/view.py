"""What was seen of one Restate server, as immutable values that ``plan`` may decide on."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property

from agent_operator.api import names
from agent_operator.api.status import InvocationCounts, OldestInvocation


@dataclass(frozen=True)
class Deployment:
    """A registered deployment. ``uri`` has no trailing slash."""

    id: str
    uri: str
    services: tuple[str, ...] = ()
    metadata: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Service:
    """A service: where its new invocations go, and whether the ingress takes any.

    ``type`` and the handlers' types are Restate's own words (VirtualObject, Exclusive, ...); a
    plain service's handlers have none.
    """

    name: str
    deployment_id: str
    public: bool = True
    type: str = "VirtualObject"
    handlers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class StuckInvocation:
    """An invocation that does not get on. ``unanswered``: because nothing serves its deployment."""

    id: str
    target: str
    paused: bool
    unanswered: bool
    error: str


@dataclass(frozen=True)
class Load:
    """Invocations, not completed, that need one deployment.

    ``stuck`` are those that are paused or have failed for long, the oldest first.
    """

    counts: InvocationCounts = field(default_factory=InvocationCounts)
    oldest: OldestInvocation | None = None
    stuck: tuple[StuckInvocation, ...] = ()

    @property
    def calls(self) -> bool:
        """Whether any of them is at work or wants to be; one that waits for its time is not."""
        stranded = any(found.paused and found.unanswered for found in self.stuck)
        return self.counts.running + self.counts.backing_off > 0 or stranded

    @property
    def wants_pods(self) -> bool:
        """Whether any of them would go on if there were pods."""
        stranded = any(found.paused and found.unanswered for found in self.stuck)
        return self.counts.awake > 0 or stranded


@dataclass(frozen=True)
class Signs:
    """What shows whether a new look at a Restate server is due.

    ``tried`` are deployments with an attempt under way or due again, ``going`` invocations that
    were asked about and have not ended.
    """

    tried: frozenset[str] = frozenset()
    going: frozenset[str] = frozenset()


@dataclass(frozen=True)
class RestateView:
    """One look at a Restate server.

    ``loads`` has the deployments that something needs, by id; it was read after ``services``, so
    a deployment that had no route and no load can get no more work. Each object of the cluster
    looks its own up in here, so it is found by index. ``awake`` tells when work was last seen at a
    deployment, by this operator since its start.
    """

    deployments: tuple[Deployment, ...] = ()
    services: tuple[Service, ...] = ()
    loads: Mapping[str, Load] = field(default_factory=dict)
    awake: Mapping[str, datetime] = field(default_factory=dict)

    def route(self, service: str) -> str | None:
        """The id of the deployment that a service's new invocations go to."""
        found = self._by_name.get(service)
        return found.deployment_id if found else None

    def routed_to(self, deployment_id: str) -> tuple[Service, ...]:
        """The services whose new invocations go to a deployment."""
        return self._by_holder.get(deployment_id, ())

    def by_uri(self, uri: str) -> Deployment | None:
        """The deployment registered under an address."""
        return self._by_uri.get(uri)

    def by_id(self, deployment_id: str | None) -> Deployment | None:
        """The deployment with an id."""
        return self._by_id.get(deployment_id) if deployment_id else None

    def owned_by(self, owner: str) -> tuple[Deployment, ...]:
        """The deployments registered for an AgentDeployment, given as namespace/name."""
        return self._by_owner.get(owner, ())

    def load(self, deployment_id: str) -> Load:
        """What needs a deployment."""
        return self.loads.get(deployment_id, Load())

    def holds_all_routes(self, deployment: Deployment) -> bool:
        """Whether new invocations of every service of a deployment go to it."""
        return bool(deployment.services) and all(
            self.route(service) == deployment.id for service in deployment.services
        )

    def holds_a_route(self, deployment_id: str) -> bool:
        """Whether new invocations of any service go to a deployment."""
        return bool(self.routed_to(deployment_id))

    # Of two with the same key the first counts, so the first is put in last.

    @cached_property
    def _by_uri(self) -> Mapping[str, Deployment]:
        return {found.uri: found for found in reversed(self.deployments)}

    @cached_property
    def _by_id(self) -> Mapping[str, Deployment]:
        return {found.id: found for found in reversed(self.deployments)}

    @cached_property
    def _by_name(self) -> Mapping[str, Service]:
        return {found.name: found for found in reversed(self.services)}

    @cached_property
    def _by_owner(self) -> Mapping[str, tuple[Deployment, ...]]:
        groups: dict[str, list[Deployment]] = {}
        for found in self.deployments:
            if owner := found.metadata.get(names.OWNER_KEY):
                groups.setdefault(owner, []).append(found)
        return {owner: tuple(group) for owner, group in groups.items()}

    @cached_property
    def _by_holder(self) -> Mapping[str, tuple[Service, ...]]:
        groups: dict[str, list[Service]] = {}
        for found in self.services:
            groups.setdefault(found.deployment_id, []).append(found)
        return {holder: tuple(group) for holder, group in groups.items()}


@dataclass(frozen=True)
class Unreachable:
    """A Restate server that can't be asked: nothing is known, which is never taken for "none".

    ``reason`` says in one word whether it is away, or what is wrong with our credentials.
    """

    url: str
    error: str
    reason: str = "Unreachable"


def leading(services: Iterable[str]) -> list[str]:
    """The services that callers know an endpoint by: without ``X.users``, where there is ``X``."""
    names = set(services)
    parts = {name: name.split(".") for name in names}
    return sorted(
        name
        for name, part in parts.items()
        if not any(".".join(part[:end]) in names for end in range(1, len(part)))
    )

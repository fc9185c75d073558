"""What was seen of one Restate server, as immutable values that ``plan`` may decide on."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from agent_operator.api.status import InvocationCounts, OldestInvocation


@dataclass(frozen=True)
class Deployment:
    """A registered deployment. ``uri`` has no trailing slash."""

    id: str
    uri: str
    services: tuple[str, ...] = ()
    metadata: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Load:
    """Invocations, not completed, that need one deployment."""

    counts: InvocationCounts = field(default_factory=InvocationCounts)
    oldest: OldestInvocation | None = None


@dataclass(frozen=True)
class RestateView:
    """One look at a Restate server.

    ``routes`` maps each service to the id of the deployment that its new invocations go to.
    ``loads`` has the deployments that something needs, by id; it was read after ``routes``, so a
    deployment that had no route and no load can get no more work.
    """

    deployments: tuple[Deployment, ...] = ()
    routes: Mapping[str, str] = field(default_factory=dict)
    loads: Mapping[str, Load] = field(default_factory=dict)

    def by_uri(self, uri: str) -> Deployment | None:
        """The deployment registered under an address."""
        return next((d for d in self.deployments if d.uri == uri), None)

    def by_id(self, deployment_id: str) -> Deployment | None:
        """The deployment with an id."""
        return next((d for d in self.deployments if d.id == deployment_id), None)

    def load(self, deployment_id: str) -> Load:
        """What needs a deployment."""
        return self.loads.get(deployment_id, Load())

    def holds_all_routes(self, deployment: Deployment) -> bool:
        """Whether new invocations of every service of a deployment go to it."""
        return bool(deployment.services) and all(
            self.routes.get(service) == deployment.id for service in deployment.services
        )

    def holds_a_route(self, deployment_id: str) -> bool:
        """Whether new invocations of any service go to a deployment."""
        return deployment_id in self.routes.values()


@dataclass(frozen=True)
class Unreachable:
    """A Restate server that can't be asked: nothing is known, which is never taken for "none"."""

    url: str
    error: str

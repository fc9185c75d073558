"""What a revision is: a hash of everything in a spec that changes what runs, and nothing else."""

import hashlib
import json
from dataclasses import asdict, dataclass, field
from typing import Final

from agent_operator.api import AgentDeployment, AgentDeploymentSpec
from agent_operator.api.restate import INGRESS_PORT
from agent_operator.api.scaling import Autoscaler
from agent_operator.reconcile import restates
from agent_operator.restate.server import Calling, Server
from agent_operator.settings import Settings

# Changes of these make no new revision: they say how revisions are run, not what runs.
_NOT_PART: Final = frozenset(
    {
        "replicas",
        "rollout",
        "drain",
        "deletion_policy",
        "restate",
        "revision_history_limit",
        "max_revisions",
        "scaling",
    }
)
_HASH_LENGTH: Final = 10


@dataclass(frozen=True)
class Wanted:
    """The revision that a spec asks for.

    ``uri`` is where Restate will call it, ``ingress`` where it reaches Restate, if anywhere.
    """

    name: str
    image: str
    replicas: int
    restate: Server
    uri: str
    calling: Calling = field(default_factory=Calling)
    spec_hash: str | None = None
    ingress: str = ""


def wanted(agent: AgentDeployment, settings: Settings, config: str | None = None) -> Wanted:
    """The revision that an AgentDeployment's spec asks for.

    ``config`` is a digest of what Secrets and ConfigMaps say, where that is part of it.
    """
    restate = restates.wanted_by(agent, settings)
    calling = restates.calling_of(agent.spec)
    name = f"{agent.metadata.name}-{revision_hash(agent.spec, restate.url, calling, config)}"
    host = f"{name}.{agent.metadata.namespace}.svc.{settings.cluster_domain}"
    return Wanted(
        name=name,
        image=agent.spec.image,
        replicas=replicas_of(agent.spec),
        restate=restate,
        uri=f"http://{host}:{agent.spec.port}",
        calling=calling,
        spec_hash=None if config is None else revision_hash(agent.spec, restate.url, calling),
        ingress=restates.ingress_of(agent, settings),
    )


def replicas_of(spec: AgentDeploymentSpec) -> int:
    """The pods that a spec asks for, or the fewest that its autoscaler may have."""
    autoscaler = autoscaler_of(spec)
    return autoscaler.min_replicas if autoscaler else spec.replicas


def autoscaler_of(spec: AgentDeploymentSpec) -> Autoscaler | None:
    """What says how many pods there are; nothing does where there are to be none."""
    return spec.scaling.autoscaler if spec.scaling and spec.replicas else None


def revision_hash(
    spec: AgentDeploymentSpec, admin_url: str, calling: Calling, config: str | None = None
) -> str:
    """Ten hex digits that differ where what runs, or where it registers, differs.

    The wish is hashed, not the rendered manifests, so that an operator that renders them
    otherwise (a new default) does not roll out every agent of the cluster. Of a Restate, its
    addresses and how it calls the revision count, and not which Secrets hold its credentials.
    """
    parts = spec.model_dump(mode="json", by_alias=True, exclude_none=True, exclude=set(_NOT_PART))
    registers: list[object] = [admin_url] if calling == Calling() else [admin_url, asdict(calling)]
    registers += _named_ingress(spec)
    whole = [parts, *registers, *([] if config is None else [config])]
    text = json.dumps(whole, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:_HASH_LENGTH]


def _named_ingress(spec: AgentDeploymentSpec) -> list[object]:
    """What a spec says of the ingress; nothing for what the operator knows by itself."""
    ref = spec.restate
    if ref is None:
        return []
    if ref.ingress_url:
        return [{"ingress": ref.ingress_url.rstrip("/")}]
    port = ref.service.ingress_port if ref.service else INGRESS_PORT
    return [] if port == INGRESS_PORT else [{"ingress": port}]

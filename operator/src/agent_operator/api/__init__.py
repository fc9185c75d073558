"""The AgentDeployment's types: the one source of the CRD, its documentation and the operator."""

from agent_operator.api.names import (
    AGENT_LABEL,
    API_VERSION,
    FINALIZER,
    GROUP,
    KIND,
    MANAGER,
    PLURAL,
    REVISION_LABEL,
    VERSION,
)
from agent_operator.api.spec import AgentDeployment, AgentDeploymentSpec
from agent_operator.api.status import (
    AgentDeploymentStatus,
    Condition,
    InvocationCounts,
    Phase,
    PodCounts,
    RevisionStatus,
)

__all__ = [
    "AGENT_LABEL",
    "API_VERSION",
    "FINALIZER",
    "GROUP",
    "KIND",
    "MANAGER",
    "PLURAL",
    "REVISION_LABEL",
    "VERSION",
    "AgentDeployment",
    "AgentDeploymentSpec",
    "AgentDeploymentStatus",
    "Condition",
    "InvocationCounts",
    "Phase",
    "PodCounts",
    "RevisionStatus",
]

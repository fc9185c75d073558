"""Names that the API server, Restate and people see."""

from typing import Final

GROUP: Final = "durableagents.dev"
VERSION: Final = "v1alpha1"
API_VERSION: Final = f"{GROUP}/{VERSION}"
API_PATH: Final = f"/apis/{GROUP}/{VERSION}"
KIND: Final = "AgentDeployment"
PLURAL: Final = "agentdeployments"
SINGULAR: Final = "agentdeployment"
SHORT_NAME: Final = "agd"
CATEGORY: Final = "agents"

MANAGER: Final = "durable-agents"
"""Field manager of server-side apply, and value of ``app.kubernetes.io/managed-by``."""

MANAGED_BY_LABEL: Final = "app.kubernetes.io/managed-by"

FINALIZER: Final = f"{GROUP}/drain"
"""Keeps an AgentDeployment in deletion until Restate needs none of its revisions."""

AGENT_LABEL: Final = f"{GROUP}/agent"
"""On everything the operator makes: the AgentDeployment's name."""

REVISION_LABEL: Final = f"{GROUP}/revision"
"""On everything that belongs to one revision: the revision's name."""

ROLE_LABEL: Final = f"{GROUP}/role"
"""On a revision's pods: what they are for (candidate, active, draining)."""

AUTOSCALER_ANNOTATION: Final = f"{GROUP}/autoscaler"
"""On a HorizontalPodAutoscaler: which wish it was made from."""

FAILURE_ANNOTATION: Final = f"{GROUP}/failure"
"""On a revision's ReplicaSet: why Restate will not have it, as JSON with reason and message."""

IDLE_SINCE_ANNOTATION: Final = f"{GROUP}/idle-since"
"""On a draining revision's ReplicaSet: since when nothing needs it (RFC 3339)."""

REGISTERING_ANNOTATION: Final = f"{GROUP}/registering-since"
"""On a revision's ReplicaSet, set before its first registration (RFC 3339): without it Restate
can't know the revision, so it may go even while Restate can't be asked."""

DRAINING_SINCE_ANNOTATION: Final = f"{GROUP}/draining-since"
"""On a revision's ReplicaSet: since when it is kept only for what began on it (RFC 3339)."""

QUIET_SINCE_ANNOTATION: Final = f"{GROUP}/quiet-since"
"""On a draining revision's ReplicaSet: since when all that needs it sleeps (RFC 3339)."""

UNTOUCHED_SINCE_ANNOTATION: Final = f"{GROUP}/untouched-since"
"""On an active revision's ReplicaSet, with scaling.idle: since when nobody has talked to it, or a
little before (RFC 3339)."""

WAKING_ANNOTATION: Final = f"{GROUP}/waking-since"
"""On a revision's ReplicaSet: its pods come back, and its invocations are to go on when they are
there (RFC 3339)."""

MOVES_ANNOTATION: Final = f"{GROUP}/moves"
"""On a draining revision's ReplicaSet: which of its invocations were moved to the active revision,
as JSON."""

ORPHANED_ANNOTATION: Final = f"{GROUP}/orphaned-since"
"""On a revision's ReplicaSet: its AgentDeployment went without it (RFC 3339)."""

SUSPEND_ANNOTATION: Final = f"{GROUP}/suspend"
"""On an AgentDeployment, set to ``true`` by its user: nothing is done about it."""

CHECKED_ANNOTATION: Final = f"{GROUP}/checked-since"
"""On a candidate's ReplicaSet: since when it is known to have passed the checks (RFC 3339)."""

GATES_ANNOTATION: Final = f"{GROUP}/gates"
"""On a candidate's ReplicaSet: a hash of the gates, and the results of those that have ended."""

GATE_LABEL: Final = f"{GROUP}/gate"
"""On a gate's Job and its pods: the gate's name."""

CANDIDATE_LABEL: Final = f"{GROUP}/candidate"
"""On a gate's Job and its pods: the revision that it tries. Not REVISION_LABEL, by which a
revision's Service and ReplicaSet find their pods."""

GATE_KEY_ANNOTATION: Final = f"{GROUP}/gate-key"
"""On a candidate's pods while a gate runs: the public key of the gate's own Restate server."""

PROMOTE_ANNOTATION: Final = f"{GROUP}/promote"
"""On an AgentDeployment, written by people: the revision that may take new turns."""

ADMIN_URL_ANNOTATION: Final = f"{GROUP}/restate-admin-url"
"""On a revision's ReplicaSet: the Restate it registers with."""

CREDENTIALS_ANNOTATION: Final = f"{GROUP}/restate-credentials"
"""On a revision's ReplicaSet, as JSON: in which Secrets of its namespace that Restate's credentials
are, if its spec named any."""

CALLING_ANNOTATION: Final = f"{GROUP}/restate-calls"
"""On a revision's ReplicaSet, as JSON: how Restate calls it, where that is not the usual way."""

DEPLOYMENT_ID_ANNOTATION: Final = f"{GROUP}/deployment-id"
"""On a revision's ReplicaSet: its deployment's id in Restate, as given at registration."""

SPEC_HASH_ANNOTATION: Final = f"{GROUP}/spec-hash"
"""On a revision's ReplicaSet, where contents of Secrets and ConfigMaps make revisions: the hash of
its spec without them."""

LOST_IDS_ANNOTATION: Final = f"{GROUP}/lost-deployment-ids"
"""On a revision's ReplicaSet: ids that Restate gave it before, and lost."""

URI_ANNOTATION: Final = f"{GROUP}/uri"
"""On a revision's ReplicaSet: the address under which Restate calls it."""

OWNER_KEY: Final = f"{GROUP}/agent-deployment"
"""In the metadata of a deployment in Restate: whose it is, as namespace/name."""

CLUSTER_KEY: Final = f"{GROUP}/cluster"
"""In the metadata of a deployment in Restate: the id of the cluster that registered it."""

CLOSED_ANNOTATION: Final = f"{GROUP}/closed-services"
"""On a revision's ReplicaSet: its services that are being closed to the ingress before it goes."""

IMAGE_CONTAINER: Final = "agent"
"""The container that runs the agent image."""

RESTATE_PORT: Final = "restate"
"""Name of the port on which that container serves its Restate endpoint."""

MAX_NAME_LENGTH: Final = 52
"""Longest AgentDeployment name: a Service's 63 characters less ``-`` and a 10-character hash."""

RESERVED_ENV: Final = ("AGENT_NAME", "AGENT_NAMESPACE", "AGENT_REVISION", "PORT")
"""Environment variables that only the operator sets."""

"""The wish: ``AgentDeployment.spec``, as users write it.

Descriptions here are what ``kubectl explain`` shows; constraints become the CRD's schema, and the
``x-kubernetes-validations`` (CEL) what the API server refuses before the operator sees it.
"""

from typing import Any, Final, Literal

from pydantic import ConfigDict, Field

from agent_operator.api.base import ApiModel, Duration, LocalObjectReference, Quantity, SecretKey
from agent_operator.api.base import Rule as _Rule
from agent_operator.api.base import list_by as _list_by
from agent_operator.api.base import rules as _rules
from agent_operator.api.gates import Gate
from agent_operator.api.names import MAX_NAME_LENGTH, RESERVED_ENV, SUSPEND_ANNOTATION
from agent_operator.api.providers import SPEC_RULES as MODEL_RULES
from agent_operator.api.providers import Provider
from agent_operator.api.restate import RestateRef
from agent_operator.api.scaling import Scaling
from agent_operator.api.template import SPEC_RULES as TEMPLATE_RULES
from agent_operator.api.template import PodTemplate


class OptionalKey(SecretKey):
    """One key of a Secret or ConfigMap that may be absent."""

    optional: bool | None = Field(
        None, description="Whether the object or its key may be absent.", examples=[True]
    )


class FieldRef(ApiModel):
    """A field of the pod itself."""

    api_version: str | None = Field(
        None, description="Version of the schema; v1 unless given.", examples=["v1"]
    )
    field_path: str = Field(
        description="Path of the field, such as status.podIP.",
        min_length=1,
        examples=["status.podIP"],
    )


class ResourceFieldRef(ApiModel):
    """A resource of the container itself."""

    container_name: str | None = Field(
        None, description="The container; this one unless given.", examples=["agent"]
    )
    resource: str = Field(
        description="Such as limits.memory.", min_length=1, examples=["limits.memory"]
    )
    divisor: str | None = Field(
        None, description="Unit of the value; 1 unless given.", examples=["1Mi"]
    )


class EnvSource(ApiModel):
    """Where a variable's value comes from: exactly one of the fields."""

    model_config = ConfigDict(
        json_schema_extra=_rules(
            _Rule(
                "(has(self.secretKeyRef) ? 1 : 0) + (has(self.configMapKeyRef) ? 1 : 0)"
                " + (has(self.fieldRef) ? 1 : 0) + (has(self.resourceFieldRef) ? 1 : 0) == 1",
                "valueFrom needs exactly one of secretKeyRef, configMapKeyRef, fieldRef,"
                " resourceFieldRef",
            )
        )
    )
    secret_key_ref: OptionalKey | None = Field(
        None,
        description="A key of a Secret.",
        examples=[{"name": "shop", "key": "password", "optional": True}],
    )
    config_map_key_ref: OptionalKey | None = Field(
        None,
        description="A key of a ConfigMap.",
        examples=[{"name": "shop", "key": "address", "optional": True}],
    )
    field_ref: FieldRef | None = Field(None, description="A field of the pod.")
    resource_field_ref: ResourceFieldRef | None = Field(
        None, description="A resource of the container."
    )


class EnvVar(ApiModel):
    """One environment variable of the agent's container."""

    model_config = ConfigDict(
        json_schema_extra=_rules(
            _Rule("!(has(self.value) && has(self.valueFrom))", "give value or valueFrom, not both"),
            _Rule(
                f"!(self.name in {list(RESERVED_ENV)!r})",
                f"{', '.join(RESERVED_ENV)} are set by the operator; choose another name",
            ),
        )
    )
    name: str = Field(
        description="Name of the variable.",
        pattern=r"^[A-Za-z_][A-Za-z0-9_.-]*$",
        max_length=253,
        examples=["SHOP_URL"],
    )
    value: str | None = Field(
        None, description="Its value, in clear.", max_length=32768, examples=["http://shop.tools"]
    )
    value_from: EnvSource | None = Field(
        None,
        description="Where its value comes from.",
        examples=[{"secretKeyRef": {"name": "shop", "key": "password"}}],
    )


class OptionalReference(LocalObjectReference):
    """An object of the same namespace that may be absent."""

    optional: bool | None = Field(
        None, description="Whether the object may be absent.", examples=[True]
    )


class EnvFrom(ApiModel):
    """All keys of a Secret or ConfigMap as environment variables."""

    model_config = ConfigDict(
        json_schema_extra=_rules(
            _Rule(
                "has(self.secretRef) != has(self.configMapRef)",
                "envFrom needs exactly one of secretRef, configMapRef",
            )
        )
    )
    prefix: str | None = Field(
        None, description="Put before each key.", max_length=253, examples=["SHOP_"]
    )
    secret_ref: OptionalReference | None = Field(
        None, description="A Secret.", examples=[{"name": "shop", "optional": True}]
    )
    config_map_ref: OptionalReference | None = Field(
        None, description="A ConfigMap.", examples=[{"name": "shop", "optional": True}]
    )


class Resources(ApiModel):
    """Compute resources of the agent's container."""

    requests: dict[str, Quantity] | None = Field(
        None,
        description="What each pod is guaranteed, such as cpu: 100m, memory: 256Mi.",
        examples=[{"cpu": "100m", "memory": "256Mi"}],
    )
    limits: dict[str, Quantity] | None = Field(
        None, description="What each pod may use at most.", examples=[{"memory": "512Mi"}]
    )


class Model(ApiModel):
    """The language model that the agent talks to."""

    provider: Provider | None = Field(
        None,
        description="Who runs the model: decides the variable that the API key comes in. Given to"
        " the agent as AGENT_MODEL_PROVIDER; Gemini unless given. The shipped image has the client"
        " for Gemini alone: for the others, bring an image with theirs.",
        examples=["Gemini"],
    )
    name: str | None = Field(
        None,
        description="Model name, such as gemini-2.5-flash; given to the agent as AGENT_MODEL.",
        min_length=1,
        max_length=253,
        examples=["gemini-2.5-flash"],
    )
    api_key_secret: SecretKey | None = Field(
        None,
        description="Where the provider's API key is; given to the agent as GOOGLE_API_KEY,"
        " OPENAI_API_KEY or ANTHROPIC_API_KEY. The operator reads the Secret only with"
        " rollout.onConfigChange: NewRevision, and keeps nothing of it but a digest.",
    )


class Rollout(ApiModel):
    """How a new revision comes to take new turns."""

    progress_deadline_seconds: int = Field(
        600,
        description="After so many seconds without becoming active, a new revision is reported as"
        " Failed. It is still given its chance: it becomes active if its pods come up after all.",
        ge=1,
        le=86_400 * 7,
        examples=[300],
    )
    breaking_changes: Literal["Refuse", "Allow"] = Field(
        "Refuse",
        description="What becomes of a new revision that lacks a service or handler of the active"
        " one, or has it with another type. A refused revision is Failed, and its pods go.",
        examples=["Allow"],
    )
    on_config_change: Literal["Ignore", "NewRevision"] = Field(
        "Ignore",
        description="Whether a changed content of the Secrets and ConfigMaps that the pods refer to"
        " makes a new revision, within some 10 seconds; the earlier content goes back to the"
        " earlier revision. With Ignore, pods find it whenever they start. The operator must be"
        " allowed to read them (the chart's operator.reads).",
        examples=["NewRevision"],
    )
    strategy: Literal["Automatic", "Manual"] = Field(
        "Automatic",
        description="Whether a new revision takes new turns as soon as it has passed its checks and"
        " gates, or waits until the annotation durableagents.dev/promote names it.",
        examples=["Manual"],
    )
    gates: list[Gate] | None = Field(
        None,
        description="What a new revision must pass, in this order, before it takes any turn. A"
        " failed gate makes it Failed; the active one serves on. A change of gates makes no new"
        " revision, and lets a failed one be tried again.",
        max_length=10,
        json_schema_extra=_list_by("name"),
        examples=[[{"name": "smoke", "smoke": {"message": "Weather in Paris?"}}]],
    )


class Drain(ApiModel):
    """How an old revision goes away."""

    delay: Duration = Field(
        "10s",
        description="How long a revision is kept after the last invocation that needed it, such as"
        " 0s, 30s, 5m or 1h30m.",
        examples=["5m"],
    )
    deadline: Duration | None = Field(
        None,
        description="How long invocations may hold an old revision before onDeadline is done to"
        " them. Without it they may for ever.",
        examples=["168h"],
    )
    on_deadline: Literal["Keep", "Cancel", "Kill", "MoveToActive"] = Field(
        "Keep",
        description="What is done to invocations that hold an old revision for longer than the"
        " deadline. Cancel lets an agent end its turn in good order, Kill ends it at once."
        " MoveToActive lets the active revision go on with each of them where its code takes the"
        " same steps; the others stay (see restartAsNew).",
        examples=["MoveToActive"],
    )
    restart_as_new: bool | None = Field(
        None,
        description="With onDeadline MoveToActive: whether an invocation that the active revision"
        " can't go on with is killed and begun again there, from its input. Its steps are done"
        " again, its approvals are asked for again, and who waits for its result is told that it"
        " was killed.",
        examples=[True],
    )
    idle: Literal["ScaleToZero", "Keep"] = Field(
        "ScaleToZero",
        description="Whether an old revision keeps its pods while all invocations that need it"
        " sleep (wait for an approval, a timer, a call). With ScaleToZero they come back when one"
        " of them goes on.",
        examples=["Keep"],
    )
    quiet: Duration = Field(
        "30s",
        description="How long all of them must have slept before the pods go.",
        examples=["2m"],
    )


_TEMPLATE_EXAMPLE: Final = {
    "spec": {
        "containers": [
            {"name": "agent", "volumeMounts": [{"name": "documents", "mountPath": "/documents"}]}
        ],
        "volumes": [{"name": "documents", "configMap": {"name": "documents"}}],
        "nodeSelector": {"kubernetes.io/os": "linux"},
    }
}


class AgentDeploymentSpec(ApiModel):
    """What to run, and how new revisions of it roll out."""

    model_config = ConfigDict(
        json_schema_extra=_rules(
            *(_Rule(*rule) for rule in (*MODEL_RULES, *TEMPLATE_RULES)),
        )
    )
    image: str = Field(
        description="The agent image. A change of it makes a new revision; give each build its own"
        " tag or a digest, since a tag that moves is not noticed.",
        min_length=1,
        max_length=1024,
        pattern=r"^[^\s]+$",
        examples=["registry.example/assistant:1.4.0"],
    )
    image_pull_policy: Literal["Always", "IfNotPresent", "Never"] | None = Field(
        None,
        description="When to pull the image; Kubernetes' own default unless given.",
        examples=["IfNotPresent"],
    )
    image_pull_secrets: list[LocalObjectReference] | None = Field(
        None,
        description="Secrets with credentials for the image's registry.",
        max_length=32,
        json_schema_extra=_list_by("name"),
        examples=[[{"name": "registry-login"}]],
    )
    command: list[str] | None = Field(
        None,
        description="Entry point instead of the image's own.",
        max_length=64,
        examples=[["python", "-m", "agent_service"]],
    )
    args: list[str] | None = Field(
        None,
        description="Arguments instead of the image's own. For the shipped base image: the agents"
        " to serve, each as module:attribute.",
        max_length=64,
        examples=[["assistant.agents:agent"]],
    )
    replicas: int = Field(
        1,
        description="Pods of the revision that takes new turns. A change makes no new revision."
        " With scaling.autoscaler it only counts whether it is 0: then there are none.",
        ge=0,
        le=1000,
        examples=[2],
    )
    scaling: Scaling | None = Field(
        None,
        description="An autoscaler, and whether the agent holds pods while nobody talks to it."
        " A change makes no new revision.",
        examples=[{"idle": {"after": "1h"}}],
    )
    port: int = Field(
        9080,
        description="Port on which the image serves its Restate endpoint.",
        ge=1,
        le=65_535,
        examples=[9080],
    )
    env: list[EnvVar] | None = Field(
        None,
        description="Environment variables of the agent's container.",
        max_length=200,
        json_schema_extra=_list_by("name"),
        examples=[[{"name": "SHOP_URL", "value": "http://shop.tools"}]],
    )
    env_from: list[EnvFrom] | None = Field(
        None,
        description="Secrets and ConfigMaps whose keys become environment variables.",
        max_length=32,
        json_schema_extra={"x-kubernetes-list-type": "atomic"},
        examples=[[{"configMapRef": {"name": "shop"}}]],
    )
    resources: Resources | None = Field(None, description="Compute resources of each pod.")
    service_account_name: str | None = Field(
        None,
        description="Service account of the pods; its token is mounted only if this is given.",
        max_length=253,
        examples=["assistant"],
    )
    template: PodTemplate | None = Field(
        None,
        description="What the short forms have no field for: a pod template as in a Deployment,"
        " with volumes, more containers, node selector and so on. All containers are restricted"
        " (non-root, read-only root file system, no capabilities) where it does not say otherwise.",
        examples=[_TEMPLATE_EXAMPLE],
    )
    model: Model | None = Field(None, description="The language model that the agent talks to.")
    restate: RestateRef | None = Field(
        None,
        description="The Restate server to register with, if not the operator's default, and how it"
        " calls the agent.",
        examples=[
            {
                "adminURL": "https://restate.example:9070",
                "tokenSecret": {"name": "restate", "key": "token"},
                "headers": [{"name": "x-tenant", "value": "shop"}],
            }
        ],
    )
    rollout: Rollout = Field(
        default_factory=Rollout,
        description="How a new revision comes to take new turns.",
        json_schema_extra={"default": {}},
    )
    deletion_policy: Literal["Drain", "Cancel", "Kill", "Orphan"] = Field(
        "Drain",
        description="What becomes of invocations under way when this object is deleted: Drain"
        " waits for them (drain.deadline and onDeadline apply, from the deletion on), Cancel lets"
        " an agent end its turn in good order (and kills what has not ended by drain.deadline, if"
        " onDeadline is Kill), Kill ends it at once. Orphan leaves everything running: a later"
        " AgentDeployment of the same name takes it over.",
        examples=["Cancel"],
    )
    revision_history_limit: int = Field(
        0,
        description="How many drained revisions are kept for a rollback, those that were active"
        " last first: registered, but without pods.",
        ge=0,
        le=100,
        examples=[2],
    )
    max_revisions: int | None = Field(
        None,
        description="How many revisions may take turns or have unfinished invocations at a time,"
        " the active and the new one included. A rollout that would exceed it waits until one is"
        " drained; going back to a revision that exists never waits. No limit unless given.",
        ge=2,
        le=1000,
        examples=[5],
    )
    drain: Drain = Field(
        default_factory=Drain,
        description="How an old revision goes away.",
        json_schema_extra={"default": {}},
    )


NAME_RULES: Final = _rules(
    _Rule(
        f"size(self.metadata.name) <= {MAX_NAME_LENGTH}",
        f"metadata.name must be no more than {MAX_NAME_LENGTH} characters: each revision's Service"
        " is named after it, with a hash",
    ),
    _Rule(
        "self.metadata.name.matches('^[a-z]([-a-z0-9]*[a-z0-9])?$')",
        "metadata.name must be lower-case letters, digits and '-', begin with a letter and end"
        " with a letter or digit: each revision's Service is named after it",
    ),
)


class ObjectMeta(ApiModel):
    """The metadata that the operator reads."""

    name: str
    namespace: str
    uid: str = ""
    generation: int = 0
    deletion_timestamp: str | None = None
    finalizers: tuple[str, ...] = ()
    annotations: dict[str, str] = Field(default_factory=dict)


class AgentDeployment(ApiModel):
    """An AgentDeployment as read from the API server; its status is kept as the raw mapping."""

    metadata: ObjectMeta
    spec: AgentDeploymentSpec
    status: dict[str, Any] = Field(default_factory=dict)

    @property
    def deleting(self) -> bool:
        """Whether somebody asked for its deletion."""
        return self.metadata.deletion_timestamp is not None

    @property
    def suspended(self) -> bool:
        """Whether its user wants nothing done about it."""
        return self.metadata.annotations.get(SUSPEND_ANNOTATION) == "true"

"""``AgentDeployment.spec.scaling``: who says how many pods there are, and when there need be none.

The autoscaler's metrics and behavior have the shapes of ``autoscaling/v2``, and its words.
"""

from typing import Annotated, Literal

from pydantic import ConfigDict, Field

from agent_operator.api.base import ApiModel, Duration, ObjectName, Quantity, Rule, rules

Seconds = Annotated[int, Field(ge=0, le=3600)]


class MetricTarget(ApiModel):
    """What a metric is to be kept at."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            Rule(
                "self.type == 'Utilization' ? has(self.averageUtilization)"
                " : self.type == 'AverageValue' ? has(self.averageValue) : has(self.value)",
                "give averageUtilization, averageValue or value, as type says",
            )
        )
    )
    type: Literal["Utilization", "AverageValue", "Value"] = Field(
        description="Which of the other fields holds.", examples=["Utilization"]
    )
    average_utilization: int | None = Field(
        None, description="Percent of what the pods request, on average.", ge=1, examples=[70]
    )
    average_value: Quantity | None = Field(
        None, description="Value for each pod, on average.", examples=["500m"]
    )
    value: Quantity | None = Field(None, description="Value in all.", examples=["20"])


class LabelSelectorRequirement(ApiModel):
    """One demand on labels."""

    key: ObjectName = Field(description="The label.", examples=["queue"])
    operator: Literal["In", "NotIn", "Exists", "DoesNotExist"] = Field(
        description="How the label and the values relate.", examples=["In"]
    )
    values: list[str] | None = Field(
        None, description="Values, for In and NotIn.", max_length=64, examples=[["claims"]]
    )


class LabelSelector(ApiModel):
    """Objects by their labels."""

    match_labels: dict[str, str] | None = Field(
        None, description="Labels that they all have.", examples=[{"queue": "claims"}]
    )
    match_expressions: list[LabelSelectorRequirement] | None = Field(
        None,
        description="Further demands on their labels.",
        max_length=32,
        examples=[[{"key": "queue", "operator": "In", "values": ["claims"]}]],
    )


class MetricIdentifier(ApiModel):
    """A metric by its name."""

    name: ObjectName = Field(description="Name of the metric.", examples=["turns_in_flight"])
    selector: LabelSelector | None = Field(
        None,
        description="Which of its series, by their labels.",
        examples=[{"matchLabels": {"queue": "claims"}}],
    )


class ResourceMetric(ApiModel):
    """A resource of the pods."""

    name: ObjectName = Field(description="The resource: cpu or memory, mostly.", examples=["cpu"])
    target: MetricTarget = Field(description="What it is to be kept at.")


class ContainerResourceMetric(ResourceMetric):
    """A resource of one container of the pods."""

    container: ObjectName = Field(
        description="Name of the container; the agent's is agent.", examples=["agent"]
    )


class PodsMetric(ApiModel):
    """A metric of the pods themselves."""

    metric: MetricIdentifier = Field(description="The metric.")
    target: MetricTarget = Field(description="What it is to be kept at.")


class ObjectReference(ApiModel):
    """An object of the same namespace, by kind and name."""

    api_version: str | None = Field(
        None, description="Group and version of its kind.", examples=["networking.k8s.io/v1"]
    )
    kind: ObjectName = Field(description="Its kind.", examples=["Ingress"])
    name: ObjectName = Field(description="Its name.", examples=["front"])


class ObjectMetric(PodsMetric):
    """A metric of another object."""

    described_object: ObjectReference = Field(description="The object.")


_OF_PODS = ("Utilization", "AverageValue")
_IN_ALL = ("AverageValue", "Value")
_SOURCES = {
    "Resource": ("resource", _OF_PODS),
    "ContainerResource": ("containerResource", _OF_PODS),
    "Pods": ("pods", ("AverageValue",)),
    "Object": ("object", _IN_ALL),
    "External": ("external", _IN_ALL),
}
"""For each type of metric its field, and the types of target that autoscaling/v2 takes for it."""


class MetricSpec(ApiModel):
    """One metric: ``type``, and the field of that name."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            *(
                Rule(
                    f"(self.type == '{kind}') == has(self.{field})",
                    f"{field} and type {kind} need each other",
                )
                for kind, (field, _) in _SOURCES.items()
            ),
            *(
                Rule(
                    f"!has(self.{field}) || self.{field}.target.type in {list(targets)!r}",
                    f"the type of {field}.target must be {' or '.join(targets)}",
                )
                for field, targets in _SOURCES.values()
            ),
        )
    )
    type: Literal["Resource", "ContainerResource", "Pods", "Object", "External"] = Field(
        description="Where the metric comes from; the field of the same name says more.",
        examples=["Resource"],
    )
    resource: ResourceMetric | None = Field(
        None,
        description="A resource of the pods.",
        examples=[{"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 70}}],
    )
    container_resource: ContainerResourceMetric | None = Field(
        None, description="A resource of one container of the pods."
    )
    pods: PodsMetric | None = Field(None, description="A metric of the pods themselves.")
    object: ObjectMetric | None = Field(None, description="A metric of another object.")
    external: PodsMetric | None = Field(None, description="A metric from outside of the cluster.")


class ScalingPolicy(ApiModel):
    """How much may change in a period."""

    type: Literal["Pods", "Percent"] = Field(description="What value counts.", examples=["Percent"])
    value: int = Field(description="How much.", ge=1, examples=[100])
    period_seconds: int = Field(description="In how many seconds.", ge=1, le=1800, examples=[60])


class ScalingRules(ApiModel):
    """How fast the number of pods changes in one direction."""

    stabilization_window_seconds: Seconds | None = Field(
        None,
        description="For how long the last recommendations are looked at before a change.",
        examples=[300],
    )
    select_policy: Literal["Max", "Min", "Disabled"] | None = Field(
        None, description="Which policy holds, or that none changes anything.", examples=["Min"]
    )
    policies: list[ScalingPolicy] | None = Field(
        None,
        description="How much may change in a period.",
        max_length=16,
        examples=[[{"type": "Pods", "value": 2, "periodSeconds": 60}]],
    )


class Behavior(ApiModel):
    """How fast the number of pods changes."""

    scale_up: ScalingRules | None = Field(None, description="Towards more pods.")
    scale_down: ScalingRules | None = Field(
        None, description="Towards fewer pods.", examples=[{"stabilizationWindowSeconds": 600}]
    )


class Autoscaler(ApiModel):
    """A HorizontalPodAutoscaler for the revision that takes new turns."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            Rule(
                "self.minReplicas <= self.maxReplicas",
                "minReplicas must be no more than maxReplicas",
            )
        )
    )
    min_replicas: int = Field(
        1, description="Pods that there are at least.", ge=1, le=1000, examples=[2]
    )
    max_replicas: int = Field(
        description="Pods that there are at most.", ge=1, le=1000, examples=[10]
    )
    metrics: list[MetricSpec] | None = Field(
        None,
        description="What to scale by, as in autoscaling/v2; Kubernetes' own default (CPU at 80 %)"
        " unless given.",
        max_length=16,
        json_schema_extra={"x-kubernetes-list-type": "atomic"},
        examples=[
            [
                {
                    "type": "Resource",
                    "resource": {
                        "name": "cpu",
                        "target": {"type": "Utilization", "averageUtilization": 70},
                    },
                }
            ]
        ],
    )
    behavior: Behavior | None = Field(None, description="How fast to scale, as in autoscaling/v2.")


class Idle(ApiModel):
    """When an agent that nobody talks to holds no pods."""

    after: Duration = Field(
        description="How long no turn must have been awake before the pods go. The next turn wakes"
        " the agent, and waits as long as a pod takes to start.",
        examples=["1h"],
    )


class Scaling(ApiModel):
    """How many pods the revision has that takes new turns."""

    autoscaler: Autoscaler | None = Field(
        None,
        description="Who says how many pods there are instead of spec.replicas, unless that is 0.",
        examples=[{"minReplicas": 2, "maxReplicas": 10}],
    )
    idle: Idle | None = Field(
        None,
        description="When there need be none: without it the agent keeps its pods.",
        examples=[{"after": "1h"}],
    )

"""Gates: what a candidate must pass before it takes any user's turn (``spec.rollout.gates``)."""

from typing import Annotated, Any, Final

from pydantic import ConfigDict, Field

from agent_operator.api.base import ApiModel, ObjectName, Rule, rules

ANY_JSON: Final[dict[str, Any]] = {"x-kubernetes-preserve-unknown-fields": True}
ANY_OBJECT: Final[dict[str, Any]] = {"type": "object", **ANY_JSON}

Metric = Annotated[str, Field(min_length=1, max_length=253)]


class Expectation(ApiModel):
    """What a good answer is like: exactly one of the fields."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            Rule(
                "(has(self.json) ? 1 : 0) + (has(self.pattern) ? 1 : 0) + (has(self.cel) ? 1 : 0)"
                " == 1",
                "expect needs exactly one of json, pattern, cel",
            )
        )
    )
    subset: dict[str, Any] | None = Field(
        None,
        alias="json",
        description="The answer is an object that has at least these fields, with these values;"
        " objects in it likewise, lists as they are.",
        json_schema_extra=ANY_OBJECT,
        examples=[{"agent": "WeatherAgent", "turn": 1}],
    )
    pattern: str | None = Field(
        None,
        description="A regular expression (Python's) that is found in the answer's JSON, or in the"
        " answer itself where it is a string.",
        min_length=1,
        max_length=1024,
        examples=["-?[0-9]+ °[CF]"],
    )
    cel: str | None = Field(
        None,
        description="A CEL expression that is true of the answer.",
        min_length=1,
        max_length=4096,
        examples=["answer.turn == 1 && answer.answer.contains('Paris')"],
    )


class Smoke(ApiModel):
    """One turn on the candidate's pods, through a throw-away Restate server of its own."""

    service: str | None = Field(
        None,
        description="The Restate service to call; the candidate's only one unless given.",
        min_length=1,
        max_length=253,
        examples=["WeatherAgent"],
    )
    handler: str | None = Field(
        None,
        description="Its handler; turn, or else the only one, unless given.",
        min_length=1,
        max_length=253,
        examples=["turn"],
    )
    key: str | None = Field(
        None,
        description="Key of the virtual object or workflow; smoke unless given.",
        min_length=1,
        max_length=253,
        examples=["smoke"],
    )
    message: str | None = Field(
        None,
        description='Short for the input {"message": ...}, as agents of the agent service take it.',
        min_length=1,
        max_length=32_768,
        examples=["Weather in Paris?"],
    )
    input: Any = Field(
        None,
        description="What the handler is given, as JSON. Give it or message, not both.",
        json_schema_extra=ANY_JSON,
        examples=[{"message": "Weather in Paris?"}],
    )
    expect: Expectation | None = Field(
        None, description="What the answer must be like; any will do unless given."
    )


class EvaluationSource(ApiModel):
    """A key of a ConfigMap."""

    name: ObjectName = Field(description="Name of the ConfigMap.", examples=["weather-evaluation"])
    key: ObjectName = Field(description="Key in it.", examples=["weather.evalset.json"])


class Evaluation(ApiModel):
    """An ADK evaluation set, run in the candidate's own image."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            Rule(
                "has(self.configMap) != has(self.path)",
                "evaluation needs exactly one of configMap, path",
            )
        )
    )
    config_map: EvaluationSource | None = Field(
        None, description="Where the evaluation set is, as JSON."
    )
    path: str | None = Field(
        None,
        description="Its file in the image.",
        min_length=1,
        max_length=1024,
        examples=["/package/agent_service/agents/weather.evalset.json"],
    )
    thresholds: dict[Metric, float] = Field(
        description="For each metric the least score that every case must reach. Without a model to"
        " judge: tool_trajectory_avg_score, response_match_score. Others of ADK's need"
        " google-adk[eval] in the image.",
        min_length=1,
        max_length=20,
        examples=[{"tool_trajectory_avg_score": 1, "response_match_score": 0.4}],
    )
    agent: str | None = Field(
        None,
        description="The agent to evaluate, as module:attribute; the only one of spec.args unless"
        " given.",
        min_length=1,
        max_length=1024,
        examples=["agent_service.agents.weather:agent"],
    )
    command: list[str] | None = Field(
        None,
        description="What runs the set; python -m agent_service.evaluate unless given. It gets the"
        " same arguments.",
        min_length=1,
        max_length=64,
        examples=[["python", "-m", "agent_service.evaluate"]],
    )


class Gate(ApiModel):
    """One gate: a name, and exactly one of smoke, evaluation, job."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            Rule(
                "(has(self.smoke) ? 1 : 0) + (has(self.evaluation) ? 1 : 0)"
                " + (has(self.job) ? 1 : 0) == 1",
                "a gate needs exactly one of smoke, evaluation, job",
            )
        )
    )
    name: str = Field(
        description="Name of the gate; its Job is named after the revision and it.",
        pattern=r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$",
        max_length=40,
        examples=["smoke"],
    )
    timeout_seconds: int = Field(
        300,
        description="After so many seconds the gate has failed.",
        ge=10,
        le=86_400,
        examples=[120],
    )
    smoke: Smoke | None = Field(
        None,
        description="A turn on the candidate's pods through a throw-away Restate server: production"
        " routing, sessions and state are untouched.",
    )
    evaluation: Evaluation | None = Field(
        None,
        description="An ADK evaluation set, run in the candidate's image with its settings.",
    )
    job: dict[str, Any] | None = Field(
        None,
        description="Any Job, as batch/v1 has it in a CronJob's spec.jobTemplate: metadata and"
        " spec. Its containers get AGENT_URL, the candidate's address, and run like an agent's pods"
        " (no root, no privileges, no token) unless they say otherwise. The operator removes the"
        " Job itself, so ttlSecondsAfterFinished is left out.",
        json_schema_extra=ANY_OBJECT,
        examples=[
            {
                "spec": {
                    "template": {
                        "spec": {
                            "containers": [
                                {"name": "check", "image": "registry.example/checks:1.4.0"}
                            ]
                        }
                    }
                }
            }
        ],
    )

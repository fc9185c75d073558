"""Model calls as journaled steps.

The step is inside the model, not in a plugin's callback in front of it: so ADK's callbacks, its
limit of model calls and its tool confirmation work as they do without Restate.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator
from contextlib import aclosing
from functools import cache
from typing import Any, Final, cast

from google.adk.agents.llm_agent import LlmAgent
from google.adk.models.base_llm import BaseLlm
from google.adk.models.llm_request import LlmRequest
from google.adk.models.llm_response import LlmResponse
from pydantic import BaseModel
from restate import RunOptions

from agent_service.durable.failures import model_failure
from agent_service.durable.publishing import publishing
from agent_service.durable.scope import (
    TurnScope,
    current_turn,
    enter_step,
    in_turn,
)
from agent_service.durable.stores import ModelSerde
from agent_service.telemetry.attempts import current_attempt
from agent_service.telemetry.metrics import counted_model

_TWIN = "_agent_service_journaled"


class ModelStep(BaseModel):
    """What the journal keeps of one model call.

    Attributes:
        responses: the complete responses; partial ones of a stream are not kept.
        finished_at: when it ended, in seconds since 1970.
    """

    responses: list[LlmResponse]
    finished_at: float


# A response leaves many fields empty.
_STEP: Final = ModelSerde(ModelStep)


class _Journaled:
    """Mixed into the class of a model, so that its calls run once and are replayed after."""

    async def generate_content_async(
        self, llm_request: LlmRequest, stream: bool = False
    ) -> AsyncGenerator[LlmResponse, None]:
        """Calls the model, or replays what it answered.

        Complete responses are all that comes out. Where the turn streams, the text of partial ones
        is published on the way, by the one attempt that calls the model.

        Raises:
            restate.TerminalError: the provider refused the request for good.
        """
        turn = current_turn()
        await turn.branches.enter()
        turn.begin_model_call()
        model = llm_request.model or cast("BaseLlm", self).model
        plain = counted_model(
            current_attempt(),
            model,
            super().generate_content_async,  # type: ignore[misc]
        )
        target = turn.stream if stream else None
        message = target.next_message() if target is not None else 0
        author = _agent_of(llm_request)

        async def call() -> ModelStep:
            enter_step()
            found: list[LlmResponse] = []
            try:
                # First its turn, for as long as it takes, and then the model's time.
                async with (
                    publishing(target, message, author) as text,
                    turn.model_slot,
                    asyncio.timeout(turn.model_timeout),
                    aclosing(plain(llm_request, stream=stream)) as answers,
                ):
                    async for answer in answers:
                        if text is not None:
                            text.take(answer)
                        if not answer.partial:
                            found.append(answer)
            except Exception as error:
                raise model_failure(error, model) from error
            return ModelStep(responses=found, finished_at=time.time())

        step = await turn.context.run_typed(f"call model {model}", call, RunOptions(serde=_STEP))
        _account(turn, step)
        for response in step.responses:
            yield response


def _agent_of(request: LlmRequest) -> str:
    # The label that ADK puts on each request, for bills to be split by.
    return (request.config.labels or {}).get("adk_agent_name", "")


def _account(turn: TurnScope, step: ModelStep) -> None:
    turn.clock.advance(step.finished_at)
    turn.usage.model_calls += 1
    for response in step.responses:
        used = response.usage_metadata
        if used is not None:
            turn.usage.prompt_tokens += used.prompt_token_count or 0
            turn.usage.answer_tokens += used.candidates_token_count or 0


@cache
def _journaled_class(plain: type[BaseLlm]) -> type[BaseLlm]:
    body: dict[str, Any] = {"__module__": __name__, "__doc__": plain.__doc__}
    # A subclass, not a wrapper: ADK asks isinstance(model, Gemini) and the like in places.
    return cast("type[BaseLlm]", type(f"Journaled{plain.__name__}", (_Journaled, plain), body))


def journaled(model: BaseLlm) -> BaseLlm:
    """Returns a twin of ``model`` whose calls are journaled steps; ``model`` stays as it is.

    The same model always has the same twin, so that its client is made once.
    """
    if isinstance(model, _Journaled):
        return model
    twin = model.__dict__.get(_TWIN)
    if twin is None:
        twin = model.model_copy()
        twin.__class__ = _journaled_class(type(model))
        model.__dict__[_TWIN] = twin
    return cast("BaseLlm", twin)


def journal_models() -> None:
    """Makes every agent of this process use journaled models inside of turns.

    By the one property that ADK takes an agent's model from (google-adk 2.13). Copies of the user's
    agents would not do: workflows and callbacks may make agents while they run.
    """
    plain: property = LlmAgent.__dict__["canonical_model"]
    if hasattr(plain.fget, _TWIN):
        return

    def canonical_model(agent: LlmAgent) -> BaseLlm:
        model: BaseLlm = plain.__get__(agent)
        return journaled(model) if in_turn() else model

    setattr(canonical_model, _TWIN, True)
    setattr(LlmAgent, "canonical_model", property(canonical_model))  # noqa: B010 - mypy

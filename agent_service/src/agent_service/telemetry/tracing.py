"""OpenTelemetry traces in which a turn is one tree, however many attempts it takes.

ADK makes the spans. A replay makes them anew, so here

- a span's id is derived from its place: the turn, the span above it, its name, and how many of that
  name came before. A later attempt gives it the same one, so that what hangs below stays there;
- a span is exported in one attempt, with the first journal entry after its end (`Attempt.once`).
  Spans that end because an attempt does are dropped: the next attempt has them again;
- a span that a replay begins anew began when the journal says, not now.

What runs in a step, with the spans in it, happens as often as it does: each try is exported at its
end, with an id of its own. So is a span for each attempt, to show where a turn slept and which
revision went on.
"""

from __future__ import annotations

import functools
import inspect
import os
import socket
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, Final, override

from opentelemetry import context as otel_context
from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.sdk.environment_variables import OTEL_BSP_SCHEDULE_DELAY
from opentelemetry.sdk.resources import (
    SERVICE_INSTANCE_ID,
    SERVICE_NAME,
    SERVICE_VERSION,
    OTELResourceDetector,
    Resource,
)
from opentelemetry.sdk.trace import Event, ReadableSpan, SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter
from opentelemetry.sdk.trace.id_generator import RandomIdGenerator
from opentelemetry.trace import Link, Span, SpanContext, SpanKind, Status, StatusCode, TraceFlags
from opentelemetry.util import types as otel_types
from opentelemetry.util._decorator import _agnosticcontextmanager
from restate import RunOptions

from agent_service.telemetry import propagation
from agent_service.telemetry.attempts import Attempt, Ending, add_watcher, current_attempt

NANOSECONDS: Final = 1_000_000_000
# Shorter than the standard's 5 s: what waits to be exported is lost with a process that is killed.
EXPORT_MILLIS: Final = 1_000
CONTENT: Final = "OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT"
LEGACY_CONTENT: Final = "ADK_CAPTURE_MESSAGE_CONTENT_IN_SPANS"
# Entries of our own that say nothing about the agent.
_SILENT_STEPS: Final = frozenset({"ask", "begin", "shared state", "timestamp"})
_EXCEPTION_TEXTS: Final = ("exception.message", "exception.stacktrace")

_next_ids: ContextVar[tuple[int, int] | None] = ContextVar("agent_service_span_ids", default=None)


class _Ids(RandomIdGenerator):
    """Random ids, unless others were chosen for the span that is being made."""

    @override
    def generate_trace_id(self) -> int:
        chosen = _next_ids.get()
        return chosen[0] if chosen else super().generate_trace_id()

    @override
    def generate_span_id(self) -> int:
        chosen = _next_ids.get()
        return chosen[1] if chosen else super().generate_span_id()

    @override
    def is_trace_id_random(self) -> bool:
        return False


class TurnSpans:
    """The spans of one attempt whose ids are derived.

    Args:
        attempt: whose they are.
        trace_id: of the turn's trace.
        span_id: of the turn's own span.
    """

    def __init__(self, attempt: Attempt, trace_id: int, span_id: int) -> None:
        self.attempt = attempt
        self.trace_id = trace_id
        self.span_id = span_id
        self._derived: set[int] = set()
        self._made: Counter[tuple[int, str]] = Counter()

    def next_id(self, parent: int, name: str) -> int:
        """Returns the id of the next span of this name below this one."""
        self._made[parent, name] += 1
        number = self._made[parent, name]
        span_id = propagation.derived(64, self.attempt.invocation, parent, name, number)
        self._derived.add(span_id)
        return span_id

    def has(self, span_id: int) -> bool:
        """Whether the span is one of these."""
        return span_id in self._derived


_spans: ContextVar[TurnSpans | None] = ContextVar("agent_service_turn_spans", default=None)


def _repeatable(attempt: Attempt | None) -> TurnSpans | None:
    """The derived spans, if what runs here will run again in a later attempt."""
    spans = _spans.get()
    if spans is None or attempt is None or attempt is not spans.attempt or attempt.in_step:
        return None
    return spans


class TurnTracer(trace.Tracer):
    """Gives spans inside of turns their derived ids; otherwise as the SDK's tracer."""

    def __init__(self, plain: trace.Tracer) -> None:
        self._plain = plain

    @override
    def start_span(
        self,
        name: str,
        context: Context | None = None,
        kind: SpanKind = SpanKind.INTERNAL,
        attributes: otel_types.Attributes = None,
        links: Sequence[Link] | None = None,
        start_time: int | None = None,
        record_exception: bool = True,
        set_status_on_exception: bool = True,
    ) -> Span:
        spans = _repeatable(current_attempt())
        make = functools.partial(
            self._plain.start_span,
            name,
            context=context,
            kind=kind,
            attributes=attributes,
            links=links,
            record_exception=record_exception,
            set_status_on_exception=set_status_on_exception,
        )
        if spans is None:
            return make(start_time=start_time)
        above = trace.get_current_span(context).get_span_context()
        ids = (spans.trace_id, spans.next_id(above.span_id, name))
        return _with_ids(ids, lambda: make(start_time=start_time or _begun(spans.attempt)))

    @override
    @_agnosticcontextmanager
    def start_as_current_span(
        self,
        name: str,
        context: Context | None = None,
        kind: SpanKind = SpanKind.INTERNAL,
        attributes: otel_types.Attributes = None,
        links: Sequence[Link] | None = None,
        start_time: int | None = None,
        record_exception: bool = True,
        set_status_on_exception: bool = True,
        end_on_exit: bool = True,
    ) -> Iterator[Span]:
        span = self.start_span(
            name,
            context,
            kind,
            attributes,
            links,
            start_time,
            record_exception,
            set_status_on_exception,
        )
        with trace.use_span(
            span,
            end_on_exit=end_on_exit,
            record_exception=record_exception,
            set_status_on_exception=set_status_on_exception,
        ):
            yield span


def _with_ids(ids: tuple[int, int], make: Callable[[], Span]) -> Span:
    token = _next_ids.set(ids)
    try:
        return make()
    finally:
        _next_ids.reset(token)


def _begun(attempt: Attempt) -> int | None:
    """When a span that begins here did so the first time, in ns; None: now."""
    if attempt.scope is None or not attempt.replaying:
        return None
    return int(attempt.scope.clock.last() * NANOSECONDS)


class TurnTracerProvider(TracerProvider):
    """The SDK's provider, with tracers that know turns."""

    @override
    def get_tracer(self, *args: Any, **kwargs: Any) -> trace.Tracer:
        return TurnTracer(super().get_tracer(*args, **kwargs))


class TurnSpanProcessor(SpanProcessor):
    """Hands spans on once they are known to be exported by no other attempt.

    Args:
        export: takes them.
        with_content: whether texts of errors, which may quote messages, are left in.
    """

    def __init__(self, export: SpanProcessor, with_content: bool) -> None:
        self._export = export
        self._with_content = with_content

    @override
    def on_end(self, span: ReadableSpan) -> None:
        spans = _spans.get()
        if spans is not None and span.context is not None and spans.has(span.context.span_id):
            spans.attempt.once(functools.partial(self.hand_on, span))
        else:
            self.hand_on(span)

    def hand_on(self, span: ReadableSpan) -> None:
        """Exports a span."""
        self._export.on_end(span if self._with_content else _without_texts(span))

    @override
    def shutdown(self) -> None:
        self._export.shutdown()

    @override
    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        return self._export.force_flush(timeout_millis)


def _changed(span: ReadableSpan, **changes: Any) -> ReadableSpan:
    given: dict[str, Any] = {
        "name": span.name,
        "context": span.context,
        "parent": span.parent,
        "resource": span.resource,
        "attributes": span.attributes,
        "events": span.events,
        "links": span.links,
        "kind": span.kind,
        "status": span.status,
        "start_time": span.start_time,
        "end_time": span.end_time,
        "instrumentation_scope": span.instrumentation_scope,
    }
    return ReadableSpan(**{**given, **changes})


def _without_texts(span: ReadableSpan) -> ReadableSpan:
    """The span without what its errors say; their types stay."""
    if not span.events and not span.status.description:
        return span
    events = [
        Event(
            event.name,
            {k: v for k, v in (event.attributes or {}).items() if k not in _EXCEPTION_TEXTS},
            event.timestamp,
        )
        for event in span.events
    ]
    return _changed(span, events=events, status=Status(span.status.status_code))


class TurnTraces:
    """Makes the spans of turns, attempts and steps around those of ADK."""

    def __init__(self, provider: TracerProvider, export: TurnSpanProcessor) -> None:
        # The SDK's tracer: these spans choose their ids themselves.
        self._tracer = TracerProvider.get_tracer(provider, "agent_service")
        self._provider = provider
        self._export = export

    @contextmanager
    def follow(self, attempt: Attempt) -> Iterator[None]:
        """Traces an attempt."""
        trace_id, span_id = propagation.turn_ids(attempt.context)
        turn = _with_ids((trace_id, span_id), lambda: self._turn_span(attempt))
        spans = TurnSpans(attempt, trace_id, span_id)
        below = trace.set_span_in_context(turn)
        started = self._tracer.start_span("attempt", below, attributes=_about(attempt))
        in_spans, here = _spans.set(spans), otel_context.attach(below)
        attempt.context.run_typed = self._traced_steps(attempt.context.run_typed)  # type: ignore[method-assign]
        try:
            yield
        finally:
            otel_context.detach(here)
            _spans.reset(in_spans)
            self._end(attempt, turn, started)

    def _turn_span(self, attempt: Attempt) -> Span:
        parent = propagation.incoming(attempt.context)
        context = Context()
        if parent is not None:
            flags = TraceFlags(parent.flags)
            above = SpanContext(parent.trace_id, parent.span_id, is_remote=True, trace_flags=flags)
            context = trace.set_span_in_context(trace.NonRecordingSpan(above), context)
        return self._tracer.start_span(
            f"turn {attempt.agent}", context, SpanKind.SERVER, attributes=_about(attempt)
        )

    def _end(self, attempt: Attempt, turn: Span, started: Span) -> None:
        ending = attempt.ending or Ending.INTERRUPTED
        started.set_attribute("durable_agents.ending", ending.value)
        if ending is Ending.INTERRUPTED:
            started.set_status(StatusCode.ERROR)
        started.end()
        scope = attempt.scope
        if not ending.ends_turn or scope is None or not isinstance(turn, ReadableSpan):
            return
        turn.set_attributes(
            {
                "durable_agents.ending": ending.value,
                "durable_agents.turn": scope.number,
                "gen_ai.usage.input_tokens": scope.usage.prompt_tokens,
                "gen_ai.usage.output_tokens": scope.usage.answer_tokens,
            }
        )
        if ending is not Ending.COMPLETED:
            turn.set_status(StatusCode.ERROR)
        begun = int(scope.clock.start * NANOSECONDS)
        # Not ended itself: it began with the first attempt, and a span can't be told so later.
        self._export.hand_on(_changed(turn, start_time=begun, end_time=time.time_ns()))

    def _traced_steps(self, plain: Callable[..., Any]) -> Callable[..., Any]:
        tracer = self._provider.get_tracer("agent_service")

        def run_typed(
            name: str,
            action: Callable[..., Any],
            options: RunOptions[Any] | None = None,
            /,
            *args: Any,
            **kwargs: Any,
        ) -> Any:
            wrapped = action if name in _SILENT_STEPS else _in_span(tracer, name, action)
            return plain(name, wrapped, options or RunOptions(), *args, **kwargs)

        return run_typed


def _in_span(tracer: trace.Tracer, name: str, action: Callable[..., Any]) -> Callable[..., Any]:
    """Makes a step's body a span below the one that is current where the step is asked for."""
    here = otel_context.get_current()
    # A step's name is the author's, and may quote what the model or the user said.
    attributes = {"restate.run.name": name} if content_wanted() else None

    @contextmanager
    def spanned() -> Iterator[None]:
        token = otel_context.attach(here)
        try:
            with tracer.start_as_current_span("step", attributes=attributes):
                yield
        finally:
            otel_context.detach(token)

    if inspect.iscoroutinefunction(action):

        @functools.wraps(action)
        async def awaited(*args: Any, **kwargs: Any) -> Any:
            with spanned():
                return await action(*args, **kwargs)

        return awaited

    @functools.wraps(action)
    def called(*args: Any, **kwargs: Any) -> Any:
        with spanned():
            return action(*args, **kwargs)

    return called


def _about(attempt: Attempt) -> dict[str, str]:
    return {
        "gen_ai.agent.name": attempt.agent,
        "gen_ai.conversation.id": attempt.session,
        "restate.invocation.id": attempt.invocation,
        "durable_agents.revision": attempt.revision,
    }


def content_wanted(env: Mapping[str, str] = os.environ) -> bool:
    """Whether messages may be in spans, by the variables that ADK reads.

    ADK has `LEGACY_CONTENT` for set where it isn't; ``serve`` sets it to false.
    """
    legacy = env.get(LEGACY_CONTENT, "").strip().lower() in ("1", "true")
    return legacy or env.get(CONTENT, "").strip().upper() in ("SPAN_ONLY", "SPAN_AND_EVENT")


def trace_turns(exporter: SpanExporter, agents: Sequence[str], revision: str) -> TracerProvider:
    """Sends traces of the turns in this process to an exporter.

    Returns:
        The provider, which is now the process's; its ``shutdown`` sends what is left.
    """
    name = agents[0] if len(agents) == 1 else "agent-service"
    resource = Resource.create(
        {
            SERVICE_NAME: name,
            SERVICE_VERSION: revision,
            SERVICE_INSTANCE_ID: socket.gethostname(),
        }
    ).merge(OTELResourceDetector().detect())
    delay = None if os.environ.get(OTEL_BSP_SCHEDULE_DELAY) else EXPORT_MILLIS
    batches = BatchSpanProcessor(exporter, schedule_delay_millis=delay)
    processor = TurnSpanProcessor(batches, content_wanted())
    provider = TurnTracerProvider(resource=resource, id_generator=_Ids())
    provider.add_span_processor(processor)
    trace.set_tracer_provider(provider)
    add_watcher(TurnTraces(provider, processor))
    return provider

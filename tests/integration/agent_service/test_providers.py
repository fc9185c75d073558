"""MCP servers' tools, LiteLLM's models, and the limit of model calls under way."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from agent_service.testing import Call, Reply, Rule, ScriptedModel, When
from hack.restate import ROOT, free_ports
from tests.integration.agent_service.harness import Endpoint, Restate, wait_until
from tests.integration.agent_service.reading import (
    TEXT,
    WORDS,
    Reader,
    begin,
    breaks_once,
    says,
)

pytestmark = pytest.mark.integration
AGENTS = "tests.integration.agent_service.provider_agents"
# Of a provider with an API of its own, and of one with OpenAI's.
LITELLM = ("LiteAgent", "OpenAgent")


@contextmanager
def shop(port: int, trace: str, **env: str) -> Iterator[None]:
    """The MCP server over HTTP."""
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.integration.agent_service.mcp_shop", str(port)],
        cwd=ROOT,
        env={**os.environ, "TEST_TRACE": trace, **env},
    )

    def listens() -> bool:
        assert process.poll() is None
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", port)) == 0

    try:
        wait_until("the MCP server listens", listens)
        yield
    finally:
        process.kill()
        process.wait()


@pytest.fixture
def live(restate: Restate, provider: Endpoint) -> Restate:
    if provider.process is None:
        provider.start()
    return restate


@pytest.fixture(scope="module")
def mcp_port() -> int:
    return free_ports(1)[0]


@pytest.fixture(scope="module")
def provider(
    restate: Restate,
    scripted_model_server: ScriptedModel,
    tmp_path_factory: pytest.TempPathFactory,
    mcp_port: int,
) -> Iterator[Endpoint]:
    env = {
        "TEST_MCP_URL": f"http://127.0.0.1:{mcp_port}/mcp",
        "AGENT_MODEL_CONCURRENCY": "1",
        "AGENT_MODEL_TIMEOUT": "3",
        "RESTATE_INGRESS_URL": restate.server.ingress_url,
    }
    agents = [f"{AGENTS}:{name}" for name in ("stdio", "trying", "over_http", "litellm", "openai")]
    folder = tmp_path_factory.mktemp("providers")
    with Endpoint(agents, scripted_model_server.url, folder, env) as endpoint:
        endpoint.register(restate)
        yield endpoint


def _script(model: ScriptedModel, article: str) -> None:
    """The model orders the article, then ponders it, then tells."""
    args = {"article": article}
    model.put_first(
        Rule(
            name="order",
            when=When(tool="order", text=article, after_response=False),
            reply=Reply(calls=[Call(name="order", args=args)]),
        ),
        Rule(
            name="ponder",
            when=When(response_of="order", text=article),
            reply=Reply(calls=[Call(name="ponder", args=args)]),
        ),
        Rule(name="told", when=When(response_of="ponder"), reply=Reply(text="done")),
    )


def _killed_while_pondering(restate: Restate, provider: Endpoint, agent: str, article: str) -> str:
    invocation = restate.send(agent, article, article)
    wait_until("the second call", lambda: f"ponder {article}" in provider.traced())
    provider.kill()
    return invocation


def _replayed_without_the_server(provider: Endpoint, article: str) -> None:
    traced = provider.traced()
    assert traced.count(f"order {article}") == 1
    # The call under way is made again, and nothing is asked before. (After it the client of a new
    # session lists once more, within the step, to check the result's form.)
    first = traced.index(f"ponder {article}")
    assert traced[first + 1] == f"ponder {article}"
    assert "list" in traced[:first]


def test_mcp_over_stdio_is_journaled(
    restate: Restate, provider: Endpoint, scripted_model: ScriptedModel
) -> None:
    """[V] of the SDK's plugin: MCP tools are not journaled."""
    article = uuid.uuid4().hex
    _script(scripted_model, article)
    invocation = _killed_while_pondering(restate, provider, "StdioTools", article)
    provider.start()
    assert restate.result(invocation).json()["answer"] == "done"
    _replayed_without_the_server(provider, article)


def test_mcp_over_http_is_replayed_though_the_tools_have_changed(
    restate: Restate, provider: Endpoint, scripted_model: ScriptedModel, mcp_port: int
) -> None:
    article = uuid.uuid4().hex
    _script(scripted_model, article)
    with shop(mcp_port, str(provider.trace)):
        invocation = _killed_while_pondering(restate, provider, "HttpTools", article)
    # The server is away when the turn goes on, and other tools are there when it is back.
    provider.start()
    retried = f"select retry_count from sys_invocation where id = '{invocation}'"
    wait_until("it was tried", lambda: (restate.query(retried)[0]["retry_count"] or 0) > 2)
    with shop(mcp_port, str(provider.trace), TEST_MCP_MORE="1"):
        assert restate.result(invocation).json()["answer"] == "done"
    _replayed_without_the_server(provider, article)


def test_calls_of_an_mcp_server_are_tried_as_often_as_its_author_says(
    restate: Restate, provider: Endpoint, scripted_model: ScriptedModel
) -> None:
    article = uuid.uuid4().hex
    call = Call(name="refuse", args={"article": article})
    scripted_model.put_first(
        Rule(name="call", when=When(after_response=False), reply=Reply(calls=[call])),
        Rule(name="told", when=When(response_of="refuse"), reply=Reply(text="it went on")),
    )
    failed = restate.turn("TryingTools", article, article)
    assert failed.status_code == 500, failed.text
    assert provider.traced().count(f"refuse {article}") == 2


@pytest.mark.parametrize("agent", LITELLM)
@pytest.mark.parametrize("status", [400, 401, 403, 404])
def test_litellm_refusals_are_final(
    restate: Restate, provider: Endpoint, scripted_model: ScriptedModel, status: int, agent: str
) -> None:
    text = uuid.uuid4().hex
    rule = Rule(name="no", when=When(text=text), reply=Reply(status=status))
    scripted_model.put_first(rule)
    assert restate.turn(agent, text, text).status_code == 502
    assert sum(text in call.text for call in scripted_model.calls()) == 1


@pytest.mark.parametrize("agent", LITELLM)
@pytest.mark.parametrize("status", [429, 503])
def test_litellm_overload_is_tried_again(
    restate: Restate, provider: Endpoint, scripted_model: ScriptedModel, status: int, agent: str
) -> None:
    text = uuid.uuid4().hex
    scripted_model.put_first(
        Rule(
            name="busy",
            when=When(text=text),
            reply=Reply(status=status, times=1, retry_after=1),
        ),
        Rule(name="fine", when=When(text=text), reply=Reply(text="fine")),
    )
    begun = time.monotonic()
    answer = restate.turn(agent, text, text)
    # As long as the provider asks; of itself Restate would try again after 0.1 s.
    assert time.monotonic() - begun >= 1.0
    assert answer.json()["answer"] == "fine"
    assert [call.rule for call in scripted_model.calls() if text in call.text] == ["busy", "fine"]


def test_model_calls_wait_their_turn_and_not_on_the_models_time(
    restate: Restate, provider: Endpoint, scripted_model: ScriptedModel
) -> None:
    mark = uuid.uuid4().hex
    rule = Rule(name="slow", when=When(text=mark), reply=Reply(text="ok", delay=1.0))
    scripted_model.put_first(rule)
    # Five of a second each, one at a time: the last ones wait longer than AGENT_MODEL_TIMEOUT.
    started = [restate.send("LiteAgent", f"{mark}{n}", f"{mark} {n}") for n in range(5)]
    assert [restate.result(one).json()["answer"] for one in started] == ["ok"] * 5
    assert sum(mark in call.text for call in scripted_model.calls()) == 5


def _before_and_after_a_tool(model: ScriptedModel, mark: str) -> None:
    """The model says something and calls a tool, and then says the rest."""
    call = Call(name="measure", args={"what": mark, "seconds": 0})
    model.put_first(
        Rule(
            name="first",
            when=When(text="go", after_response=False),
            reply=Reply(text="Let me see.", calls=[call]),
        ),
        says("second", pause=0.03, response_of="measure"),
    )


@pytest.mark.parametrize("agent", LITELLM)
def test_litellm_streams_what_it_answers_without_streaming(
    live: Restate, scripted_model: ScriptedModel, agent: str
) -> None:
    key = uuid.uuid4().hex
    _before_and_after_a_tool(scripted_model, key)
    turn = begin(live, key, agent)
    reader = Reader(live, key, turn, agent)
    wait_until("the second message begins", lambda: reader.texts.get(2))
    assert live.messages(agent, key) == [("user", "go")]
    streamed = live.result(turn).json()
    assert reader.finish() == ["Let me see.", TEXT]
    assert set(reader.authors.values()) == {agent}
    assert reader.resets == 0
    assert 3 < len(reader.pages) < len(WORDS)
    plain = live.turn(agent, f"{key}-plain", "go").json()
    assert streamed | {"session": ""} == plain | {"session": ""}
    assert _kept(live, agent, key) == _kept(live, agent, f"{key}-plain")


def _kept(restate: Restate, agent: str, key: str) -> list[list[object]]:
    """What the session keeps of what was said, without the ids that the provider gives."""
    found: list[list[object]] = []
    for event in restate.call(agent, key, "get", {}).json()["events"]:
        parts = event["content"]["parts"]
        for part in parts:
            for name in ("functionCall", "functionResponse"):
                part.get(name, {}).pop("id", None)
            (part.get("functionResponse") or {}).pop("response", None)
        kept = ("author", "finishReason", "usageMetadata", "modelVersion", "partial")
        found.append([parts, *(event.get(name) for name in kept)])
    return found


@pytest.mark.parametrize("agent", LITELLM)
def test_litellm_text_of_a_connection_that_broke_is_void(
    live: Restate, scripted_model: ScriptedModel, agent: str
) -> None:
    key = uuid.uuid4().hex
    scripted_model.put_first(breaks_once(), says(pause=0.01))
    turn = begin(live, key, agent)
    reader = Reader(live, key, turn, agent)
    assert live.result(turn).json()["answer"] == TEXT
    assert reader.finish() == [TEXT]
    assert reader.resets == 1
    assert [call.rule for call in scripted_model.calls()] == ["broken", "say"]


def test_litellm_text_of_a_process_that_died_is_void(
    live: Restate, provider: Endpoint, scripted_model: ScriptedModel
) -> None:
    agent, key = LITELLM[1], uuid.uuid4().hex
    _before_and_after_a_tool(scripted_model, key)
    turn = begin(live, key, agent)
    reader = Reader(live, key, turn, agent)
    wait_until("the second message begins", lambda: reader.texts.get(2))
    provider.kill()
    provider.start()
    assert live.result(turn).json()["answer"] == TEXT
    assert reader.finish() == ["Let me see.", TEXT]
    assert reader.resets == 1
    assert [call.rule for call in scripted_model.calls()] == ["first", "second", "second"]

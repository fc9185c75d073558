"""What holds when processes die, stop, or are asked by strangers."""

from __future__ import annotations

import base64
import threading
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from agent_service.testing import Call, Reply, Rule, ScriptedModel, When
from hack.restate import RestateServer
from tests.integration.agent_service.harness import AGENTS, Endpoint, Restate, wait_until
from tests.support.identity import SETTING, new_identity

pytestmark = pytest.mark.integration


def test_a_finished_model_call_is_never_made_again(
    restate: Restate, endpoint: Endpoint, scripted_model: ScriptedModel
) -> None:
    slow_end = Rule(
        name="slow end",
        when=When(response_of="get_weather", text="slowly"),
        reply=Reply(text="{temperature} in {city}", delay=2.0, times=1),
    )
    scripted_model.put_first(slow_end)
    session = uuid.uuid4().hex
    message = f"slowly, {session}: the weather in Paris"
    invocation = restate.send("WeatherAgent", session, message)

    def calls(rule: str) -> int:
        return sum(c.rule == rule and c.text == message for c in scripted_model.calls())

    wait_until("the second model call is under way", lambda: calls("slow end"))
    endpoint.kill()
    endpoint.start()
    answer = restate.result(invocation)
    assert "in Paris" in answer.json()["answer"]
    # The first call had ended and is replayed; the one under way has to be made again.
    assert calls("weather lookup") == 1
    assert calls("slow end") + calls("weather answer") == 2
    assert answer.json()["usage"]["modelCalls"] == 2


def test_parallel_tools_go_on_in_the_same_order_after_a_kill(
    restate: Restate, endpoint: Endpoint, scripted_model: ScriptedModel
) -> None:
    names = [f"{name}{uuid.uuid4().hex[:4]}" for name in "abc"]
    calls = [
        Call(name="measure", args={"what": name, "seconds": seconds})
        for name, seconds in zip(names, (0.3, 1.5, 0.1), strict=True)
    ]
    scripted_model.put_first(
        Rule(name="calls", when=When(after_response=False), reply=Reply(calls=calls)),
        Rule(name="measured", when=When(response_of="measure"), reply=Reply(text="{order}")),
    )
    invocation = restate.send("ToolsAgent", names[0], "go")
    a, b, c = names
    wait_until(
        "two tools' steps are in the journal",
        # After those of the turn's begin and of the model call.
        lambda: restate.query(_steps_done(invocation)) == [{"n": 4}] or None,
    )
    endpoint.kill()
    endpoint.start()
    # Each tool says who was there before it: in the order in which the steps ended.
    assert restate.result(invocation).json()["answer"] == f"{c},{a} {c},{a},{b} {c}"
    ends = [line for line in endpoint.traced() if line.startswith("end") and line[4:] in names]
    assert ends == [f"end {name}" for name in (c, a, b)]
    begins = [line for line in endpoint.traced() if line.startswith("begin") and line[6:] in names]
    assert sorted(begins) == sorted([f"begin {a}", f"begin {b}", f"begin {b}", f"begin {c}"])


def _steps_done(invocation: str) -> str:
    return (
        f"select count(1) as n from sys_journal where id = '{invocation}'"
        " and entry_type = 'Notification: Run'"
    )


def test_a_slow_model_call_is_not_cut_off_by_the_inactivity_timeout(
    restate: Restate, endpoint: Endpoint, scripted_model: ScriptedModel, tmp_path: Path
) -> None:
    scripted_model.put_first(
        Rule(name="slow", when=When(text="slow one"), reply=Reply(text="Done.", delay=2.0))
    )
    session = uuid.uuid4().hex
    with _own_endpoint(scripted_model, tmp_path, AGENT_INACTIVITY_TIMEOUT="0.1") as hasty:
        hasty.register(restate)
        answer = restate.turn("CallbackAgent", session, f"slow one {session}")
        endpoint.register(restate)
    assert answer.json()["answer"].startswith("Done.")
    assert sum(c.text == f"slow one {session}" for c in scripted_model.calls()) == 1


def _own_endpoint(model: ScriptedModel, folder: Path, **env: str) -> Endpoint:
    return Endpoint((f"{AGENTS}:callbacks",), model.url, folder, env)


def test_sigterm_lets_a_turn_end(
    restate: Restate, scripted_model: ScriptedModel, tmp_path: Path, endpoint: Endpoint
) -> None:
    message = f"stop {uuid.uuid4().hex}"
    scripted_model.put_first(
        Rule(name="slow", when=When(text="stop "), reply=Reply(text="Ended well.", delay=2.0))
    )
    answers: list[httpx.Response] = []
    with _own_endpoint(scripted_model, tmp_path, AGENT_REVISION="leaving") as leaving:
        leaving.register(restate)
        caller = threading.Thread(
            target=lambda: answers.append(restate.turn("CallbackAgent", "t", message))
        )
        caller.start()
        wait_until(
            "the model is asked",
            lambda: any(call.text == message for call in scripted_model.calls()),
        )
        assert leaving.terminate() == 0
        # Whatever has not ended by now would end on the other endpoint, under its revision.
        endpoint.register(restate)
        caller.join(60)
    assert answers[0].json()["answer"].startswith("Ended well.")
    assert answers[0].json()["revision"] == "leaving"
    assert sum(call.text == message for call in scripted_model.calls()) == 1


def test_sigterm_ends_an_idle_process_at_once(
    scripted_model: ScriptedModel, tmp_path: Path
) -> None:
    with _own_endpoint(scripted_model, tmp_path, AGENT_GRACEFUL_TIMEOUT="50") as idle:
        begun = time.monotonic()
        assert idle.terminate() == 0
        assert time.monotonic() - begun < 30


@pytest.fixture
def signing(tmp_path: Path) -> Iterator[tuple[RestateServer, str]]:
    """A Restate server that signs its requests, and its public key."""
    identity = new_identity()
    pem = tmp_path / "identity.pem"
    pem.write_text(identity.pem)
    with RestateServer(env={SETTING: str(pem)}) as server:
        yield server, identity.public


def test_unsigned_requests_are_refused_where_keys_are_set(
    signing: tuple[RestateServer, str], scripted_model: ScriptedModel, tmp_path: Path
) -> None:
    server, public = signing
    restate = Restate(server)
    with _own_endpoint(scripted_model, tmp_path, RESTATE_IDENTITY_KEYS=public) as closed:
        for path in ("/discover", "/invoke/CallbackAgent/turn"):
            assert httpx.get(f"{closed.url}{path}", trust_env=False).status_code == 401
        assert httpx.get(f"{closed.url}/health", trust_env=False).status_code == 200
        closed.register(restate)
        assert restate.turn("CallbackAgent", "s", "hello").status_code == 200
        assert public not in closed.log.read_text()


def test_keys_reach_neither_logs_nor_errors(
    restate: Restate, scripted_model: ScriptedModel, tmp_path: Path, endpoint: Endpoint
) -> None:
    secret = base64.urlsafe_b64encode(uuid.uuid4().bytes).decode()
    scripted_model.put_first(
        Rule(
            name="leak",
            when=When(text="leak"),
            reply=Reply(status=403, message=f"key {secret} is not allowed"),
        )
    )
    with _own_endpoint(scripted_model, tmp_path, GOOGLE_API_KEY=secret) as leaky:
        leaky.register(restate)
        answer = restate.turn("CallbackAgent", uuid.uuid4().hex, "leak")
        leaky.terminate()
        endpoint.register(restate)
        assert answer.status_code == 502
        assert secret not in answer.text
        assert secret not in leaky.log.read_text()

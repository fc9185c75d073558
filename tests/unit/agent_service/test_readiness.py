"""When a process is ready: what models are asked, and what their answers mean."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx
import pytest
from google.adk.models.apigee_llm import ApigeeLlm
from google.adk.models.google_llm import Gemini
from google.adk.models.lite_llm import LiteLlm

from agent_service import readiness
from agent_service.readiness import Readiness, with_probes
from agent_service.testing import ScriptedModel


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(readiness, "FIRST_PAUSE", 0.01)
    monkeypatch.setattr(readiness, "LONGEST_PAUSE", 0.01)
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)


async def _looked(ready: Readiness) -> asyncio.Task[None]:
    task = asyncio.create_task(ready.watch())
    await ready.settle()
    return task


def _gemini(model: ScriptedModel, key: str = "right", name: str = "gemini-x") -> Gemini:
    options = {"base_url": model.url}
    return Gemini(model=name, client_kwargs={"api_key": key, "http_options": options})


async def test_a_model_that_answers_once_is_enough() -> None:
    with ScriptedModel(key="right") as model:
        ready = Readiness([_gemini(model)])
        assert ready.reasons == ["model gemini-x: it has not answered yet"]
        await (await _looked(ready))
        assert ready.reasons == []
        assert model.calls() == []


async def test_a_refused_key_is_not_ready_until_it_is_taken() -> None:
    with ScriptedModel(key="other") as model:
        ready = Readiness([_gemini(model), _gemini(model, "other", "gemini-y")])
        task = await _looked(ready)
        (why,) = ready.reasons
        assert why.startswith("model gemini-x: 400")
        assert "API key not valid" in why
        model.ask_for_key("right")
        await task
        assert ready.reasons == []


async def test_a_proxy_that_may_not_know_the_question_is_not_asked(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("GOOGLE_API_KEY", "any")
    model = ApigeeLlm(model="apigee/gemini-2.5-flash", proxy_url="http://127.0.0.1:9")
    await asyncio.wait_for(await _looked(Readiness([model])), 10)


async def test_a_server_that_is_away_is_not_ready() -> None:
    gone = ScriptedModel()
    with gone:
        model = _gemini(gone)
    task = await _looked(ready := Readiness([model]))
    assert len(ready.reasons) == 1
    task.cancel()


async def test_another_server_need_not_know_the_question(monkeypatch: pytest.MonkeyPatch) -> None:
    with ScriptedModel() as model:
        # A path that it answers with 404.
        options = {"base_url": f"{model.url}/elsewhere"}
        monkeypatch.setenv("GOOGLE_GEMINI_BASE_URL", options["base_url"])
        other = Gemini(model="m", client_kwargs={"api_key": "k", "http_options": options})
        await (await _looked(ready := Readiness([other])))
        assert ready.reasons == []
        monkeypatch.delenv("GOOGLE_GEMINI_BASE_URL")
        task = await _looked(ready := Readiness([other]))
        assert ready.reasons[0].startswith("model m: 404")
        task.cancel()


async def test_of_litellms_models_only_the_key_is_looked_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    lite = LiteLlm(model="openai/gpt-5-mini")
    task = await _looked(ready := Readiness([lite]))
    assert ready.reasons == ["model openai/gpt-5-mini: there is no key: set OPENAI_API_KEY"]
    monkeypatch.setenv("OPENAI_API_KEY", "k")
    await task
    own = [
        LiteLlm(model="openai/gpt-5-mini", api_key="k"),
        LiteLlm(model="openai/mine", api_base="http://m"),
        LiteLlm(model="bedrock/anthropic.claude-3"),
    ]
    await (await _looked(ready := Readiness(own)))
    assert ready.reasons == []


async def test_probes_are_answered_and_everything_else_is_not() -> None:
    async def app(_scope: Any, _receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 418, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    with ScriptedModel(key="other") as model:
        task = await _looked(ready := Readiness([_gemini(model)]))
        transport = httpx.ASGITransport(with_probes(app, ready))
        async with httpx.AsyncClient(transport=transport, base_url="http://x") as http:
            refused = await http.get("/health")
            assert (refused.status_code, refused.json()["status"]) == (503, "not ready")
            assert "API key not valid" in refused.json()["reasons"][0]
            assert (await http.get("/live")).json() == {"status": "live"}
            assert (await http.get("/discover")).status_code == 418
            model.ask_for_key("")
            await task
            assert (await http.get("/health")).json() == {"status": "ready"}
        transport = httpx.ASGITransport(with_probes(app, None))
        async with httpx.AsyncClient(transport=transport, base_url="http://x") as http:
            assert (await http.get("/health")).status_code == 200

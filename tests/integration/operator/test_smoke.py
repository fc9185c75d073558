"""The smoke gate's runner: a real Restate of its own, and candidates that do well or don't."""

import asyncio
import json
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from pathlib import Path

import httpx
import pytest
import restate

from agent_operator.api.gates import Smoke
from agent_operator.restate.client import Calls
from agent_operator.restate.view import Service
from agent_operator.smoke import keys, runner
from hack.restate import RestateServer
from tests.integration.operator.endpoint import keyed, plain, serving

SIGNS = "RESTATE_WORKER__INVOKER__REQUEST_IDENTITY_PRIVATE_KEY_PEM_FILE"


def weather() -> restate.VirtualObject:
    service = restate.VirtualObject("WeatherAgent")

    @service.handler()
    async def turn(ctx: restate.ObjectContext, request: dict[str, str]) -> dict[str, object]:
        return {"answer": f"{request['message']} 20 °C", "session": ctx.key(), "turn": 1}

    @service.handler(kind="shared")
    async def history(ctx: restate.ObjectSharedContext) -> list[str]:
        return []

    @service.handler()
    async def refuse(ctx: restate.ObjectContext) -> str:
        raise restate.TerminalError("not in this state", status_code=422)

    return service


@pytest.fixture
async def candidate() -> AsyncIterator[str]:
    async with serving(weather()) as uri:
        yield uri


def place(server: RestateServer, uri: str) -> runner.Place:
    return runner.Place(uri, server.admin_url, server.ingress_url)


GOOD: list[dict[str, object]] = [
    {"message": "Paris:"},
    {"input": {"message": "Paris:"}, "expect": {"json": {"turn": 1, "session": "smoke"}}},
    {"message": "Paris:", "key": "a b/c", "expect": {"json": {"session": "a b/c"}}},
    {"message": "Paris:", "expect": {"pattern": "Paris: [0-9]+ °C"}},
    {"message": "Paris:", "expect": {"cel": "answer.turn == 1 && answer.answer.contains('°C')"}},
    {"service": "WeatherAgent", "handler": "history", "expect": {"cel": "size(answer) == 0"}},
]
BAD: list[tuple[dict[str, object], str]] = [
    ({"message": "Paris:", "expect": {"json": {"turn": 2}}}, "turn is not 2"),
    ({"message": "Paris:", "expect": {"json": {"mood": "good"}}}, "mood is missing"),
    ({"message": "Paris:", "expect": {"pattern": "°F"}}, "fits the pattern '°F'"),
    ({"message": "Paris:", "expect": {"cel": "answer.turn > 1"}}, "it is not true of the answer"),
    ({"message": "Paris:", "expect": {"cel": "answer.mood"}}, "can't be told of this answer"),
    ({"message": "Paris:", "expect": {"cel": "1 +"}}, "is no CEL expression"),
    ({"service": "Other"}, "no service Other, only WeatherAgent"),
    ({"handler": "other"}, "no handler other, only history, refuse, turn"),
    ({"handler": "refuse"}, "failed with 422: not in this state"),
    ({"message": "Paris:", "input": {}}, "give one of them"),
]


@pytest.mark.parametrize("smoke", GOOD, ids=json.dumps)
async def test_a_good_answer(
    restate_server: RestateServer, candidate: str, smoke: dict[str, object]
) -> None:
    await runner.run(Smoke.model_validate(smoke), place(restate_server, candidate), 30)


@pytest.mark.parametrize(("smoke", "why"), BAD, ids=[why for _, why in BAD])
async def test_a_bad_one(
    restate_server: RestateServer, candidate: str, smoke: dict[str, object], why: str
) -> None:
    with pytest.raises(runner.SmokeFailedError, match=f".*{why}") as failed:
        await runner.run(Smoke.model_validate(smoke), place(restate_server, candidate), 30)
    assert "20 °C" not in str(failed.value), "answers don't belong into a status"


async def test_a_turn_that_never_ends(restate_server: RestateServer) -> None:
    smoke = Smoke(handler="fail")
    async with serving(keyed("Waits")) as uri:
        with pytest.raises(runner.SmokeFailedError, match=r"no answer within .*not this time"):
            await runner.run(smoke, place(restate_server, uri), 5)


def test_an_agents_companions_need_not_be_told_from_it() -> None:
    agent = Service("Weather", "dp_1", handlers={"turn": "Exclusive", "history": "Shared"})
    companions = [replace(agent, name=name) for name in ("Weather.app", "Weather.users")]
    assert runner.target(Smoke(message="Paris?"), [*companions, agent]).startswith("/Weather/")
    named = Smoke(service="Weather.app", handler="history")
    assert runner.target(named, [*companions, agent]).startswith("/Weather.app/")
    with pytest.raises(runner.SmokeFailedError, match=r"has Other, Weather$"):
        runner.target(Smoke(), [*companions, agent, replace(agent, name="Other")])


async def test_it_calls_the_candidate_as_it_is_told(
    restate_server: RestateServer, candidate: str
) -> None:
    told = replace(place(restate_server, candidate), calls=Calls(True, {"x-tenant": "shop"}))
    await runner.run(Smoke(message="Paris:"), told, 30)
    async with httpx.AsyncClient(trust_env=False) as http:
        answer = await http.get(f"{restate_server.admin_url}/deployments")
    (found,) = (d for d in answer.json()["deployments"] if d["uri"].rstrip("/") == candidate)
    assert found["protocol_type"] == "RequestResponse"
    assert found["additional_headers"] == {"x-tenant": "shop"}


async def test_several_services_need_a_name(restate_server: RestateServer) -> None:
    async with serving(plain("One"), plain("Two")) as uri:
        with pytest.raises(runner.SmokeFailedError, match="the candidate has One, Two"):
            await runner.run(Smoke(), place(restate_server, uri), 30)
        await runner.run(Smoke(service="Two"), place(restate_server, uri), 30)


async def test_nobody_at_the_address(restate_server: RestateServer) -> None:
    with pytest.raises(runner.SmokeFailedError, match="could not be registered"):
        await runner.run(Smoke(), place(restate_server, "http://127.0.0.1:9"), 3)


@pytest.fixture
def signing(tmp_path: Path) -> Iterator[tuple[RestateServer, str]]:
    file = tmp_path / "key.pem"
    public = keys.make(file)
    assert file.stat().st_mode & 0o077 == 0
    with RestateServer(env={SIGNS: str(file)}) as server:
        yield server, public


async def test_its_server_signs_with_the_key_that_it_tells(
    signing: tuple[RestateServer, str],
) -> None:
    server, public = signing
    other = keys.PREFIX + keys.base58(bytes(range(32)))
    smoke = Smoke(message="Paris:")
    async with serving(weather(), keys=[public]) as uri:
        await runner.run(smoke, place(server, uri), 30)
    async with serving(weather(), keys=[other]) as uri:
        with pytest.raises(runner.SmokeFailedError, match="401"):
            await runner.run(smoke, place(server, uri), 3)


async def test_as_its_job_runs_it(restate_server: RestateServer, candidate: str) -> None:
    async def outcome(expect: str) -> tuple[int | None, dict[str, object]]:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "agent_operator", "smoke", f"--uri={candidate}", "--timeout=30",
            f"--admin={restate_server.admin_url}", f"--ingress={restate_server.ingress_url}",
            f'--smoke={{"message": "Paris:", "expect": {{"pattern": "{expect}"}}}}',
            "--http11", "--header=x-tenant",
            stdout=subprocess.PIPE,
        )  # fmt: skip
        out, _ = await process.communicate()
        return process.returncode, json.loads(out.decode().splitlines()[-1])

    assert await outcome("°C") == (0, {"passed": True})
    code, said = await outcome("°F")
    assert code == 1
    assert said == {"passed": False, "reason": "nothing in the answer fits the pattern '°F'"}

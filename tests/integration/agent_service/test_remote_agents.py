"""Agents that call agents of another endpoint, whatever happens to either of them."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import pytest

from agent_service.agents import fact_checker, research
from agent_service.testing import Call, Reply, Rule, ScriptedModel, ServeAgent, When
from hack.restate import RestateServer
from tests.integration.agent_service import remote_agents
from tests.integration.agent_service.harness import Endpoint, Restate, wait_until
from tests.integration.operator.endpoint import serving

pytestmark = [pytest.mark.integration, pytest.mark.usefixtures("scripted_model")]

AGENTS = remote_agents.__name__
CALLED = ("expert", "deep", "keeper", "form")
CALLER, EXPERT = "CallerAgent", "ExpertAgent"


@pytest.fixture(scope="module")
def pair(
    restate: Restate,
    scripted_model_server: ScriptedModel,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[tuple[Endpoint, Endpoint]]:
    made = []
    for agents in (("caller", "talker"), CALLED):
        folder = tmp_path_factory.mktemp("endpoint")
        names = [f"{AGENTS}:{name}" for name in agents]
        made.append(Endpoint(names, scripted_model_server.url, folder, {}))
    here, there = made
    try:
        start(here, there)
        for endpoint in made:
            endpoint.register(restate)
        yield here, there
    finally:
        for endpoint in made:
            endpoint.kill()


@pytest.fixture(autouse=True)
def both(pair: tuple[Endpoint, Endpoint]) -> None:
    """Both run again, if the test before left one killed."""
    start(*(one for one in pair if one.process is None))


@pytest.fixture
def here(pair: tuple[Endpoint, Endpoint]) -> Endpoint:
    """The endpoint of the agent that calls."""
    return pair[0]


@pytest.fixture
def there(pair: tuple[Endpoint, Endpoint]) -> Endpoint:
    """The endpoint of the agents that are called."""
    return pair[1]


def start(*endpoints: Endpoint) -> None:
    """Starts them at the same time."""
    with ThreadPoolExecutor() as pool:
        list(pool.map(Endpoint.start, endpoints))


@pytest.fixture
def session() -> str:
    return f"s-{uuid.uuid4().hex[:8]}"


def asks(*calls: Call, said: str = "{answer}", name: str = CALLER) -> list[Rule]:
    """An agent that makes the calls, all in one answer, and says what came of each."""
    system = f"You are {name}\\."
    texts = {"answer": said, "error": "{status}: {error}", "result": "{result}", "said": "{said}"}
    return [
        Rule(
            name=f"{name} asks",
            when=When(system=system, after_response=False),
            reply=Reply(calls=list(calls)),
        ),
        *(
            Rule(
                name=f"{name} told",
                when=When(system=system, response_of=call.name, response_has=[has]),
                reply=Reply(text=text),
            )
            for call in calls
            for has, text in texts.items()
        ),
    ]


def says(name: str, text: str, **reply: Any) -> Rule:
    return Rule(
        name=f"{name} says",
        when=When(system=f"You are {name}\\.", after_response=False),
        reply=Reply(text=text, **reply),
    )


def ask(name: str, message: str = "what?") -> Call:
    return Call(name=name, args={"message": message})


def children(restate: Restate, session: str) -> dict[str, str]:
    """The sessions of other agents that belong to a caller's: key and agent."""
    rows = restate.query(
        f"select key from state where service_name = '{CALLER}' and service_key = '{session}'"
        " and key like 'child/%'"
    )
    found = (row["key"].removeprefix("child/").partition("/") for row in rows)
    return {key: agent for agent, _, key in found}


def child(restate: Restate, session: str) -> str:
    """The only one, once it is there."""
    (key,) = wait_until("there is a child session", lambda: list(children(restate, session)))
    return key


def missing(restate: Restate, agent: str, session: str) -> bool:
    return restate.call(agent, session, "get", {}).status_code == 404


def running(restate: Restate, agent: str) -> list[str]:
    rows = restate.query(
        f"select id from sys_invocation where target_service_name = '{agent}'"
        " and target_handler_name = 'turn' and status != 'completed'"
    )
    return [row["id"] for row in rows]


def count(model: ScriptedModel, rule: str) -> int:
    return sum(call.rule == rule for call in model.calls())


@pytest.mark.parametrize("user", ["", "ann:"])
def test_an_agent_is_asked_in_a_session_of_the_same_user(
    restate: Restate, session: str, scripted_model: ScriptedModel, user: str
) -> None:
    scripted_model.put_first(*asks(ask(EXPERT, "how far?")), says(EXPERT, "very far"))
    key = user + session
    answer = restate.turn(CALLER, key, "go")
    assert answer.json()["answer"] == "very far"
    restate.turn(CALLER, key, "go on")
    first, second = sorted(children(restate, key))
    assert first.startswith(f"{user}{CALLER}~{session}~")
    assert (first.endswith(".1.1"), second.endswith(".2.1")) == (True, True)
    assert restate.messages(EXPERT, first) == [("user", "how far?"), ("agent", "very far")]
    if user:
        listed = restate.call(f"{EXPERT}.users", "ann", "list").json()["sessions"]
        assert {first, second} <= {one["key"] for one in listed}


def test_a_conversation_with_an_agent(
    restate: Restate, session: str, scripted_model: ScriptedModel
) -> None:
    scripted_model.put_first(*asks(ask("KeeperAgent")), says("KeeperAgent", "yes"))
    for _ in range(2):
        assert restate.turn(CALLER, session, "go").json()["answer"] == "yes"
    assert len(restate.messages("KeeperAgent", child(restate, session))) == 4


def test_a_tool_asks_from_its_own_code(
    restate: Restate, session: str, scripted_model: ScriptedModel
) -> None:
    rules = asks(Call(name="ask_twice", args={"what": "say"}))
    scripted_model.put_first(*rules, says("KeeperAgent", "yes"))
    assert restate.turn(CALLER, session, "go").json()["answer"] == "yes, yes"
    assert len(restate.messages("KeeperAgent", child(restate, session))) == 4


def test_an_answer_that_has_a_form(
    restate: Restate, session: str, scripted_model: ScriptedModel
) -> None:
    form = says("FormAgent", '{{"name": "Ann", "age": 7}}')
    scripted_model.put_first(*asks(ask("FormAgent")), form)
    assert "'age': 7" in restate.turn(CALLER, session, "go").json()["answer"]
    scripted_model.put_first(*asks(ask("FormAgent"), said="{error}"), says("FormAgent", "Ann"))
    refused = restate.turn(CALLER, session, "go").json()["answer"]
    assert refused.startswith("FormAgent did not answer as Form: answer: Invalid JSON")


def test_services_are_called_as_the_sdk_has_it(
    restate: Restate, session: str, scripted_model: ScriptedModel, here: Endpoint
) -> None:
    """[V] `service_call` takes a virtual object's handler too, with key "": so `object_call`."""
    scripted_model.put_first(
        *asks(Call(name="call_services", args={"key": session})),
        Rule(name="sum", when=When(response_of="call_services"), reply=Reply(text="unused")),
    )

    async def run() -> dict[str, Any]:
        async with serving(remote_agents.plain, remote_agents.counter) as url:
            body = {"uri": url, "force": True}
            admin = f"{restate.server.admin_url}/deployments"
            await asyncio.to_thread(lambda: restate.http.post(admin, json=body).raise_for_status())
            answer = await asyncio.to_thread(restate.turn, CALLER, session, "go")
            view = await asyncio.to_thread(restate.call, CALLER, session, "get", {})
            assert answer.status_code == 200, answer.text
            return dict(view.json())

    parts = [part for event in asyncio.run(run())["events"] for part in event["content"]["parts"]]
    (made,) = (p["functionResponse"]["response"] for p in parts if "functionResponse" in p)
    assert made == {"doubled": 42, "counted": 5}
    assert f"calling {session}" in here.traced()


def test_agents_that_are_asked_together_work_together_and_are_paid_once(
    restate: Restate,
    session: str,
    scripted_model: ScriptedModel,
    here: Endpoint,
    there: Endpoint,
) -> None:
    """Both processes are killed in the middle."""
    measured = Call(name="measure", args={"what": f"{session} own", "seconds": 2})
    scripted_model.put_first(
        *asks(ask(EXPERT, "1"), ask(EXPERT, "2"), ask("KeeperAgent", "3"), measured),
        *asks(Call(name="measure", args={"what": f"{session} theirs", "seconds": 2}), name=EXPERT),
        says("KeeperAgent", "kept"),
    )
    invocation = restate.send(CALLER, session, "go")
    theirs, own = f"begin {session} theirs", f"begin {session} own"
    wait_until("two steps run there", lambda: there.traced().count(theirs) == 2)
    # Its own tool goes on meanwhile.
    assert own in here.traced()
    wait_until("the keeper has answered", lambda: count(scripted_model, "KeeperAgent says"))
    for endpoint in (here, there):
        endpoint.kill()
    start(here, there)
    answer = restate.result(invocation)
    assert answer.status_code == 200, answer.text
    assert answer.json()["answer"] == " ".join([f"{session} theirs measured"] * 2)
    paid = {call.rule: count(scripted_model, call.rule) for call in scripted_model.calls()}
    assert paid == {
        f"{CALLER} asks": 1,
        f"{CALLER} told": 1,
        f"{EXPERT} asks": 2,
        f"{EXPERT} told": 2,
        "KeeperAgent says": 1,
    }
    assert len(children(restate, session)) == 3


def test_the_caller_sleeps_while_it_waits(
    restate: Restate, session: str, scripted_model: ScriptedModel, there: Endpoint
) -> None:
    scripted_model.put_first(
        *asks(ask(EXPERT)),
        *asks(Call(name="measure", args={"what": session, "seconds": 3}), name=EXPERT),
    )
    invocation = restate.send(CALLER, session, "go")
    wait_until("the expert works", lambda: f"begin {session}" in there.traced())
    restate.wait_suspended(invocation)
    assert restate.result(invocation).json()["answer"] == f"{session} measured"


def test_an_agent_that_fails_is_an_answer_to_the_model(
    restate: Restate, session: str, scripted_model: ScriptedModel
) -> None:
    scripted_model.put_first(
        *asks(ask(EXPERT)), says(EXPERT, "", status=403, message="no more money")
    )
    answer = restate.turn(CALLER, session, "go").json()["answer"]
    assert answer.startswith("502: ExpertAgent failed: model gemini-2.5-flash refused the request")
    assert "no more money" in answer
    assert restate.call(CALLER, session, "approvals").json() == []


def test_an_agent_that_somebody_else_cancels_is_an_answer_too(
    restate: Restate, session: str, scripted_model: ScriptedModel
) -> None:
    scripted_model.put_first(
        *asks(ask(EXPERT)), *asks(Call(name="may_i", args={"what": session}), name=EXPERT)
    )
    invocation = restate.send(CALLER, session, "go")
    restate.wait_approval(CALLER, session)
    restate.call(EXPERT, child(restate, session), "cancel").raise_for_status()
    assert restate.result(invocation).json()["answer"] == "409: ExpertAgent failed: cancelled"


def test_a_cancel_reaches_the_agents_that_are_asked(
    restate: Restate, session: str, scripted_model: ScriptedModel, there: Endpoint
) -> None:
    scripted_model.put_first(
        *asks(ask(EXPERT)),
        *asks(Call(name="measure", args={"what": session, "seconds": 60}), name=EXPERT),
    )
    invocation = restate.send(CALLER, session, "go")
    wait_until("the expert works", lambda: f"begin {session}" in there.traced())
    assert restate.call(CALLER, session, "cancel").json() == {"cancelled": invocation}
    assert restate.result(invocation).status_code == 409
    key = child(restate, session)
    wait_until("its turn has ended", lambda: len(restate.messages(EXPERT, key)) == 2)
    assert restate.messages(EXPERT, key)[-1] == ("error", "cancelled")
    assert f"end {session}" not in there.traced()


@pytest.mark.parametrize("agent", [EXPERT, "DeepAgent"])
def test_what_a_called_agent_asks_is_found_and_answered_at_the_caller(
    restate: Restate, session: str, scripted_model: ScriptedModel, agent: str
) -> None:
    wanted = Call(name="may_i", args={"what": session})
    deeper = asks(ask("DeepAgent"), name=EXPERT) if agent != EXPERT else []
    scripted_model.put_first(*asks(ask(EXPERT)), *deeper, *asks(wanted, name=agent))
    invocation = restate.send(CALLER, session, "go")
    asked = restate.wait_approval(CALLER, session)
    assert (asked["title"], asked["agent"], asked["who"]) == (session, agent, ["ann"])
    (there,) = restate.call(agent, asked["session"], "approvals").json()
    assert (there["id"], there["agent"], there["session"]) == (asked["id"], "", "")
    given = {"id": asked["id"], "approved": True, "by": "eve"}
    assert restate.call(CALLER, session, "answer", given).status_code == 403
    unknown = {"id": "sign_1none", "approved": True}
    assert restate.call(CALLER, session, "answer", unknown).status_code == 404
    received = restate.call(CALLER, session, "answer", {**given, "by": "ann"})
    assert received.json() == {"id": asked["id"], "approved": True}
    assert restate.result(invocation).json()["answer"] == f"{session}: True by ann"
    assert restate.call(CALLER, session, "approvals").json() == []


def test_conversations_at_the_same_time_ask_side_by_side(
    restate: Restate, session: str, scripted_model: ScriptedModel
) -> None:
    talker = "TalkerAgent"
    may_i = Call(name="may_i", args={"what": session})
    scripted_model.put_first(
        *asks(ask(EXPERT, "one"), ask("DeepAgent"), ask(EXPERT, "two"), name=talker),
        *asks(may_i, name=EXPERT),
        *asks(may_i, name="DeepAgent"),
    )
    invocation = restate.send(talker, session, "go")

    def asked() -> dict[str, str] | None:
        found = restate.call(talker, session, "approvals").raise_for_status().json()
        by_agent = {one["agent"]: one["id"] for one in found}
        assert len(by_agent) == len(found)
        return by_agent if len(found) == 2 else None

    # The conversation with the expert is one, so the second question waits for the first.
    first = wait_until("both agents ask", asked)
    given = {"approved": True, "by": "ann"}
    restate.call(talker, session, "answer", {"id": first[EXPERT], **given}).raise_for_status()

    def asked_again() -> str | None:
        again = asked()
        return again[EXPERT] if again and again[EXPERT] != first[EXPERT] else None

    second = wait_until("the expert asks again", asked_again)
    for one in (first["DeepAgent"], second):
        restate.call(talker, session, "answer", {"id": one, **given}).raise_for_status()
    assert restate.result(invocation).status_code == 200
    assert restate.call(talker, session, "approvals").json() == []


def test_a_killed_caller_leaves_no_stale_call(
    restate: Restate, session: str, scripted_model: ScriptedModel
) -> None:
    scripted_model.put_first(
        *asks(ask(EXPERT)), *asks(Call(name="may_i", args={"what": session}), name=EXPERT)
    )
    invocation = restate.send(CALLER, session, "go")
    restate.wait_approval(CALLER, session)
    url = f"{restate.server.admin_url}/invocations/{invocation}/kill"
    restate.http.patch(url).raise_for_status()
    wait_until("the expert's turn is killed, too", lambda: not running(restate, EXPERT))
    scripted_model.put_first(says(CALLER, "hello"))
    assert restate.turn(CALLER, session, "go").json()["answer"] == "hello"
    assert restate.call(CALLER, session, "approvals").json() == []


def test_a_session_that_is_deleted_takes_its_children_along(
    restate: Restate, session: str, scripted_model: ScriptedModel
) -> None:
    scripted_model.put_first(
        *asks(ask(EXPERT)),
        *asks(ask("DeepAgent"), name=EXPERT),
        *asks(Call(name="may_i", args={"what": session}), name="DeepAgent"),
    )
    invocation = restate.send(CALLER, session, "go")
    deepest = restate.wait_approval(CALLER, session)["session"]
    key = child(restate, session)
    assert restate.call(CALLER, session, "delete").json() == {"deleted": True}
    assert restate.result(invocation).status_code == 409
    for agent, one in ((EXPERT, key), ("DeepAgent", deepest)):
        wait_until(f"{agent}'s is gone", partial(missing, restate, agent, one))
    assert children(restate, session) == {}


def test_a_session_begun_anew_shares_nothing_with_the_one_deleted(
    restate: Restate, session: str, scripted_model: ScriptedModel
) -> None:
    scripted_model.put_first(*asks(ask("KeeperAgent")), says("KeeperAgent", "yes"))
    restate.turn(CALLER, session, "go")
    first = child(restate, session)
    restate.call(CALLER, session, "delete").raise_for_status()
    restate.turn(CALLER, session, "go")
    second = child(restate, session)
    assert second != first
    wait_until("the old one is gone", partial(missing, restate, "KeeperAgent", first))
    assert len(restate.messages("KeeperAgent", second)) == 2


def test_a_turn_that_is_restarted_asks_anew(
    restate: Restate, session: str, scripted_model: ScriptedModel
) -> None:
    scripted_model.put_first(*asks(ask(EXPERT)), says(EXPERT, "first"))
    invocation = restate.send(CALLER, session, "go")
    assert restate.result(invocation).json()["answer"] == "first"
    scripted_model.put_first(*asks(ask(EXPERT)), says(EXPERT, "second"))
    rows = restate.query(
        f"select \"index\" as i from sys_journal where id = '{invocation}'"
        " and name = 'call model gemini-2.5-flash' order by \"index\""
    )
    url = f"{restate.server.admin_url}/invocations/{invocation}/restart-as-new"
    again = restate.http.patch(url, params={"from": rows[0]["i"]}).json()["new_invocation_id"]
    assert restate.result(again).json()["answer"] == "second"
    first, second = sorted(children(restate, session))
    assert second == f"{first}.2"
    assert restate.messages(EXPERT, second) == [("user", "what?"), ("agent", "second")]


def test_an_agent_that_is_not_there_yet_is_waited_for(
    restate: Restate,
    session: str,
    scripted_model: ScriptedModel,
    here: Endpoint,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    """And one that is gone for good doesn't keep a session from being deleted."""
    scripted_model.put_first(*asks(ask("LateAgent")), says("LateAgent", "here I am"))
    invocation = restate.send(CALLER, session, "go")
    wait_until("the log says so", lambda: "calling LateAgent once more" in here.log.read_text())
    (row,) = restate.query(
        f"select last_failure as why from sys_invocation where id = '{invocation}'"
    )
    assert "LateAgent" in row["why"]
    # Nobody waits there, so nobody who looks for approvals has to wait.
    assert restate.call(CALLER, session, "approvals").json() == []
    folder = tmp_path_factory.mktemp("late")
    with Endpoint([f"{AGENTS}:late"], scripted_model.url, folder, {}) as endpoint:
        endpoint.register(restate)
        assert restate.result(invocation).json()["answer"] == "here I am"
    admin = f"{restate.server.admin_url}/deployments"
    rows = restate.query(f"select id from sys_deployment where endpoint = '{endpoint.url}/'")
    restate.http.delete(f"{admin}/{rows[0]['id']}?force=true").raise_for_status()
    assert restate.call(CALLER, session, "delete").json() == {"deleted": True}
    assert missing(restate, CALLER, session)
    (left,) = restate.query(
        f"select id from sys_invocation where target_service_name = '{CALLER}'"
        " and target_handler_name = 'erase_child' and status != 'completed'"
    )
    restate.http.patch(f"{restate.server.admin_url}/invocations/{left['id']}/kill")


def test_it_replays_at_every_step(
    serve_agent: ServeAgent, agent_restate: RestateServer, scripted_model: ScriptedModel
) -> None:
    serve_agent(remote_agents.keeper)
    twice = Call(name="ask_twice", args={"what": "say"})
    rules = asks(ask("KeeperAgent", "1"), ask("KeeperAgent", "2"), twice)
    scripted_model.put_first(*rules, says("KeeperAgent", "kept"))
    session = serve_agent(remote_agents.caller).session()
    assert session.turn("go").answer == "kept kept"


def test_the_research_team_and_its_fact_checker_replay(serve_agent: ServeAgent) -> None:
    serve_agent(fact_checker.agent)
    session = serve_agent(research.agent).session("ann:saturn")
    assert set(session.turn("Tell me about Saturn").answer.split(". ")) == {
        "Confirmed: Saturn, diameter: 120,536 km",
        "Confirmed: Saturn, year: 10,747 days",
        "Wrong: Saturn, moons: 274 moons, not 82.",
    }
    assert "found nothing" in session.turn("And now Pluto").answer

"""Artifacts and memories: saved once, whatever dies; a session's or a user's; in a store or not."""

from __future__ import annotations

import base64
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from agent_service.testing import Call, Reply, Rule, ScriptedModel, When
from tests.integration.agent_service.harness import Endpoint, Restate, wait_until

pytestmark = pytest.mark.integration
AGENTS = "tests.integration.agent_service.keeping_agents"
AGENT, LEARNER, REMINDED = "KeepingAgent", "LearningAgent", "RemindedAgent"
OWNED = (f"{AGENTS}:keeper", f"{AGENTS}:learner", f"{AGENTS}:reminded")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("store")


@pytest.fixture(scope="module")
def in_restate(
    restate: Restate,
    scripted_model_server: ScriptedModel,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Endpoint]:
    where = tmp_path_factory.mktemp("keeping")
    with Endpoint(OWNED, scripted_model_server.url, where, {}) as endpoint:
        yield endpoint


@pytest.fixture(scope="module")
def in_store(
    restate: Restate,
    scripted_model_server: ScriptedModel,
    tmp_path_factory: pytest.TempPathFactory,
    folder: Path,
) -> Iterator[Endpoint]:
    where = tmp_path_factory.mktemp("keeping-store")
    env = {"AGENT_ARTIFACTS_URL": f"file://{folder}"}
    with Endpoint(OWNED[:1], scripted_model_server.url, where, env) as endpoint:
        yield endpoint


@pytest.fixture(params=["in_restate", "in_store"])
def kept(request: pytest.FixtureRequest, restate: Restate) -> Endpoint:
    """The endpoint of either kind, registered with Restate."""
    return _running(request.getfixturevalue(request.param), restate)


def _running(endpoint: Endpoint, restate: Restate) -> Endpoint:
    if endpoint.process is None:
        endpoint.start()
    endpoint.register(restate)
    return endpoint


@pytest.fixture
def user() -> str:
    return f"u{uuid.uuid4().hex[:8]}"


@pytest.fixture
def call(scripted_model: ScriptedModel) -> Any:
    """Makes the model call a tool, and answer with its result as a template says."""

    def script(answer: str, tool: str, **args: Any) -> None:
        scripted_model.put_first(
            Rule(
                name="call",
                when=When(after_response=False),
                reply=Reply(calls=[Call(name=tool, args=args)]),
            ),
            Rule(name="told", when=When(response_of=tool), reply=Reply(text=answer)),
        )

    return script


def _said(restate: Restate, agent: str, key: str, message: str = "go") -> str:
    answer = restate.turn(agent, key, message)
    assert answer.status_code == 200, answer.text
    return str(answer.json()["answer"])


def _files(folder: Path, mark: str) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file() and mark in str(path)]


def test_versions_of_a_session_and_of_its_user(
    restate: Restate, kept: Endpoint, user: str, call: Any
) -> None:
    key, other = f"{user}:1", f"{user}:2"
    for number, text in enumerate(["one", "two"]):
        call("{version}", "keep", name="a/b.txt", content=text, then="")
        assert _said(restate, AGENT, key) == str(number)
    call("{version}", "keep", name="user:mine", content="shared", then="")
    assert _said(restate, AGENT, key) == "0"
    everything = "{text} of {versions} in {names}: {about}"
    call(everything, "look", name="a/b.txt", version=-1)
    assert _said(restate, AGENT, key) == "two of 0,1 in a/b.txt,user:mine: text/plain keep"
    call(everything, "look", name="a/b.txt", version=0)
    assert _said(restate, AGENT, key).startswith("one of 0,1")
    call(everything, "look", name="a/b.txt", version=7)
    assert _said(restate, AGENT, key).startswith("nothing of 0,1")
    # Another session of the user sees the user's alone, and another user nothing.
    call(everything, "look", name="user:mine", version=-1)
    assert _said(restate, AGENT, other) == "shared of 0 in user:mine: text/plain keep"
    assert _said(restate, AGENT, f"{user}x:1") == "nothing of  in : nothing"
    # A session without a user shares its user: artifacts with nobody.
    call("{version}", "keep", name="user:mine", content="own", then="")
    assert _said(restate, AGENT, f"{user}-1") == "0"
    call(everything, "look", name="user:mine", version=-1)
    assert _said(restate, AGENT, f"{user}-1") == "own of 0 in user:mine: text/plain keep"
    assert _said(restate, AGENT, f"{user}-2") == "nothing of  in : nothing"


def test_callers_list_and_load(restate: Restate, kept: Endpoint, user: str, call: Any) -> None:
    key, listing = f"{user}:1", f"{AGENT}.artifacts"
    call("{version}", "keep", name="a.txt", content="Grüße", then="")
    _said(restate, AGENT, key)
    call("{version}", "keep_bytes", name="user:b", size=64, then="")
    _said(restate, AGENT, key)
    listed = restate.call(listing, key, "list").json()
    assert (listed["agent"], listed["user"], listed["session"]) == (AGENT, user, "1")
    assert [(a["name"], a["version"], a["mimeType"], a["size"]) for a in listed["artifacts"]] == [
        ("a.txt", 0, "text/plain", 7),
        ("user:b", 0, "application/x-test", 64),
    ]
    text = restate.call(listing, key, "load", {"name": "a.txt"}).json()
    assert (text["text"], text["data"], text["metadata"]) == ("Grüße", None, {"by": "keep"})
    found = restate.call(listing, key, "load", {"name": "user:b", "version": 0}).json()
    assert len(base64.urlsafe_b64decode(found["data"])) == 64
    assert restate.call(listing, key, "load", {"name": "user:b", "version": 1}).status_code == 404
    assert restate.call(listing, key, "load", {"nam": "user:b"}).status_code == 400
    assert restate.call(listing, "a:b:c", "list").status_code == 400
    # What turns use is nobody else's.
    assert restate.call(listing, key, "names").status_code >= 400


def test_a_kill_between_the_upload_and_its_journal_entry_makes_no_second_version(
    restate: Restate, in_store: Endpoint, user: str, call: Any, folder: Path
) -> None:
    endpoint = _running(in_store, restate)
    call("{version}", "keep", name="slow.txt", content="text", then="")
    invocation = restate.send(AGENT, f"{user}:1", "go")
    wait_until("it is put", lambda: any(user in line for line in endpoint.traced()))
    endpoint.kill()
    assert len(_files(folder, user)) == 1
    endpoint.start()
    assert restate.result(invocation).json()["answer"] == "0"
    assert sum(user in line for line in endpoint.traced()) == 2
    assert len(_files(folder, user)) == 1
    call("{versions}", "look", name="slow.txt", version=-1)
    assert _said(restate, AGENT, f"{user}:1") == "0"


def test_a_replay_reads_what_was_saved_though_the_tool_makes_something_else(
    restate: Restate, kept: Endpoint, user: str, call: Any
) -> None:
    call("{version} {read} {size}", "keep_bytes", name="b", size=4096, then=f"then {user}")
    invocation = restate.send(AGENT, f"{user}:1", "go")
    wait_until("it was saved", lambda: f"begin then {user}" in kept.traced())
    kept.kill()
    kept.start()
    version, read, size = restate.result(invocation).json()["answer"].split()
    assert (version, size) == ("0", "4096")
    loaded = restate.call(f"{AGENT}.artifacts", f"{user}:1", "load", {"name": "b"}).json()
    assert base64.urlsafe_b64decode(loaded["data"])[:16].hex() == read


def test_a_replay_saves_under_the_name_of_the_first_attempt(
    restate: Restate, kept: Endpoint, user: str, call: Any
) -> None:
    # Each wait ends an attempt, and the next one repeats all before it.
    kept.register(restate, whole_calls=True)
    call("{version}", "keep_dated")
    assert _said(restate, AGENT, f"{user}:1") == "0"
    (one,) = restate.call(f"{AGENT}.artifacts", f"{user}:1", "list").json()["artifacts"]
    loaded = restate.call(f"{AGENT}.artifacts", f"{user}:1", "load", {"name": one["name"]})
    assert loaded.json()["text"] == one["name"]


def test_what_is_in_a_store_is_not_in_the_journal(
    restate: Restate, in_store: Endpoint, user: str, call: Any
) -> None:
    _running(in_store, restate)
    call("{size}", "keep_bytes", name="large", size=3_000_000, then="")
    invocation = restate.send(AGENT, f"{user}:1", "go")
    assert restate.result(invocation).json()["answer"] == "3000000"
    rows = restate.query(f"select raw_length from sys_journal where id = '{invocation}'")
    assert sum(row["raw_length"] for row in rows) < 20_000


def test_without_a_store_a_large_artifact_is_refused(
    restate: Restate, in_restate: Endpoint, user: str, call: Any
) -> None:
    _running(in_restate, restate)
    call("{size}", "keep_bytes", name="large", size=3_000_000, then="")
    refused = restate.turn(AGENT, f"{user}:1", "go")
    assert refused.status_code == 413
    assert "'large' has 3,000,000 bytes" in refused.text
    assert "AGENT_ARTIFACTS_URL" in refused.text


def test_a_durable_tool_can_keep_nothing(
    restate: Restate, in_restate: Endpoint, user: str, call: Any
) -> None:
    _running(in_restate, restate)
    call("{result}", "keep_inside")
    refused = restate.turn(AGENT, f"{user}:1", "go")
    assert refused.status_code == 500
    assert "a step can't save an artifact" in refused.text


def test_a_deleted_artifact_begins_anew(
    restate: Restate, kept: Endpoint, user: str, call: Any
) -> None:
    key = f"{user}:1"
    for _ in range(2):
        call("{version}", "keep", name="a", content="text", then="")
        _said(restate, AGENT, key)
    call("{dropped}", "drop", name="a")
    _said(restate, AGENT, key)
    assert restate.call(f"{AGENT}.artifacts", key, "list").json()["artifacts"] == []
    assert restate.query(f"select key from state where service_key = '{key}' and "
                         f"service_name = '{AGENT}.artifacts'") == []  # fmt: skip
    call("{version}", "keep", name="a", content="text", then="")
    assert _said(restate, AGENT, key) == "0"


def test_a_deleted_sessions_artifacts_are_gone_and_its_users_are_not(
    restate: Restate, kept: Endpoint, user: str, call: Any, folder: Path
) -> None:
    key = f"{user}:1"
    for name in ("a", "user:b"):
        call("{version}", "keep", name=name, content=f"{name} {user}", then="")
        _said(restate, AGENT, key)
    assert restate.call(AGENT, key, "delete").json() == {"deleted": True}
    assert restate.query(f"select key from state where service_key = '{key}'") == []
    assert not _files(folder, f"{user}=3A1")
    call("{names}", "look", name="user:b", version=-1)
    assert _said(restate, AGENT, f"{user}:2") == "user:b"


def test_a_turn_that_deletes_its_session_replays_at_every_step(
    restate: Restate, kept: Endpoint, user: str, call: Any, folder: Path
) -> None:
    key = f"{user}:1"
    for number in ("0", "1"):
        call("{version}", "keep", name="a", content=f"text {user}", then="")
        assert _said(restate, AGENT, key) == number
    # Each wait ends an attempt, and the next one repeats all before it.
    kept.register(restate, whole_calls=True)
    call("{text}", "depart", name="a")
    assert _said(restate, AGENT, key) == f"text {user}"
    state = f"select key from state where service_key = '{key}'"
    wait_until("nothing is left of it", lambda: not restate.query(state) or None)
    wait_until("no content is", lambda: not _files(folder, f"{user}=3A1") or None)
    assert restate.call(f"{AGENT}.users", user, "list").json()["sessions"] == []


def test_a_turn_remembers_each_event_once_though_it_was_killed(
    restate: Restate, in_restate: Endpoint, user: str, call: Any
) -> None:
    _running(in_restate, restate)
    call("{learnt}", "learn", fact=f"The key of {user} is green", then=f"then {user}")
    invocation = restate.send(LEARNER, f"{user}:1", "Learn about Zanzibar")
    wait_until("it was learnt", lambda: f"begin then {user}" in in_restate.traced())
    in_restate.kill()
    in_restate.start()
    assert restate.result(invocation).status_code == 200
    # Another turn adds the session again.
    call("{learnt}", "learn", fact="Grass grows", then="")
    _said(restate, LEARNER, f"{user}:1", "Learn more")
    call("{found}", "recall", query="green key", then="")
    fact = f"The key of {user} is green"
    # What was learnt, and the answer that said so.
    assert _said(restate, LEARNER, f"{user}:2") == f"{fact} | {fact}"
    call("{found}", "recall", query="Zanzibar", then="")
    assert _said(restate, LEARNER, f"{user}:2") == "Learn about Zanzibar"
    assert _said(restate, LEARNER, f"{user}x:1") == "nothing"


def test_to_remember_a_long_session_costs_no_more_than_a_short_one(
    restate: Restate, in_restate: Endpoint, user: str, scripted_model: ScriptedModel
) -> None:
    _running(in_restate, restate)
    scripted_model.put_first(Rule(name="any", when=When(), reply=Reply(text="yes")))

    def journaled() -> int:
        invocation = restate.send(LEARNER, f"{user}:1", "Say yes, and remember it")
        assert restate.result(invocation).status_code == 200
        rows = restate.query(f"select raw_length from sys_journal where id = '{invocation}'")
        return sum(row["raw_length"] for row in rows)

    sizes = [journaled() for _ in range(30)]
    assert sizes[-1] < 1.2 * sizes[2], sizes
    found = restate.call(f"{LEARNER}.memory", user, "search", {"query": "remember"}).json()
    assert len(found["memories"]) == 10


def test_a_turn_that_found_nothing_new_to_remember_can_be_restarted(
    restate: Restate, in_restate: Endpoint, user: str, call: Any
) -> None:
    _running(in_restate, restate)
    call("{learnt}", "learn_twice")
    invocation = restate.send(LEARNER, f"{user}:1", "go")
    assert restate.result(invocation).json()["answer"] == "twice"
    rows = restate.query(
        'select "index" as i from sys_journal'
        f" where id = '{invocation}' and name = 'remember' order by i"
    )
    url = f"{restate.server.admin_url}/invocations/{invocation}/restart-as-new"
    # From what the turn's end remembers: all before it has to fit, and event ids are others now.
    restarted = restate.http.patch(url, params={"from": int(rows[-1]["i"]) - 1})
    assert restarted.is_success, restarted.text
    again = restate.result(restarted.json()["new_invocation_id"])
    assert again.json()["answer"] == "twice"


def test_a_search_of_a_turn_finds_the_same_when_it_replays(
    restate: Restate, in_restate: Endpoint, user: str, call: Any
) -> None:
    _running(in_restate, restate)
    call("{learnt}", "learn", fact="Walruses whistle", then="")
    _said(restate, LEARNER, f"{user}:1", "one")
    call("{found}", "recall", query="walruses", then=f"then {user}")
    invocation = restate.send(LEARNER, f"{user}:2", "two")
    wait_until("it was found", lambda: f"begin then {user}" in in_restate.traced())
    forgotten = restate.call(f"{LEARNER}.memory", user, "forget", {})
    assert forgotten.is_success, forgotten.text
    in_restate.kill()
    in_restate.start()
    assert "Walruses whistle" in restate.result(invocation).json()["answer"]


def test_memories_are_searched_and_forgotten_by_callers(
    restate: Restate, in_restate: Endpoint, user: str, call: Any
) -> None:
    _running(in_restate, restate)
    where = f"{LEARNER}.memory"
    call("ok", "learn", fact="Cats purr", then="")
    _said(restate, LEARNER, f"{user}:1", "hello")
    found = restate.call(where, user, "search", {"query": "cats"}).json()["memories"]
    assert [(memory["text"], memory["author"]) for memory in found] == [("Cats purr", "learn")]
    assert restate.call(where, user, "forget", {"id": found[0]["id"]}).is_success
    assert restate.call(where, user, "search", {"query": "cats"}).json()["memories"] == []
    assert restate.call(where, user, "search", {"query": "hello"}).json()["memories"] != []
    # What was forgotten doesn't come back with the session that it was said in.
    said = restate.call(where, user, "search", {"query": "hello"}).json()["memories"][0]
    call("{forgot}", "forget", memory=said["id"])
    _said(restate, LEARNER, f"{user}:1", "again")
    assert restate.call(where, user, "search", {"query": "hello"}).json()["memories"] == []


def test_all_that_was_forgotten_does_not_come_back_with_its_session(
    restate: Restate, in_restate: Endpoint, user: str, call: Any
) -> None:
    _running(in_restate, restate)
    where = f"{LEARNER}.memory"
    call("ok", "learn", fact="Bees hum", then="")
    _said(restate, LEARNER, f"{user}:1", "I am allergic to nuts")
    assert restate.call(where, user, "search", {"query": "nuts bees"}).json()["memories"]
    assert restate.call(where, user, "forget", {}).is_success
    call("ok", "learn", fact="Dogs bark", then="")
    _said(restate, LEARNER, f"{user}:1", "hello")
    assert restate.call(where, user, "search", {"query": "nuts bees"}).json()["memories"] == []
    assert restate.call(where, user, "search", {"query": "dogs"}).json()["memories"] != []


def test_preloaded_memories_reach_the_model(
    restate: Restate, in_restate: Endpoint, user: str, scripted_model: ScriptedModel
) -> None:
    _running(in_restate, restate)
    scripted_model.put_first(Rule(name="any", when=When(), reply=Reply(text="Quokkas smile")))
    _said(restate, REMINDED, f"{user}:1", "hello")
    before = len(scripted_model.calls())
    _said(restate, REMINDED, f"{user}:2", "what about quokkas?")
    # The memory, and then the message.
    assert scripted_model.calls()[before].contents == 2
    _said(restate, REMINDED, f"{user}x:2", "what about quokkas?")
    assert scripted_model.calls()[-1].contents == 1


def test_a_session_without_a_user_takes_its_memory_along(
    restate: Restate, in_restate: Endpoint, user: str, call: Any
) -> None:
    _running(in_restate, restate)
    call("ok", "learn", fact="Owls hoot", then="")
    _said(restate, LEARNER, user, "hello")
    memory = f"select key from state where service_name = '{LEARNER}.memory'"
    mine = f"{memory} and service_key = ':{user}'"
    assert restate.query(mine)
    assert restate.call(LEARNER, user, "delete").json() == {"deleted": True}
    assert restate.query(mine) == []


def test_an_authors_own_services_are_asked_once(
    restate: Restate, scripted_model: ScriptedModel, user: str, call: Any, tmp_path: Path
) -> None:
    env = {
        "AGENT_MEMORY_SERVICE": f"{AGENTS}:own_memory",
        "AGENT_ARTIFACT_SERVICE": f"{AGENTS}:own_artifacts",
    }
    with Endpoint(OWNED, scripted_model.url, tmp_path, env) as endpoint:
        endpoint.register(restate)
        call("{version}", "keep", name="a", content="text", then=f"then {user}")
        saving = restate.send(AGENT, f"{user}:1", "go")
        wait_until("it was saved", lambda: f"begin then {user}" in endpoint.traced())
        call("{found}", "recall", query="zebra", then=f"more {user}")
        searching = restate.send(LEARNER, f"{user}:1", "go")
        wait_until("it was found", lambda: f"begin more {user}" in endpoint.traced())
        endpoint.kill()
        scripted_model.put_first(
            Rule(name="kept", when=When(response_of="keep"), reply=Reply(text="{version}")),
            Rule(name="found", when=When(response_of="recall"), reply=Reply(text="{found}")),
        )
        endpoint.start()
        assert restate.result(saving).json()["answer"] == "0"
        assert restate.result(searching).json()["answer"] == "nothing"
        for asked in ("save a", "search zebra", "add 1"):
            assert endpoint.traced().count(asked) == 1
        # A deleted session's are deleted there.
        for name in ("b", "user:c"):
            call("{version}", "keep", name=name, content="text", then="")
            assert _said(restate, AGENT, f"{user}:1") == "0"
        assert restate.call(AGENT, f"{user}:1", "delete").json() == {"deleted": True}
        assert [line for line in endpoint.traced() if line.startswith("delete")] == [
            "delete b of 1"
        ]
        # What the author's service can't do ends the turn.
        call("{learnt}", "learn", fact="x", then="")
        refused = restate.turn(LEARNER, f"{user}:1", "go")
        assert refused.status_code == 501
        assert "does not support direct memory writes" in refused.text

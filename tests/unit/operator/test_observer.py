"""One look for all, cached for a moment; cheap questions while all sleeps."""

import asyncio
from collections.abc import Iterable

import pytest

from agent_operator.restate import sleepers
from agent_operator.restate.client import RestateClient, RestateUnavailableError
from agent_operator.restate.observer import RestateObserver
from agent_operator.restate.server import Server
from agent_operator.restate.view import Deployment, Load, RestateView, Service, Signs, Unreachable

URL = "http://restate.test:9070"
RESTATE = Server(URL)
DORMANT = frozenset({"dp_1"})
PATIENCE = 10.0


class Counting(RestateClient):
    """Answers without a network, and counts what it was asked."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.looks = 0
        self.cheap = 0
        self.away = False
        self.mute = False
        self.tried: frozenset[str] = frozenset()
        self.going: frozenset[str] = frozenset()
        self.held: dict[str, Load] = {}

    async def deployments(self) -> tuple[Deployment, ...]:
        self.looks += 1
        if self.away:
            raise RestateUnavailableError("away")
        return ()

    async def services(self) -> tuple[Service, ...]:
        return ()

    async def loads(self) -> dict[str, Load]:
        return self.held

    async def close(self) -> None:
        pass

    async def signs(self, witnesses: Iterable[str] = ()) -> Signs:
        self.cheap += 1
        if self.mute:
            raise RestateUnavailableError("no answer")
        return Signs(self.tried, self.going & frozenset(witnesses))


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def made() -> tuple[RestateObserver, Counting, Clock]:
    client, clock = Counting(URL), Clock()
    return RestateObserver(lambda _: client, clock), client, clock


async def asked(client: Counting, before: int = 0) -> None:
    while client.cheap == before:  # noqa: ASYNC110 - it is the sleepers that are watched
        await asyncio.sleep(0.01)


async def test_many_objects_share_one_look() -> None:
    observer, client, _ = made()
    for _ in range(200):
        await observer.view(RESTATE, 0.9)
    assert client.looks == 1


async def test_a_look_grows_old_and_a_change_makes_it_old_at_once() -> None:
    observer, client, clock = made()
    await observer.view(RESTATE, 0.9)
    clock.now = 1.0
    await observer.view(RESTATE, 0.9)
    observer.forget(RESTATE)
    await observer.view(RESTATE, 0.9)
    assert client.looks == 3


async def test_while_all_sleeps_looks_are_few() -> None:
    observer, client, clock = made()
    for second in range(30):
        clock.now = float(second)
        await observer.view(RESTATE, 0.9, asleep=DORMANT)
    assert client.looks == 1
    clock.now = 31.0
    await observer.view(RESTATE, 0.9, asleep=DORMANT)
    assert client.looks == 2


@pytest.fixture
def fast(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sleepers, "TICK_SECONDS", 0.01)


@pytest.mark.usefixtures("fast")
async def test_who_is_called_is_woken_and_looked_at() -> None:
    observer, client, _ = made()
    woken: asyncio.Queue[tuple[str, str]] = asyncio.Queue()
    observer.sleepers.woken = woken.put_nowait
    observer.sleepers.put(("team", "one"), {RESTATE: DORMANT})
    observer.sleepers.put(("team", "two"), {RESTATE: frozenset({"dp_2"})})
    await observer.view(RESTATE, 0.9, asleep=DORMANT)
    client.tried = frozenset({"dp_1", "dp_7"})
    assert await asyncio.wait_for(woken.get(), PATIENCE) == ("team", "one")
    # The look of a moment ago may not have seen it yet.
    await observer.view(RESTATE, 0.9, asleep=DORMANT)
    assert client.looks == 2
    while not woken.empty():
        assert woken.get_nowait() == ("team", "one")
    await observer.close()


@pytest.mark.usefixtures("fast")
async def test_who_is_held_by_a_turn_hears_of_its_end() -> None:
    observer, client, _ = made()
    woken: asyncio.Queue[tuple[str, str]] = asyncio.Queue()
    observer.sleepers.woken = woken.put_nowait
    client.tried, client.going = frozenset({"dp_1"}), frozenset({"inv_1", "inv_2"})
    observer.sleepers.put(("team", "one"), {}, {RESTATE: frozenset({"inv_1"})})
    observer.sleepers.put(("team", "two"), {}, {RESTATE: frozenset({"inv_2"})})
    await observer.view(RESTATE, 10)
    await asked(client)
    assert woken.empty()
    client.going = frozenset({"inv_2"})
    assert await asyncio.wait_for(woken.get(), PATIENCE) == ("team", "one")
    # The look of a moment ago is older than what has ended.
    await observer.view(RESTATE, 10)
    assert client.looks == 2
    await observer.close()


@pytest.mark.usefixtures("fast")
async def test_nobody_is_asked_once_nothing_sleeps() -> None:
    observer, client, _ = made()
    observer.sleepers.put(("team", "one"), {RESTATE: DORMANT})
    await asked(client)
    observer.sleepers.put(("team", "one"), {})
    await asyncio.sleep(0.05)
    before = client.cheap
    await asyncio.sleep(0.1)
    assert client.cheap == before
    observer.sleepers.put(("team", "one"), {RESTATE: DORMANT})
    await asked(client, before)
    await observer.close()


@pytest.mark.usefixtures("fast")
async def test_an_answer_that_fails_is_no_quiet() -> None:
    observer, client, clock = made()
    await observer.view(RESTATE, 0.9, asleep=DORMANT)
    client.mute = True
    observer.sleepers.put(("team", "one"), {RESTATE: DORMANT})
    await asked(client)
    clock.now = 1.0
    await observer.view(RESTATE, 0.9, asleep=DORMANT)
    assert client.looks == 2
    await observer.close()


async def test_a_server_that_is_away_is_asked_ever_more_seldom() -> None:
    observer, client, clock = made()
    client.away = True
    for tenth in range(600):
        clock.now = tenth / 10
        assert isinstance(await observer.view(RESTATE, 0.9), Unreachable)
    assert 5 < client.looks < 15
    client.away, clock.now = False, 100.0
    assert isinstance(await observer.view(RESTATE, 0.9), RestateView)


async def test_many_that_changed_something_share_a_look_though_others_go_on_changing() -> None:
    made: list[RestateObserver] = []

    class Busy(Counting):
        async def services(self) -> tuple[Service, ...]:
            await asyncio.sleep(0.001)
            made[0].forget(RESTATE)
            return ()

    client = Busy(URL)
    made.append(RestateObserver(lambda _: client))
    waiting = [asyncio.create_task(made[0].view(RESTATE, 10.0)) for _ in range(50)]
    await asyncio.gather(*waiting)
    # The first look began when the first had asked, and before the others had; the next is theirs.
    assert client.looks <= 2

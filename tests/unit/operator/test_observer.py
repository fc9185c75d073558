"""One look for all, cached for a moment; cheap questions while all sleeps."""

import asyncio

from agent_operator.restate.client import RestateClient, RestateUnavailableError
from agent_operator.restate.observer import RestateObserver
from agent_operator.restate.view import Deployment, Load, RestateView, Service, Unreachable

URL = "http://restate.test:9070"
DORMANT = frozenset({"dp_1"})


class Counting(RestateClient):
    """Answers without a network, and counts what it was asked."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.looks = 0
        self.cheap = 0
        self.away = False
        self.tried: frozenset[str] = frozenset()

    async def deployments(self) -> tuple[Deployment, ...]:
        self.looks += 1
        if self.away:
            raise RestateUnavailableError("away")
        return ()

    async def services(self) -> tuple[Service, ...]:
        return ()

    async def loads(self) -> dict[str, Load]:
        return {}

    async def attempted(self) -> frozenset[str]:
        self.cheap += 1
        return self.tried


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def made() -> tuple[RestateObserver, Counting, Clock]:
    client, clock = Counting(URL), Clock()
    return RestateObserver(lambda _: client, clock), client, clock


async def test_many_objects_share_one_look() -> None:
    observer, client, _ = made()
    for _ in range(200):
        await observer.view(URL, 0.9)
    assert client.looks == 1


async def test_a_look_grows_old_and_a_change_makes_it_old_at_once() -> None:
    observer, client, clock = made()
    await observer.view(URL, 0.9)
    clock.now = 1.0
    await observer.view(URL, 0.9)
    observer.forget(URL)
    await observer.view(URL, 0.9)
    assert client.looks == 3


async def test_while_all_sleeps_cheap_questions_do() -> None:
    observer, client, clock = made()
    for second in range(10):
        clock.now = float(second)
        await observer.view(URL, 0.9, asleep=DORMANT)
    assert (client.looks, client.cheap) == (1, 9)


async def test_what_wakes_is_looked_at() -> None:
    observer, client, clock = made()
    await observer.view(URL, 0.9, asleep=DORMANT)
    clock.now, client.tried = 1.0, frozenset({"dp_1", "dp_7"})
    await observer.view(URL, 0.9, asleep=DORMANT)
    assert client.looks == 2


async def test_a_server_that_is_away_is_asked_ever_more_seldom() -> None:
    observer, client, clock = made()
    client.away = True
    for tenth in range(600):
        clock.now = tenth / 10
        assert isinstance(await observer.view(URL, 0.9), Unreachable)
    assert 5 < client.looks < 15
    client.away, clock.now = False, 100.0
    assert isinstance(await observer.view(URL, 0.9), RestateView)


async def test_many_that_changed_something_share_a_look_though_others_go_on_changing() -> None:
    made: list[RestateObserver] = []

    class Busy(Counting):
        async def services(self) -> tuple[Service, ...]:
            await asyncio.sleep(0.001)
            made[0].forget(URL)
            return ()

    client = Busy(URL)
    made.append(RestateObserver(lambda _: client))
    waiting = [asyncio.create_task(made[0].view(URL, 10.0)) for _ in range(50)]
    await asyncio.gather(*waiting)
    # The first look began when the first had asked, and before the others had; the next is theirs.
    assert client.looks <= 2

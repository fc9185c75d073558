"""Who is looked at when."""

import asyncio
from datetime import timedelta

from agent_operator.kube.store import Key
from agent_operator.loop import Loop

KEY: Key = ("team", "claims")
PATIENCE = 10.0


async def until(what: asyncio.Event) -> None:
    await asyncio.wait_for(what.wait(), PATIENCE)


async def test_wakes_during_a_look_make_one_more_look() -> None:
    looks, running, go_on, twice = 0, asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def look(_: Key) -> timedelta | None:
        nonlocal looks
        looks += 1
        running.set()
        await go_on.wait()
        if looks == 2:
            twice.set()
        return timedelta(hours=1)

    loop = Loop(look)
    loop.wake(KEY)
    await until(running)
    for _ in range(5):
        loop.wake(KEY)
    go_on.set()
    await until(twice)
    await asyncio.sleep(0.05)
    assert looks == 2
    await loop.close()


async def test_it_looks_again_by_itself() -> None:
    twice, looks = asyncio.Event(), 0

    async def look(_: Key) -> timedelta | None:
        nonlocal looks
        looks += 1
        if looks == 2:
            twice.set()
        return timedelta(milliseconds=1)

    loop = Loop(look)
    loop.wake(KEY)
    await until(twice)
    await loop.close()


async def test_a_failing_look_is_tried_again_and_others_go_on() -> None:
    seen: list[Key] = []
    enough = asyncio.Event()

    async def look(key: Key) -> timedelta | None:
        seen.append(key)
        if seen.count(KEY) == 2:
            enough.set()
        if key == KEY:
            raise RuntimeError("no")
        return timedelta(hours=1)

    loop = Loop(look)
    loop.wake(KEY)
    loop.wake(("team", "other"))
    await until(enough)
    assert ("team", "other") in seen
    await loop.close()


async def test_what_is_gone_is_forgotten_and_may_come_back() -> None:
    looked = asyncio.Event()

    async def look(_: Key) -> timedelta | None:
        looked.set()
        return None

    loop = Loop(look)
    loop.wake(KEY)
    await until(looked)
    await asyncio.sleep(0.02)
    looked.clear()
    loop.wake(KEY)
    await until(looked)
    await loop.close()

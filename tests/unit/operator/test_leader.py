"""Who leads, with an API server and a clock of the test's own."""

import asyncio
import subprocess
import sys
from dataclasses import dataclass, field
from typing import Any

import pytest

from agent_operator.kube.client import Kube
from agent_operator.kube.errors import KubeError
from agent_operator.leader import LEASES, Election, Timing, boot_time

PATH = LEASES.path("team", "operator")
TIMING = Timing(duration=15, give_up=10.0, renew=0.001, retry=0.001, request=0.2)


class Api(Kube):
    """Keeps one Lease, with versions as the API server has them."""

    def __init__(self) -> None:
        self.lease: dict[str, Any] | None = None
        self.version = 0
        self.fail: KubeError | None = None
        self.hang = False
        self.requests: list[str] = []

    async def request(self, method: str, path: str, **options: Any) -> dict[str, Any]:
        self.requests.append(method)
        if self.hang:
            await asyncio.Event().wait()
        if self.fail:
            raise self.fail
        match method:
            case "GET":
                return self._found(path)
            case "POST":
                if self.lease:
                    raise KubeError(409, "already exists")
                return self.write(options["body"])
            case "PUT":
                given = options["body"]["metadata"]["resourceVersion"]
                if self._found(path)["metadata"]["resourceVersion"] != given:
                    raise KubeError(409, "the object has been modified")
                return self.write(options["body"])
        raise AssertionError(method)

    def _found(self, path: str) -> dict[str, Any]:
        assert path == PATH
        if self.lease is None:
            raise KubeError(404, "not found")
        return self.lease

    def write(self, body: dict[str, Any]) -> dict[str, Any]:
        self.version += 1
        metadata = {**body["metadata"], "resourceVersion": str(self.version)}
        self.lease = {**body, "metadata": metadata}
        return self.lease

    def hold(self, holder: str, **spec: Any) -> None:
        spec = {"holderIdentity": holder, "leaseDurationSeconds": 15, **spec}
        self.write({"metadata": {"name": "operator"}, "spec": spec})

    @property
    def spec(self) -> dict[str, Any]:
        assert self.lease
        return dict(self.lease["spec"])


@dataclass
class Clock:
    now: float = 100.0

    def __call__(self) -> float:
        return self.now


@dataclass
class Candidate:
    """An election whose process does not really end."""

    api: Api
    name: str = "one"
    clock: Clock = field(default_factory=Clock)
    ended: list[str] = field(default_factory=list)
    timing: Timing = TIMING

    def __post_init__(self) -> None:
        self.election = Election(
            self.api,
            self.name,
            "team",
            "operator",
            timing=self.timing,
            end=self.ended.append,
            clock=self.clock,
        )


@pytest.fixture
def api() -> Api:
    return Api()


async def leads(candidate: Candidate) -> Candidate:
    await asyncio.wait_for(candidate.election.acquire(), 10)
    return candidate


async def tries(candidate: Candidate) -> bool:
    """Whether it leads after it has tried some times."""
    before = len(candidate.api.requests)
    task = asyncio.create_task(candidate.election.acquire())
    while not task.done() and len(candidate.api.requests) < before + 3:  # noqa: ASYNC110
        await asyncio.sleep(0.001)
    done = task.done()
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    return done


async def test_the_first_leads_and_says_so(api: Api) -> None:
    one = await leads(Candidate(api))
    assert api.spec["holderIdentity"] == "one"
    assert api.spec["leaseDurationSeconds"] == 15
    assert api.spec["acquireTime"] == api.spec["renewTime"]
    assert one.election.role == "leader"
    await one.election.release()


async def test_another_stands_by_until_the_lease_has_not_changed_for_its_duration(api: Api) -> None:
    api.hold("other")
    one = Candidate(api)
    assert not await tries(one)
    assert one.election.role == "standby"
    one.clock.now += 14.9
    assert not await tries(one)
    api.hold("other")  # a renewal: the time begins anew
    assert not await tries(one)
    one.clock.now += 14.9
    assert not await tries(one)
    one.clock.now += 0.2
    assert await tries(one)
    assert api.spec["holderIdentity"] == "one"
    await one.election.release()


async def test_the_times_that_the_holder_wrote_are_not_compared_with_ours(api: Api) -> None:
    api.hold("other", renewTime="1999-01-01T00:00:00.000000Z")
    assert not await tries(Candidate(api))


async def test_a_longer_duration_of_the_holder_counts(api: Api) -> None:
    api.hold("other", leaseDurationSeconds=60)
    one = Candidate(api)
    assert not await tries(one)
    one.clock.now += 59
    assert not await tries(one)
    one.clock.now += 2
    assert await tries(one)
    await one.election.release()


async def test_a_restarted_container_of_the_same_pod_goes_on_at_once(api: Api) -> None:
    api.hold("one")
    one = await leads(Candidate(api))
    await one.election.release()


async def test_of_two_that_saw_the_same_lease_one_takes_it(api: Api) -> None:
    api.hold("")
    one, two = Candidate(api), Candidate(api, "two")
    first, second = await asyncio.gather(tries(one), tries(two))
    assert first != second
    for candidate in (one, two):
        await candidate.election.release()


async def test_a_release_leaves_it_to_the_next(api: Api) -> None:
    one = await leads(Candidate(api))
    two = Candidate(api, "two")
    assert not await tries(two)
    await one.election.release()
    assert api.spec["holderIdentity"] == ""
    assert await tries(two)
    assert api.spec["leaseTransitions"] == 1
    await two.election.release()


async def test_a_release_after_a_renewal_whose_answer_was_lost(api: Api) -> None:
    one = await leads(Candidate(api))
    api.hold("one")
    await one.election.release()
    assert api.spec["holderIdentity"] == ""


async def test_a_release_takes_nothing_from_the_next_holder(api: Api) -> None:
    one = await leads(Candidate(api))
    api.hold("other")
    await one.election.release()
    assert api.spec["holderIdentity"] == "other"


async def test_a_standby_releases_nothing(api: Api) -> None:
    api.hold("other")
    one = Candidate(api)
    assert not await tries(one)
    await one.election.release()
    assert api.spec["holderIdentity"] == "other"


async def test_who_took_it_without_knowing_gives_it_back(api: Api) -> None:
    one = Candidate(api)
    api.hold("one")  # told to end before the answer came
    await one.election.release()
    assert api.spec["holderIdentity"] == ""


async def hold(candidate: Candidate, until: Any) -> None:
    task = asyncio.create_task(candidate.election.hold())
    async with asyncio.timeout(10):
        while not until() and not task.done():  # noqa: ASYNC110 - nobody tells
            await asyncio.sleep(0.001)
    assert until()
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_a_renewal_is_one_request(api: Api) -> None:
    one = await leads(Candidate(api))
    api.requests.clear()
    await hold(one, lambda: len(api.requests) >= 3)
    assert set(api.requests) == {"PUT"}
    assert not one.ended
    await one.election.release()


async def test_who_sees_another_holder_ends_at_once(api: Api) -> None:
    one = await leads(Candidate(api))
    api.hold("other")
    await hold(one, lambda: one.ended)
    assert one.ended == ["other took the lease team/operator"]
    assert api.spec["holderIdentity"] == "other"


async def test_a_lease_that_somebody_deleted_is_made_again(api: Api) -> None:
    one = await leads(Candidate(api))
    api.lease = None
    await hold(one, lambda: api.lease)
    assert api.spec["holderIdentity"] == "one"
    assert not one.ended
    await one.election.release()


@pytest.mark.parametrize("broken", [{"fail": KubeError(0, "away")}, {"hang": True}])
async def test_who_cannot_renew_in_time_ends(api: Api, broken: dict[str, Any]) -> None:
    one = await leads(Candidate(api, timing=Timing(renew=0.001, retry=0.001, request=0.01)))
    for name, value in broken.items():
        setattr(api, name, value)
    await hold(one, lambda: one.election.trouble)
    assert not one.ended, "a hiccup does no harm"
    one.clock.now += 10.1
    await hold(one, lambda: one.ended)
    assert "was not renewed for 10.1 s" in one.ended[0]
    await one.election.release()


async def test_a_hiccup_passes(api: Api) -> None:
    one = await leads(Candidate(api))
    api.fail = KubeError(500, "etcd")
    await hold(one, lambda: one.election.trouble)
    api.fail = None
    one.clock.now += 9
    await hold(one, lambda: one.election.trouble is None)
    one.clock.now += 9  # more than ten since it was acquired, but not since it was renewed
    await asyncio.sleep(0.6)
    assert not one.ended
    await one.election.release()


async def test_what_is_wrong_is_said_until_it_works(api: Api) -> None:
    api.fail = KubeError(403, "leases is forbidden")
    one = Candidate(api)
    assert not await tries(one)
    assert (one.election.role, one.election.trouble) == ("starting", "leases is forbidden")


def test_the_process_ends_though_its_loop_hangs() -> None:
    script = """
import asyncio, time
from tests.unit.operator.test_leader import Api
from agent_operator.leader import Election, Timing
async def main():
    timing = Timing(give_up=0.3)
    await Election(Api(), "one", "team", "operator", timing).acquire()
    time.sleep(60)
asyncio.run(main())
"""
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=50, check=False
    )
    assert done.returncode == 1, done.stderr
    assert "the lease team/operator was not renewed for 0." in done.stderr


def test_the_clock_goes_on() -> None:
    assert boot_time() <= boot_time()


@pytest.mark.parametrize("duration", [15, 30, 180])
def test_the_holder_gives_up_before_others_may_take_over(duration: int) -> None:
    timing = Timing.lasting(duration)
    assert timing.duration == duration
    assert timing.renew + timing.request < timing.give_up
    assert timing.give_up + timing.request < timing.duration

"""Two operators on the real API server: one acts, and the other takes over."""

import asyncio
import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
import uuid
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from agent_operator.kube.client import Kube
from agent_operator.leader import LEASES, Election, Timing
from hack import cluster
from tests.integration.chart.helm import CHART, helm
from tests.support import kube

pytestmark = pytest.mark.integration

NAME = "operator"
RBAC = {"ServiceAccount", "Role", "RoleBinding", "ClusterRole", "ClusterRoleBinding"}
SHORT = Timing(duration=6, give_up=4.5, renew=0.5, retry=0.2, request=1.0)
PATIENCE = 60.0


@pytest.fixture(scope="module")
def kubectl() -> Iterator[kube.Kubectl]:
    cluster.up()
    kube.crd()
    with kube.namespace("lease") as found:
        yield found


@pytest.fixture
async def api(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Kube]:
    monkeypatch.setenv("KUBECONFIG", str(cluster.kubeconfig()))
    api = await Kube.connect()
    yield api
    await api.close()


@dataclass
class Pair:
    """Two candidates for one Lease of their own."""

    api: Kube
    namespace: str
    name: str

    def candidate(self, identity: str) -> Election:
        return Election(
            self.api, identity, self.namespace, self.name, timing=SHORT, end=self.ended.append
        )

    def __post_init__(self) -> None:
        self.ended: list[str] = []

    async def spec(self) -> dict[str, Any]:
        return dict((await self.api.get(LEASES, self.namespace, self.name))["spec"])


@pytest.fixture
def pair(kubectl: kube.Kubectl, api: Kube) -> Pair:
    return Pair(api, kubectl.namespace, f"pair-{uuid.uuid4().hex[:6]}")


async def until(what: Callable[[], bool]) -> None:
    async with asyncio.timeout(PATIENCE):
        while not what():  # noqa: ASYNC110 - nobody tells
            await asyncio.sleep(0.05)


async def test_one_that_dies_without_a_release_is_followed_when_its_lease_has_run_out(
    pair: Pair,
) -> None:
    one, two = pair.candidate("one"), pair.candidate("two")
    await one.acquire()
    holding = asyncio.create_task(one.hold())
    waiting = asyncio.create_task(two.acquire())
    await asyncio.sleep(SHORT.duration + 1.5)
    assert two.role == "standby", "a lease that is renewed does not run out"
    assert not pair.ended

    holding.cancel()  # no more renewals, and no release
    await asyncio.wait_for(waiting, PATIENCE)
    assert pair.ended, "the first was told to end before"
    assert (await pair.spec())["holderIdentity"] == "two"
    assert (await pair.spec())["leaseTransitions"] == 1
    await two.release()


async def test_a_release_is_followed_at_once(pair: Pair) -> None:
    one = pair.candidate("one")
    two = Election(pair.api, "two", pair.namespace, pair.name, end=pair.ended.append)
    await one.acquire()
    waiting = asyncio.create_task(two.acquire())
    await until(lambda: two.role == "standby")
    await one.release()
    released = time.monotonic()
    await asyncio.wait_for(waiting, PATIENCE)
    # With its usual times it would have to wait for 15 s.
    assert time.monotonic() - released < 10
    assert not pair.ended
    await two.release()
    assert (await pair.spec())["holderIdentity"] == ""


async def test_of_many_candidates_at_once_one_leads(pair: Pair) -> None:
    candidates = [pair.candidate(f"c{number}") for number in range(8)]
    tasks = [asyncio.create_task(c.acquire()) for c in candidates]
    await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    await until(lambda: sum(c.role == "standby" for c in candidates) == 7)
    assert [c.role for c in candidates].count("leader") == 1
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    for candidate in candidates:
        await candidate.release()


# Whole operators, each a process with the rights that the chart gives.


@pytest.fixture(scope="module")
def kubeconfig(kubectl: kube.Kubectl, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """That of the chart's service account, and no more."""
    name = kubectl.namespace
    values = {"operator": {"watchNamespaces": [name]}}
    text = helm("template", name, str(CHART), "--namespace", name, "--no-hooks", values=values)
    rights = [b for b in yaml.safe_load_all(text) if b and b["kind"] in RBAC]
    kubectl.apply(*rights)
    admin = yaml.safe_load(cluster.kubeconfig().read_text())
    token = kubectl("create", "token", f"{name}-operator", "--duration=1h").strip()
    admin["users"] = [{"name": u["name"], "user": {"token": token}} for u in admin["users"]]
    path = tmp_path_factory.mktemp("rights") / "kubeconfig"
    path.write_text(yaml.safe_dump(admin))
    yield path
    for kind in ("clusterrole", "clusterrolebinding"):
        kubectl("delete", kind, "--ignore-not-found", f"{name}-operator")


@dataclass
class Operator:
    process: subprocess.Popen[str]
    port: int
    log: Path

    def says(self, path: str) -> tuple[int, str]:
        try:
            answer = httpx.get(f"http://127.0.0.1:{self.port}{path}", trust_env=False, timeout=5)
        except httpx.HTTPError:
            return 0, ""
        return answer.status_code, answer.text

    def is_at(self, role: str) -> bool:
        return self.says("/readyz") == (200, f"{role}\n")

    def lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.log.read_text().splitlines()]


Start = Callable[..., Operator]


@pytest.fixture
def start(kubectl: kube.Kubectl, kubeconfig: Path, tmp_path: Path) -> Iterator[Start]:
    with contextlib.ExitStack() as stack:

        def start(name: str, **more: str) -> Operator:
            with socket.socket() as free:
                free.bind(("127.0.0.1", 0))
                port = free.getsockname()[1]
            env = {
                **{key: os.environ[key] for key in ("PATH", "HOME") if key in os.environ},
                "KUBECONFIG": str(kubeconfig),
                "RESTATE_ADMIN_URL": "http://127.0.0.1:9",
                "WATCH_NAMESPACES": kubectl.namespace,
                "HEALTH_PORT": str(port),
                "LOG_FORMAT": "json",
                "POD_NAME": name,
                "POD_NAMESPACE": kubectl.namespace,
                "LEASE_NAME": f"{kubectl.namespace}-operator",
                **more,
            }
            log = tmp_path / f"{name}.log"
            out = stack.enter_context(log.open("w"))
            command = [sys.executable, "-m", "agent_operator"]
            process = subprocess.Popen(command, env=env, stderr=out, stdout=out, text=True)
            stack.callback(process.wait)
            stack.callback(process.kill)
            return Operator(process, port, log)

        yield start


def test_an_operator_that_is_told_to_end_hands_over(kubectl: kube.Kubectl, start: Start) -> None:
    one = start("one")
    kube.eventually(lambda: one.is_at("ok"), "one to lead")
    two = start("two")
    kube.eventually(lambda: two.is_at("standby"), "two to stand by")
    assert "durable_agents_leader 1.0" in one.says("/metrics")[1]
    assert "durable_agents_leader 0.0" in two.says("/metrics")[1]
    assert two.says("/healthz")[0] == 200

    # No pods, and no Restate: what is left needs every right but those for Restate's sake.
    agent = {"apiVersion": "durableagents.dev/v1alpha1", "kind": "AgentDeployment"}
    kubectl.apply({**agent, "metadata": {"name": "a"}, "spec": {"image": "a:1", "replicas": 0}})
    kube.eventually(
        lambda: 'durable_agents_revisions{agent="a"' in one.says("/metrics")[1], "a revision"
    )
    assert 'agent="a"' not in two.says("/metrics")[1]
    told = kubectl.list("events")
    assert {e["reason"] for e in told if e["involvedObject"]["name"] == "a"} >= {
        "RestateUnreachable"
    }
    refused = [line for line in one.lines() if "forbidden" in line["message"]]
    assert not refused

    one.process.terminate()
    asked = time.monotonic()
    kube.eventually(lambda: two.is_at("ok"), "two to lead")
    print(f"asked to end -> the other acts: {time.monotonic() - asked:.2f} s")
    assert one.process.wait(30) == 0
    assert one.lines()[-1]["message"] == "one has given the lease back"
    # What the first one left is the other's now.
    kubectl("delete", "agd", "a", "--timeout=60s")
    kube.eventually(lambda: 'agent="a"' not in two.says("/metrics")[1], "its gauges to go")
    about = [line for line in two.lines() if line.get("object") == f"{kubectl.namespace}/a"]
    assert about
    assert all(line["reconcile"] for line in about)
    two.process.terminate()
    assert two.process.wait(30) == 0


def test_outside_of_a_cluster_there_is_no_lease(kubectl: kube.Kubectl, start: Start) -> None:
    alone = start("alone", POD_NAMESPACE="")
    kube.eventually(lambda: alone.is_at("ok"), "it to act")
    lease = kubectl.get("lease", f"{kubectl.namespace}-operator")
    assert not lease or lease["spec"]["holderIdentity"] != "alone"
    alone.process.terminate()
    assert alone.process.wait(30) == 0


def test_an_operator_whose_lease_is_taken_ends(kubectl: kube.Kubectl, start: Start) -> None:
    one = start("three")
    kube.eventually(lambda: one.is_at("ok"), "it to lead")
    name = f"{kubectl.namespace}-operator"
    kubectl("patch", "lease", name, "--type=merge", '-p={"spec":{"holderIdentity":"other"}}')
    assert one.process.wait(PATIENCE) == 1
    last = one.lines()[-1]
    assert last["level"] == "CRITICAL"
    assert "other took the lease" in last["message"]
    kubectl("delete", "lease", name)  # else the next test waits until it runs out


def test_an_operator_that_was_frozen_does_nothing_after_its_lease_has_run_out(
    kubectl: kube.Kubectl, start: Start
) -> None:
    one = start("four")
    kube.eventually(lambda: one.is_at("ok"), "it to lead")
    two = start("five")
    kube.eventually(lambda: two.is_at("standby"), "the other to stand by")
    one.process.send_signal(signal.SIGSTOP)
    kube.eventually(lambda: two.is_at("ok"), "the other to lead")
    one.process.send_signal(signal.SIGCONT)
    assert one.process.wait(PATIENCE) == 1
    assert "was not renewed" in one.lines()[-1]["message"]
    assert two.is_at("ok")

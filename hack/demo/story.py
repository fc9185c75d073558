"""The demo: install, a turn, a claim that waits, an upgrade under load, and the old one's end."""

import asyncio
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from hack import cluster
from hack.demo import release, shell
from hack.demo.turns import Load, Turns

NAMESPACE = "durable-agents"
AGENT = "assistant"
SESSION = "anna"
LOAD_TURNS = 100
# With a real model each turn costs money; the point is made with fewer.
LOAD_TURNS_GEMINI = 10
PATIENCE_SECONDS = 180.0


def say(text: str) -> None:
    """A step of the story."""
    print(f"\n\033[1m==> {text}\033[0m", flush=True)


def tell(text: str) -> None:
    """What came of it."""
    print("\n".join(f"    {line}" for line in text.rstrip().splitlines()), flush=True)


async def tell_story() -> None:
    """Run the demo from nothing."""
    started = time.monotonic()
    say("A cluster, images and the chart (the first time this takes about 10 minutes)")
    if release.has_key():
        os.environ.setdefault("CLUSTER_EGRESS", "1")  # the local cluster has no way out otherwise
    cluster.up()
    installed = release.install(NAMESPACE)
    tell(_model_in_words())
    with shell.forward(NAMESPACE, installed.restate, 8080) as ingress:
        async with Turns(ingress) as turns:
            first = await _first_revision(installed, turns)
            claim = await _start_claim(turns, first)
            second = await _upgrade(installed, turns)
            await _both_at_once(turns, second)
            await _approve(turns, claim)
            await _old_one_goes(claim)
    _goodbye(time.monotonic() - started)


def _model_in_words() -> str:
    if release.has_key():
        return "The model is Google's Gemini, called with your GOOGLE_API_KEY."
    return (
        "The model is a scripted stand-in in the cluster, not Gemini: it speaks Gemini's HTTP API\n"
        "to the real google-genai client. Set GOOGLE_API_KEY to use Gemini itself."
    )


async def _first_revision(installed: release.Release, turns: Turns) -> str:
    say("kubectl apply: an AgentDeployment with the weather and the claim agent, image v1")
    tell(shell.apply(NAMESPACE, installed.agent("agent-service")))
    first = await _active(installed.images["agent-service"])
    tell(_table())
    say("A user's turn: what is the weather in Paris?")
    answer = await turns.turn("WeatherAgent", SESSION, "What is the weather in Paris?")
    tell(f"{answer['answer']}\n(answered by {answer['revision']})")
    return first


@dataclass(frozen=True)
class _Claim:
    """The claim that waits: its invocation, the approval it waits for, where it began."""

    invocation: str
    approval: str
    revision: str


async def _start_claim(turns: Turns, revision: str) -> _Claim:
    say("A claim of 800 EUR: too much to be paid without a person, so the turn waits")
    invocation = await turns.start("ClaimAgent", SESSION, "Claim C-17: 800 EUR for a bicycle")
    approval = await turns.approval("ClaimAgent", SESSION)
    tell(f"{approval['title']}\nis suspended in Restate as {invocation}, begun on {revision}")
    return _Claim(invocation, str(approval["id"]), revision)


async def _upgrade(installed: release.Release, turns: Turns) -> str:
    count = LOAD_TURNS_GEMINI if release.has_key() else LOAD_TURNS
    say(f"Upgrade to image v2 while {count} or more turns are sent one after another")
    load, done = Load(), asyncio.Event()
    sending = asyncio.create_task(load.run(turns, count, done.is_set))
    tell(shell.apply(NAMESPACE, installed.agent("agent-service-v2")))
    second = await _active(installed.images["agent-service-v2"])
    done.set()
    await sending
    split = ", ".join(f"{n} by {revision}" for revision, n in load.by_revision.items())
    tell(f"{load.sent} turns sent: {split}; {len(load.errors)} errors")
    _expect(not load.errors, f"turns failed during the upgrade: {load.errors[:3]}")
    return second


async def _both_at_once(turns: Turns, second: str) -> None:
    say("A new turn is answered by v2, while the claim still waits on v1")
    answer = await turns.turn("WeatherAgent", "bert", "What is the weather in Paris?")
    tell(f"{answer['answer']}\n(answered by {answer['revision']})")
    _expect(answer["revision"] == second, "the new turn was not answered by v2")
    tell(_table())


async def _approve(turns: Turns, claim: _Claim) -> None:
    say("A person approves; the claim finishes on v1, where it began")
    await turns.answer("ClaimAgent", SESSION, claim.approval, approved=True)
    result = await turns.result(claim.invocation)
    tell(f"{result['answer']}\n(answered by {result['revision']})")
    _expect(result["revision"] == claim.revision, "the claim did not finish on v1")


async def _old_one_goes(claim: _Claim) -> None:
    say("Nothing needs v1 any more: its revision goes away (after spec.drain.delay, 10 s)")
    await _until(
        lambda: shell.get(NAMESPACE, "replicaset", claim.revision) is None, "v1 to go away"
    )
    tell(_table())
    tell(shell.run("kubectl", "-n", NAMESPACE, "get", "events", *_EVENTS))


_EVENTS = (
    "--sort-by=.metadata.creationTimestamp",
    f"--field-selector=involvedObject.kind=AgentDeployment,involvedObject.name={AGENT}",
    "-o=custom-columns=REASON:.reason,MESSAGE:.message",
)


def _table() -> str:
    text = shell.run("kubectl", "-n", NAMESPACE, "get", "agd")
    status = (shell.get(NAMESPACE, "agd", AGENT) or {}).get("status", {})
    rows = [f"{r['name']}  {r['phase']:<9} {r['image'].rsplit('/', 1)[-1]}" for r in _revs(status)]
    return text + "\n".join(["revisions:", *rows])


def _revs(status: dict[str, Any]) -> list[dict[str, Any]]:
    return list(status.get("revisions", ()))


async def _active(image: str) -> str:
    """The name of the revision of an image, once new turns go to it."""
    found: list[str] = []

    def look() -> bool:
        status = (shell.get(NAMESPACE, "agd", AGENT) or {}).get("status", {})
        found[:] = [
            r["name"] for r in _revs(status) if r["phase"] == "Active" and r["image"] == image
        ]
        return bool(found)

    await _until(look, f"{image} to become active")
    return found[0]


async def _until(what: Callable[[], bool], hint: str) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not await asyncio.to_thread(what):
        if time.monotonic() > deadline:
            raise RuntimeError(
                f"waited {PATIENCE_SECONDS:.0f} s for {hint}; see: kubectl describe agd {AGENT}"
            )
        await asyncio.sleep(0.3)


def _expect(holds: bool, otherwise: str) -> None:
    if not holds:
        raise RuntimeError(otherwise)


def _goodbye(seconds: float) -> None:
    say(f"Done in {seconds:.0f} s. It is still running:")
    tell(
        f"export KUBECONFIG={cluster.kubeconfig()}\n"
        f"kubectl -n {NAMESPACE} describe agd {AGENT}\n"
        f"{_addresses()}\n"
        "Take it down: make demo-down"
    )


def _addresses() -> str:
    service = shell.get(NAMESPACE, "service", f"{release.RELEASE}-restate") or {}
    address = service.get("spec", {}).get("clusterIP", "")
    if cluster.provider() is cluster.Provider.LOCAL and address:
        return f"Restate UI: http://{address}:9070    ingress: http://{address}:8080"
    return (
        f"Restate UI: kubectl -n {NAMESPACE} port-forward svc/{release.RELEASE}-restate 9070,"
        " then http://127.0.0.1:9070\n"
        f"ingress: kubectl -n {NAMESPACE} port-forward svc/{release.RELEASE}-restate 8080,"
        " then http://127.0.0.1:8080"
    )

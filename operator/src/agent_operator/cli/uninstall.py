"""``uninstall``: before a release goes, its AgentDeployments must be gone, or nobody ends them."""

import asyncio
import sys
import time

from agent_operator.kube.client import AGENT_DEPLOYMENTS, Body, Kube

POLL_SECONDS = 1.0


async def run(namespace: str | None, selector: str, timeout: float) -> None:  # noqa: ASYNC109
    """Delete the AgentDeployments that match, and wait until they are gone.

    Ends the process with 1, naming what is left and why, after ``timeout`` seconds.
    """
    kube = await Kube.connect()
    try:
        for body in await _list(kube, namespace, selector):
            metadata = body["metadata"]
            print(
                f"deleting AgentDeployment {metadata['namespace']}/{metadata['name']}{_note(body)}"
            )
            await kube.delete(AGENT_DEPLOYMENTS, metadata["namespace"], metadata["name"])
        left = await _wait(kube, namespace, selector, timeout)
    finally:
        await kube.close()
    if left:
        sys.exit("\n".join(["these AgentDeployments still wait:", *map(_in_words, left)]))
    print("all AgentDeployments of the release are gone")


def _note(body: Body) -> str:
    orphans = body.get("spec", {}).get("deletionPolicy") == "Orphan"
    return ", which leaves its pods, Services and registrations (Orphan)" if orphans else ""


async def _wait(kube: Kube, namespace: str | None, selector: str, seconds: float) -> list[Body]:
    deadline = time.monotonic() + seconds
    while left := await _list(kube, namespace, selector):
        if time.monotonic() > deadline:
            return left
        await asyncio.sleep(POLL_SECONDS)
    return []


async def _list(kube: Kube, namespace: str | None, selector: str) -> list[Body]:
    found, _ = await kube.list(AGENT_DEPLOYMENTS, namespace, labelSelector=selector)
    return found


def _in_words(body: Body) -> str:
    conditions = body.get("status", {}).get("conditions", ())
    why = next((c["message"] for c in conditions if c["type"] == "Progressing"), "not seen yet")
    return f"  {body['metadata']['namespace']}/{body['metadata']['name']}: {why}"

"""What docs/first-agent.md has a new user do, with the commands that it names."""

import asyncio
import subprocess
import sys
import uuid
from pathlib import Path

import httpx

from hack.demo import shell
from hack.demo.release import RELEASE
from tests.e2e.world import World


def run(*words: str, folder: Path = shell.ROOT) -> None:
    done = subprocess.run(words, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{words}:\n{done.stdout}\n{done.stderr}"


async def test_a_new_project_runs_in_the_cluster_and_survives_its_pods(
    world: World, tmp_path: Path
) -> None:
    # A name of its own: a node keeps images, and one that it has is not loaded anew.
    image = f"localhost/my-agent:{uuid.uuid4().hex[:8]}"
    new = (sys.executable, "-m", "agent_service", "new", "my-agent", "--image", image)
    await asyncio.to_thread(run, *new, folder=tmp_path)
    project = tmp_path / "my-agent"
    await asyncio.to_thread(run, "make", "agent", f"DIR={project}")
    world.kubectl("apply", "-f", str(project / "agentdeployment.yaml"))
    world.kubectl("wait", "--for=condition=Ready", "agd/my-agent", "--timeout=3m")
    revision = world.status("my-agent")["activeRevision"]
    with shell.forward(world.namespace, f"svc/{RELEASE}-model", 8080) as model:
        script = (project / "tests" / "script.json").read_bytes()
        async with httpx.AsyncClient(trust_env=False) as http:
            (await http.put(f"{model}/rules", content=script)).raise_for_status()

    session = world.key("anna")
    answer = await world.turns.turn("MyAgent", session, "How many chairs are there?")
    assert answer["answer"] == "There are 12 of chair left, at 49 EUR."
    assert answer["revision"] == revision

    invocation = await world.turns.start("MyAgent", session, "Order 2 desks")
    request = await world.turns.approval("MyAgent", session)
    assert request["title"] == "Order of 2 desk: 640 EUR"
    world.kubectl("delete", "pod", f"--selector=durableagents.dev/revision={revision}",
                  "--grace-period=0", "--force")  # fmt: skip
    await world.turns.answer("MyAgent", session, str(request["id"]), approved=True)
    ordered = await world.turns.result(invocation)
    assert ordered["answer"] == "Ordered 2 desk for 640 EUR: DE-2."
    assert [m["role"] for m in await world.turns.history("MyAgent", session)] == [
        "user", "agent", "user", "agent",
    ]  # fmt: skip

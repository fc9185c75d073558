"""From a process's start until it is ready, next to what importing google-adk takes alone."""

import json
import subprocess
import sys
import time

from agent_service.testing import ScriptedModel
from hack.restate import ROOT, free_ports
from tests.bench.agents.image import Image
from tests.bench.agents.processes import OURS, SDK, environment, running, serving
from tests.bench.figures import Figure, Samples

# What an agent's author can't do without.
IMPORT = "from google.adk.agents import Agent; from google.adk.runners import Runner"
ADK, AGENT_SERVICE = "google-adk", "agent-service"

# Megabytes of a package and all that it needs, by the files that their installers have noted down.
_SIZES = """
import json, re, sys
from importlib.metadata import PackageNotFoundError, distribution

def needed(name, seen):
    key = re.sub("[-_.]+", "-", name).lower()
    if key in seen:
        return
    try:
        found = distribution(name)
    except PackageNotFoundError:
        return
    seen[key] = found
    for line in found.requires or ():
        if "extra ==" not in line:
            needed(re.match("[A-Za-z0-9._-]+", line)[0], seen)

def size(name):
    seen = {}
    needed(name, seen)
    files = {str(f.locate()) for d in seen.values() for f in d.files or ()}
    from os.path import getsize, isfile
    return sum(getsize(f) for f in files if isfile(f)) / 1e6

print(json.dumps([size(name) for name in sys.argv[1:]]))
"""


def figures(rounds: int, image: Image | None) -> list[Figure]:
    """Measures, one process after the other.

    Args:
        rounds: how often each is started.
        image: the agents' image, if it is built here.
    """
    imports, ours, sdk, container = (Samples() for _ in range(4))
    _import_seconds()  # makes the bytecode; the processes of other figures did the rest
    for _ in range(rounds):
        imports.add(_import_seconds())
        for contestant, samples in ((OURS, ours), (SDK, sdk)):
            with serving(contestant) as process:
                samples.add(process.ready_seconds)
        if image is not None:
            container.add(_container_seconds(image))
    found = [
        Figure("Process start -> ready", ours, "importing google-adk", imports),
        Figure("- SDK's, which runs no turn to warm up", sdk, "importing google-adk", imports),
    ]
    return found if image is None else [*found, *_of_image(image, container, imports)]


def _of_image(image: Image, container: Samples, imports: Samples) -> list[Figure]:
    adk, all_packages = json.loads(image.output("python", "-c", _SIZES, ADK, AGENT_SERVICE))

    def megabytes(value: float) -> Samples:
        return Samples("MB", [value])

    return [
        Figure("Container start -> ready", container, "importing google-adk", imports),
        Figure("Size of the image, unpacked", megabytes(image.unpacked()),
               "its base", megabytes(image.base_unpacked())),
        Figure("- as it is transferred", megabytes(image.packed())),
        Figure("- packages of agent-service, without bytecode", megabytes(all_packages),
               "those of google-adk alone", megabytes(adk)),
    ]  # fmt: skip


def _import_seconds() -> float:
    started = time.monotonic()
    subprocess.run([sys.executable, "-c", IMPORT], cwd=ROOT, env=environment(0), check=True)
    return time.monotonic() - started


def _container_seconds(image: Image) -> float:
    port = free_ports(1)[0]
    with ScriptedModel() as model:
        # It asks its model before it is ready, as in a cluster.
        env = {
            "PORT": str(port),
            "AGENT_METRICS_PORT": "0",
            "GOOGLE_GEMINI_BASE_URL": model.url,
        }
        outer = {**environment(port), **image.engine.env}
        with (
            image.container(env, f"bench-{port}") as command,
            running(command, outer, port) as (_, seconds),
        ):
            return seconds

"""The images as built: what runs in them, and what must not be there."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from agent_service.scaffold.project import create, project_of
from hack import agent, images
from hack.images.engines import Buildah, Engine, choose
from hack.images.specs import SPECS

pytestmark = pytest.mark.integration
IMAGE = "localhost/my-agent-of-tests:0.1.0"
MODULES = {"operator": "agent_operator.run", "agent-service": "agent_service"}
MAX_MEGABYTES = {"operator": 350, "agent-service": 320, "restate": 420}


@pytest.fixture(scope="module")
def engine() -> Engine:
    return choose(os.environ)


@pytest.fixture(scope="module")
def built(engine: Engine) -> dict[str, str]:
    return images.build()


def call(engine: Engine, *words: str) -> str:
    env = {**os.environ, **engine.env}
    command = engine.command(*words)
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{' '.join(words)}: {done.stdout}{done.stderr}"
    return done.stdout


def inside(engine: Engine, image: str, *words: str) -> str:
    """Runs a program in a container of the image."""
    if not isinstance(engine, Buildah):
        return call(engine, "run", "--rm", "--entrypoint", words[0], image, *words[1:])
    container = call(engine, "from", "--pull-never", image).strip()
    try:
        return call(engine, "run", container, "--", *words)
    finally:
        call(engine, "rm", container)


@pytest.mark.parametrize("name", MODULES)
def test_the_package_runs_as_nobody_without_tools(
    engine: Engine, built: dict[str, str], name: str
) -> None:
    # Bytecode must be there for every module, or each start of a pod compiles them again.
    program = f"""
import getpass, importlib.util, os, pathlib, sys
import {MODULES[name]} as module
assert os.getuid() == 65532 == os.getgid(), os.getuid()
getpass.getuser()
assert sys.flags.safe_path
assert module.__file__.startswith("/package/"), module.__file__
for tool in ("pip", "uv", "pytest", "setuptools", "hatchling"):
    found = importlib.util.find_spec(tool)
    assert found is None, found
caches = [getattr(m, "__cached__", None) for m in list(sys.modules.values())]
bare = [c for c in caches if c and not pathlib.Path(c).exists()]
assert not bare, bare
print("good")
"""
    assert inside(engine, built[name], "python", "-c", program).strip() == "good"


def test_the_two_agent_images_differ_by_their_units(engine: Engine, built: dict[str, str]) -> None:
    def units(name: str) -> str:
        return inside(engine, built[name], "printenv", "WEATHER_UNITS").strip()

    assert units("agent-service") == "celsius"
    assert units("agent-service-v2") == "fahrenheit"


def test_restate_runs(engine: Engine, built: dict[str, str]) -> None:
    version = inside(engine, built["restate"], "/usr/local/bin/restate-server", "--version")
    assert version.startswith("restate-server 1.")


def test_sizes(engine: Engine, built: dict[str, str]) -> None:
    for name, most in MAX_MEGABYTES.items():
        counted = inside(engine, built[name], "sh", "-c", "du -xsm / 2>/dev/null || true")
        size = counted.split()[0]
        assert int(size) < most, f"{name}: {size} MB"


def test_a_second_build_does_nothing(capfd: pytest.CaptureFixture[str]) -> None:
    built = images.build()
    capfd.readouterr()
    assert images.build() == built
    assert "building" not in capfd.readouterr().err


def test_every_image_has_a_readable_alias(engine: Engine, built: dict[str, str]) -> None:
    for spec in SPECS.values():
        assert engine.has(f"localhost/durable-agents/{spec.repository}:{spec.alias}")


@pytest.fixture(scope="module")
def extended(built: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> str:
    """A new project's image, built from its four lines, with requirements of its own."""
    folder = create(project_of("my-agent"), tmp_path_factory.mktemp("extended"))
    # One that the base lacks, and one that it has.
    (folder / "requirements.txt").write_text("humanize>=4\nhttpx\n")
    agent.build(folder, IMAGE)
    return IMAGE


def test_a_dockerfile_of_four_lines_adds_an_agent_and_what_it_needs(
    engine: Engine, extended: str
) -> None:
    # The agent isn't root's and its code can't be changed; nothing is there twice.
    program = """
import importlib.metadata, os, pathlib, humanize, httpx
from my_agent.agent import agent
import my_agent
assert agent.name == "MyAgent"
assert os.getuid() == 65532, os.getuid()
assert humanize.__file__.startswith("/agent/"), humanize.__file__
assert pathlib.Path(humanize.__cached__).exists()
assert httpx.__file__.startswith("/app/"), httpx.__file__
assert not os.access(my_agent.__file__, os.W_OK)
again = [d.name for d in importlib.metadata.distributions(path=["/agent"])]
assert again == ["humanize"], again
print("good")
"""
    assert inside(engine, extended, "python", "-c", program).strip() == "good"


def test_a_requirement_that_would_replace_what_the_image_has_is_refused(
    built: dict[str, str], tmp_path: Path
) -> None:
    folder = create(project_of("my-agent"), tmp_path)
    (folder / "requirements.txt").write_text("pydantic<2\n")
    with pytest.raises(images.ImageError, match=r"pydantic<2"):
        agent.build(folder, "localhost/refused:0.1.0")


def test_it_adds_little_to_its_base(engine: Engine, built: dict[str, str], extended: str) -> None:
    def megabytes(image: str) -> int:
        counted = inside(engine, image, "sh", "-c", "du -xsm / 2>/dev/null || true")
        return int(counted.split()[0])

    assert megabytes(extended) - megabytes(built["agent-service"]) < 5


def test_it_finds_the_agent_and_asks_for_its_model(engine: Engine, extended: str) -> None:
    """Pods of it are in tests/e2e/test_agents_first_agent.py."""
    program = "python -m agent_service my_agent.agent:agent 2>&1 | tail -1"
    said = inside(engine, extended, "sh", "-c", program)
    assert "no model to talk to" in said

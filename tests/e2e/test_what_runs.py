"""What runs: pod templates, and Secrets and ConfigMaps that change under them."""

import asyncio
from typing import Any

from agent_operator.reconcile.config_changes import LOOK
from hack.demo import shell
from tests.e2e.world import V1, World

SHARED = {"name": "shared", "mountPath": "/shared"}


def template(world: World, starter: str) -> dict[str, Any]:
    """An init container that runs a line of Python, and a sidecar, from the agent's own image."""
    image = {"image": world.release.images[V1], "imagePullPolicy": "IfNotPresent"}
    check = ["python", "-c", "assert open('/shared/note').read() == 'x', 'not prepared'"]
    return {
        "metadata": {"labels": {"team": "claims"}},
        "spec": {
            "nodeSelector": {"kubernetes.io/os": "linux"},
            "containers": [
                {
                    "name": "agent",
                    "volumeMounts": [SHARED],
                    "livenessProbe": {"exec": {"command": check}, "periodSeconds": 1},
                },
                {
                    "name": "proxy",
                    **image,
                    "command": ["python", "-m", "agent_service.testing", "--port", "8081"],
                },
            ],
            "initContainers": [
                {
                    "name": "prepare",
                    **image,
                    "command": ["python", "-c", starter],
                    "volumeMounts": [SHARED],
                }
            ],
            "volumes": [{"name": "shared", "emptyDir": {}}],
        },
    }


async def test_a_template_comes_up(world: World) -> None:
    first = await world.started(
        V1, template=template(world, "open('/shared/note', 'w').write('x')")
    )
    (pod,) = shell.items(world.namespace, "pods", "team=claims")
    assert pod["metadata"]["labels"]["durableagents.dev/revision"] == first
    assert pod["spec"]["nodeSelector"] == {"kubernetes.io/os": "linux"}
    assert (await world.weather("a"))["revision"] == first

    world.apply(V1, template=template(world, "raise SystemExit(7)"))
    await world.until(
        lambda: (
            "init container prepare ended with exit code 7"
            in world.condition("Progressing")["message"]
        ),
        "the init container's failure",
    )
    assert world.condition("Progressing")["reason"] == "PodsCrash"
    assert (await world.weather("b"))["revision"] == first


async def test_a_template_that_can_not_be_is_refused_for_good(world: World) -> None:
    nowhere = {"spec": {"containers": [{"name": "agent", "volumeMounts": [SHARED]}]}}
    world.apply(V1, template=nowhere)
    await world.until(
        lambda: world.condition("Progressing").get("reason") == "TemplateRefused", "the refusal"
    )
    assert '"shared"' in world.condition("Progressing")["message"]
    assert world.condition("Progressing")["status"] == "False"
    await world.started(V1)


def put_units(world: World, units: str) -> None:
    shell.apply(
        world.namespace,
        {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"name": "units"},
            "data": {"WEATHER_UNITS": units},
        },
    )


def reading(on_change: str) -> dict[str, Any]:
    return {
        "envFrom": [{"configMapRef": {"name": "units"}}],
        "rollout": {"onConfigChange": on_change},
    }


async def test_a_changed_config_map_makes_a_revision(world: World) -> None:
    put_units(world, "celsius")
    first = await world.started(V1, **reading("NewRevision"))
    assert "°C" in (await world.weather("a"))["answer"]

    put_units(world, "fahrenheit")
    await world.until(
        lambda: (
            world.status()["activeRevision"] != first
            and world.condition("Progressing")["reason"] == "RolledOut"
        ),
        "the new content's revision",
    )
    second = world.status()["activeRevision"]
    answer = await world.weather("b")
    assert (answer["revision"], "°F" in answer["answer"]) == (second, True)

    world.kubectl("delete", "configmap", "units")
    await world.until(
        lambda: world.condition("Progressing")["reason"] == "ConfigMissing", "it to be missed"
    )
    assert world.status()["activeRevision"] == second
    assert (await world.weather("c"))["revision"] == second

    put_units(world, "celsius")
    await world.until(
        lambda: world.status()["activeRevision"] == first, "the earlier content's revision"
    )
    assert "°C" in (await world.weather("d"))["answer"]
    world.kubectl("delete", "configmap", "units")


async def test_by_default_a_changed_config_map_changes_nothing(world: World) -> None:
    put_units(world, "celsius")
    first = await world.started(V1, **reading("Ignore"))
    put_units(world, "fahrenheit")
    await asyncio.sleep(1.5 * LOOK.total_seconds())
    assert [r["metadata"]["name"] for r in world.replica_sets()] == [first]
    assert "°C" in (await world.weather("a"))["answer"]
    world.kubectl("delete", "configmap", "units")


async def test_secrets_are_read_only_where_the_operator_may(world: World) -> None:
    """The chart doesn't let it: that is said, and no revision is made of what nobody knows."""
    spec = {**reading("NewRevision"), "envFrom": [{"secretRef": {"name": "any", "optional": True}}]}
    world.apply(V1, **spec)
    await world.until(
        lambda: world.condition("Progressing").get("reason") == "ConfigUnreadable", "the refusal"
    )
    assert "operator.reads.secrets" in world.condition("Progressing")["message"]
    assert world.replica_sets() == []
    await world.started(V1)

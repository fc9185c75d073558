"""A release of the chart in a namespace of the tests' own, on the cluster in use."""

import uuid
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from hack.demo import release, shell
from tests.e2e.agents_world import AgentsWorld, agents_of, prepared
from tests.e2e.world import World, looking_at
from tests.support.identity import Identity, new_identity

HERE = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if HERE in item.path.parents:
            item.add_marker(pytest.mark.e2e)


@pytest.fixture(scope="session")
def identity() -> Identity:
    """With which Restate signs what it sends to agents; those that don't check don't mind."""
    return new_identity()


@pytest.fixture(scope="session")
def installed(identity: Identity) -> Iterator[release.Release]:
    namespace = f"e2e-{uuid.uuid4().hex[:6]}"
    secret = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": "restate-identity"},
        "stringData": {"key.pem": identity.pem},
    }
    try:
        shell.run("kubectl", "create", "namespace", namespace)
        shell.apply(namespace, secret)
        yield release.install(namespace, lease_seconds=15, identity_secret="restate-identity")
        release.uninstall(namespace)
    finally:
        # Also after an installation that failed half-way.
        shell.run("kubectl", "delete", "namespace", namespace, "--wait=false", "--ignore-not-found")


@pytest.fixture
async def world(installed: release.Release) -> AsyncIterator[World]:
    """An agent's world, empty at the beginning and at the end."""
    try:
        async with looking_at(installed) as found:
            yield found
    finally:
        # Through new forwards: a test may have restarted Restate.
        async with looking_at(installed) as found:
            await found.clear()


@pytest.fixture(scope="session")
def kit_image(installed: release.Release) -> str:
    """The image of `tests.e2e.kit`, in the cluster; its helpers run."""
    if release.has_key():
        pytest.skip("needs the scripted model, and GOOGLE_API_KEY is set")
    return prepared(installed)


@pytest.fixture
async def agents(world: World, kit_image: str) -> AsyncIterator[AgentsWorld]:
    """A world with agents of the tests' own."""
    async with agents_of(world, kit_image) as found:
        yield found

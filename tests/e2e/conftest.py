"""A release of the chart in a namespace of the tests' own, on the cluster in use."""

import uuid
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from hack.demo import release, shell
from tests.e2e.world import World, looking_at

HERE = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if HERE in item.path.parents:
            item.add_marker(pytest.mark.e2e)


@pytest.fixture(scope="session")
def installed() -> Iterator[release.Release]:
    namespace = f"e2e-{uuid.uuid4().hex[:6]}"
    try:
        yield release.install(namespace, lease_seconds=15)
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

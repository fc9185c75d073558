"""The store for large things, as a folder; object stores are the library's own business."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from agent_service.durable.blobs import BlobStore, blob_name
from agent_service.errors import ConfigurationError
from agent_service.settings import Settings


@pytest.mark.parametrize(
    ("parts", "name"),
    [
        (("Agent", "ann:17", "a/b.txt"), "Agent/ann=3A17/a=2Fb.txt"),
        (("A", "..", "."), "A/=2E=2E/=2E"),
        (("A", "ann:", "user:ä=b"), "A/ann=3A/user=3A=C3=A4=3Db"),
        (("A", ""), "A/="),
    ],
)
def test_each_part_stays_one_segment(parts: tuple[str, ...], name: str) -> None:
    assert blob_name(*parts) == name


async def test_a_long_name_fits_and_stays_its_own(tmp_path: Path) -> None:
    store = BlobStore(f"file://{tmp_path}")
    parts = ("x" * 300, "x" * 301, "ä" * 60, "." * 300)
    names = {blob_name("Agent", part, part) for part in parts}
    assert len(names) == len(parts)
    for name in names:
        assert len(name) < 256
        await store.put(name, b"data")
        assert await store.get(name) == b"data"


async def test_a_folder(tmp_path: Path) -> None:
    store = BlobStore(f"file://{tmp_path}/new")
    name = blob_name("A", "../..", "b")
    await store.put(name, b"data")
    await store.put(name, b"data")
    assert (tmp_path / "new" / name).read_bytes() == b"data"
    assert await store.get(name) == b"data"
    await store.delete([name, "A/never/was"])
    assert await store.get(name) is None
    assert not (tmp_path / "new" / "A").exists()


@pytest.mark.parametrize("url", ["bucket", "s3://", "file:///", "ftp://x/y", "https://x/y"])
def test_what_names_no_store_is_refused(url: str) -> None:
    with pytest.raises(ConfigurationError, match=r"AGENT_ARTIFACTS_URL.*s3://bucket/prefix"):
        BlobStore(url)


def test_without_the_extra_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "obstore.store", None)
    with pytest.raises(ConfigurationError, match=r"agent-service\[store\]"):
        BlobStore("s3://bucket/prefix")


def test_a_store_and_an_own_service_contradict_each_other() -> None:
    from google.adk.artifacts.in_memory_artifact_service import InMemoryArtifactService

    from agent_service.durable.keeping import Chosen

    with pytest.raises(ConfigurationError, match="would not use it"):
        Chosen.by(Settings(artifacts_url="s3://b"), artifacts=InMemoryArtifactService())


def test_an_own_service_must_be_one() -> None:
    from agent_service.durable.keeping import Chosen

    settings = Settings.from_env({"AGENT_MEMORY_SERVICE": "agent_service.agents.weather:agent"})
    with pytest.raises(ConfigurationError, match=r"AGENT_MEMORY_SERVICE .* BaseMemoryService"):
        Chosen.by(settings)

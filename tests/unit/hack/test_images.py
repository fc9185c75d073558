"""The parts of hack.images that need no engine."""

from __future__ import annotations

import argparse
import json
import re
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from hack.images import __main__ as command
from hack.images import base, chart_values, engines, paths, specs, work
from hack.images.__main__ import _names
from hack.images.engines import Buildah, Engine, ImageError

DOCKERFILES = sorted({spec.dockerfile for spec in specs.SPECS.values() if spec.dockerfile})


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A copy of what the images are made of."""
    for spec in specs.SPECS.values():
        for name in (spec.dockerfile, *spec.inputs):
            source, target = paths.ROOT / name, tmp_path / name
            if not name or target.exists():
                continue
            target.parent.mkdir(parents=True, exist_ok=True)
            if source.is_dir():
                shutil.copytree(source, target)
            else:
                shutil.copy2(source, target)
    return tmp_path


def tags(root: Path, base_name: str = "base:1") -> dict[str, str]:
    return {name: specs.tag(spec, root, base_name) for name, spec in specs.SPECS.items()}


def changed(before: dict[str, str], after: dict[str, str]) -> set[str]:
    return {name for name in before if before[name] != after[name]}


def test_every_input_of_an_image_exists() -> None:
    for spec in specs.SPECS.values():
        assert specs.files_of(paths.ROOT, spec.inputs) or spec.variant_of


def test_tags_are_the_same_for_the_same_contents(tree: Path) -> None:
    assert tags(tree) == tags(paths.ROOT)


def test_every_image_has_a_tag_of_its_own(tree: Path) -> None:
    assert len(set(tags(tree).values())) == len(specs.SPECS)


@pytest.mark.parametrize(
    ("path", "images"),
    [
        ("operator/src/agent_operator/__init__.py", {"operator"}),
        ("agent_service/src/agent_service/__init__.py", {"agent-service", "agent-service-v2"}),
        ("agent_service/Dockerfile", {"agent-service", "agent-service-v2"}),
        ("hack/restate/package-lock.json", {"restate"}),
        ("requirements.lock", {"operator", "agent-service", "agent-service-v2"}),
    ],
)
def test_a_change_gives_new_tags_to_the_images_it_is_in(
    tree: Path, path: str, images: set[str]
) -> None:
    before = tags(tree)
    with (tree / path).open("a") as file:
        file.write("\n# changed\n")
    assert changed(before, tags(tree)) == images


def test_a_file_that_moves_gives_a_new_tag(tree: Path) -> None:
    before = tags(tree)
    (tree / "operator/src/agent_operator/py.typed").rename(
        tree / "operator/src/agent_operator/py.typed2"
    )
    assert changed(before, tags(tree)) == {"operator"}


def test_bytecode_changes_no_tag(tree: Path) -> None:
    before = tags(tree)
    cache = tree / "operator/src/agent_operator/__pycache__"
    cache.mkdir(exist_ok=True)
    (cache / "x.cpython-313.pyc").write_bytes(b"\0")
    assert tags(tree) == before


def test_another_base_gives_new_tags(tree: Path) -> None:
    assert changed(tags(tree), tags(tree, "base:2")) == set(specs.SPECS)


def test_a_missing_input_is_named(tree: Path) -> None:
    (tree / "requirements.lock").unlink()
    with pytest.raises(FileNotFoundError, match=r"requirements\.lock"):
        specs.tag(specs.SPECS["operator"], tree, "base:1")


def test_a_variant_brings_what_it_extends() -> None:
    assert [s.name for s in specs.with_parents(["agent-service-v2"])] == [
        "agent-service",
        "agent-service-v2",
    ]
    assert [s.name for s in specs.with_parents(["restate"])] == ["restate"]


def test_references() -> None:
    spec = specs.SPECS["agent-service-v2"]
    assert specs.reference(spec, "0123") == "localhost/durable-agents/agent-service:0123"
    assert (
        specs.reference(spec, "0123", "registry.example:5000/team/")
        == "registry.example:5000/team/agent-service:0123"
    )


def test_chart_values_keep_a_registry_port() -> None:
    values = chart_values({"operator": "r.example:5000/a/operator:t", "agent-service": "x/y:z"})
    assert values == {
        "operator": {"image": {"repository": "r.example:5000/a/operator", "tag": "t"}},
        "agentImage": {"repository": "x/y", "tag": "z"},
    }


def test_the_version_of_restate_is_the_same_everywhere() -> None:
    package = json.loads((paths.ROOT / "hack/restate/package.json").read_text())
    version = package["dependencies"]["@restatedev/restate-server"]
    values = (paths.ROOT / "helm/durable-agents/values.yaml").read_text()
    assert f'repository: restatedev/restate\n    tag: "{version}"' in values


def test_restate_is_the_official_image_where_there_is_no_linux_program(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("platform.system", lambda: "Darwin")
    plan = work._plan(
        ["restate", "operator"], {"BASE_IMAGE": "b", "IMAGE_ENGINE": "docker"}, "kind"
    )
    assert [job.spec.name for job in plan.jobs] == ["operator"]
    named = work._named(plan, ["restate", "operator"], ["x"])
    assert named == {"operator": "x", "restate": specs.official_restate(paths.ROOT)}
    assert named["restate"].startswith("restatedev/restate:1.")


class Registry(Engine):
    """Docker with or without a registry to pull from."""

    def has(self, reference: str) -> bool:
        return False

    def pull(self, reference: str) -> bool:
        return self.build_words == ("reachable",)


def registry(*, reachable: bool) -> Registry:
    return Registry("docker", build_words=("reachable" if reachable else "build",))


@pytest.mark.parametrize(
    ("engine", "environ", "provider", "wanted"),
    [
        (registry(reachable=True), {}, "kind", "python:3.13-slim"),
        (registry(reachable=False), {}, "kind", base.debian_name()),
        (registry(reachable=True), {}, "local", base.debian_name()),
        (Buildah(), {}, "kind", base.debian_name()),
        (Buildah(), {"BASE_IMAGE": "mine:1"}, "local", "mine:1"),
        (registry(reachable=True), {"BASE_IMAGE": "mine:1"}, "kind", "mine:1"),
    ],
)
def test_the_base(engine: Engine, environ: dict[str, str], provider: str, wanted: str) -> None:
    assert base.name(engine, environ, provider) == wanted


def test_the_base_is_named_by_its_recipe(monkeypatch: pytest.MonkeyPatch) -> None:
    before = base.debian_name()
    monkeypatch.setattr(base, "PACKAGES", (*base.PACKAGES, "tzdata"))
    assert base.debian_name() != before


def test_an_unknown_engine_is_refused() -> None:
    with pytest.raises(ImageError, match="'nerdctl'"):
        engines.choose({"IMAGE_ENGINE": "nerdctl"})


def test_buildah_keeps_everything_in_the_clone() -> None:
    words = engines._buildah().command("images")
    assert str(paths.ROOT / ".local") in words[words.index("--root") + 1]
    assert str(paths.ROOT / ".local") in words[words.index("--runroot") + 1]


def test_a_failed_command_shows_the_end_of_its_output(tmp_path: Path) -> None:
    log = tmp_path / "x.log"
    with pytest.raises(ImageError, match=r"(?s)exit 3.*it broke"):
        engines.run(["sh", "-c", "echo it broke >&2; exit 3"], log)


def test_the_ca_bundle_of_the_environment_comes_first(tmp_path: Path) -> None:
    mine = tmp_path / "ca.pem"
    mine.write_text("x")
    assert engines.ca_bundle({"PIP_CERT": str(mine)}) == mine
    assert engines.ca_bundle({"PIP_CERT": str(tmp_path / "none")}) != tmp_path / "none"


def test_index_settings_reach_the_build_as_a_file_of_its_own_only() -> None:
    environ = {"UV_INDEX_URL": "https://user:it's@index.example", "SECRET": "x", "HTTP_PROXY": ""}
    assert engines.exports(environ) == (
        "export UV_INDEX_URL='https://user:it'\\''s@index.example'\n"
    )
    with engines.build_secrets(environ) as arguments:
        sources = [word for word in arguments if word.startswith("id=build_env,src=")]
        assert len(sources) == 1
        file = Path(sources[0].partition("src=")[2])
        assert file.stat().st_mode & 0o077 == 0
        assert "it'\\''s" in file.read_text()
        assert not any("index.example" in word for word in arguments)
    assert not file.exists()


def test_no_file_without_settings() -> None:
    with engines.build_secrets({}) as arguments:
        assert not any("build_env" in word for word in arguments)


def test_names_on_the_command_line() -> None:
    assert _names("operator, restate") == ["operator", "restate"]
    for text in ("", "operator,nonsense"):
        with pytest.raises(argparse.ArgumentTypeError, match="no such image"):
            _names(text)


def test_values_are_for_helm(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    images = {"operator": "localhost:5000/team/operator:abc"}
    monkeypatch.setattr(command, "ensure", lambda names: images)
    monkeypatch.setattr("sys.argv", ["hack.images", "values"])
    assert command.main() == 0
    assert yaml.safe_load(capsys.readouterr().out) == chart_values(images)


@pytest.mark.parametrize("path", DOCKERFILES)
def test_dockerfiles_keep_the_rules(path: str) -> None:
    text = (paths.ROOT / path).read_text()
    assert text.count("ARG BASE_IMAGE=python:3.13-slim") == 1
    assert set(re.findall(r"^FROM (\S+)", text, re.MULTILINE)) <= {
        "${BASE_IMAGE}",
        "tools",
        "dependencies",
    }
    final = text[text.rindex("\nFROM ") :]
    assert re.search(r"^USER 65532:65532$", final, re.MULTILINE)
    assert re.search(r'^ENTRYPOINT \["', final, re.MULTILINE)
    assert "org.opencontainers.image.licenses" in final


@pytest.mark.parametrize("name", ["operator", "agent-service"])
def test_the_build_context_holds_the_inputs(name: str) -> None:
    spec = replace(specs.SPECS[name])
    ignore = (paths.ROOT / ".dockerignore").read_text().splitlines()
    for path in spec.inputs:
        assert path == ".dockerignore" or f"!{path}" in ignore

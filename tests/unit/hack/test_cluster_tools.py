import shutil
from pathlib import Path

import pytest

from hack.cluster import ClusterError, tools
from hack.cluster.paths import Clone


def module(folder: Path) -> Path:
    folder.mkdir()
    (folder / "go.mod").write_text("module x\n")
    (folder / "go.sum").write_text("a h1:b\n")
    return folder


def test_a_stamp_changes_with_everything_that_a_build_depends_on(tmp_path: Path) -> None:
    go = module(tmp_path / "m")
    base = tools.stamp(go, "-s", "go1 linux/amd64")
    assert tools.stamp(go, "-s", "go1 linux/amd64") == base
    assert tools.stamp(go, "-w", "go1 linux/amd64") != base
    assert tools.stamp(go, "-s", "go2 linux/amd64") != base
    (go / "go.sum").write_text("a h1:c\n")
    changed = tools.stamp(go, "-s", "go1 linux/amd64")
    assert changed != base
    (go / "go.mod").write_text("module y\n")
    assert tools.stamp(go, "-s", "go1 linux/amd64") not in {base, changed}


def test_a_binary_is_up_to_date_only_with_its_stamp(tmp_path: Path) -> None:
    binary = tmp_path / "helm"
    assert not tools.up_to_date(binary, "s")
    binary.touch()
    assert not tools.up_to_date(binary, "s")
    (tmp_path / ".helm.stamp").write_text("s")
    assert tools.up_to_date(binary, "s")
    assert not tools.up_to_date(binary, "t")
    binary.unlink()
    assert not tools.up_to_date(binary, "s")


@pytest.mark.parametrize(
    ("text", "numbers"),
    [
        ("go1.26.8", (1, 26, 8)),
        ("v3.21.4+g1234", (3, 21, 4)),
        ("1.25", (1, 25)),
        ("devel", ()),
    ],
)
def test_version_tuple(text: str, numbers: tuple[int, ...]) -> None:
    assert tools.version_tuple(text) == numbers


def test_every_tool_has_a_pinned_module() -> None:
    for tool in tools.TOOLS.values():
        folder = tools.MODULES / tool.module
        assert f"\t{tool.package}\n" in (folder / "go.mod").read_text().replace("tool ", "\t")
        assert (folder / "go.sum").stat().st_size > 0


def test_the_version_is_inside_the_programs() -> None:
    flags = tools.ldflags("kubernetes")
    version = tools.kubernetes_version()
    assert version.startswith("v1.34.")
    assert f"-X k8s.io/component-base/version.gitVersion={version}" in flags
    assert "chartutil.k8sVersionMinor=34" in tools.ldflags("helm")
    assert tools.ldflags("coredns") == "-s -w"


def test_staging_modules_match_kubernetes() -> None:
    text = (tools.MODULES / "kubernetes" / "go.mod").read_text()
    staging = tools.kubernetes_version().replace("v1.", "v0.")
    replaced = [line.split() for line in text.splitlines() if " => k8s.io/" in line]
    assert len(replaced) > 25
    for line in replaced:
        assert line[0] == line[2]
        assert line[3] == staging


def test_a_missing_requirement_is_an_error() -> None:
    with pytest.raises(ClusterError, match=r"helm/go\.mod does not require example/x"):
        tools.required_version("helm", "example/x")


def test_an_unknown_tool_names_the_known_ones(tmp_path: Path) -> None:
    with pytest.raises(ClusterError, match=r"unknown tool kubectx; there is kube-apiserver"):
        tools.ensure(Clone(tmp_path), ["kubectx"])


def script(folder: Path, name: str, says: str) -> Path:
    folder.mkdir(exist_ok=True)
    path = folder / name
    path.write_text(f"#!/bin/sh\necho '{says}'\n")
    path.chmod(0o755)
    return path


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that is alone on PATH, apart from the clone's own tools."""
    folder = tmp_path / "path"
    monkeypatch.setenv("PATH", f"{Clone(tmp_path).bin}:{folder}")
    return folder


def test_a_good_helm_on_path_is_linked(tmp_path: Path, path: Path) -> None:
    found = script(path, "helm", "v3.16.2+g13654a5")
    for _ in range(2):
        tools.ensure(Clone(tmp_path), ["helm"])
        assert (Clone(tmp_path).bin / "helm").resolve() == found


@pytest.mark.parametrize(
    ("name", "says"), [("helm", "v3.9.0"), ("helm", "v4.0.0"), ("kubectl", "gitVersion: v1.20.1")]
)
def test_a_tool_out_of_range_is_not_linked(
    tmp_path: Path, path: Path, name: str, says: str
) -> None:
    script(path, name, says)
    tools.go_version.cache_clear()
    with pytest.raises(ClusterError, match="Go is not installed"):
        tools.ensure(Clone(tmp_path), [name])
    assert not (Clone(tmp_path).bin / name).exists()


def test_an_old_go_is_refused(path: Path) -> None:
    script(path, "go", "go1.20.1 linux amd64")
    tools.go_version.cache_clear()
    with pytest.raises(ClusterError, match=r"Go 1\.\d+\S* or later is needed, this is go1\.20\.1"):
        tools.go_version()


@pytest.fixture(autouse=True)
def fresh_go() -> None:
    tools.go_version.cache_clear()


def test_our_own_link_does_not_count_as_installed(tmp_path: Path, path: Path) -> None:
    clone = Clone(tmp_path)
    script(path, "helm", "v3.16.2")
    tools.ensure(clone, ["helm"])
    shutil.rmtree(path)
    with pytest.raises(ClusterError, match="Go is not installed"):
        tools.ensure(clone, ["helm"])

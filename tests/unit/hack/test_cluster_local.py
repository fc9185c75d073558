import hashlib
import json
import os
import shutil
import tarfile
import time
from ipaddress import IPv4Network
from pathlib import Path
from typing import Any

import pytest
import yaml

from hack.cluster import ClusterError, progress
from hack.cluster.local import cgroups, cluster, config, egress, host, images, pki
from hack.cluster.local.network import Addresses
from hack.cluster.paths import Clone
from hack.cluster.run import run, succeeds, wait_for

NET = Addresses(IPv4Network("10.192.128.0/18"))
SETUP = config.Setup("da-12345678", NET, full_capabilities=False, snapshotter="overlayfs")


def v1(root: Path) -> Path:
    for name in ("cpu", "memory", "pids", "cpuset", "unified"):
        (root / name).mkdir(parents=True)
        (root / name / "cgroup.procs").touch()
    (root / "cpuacct").symlink_to("cpu")
    return root


def test_v1_groups_are_made_in_every_hierarchy_once(tmp_path: Path) -> None:
    joined = cgroups.create("da-x", v1(tmp_path))
    expected = ("cpu", "cpuset", "memory", "pids", "unified")
    assert joined == [tmp_path / name / "da-x" / "system" / "cgroup.procs" for name in expected]
    assert all(path.parent.is_dir() for path in joined)


def test_v2_without_delegated_controllers_is_refused(tmp_path: Path) -> None:
    (tmp_path / "cgroup.controllers").write_text("cpu memory pids\n")
    (tmp_path / "cgroup.subtree_control").write_text("")
    # A plain file only keeps the last word, so that this kernel "enables" nothing.
    with pytest.raises(ClusterError, match=r"controllers lack cpu, memory, pids$"):
        cgroups.create("da-x", tmp_path)
    assert not (tmp_path / "da-x").exists()


def test_groups_are_found_again(tmp_path: Path) -> None:
    root = v1(tmp_path)
    assert not cgroups.exists("da-x", root)
    cgroups.create("da-x", root)
    assert cgroups.exists("da-x", root)
    assert not cgroups.exists("da-y", root)
    assert not cgroups.exists("da-x", tmp_path / "not-linux")


def test_a_missing_controller_is_named(tmp_path: Path) -> None:
    root = v1(tmp_path)
    shutil.rmtree(root / "memory")
    with pytest.raises(ClusterError, match=r"controllers lack memory$"):
        cgroups.create("da-x", root)


def test_the_configuration_agrees_with_the_addresses() -> None:
    files = config.files(SETUP)
    kubelet = yaml.safe_load(files["kubelet.yaml"])
    assert kubelet["clusterDNS"] == [str(NET.dns)]
    assert kubelet["cgroupRoot"] == "/da-12345678"
    cni = json.loads(files["cni/10-bridge.conflist"])
    assert cni["plugins"][0]["ipam"]["ranges"] == [[{"subnet": str(NET.pods)}]]
    assert yaml.safe_load(files["kube-proxy.yaml"])["clusterCIDR"] == str(NET.pods)
    assert "restrict_oom_score_adj = true" in files["containerd.toml"]
    full = config.Setup("x", NET, full_capabilities=True, snapshotter="native")
    assert "restrict_oom_score_adj = false" in config.files(full)["containerd.toml"]
    assert 'snapshotter = "native"' in config.files(full)["containerd.toml"]


def test_programs_are_known_by_their_executables() -> None:
    # `namespace.runs` finds a program again by that.
    for program in config.programs(SETUP):
        assert Path(program.argv[0]).name == program.name


def test_programs_write_only_into_the_nodes_own_folders() -> None:
    for program in config.programs(SETUP):
        for argument in program.argv[1:]:
            value = argument.partition("=")[2]
            if value.startswith("/"):
                assert value.startswith("/var/lib/"), argument


@pytest.mark.parametrize("open_egress", [True, False])
def test_manifests_are_complete(open_egress: bool) -> None:
    text = cluster._manifests(NET, open_egress=open_egress)
    documents: list[dict[str, Any]] = list(yaml.safe_load_all(text))
    corefile = next(d["data"]["Corefile"] for d in documents if "Corefile" in d.get("data", {}))
    assert (f"forward . {NET.egress[3]}" in corefile) == open_egress
    assert ("rcode NXDOMAIN" in corefile) != open_egress
    kinds = [document["kind"] for document in documents]
    assert kinds.count("Deployment") == 2
    service = next(document for document in documents if document["kind"] == "Service")
    assert service["spec"]["clusterIP"] == str(NET.dns)
    storage = next(document for document in documents if document["kind"] == "StorageClass")
    default = "storageclass.kubernetes.io/is-default-class"
    assert storage["metadata"]["annotations"][default] == "true"
    for document in documents:
        if document["kind"] == "Deployment":
            container = document["spec"]["template"]["spec"]["containers"][0]
            assert container["image"].startswith("localhost/cluster/")
            assert container["imagePullPolicy"] == "Never"


@pytest.mark.parametrize(("value", "wanted"), [("", False), ("0", False), ("1", True)])
def test_a_way_out_only_when_asked_for(value: str, wanted: bool) -> None:
    assert egress.wanted({"CLUSTER_EGRESS": value}) is wanted
    assert egress.wanted({}) is False
    with pytest.raises(ClusterError, match="CLUSTER_EGRESS=yes is unknown"):
        egress.wanted({"CLUSTER_EGRESS": "yes"})


def test_another_process_is_not_taken_for_the_way_out(tmp_path: Path) -> None:
    clone = Clone(tmp_path)
    assert not egress.is_open(clone)
    clone.node.mkdir(parents=True)
    (clone.node / "egress.pid").write_text(f"{os.getpid()}\n")
    assert not egress.is_open(clone)


def test_an_image_archive_is_whole(tmp_path: Path) -> None:
    program = tmp_path / "tool"
    program.write_bytes(b"\x7fELF")
    archive = tmp_path / "x.tar"
    images.write(images.Image("localhost/x:1", program, ["-P"], links=["sh"]), archive)
    assert [path.name for path in tmp_path.iterdir() if path.suffix == ".layer"] == []

    with tarfile.open(archive) as tar:

        def read(name: str) -> bytes:
            member = tar.extractfile(name)
            assert member is not None
            return member.read()

        def blob(descriptor: dict[str, Any]) -> bytes:
            algorithm, _, digest = descriptor["digest"].partition(":")
            content = read(f"blobs/{algorithm}/{digest}")
            assert hashlib.sha256(content).hexdigest() == digest
            assert len(content) == descriptor["size"]
            return content

        listed = json.loads(read("index.json"))["manifests"][0]
        assert listed["annotations"]["org.opencontainers.image.ref.name"] == "localhost/x:1"
        manifest = json.loads(blob(listed))
        settings = json.loads(blob(manifest["config"]))
        assert settings["config"]["Entrypoint"] == ["/tool", "-P"]
        assert settings["rootfs"]["diff_ids"] == [manifest["layers"][0]["digest"]]
        (tmp_path / "layer.tar").write_bytes(blob(manifest["layers"][0]))

    with tarfile.open(tmp_path / "layer.tar") as layer:
        assert layer.getnames() == ["tool", "bin", "tmp", "bin/sh"]
        assert layer.getmember("tool").mode == 0o755
        assert layer.getmember("bin/sh").linkname == "/tool"


@pytest.mark.skipif(not shutil.which("openssl"), reason="needs openssl")
def test_certificates_pass_a_strict_check(tmp_path: Path) -> None:
    identities = pki.identities(NET, "da-x")
    pki.make(tmp_path / "pki", identities)
    folder = tmp_path / "pki"
    assert folder.stat().st_mode & 0o777 == 0o700
    for identity in identities:
        certificate = folder / f"{identity.name}.crt"
        run("openssl", "verify", "-x509_strict", "-CAfile", folder / "ca.crt", certificate)
        subject = run("openssl", "x509", "-noout", "-subject", "-in", certificate)
        assert f"CN = {identity.user}" in subject
    server = folder / "apiserver.crt"
    for address in (NET.node, NET.api_service, "127.0.0.1"):
        checked = run("openssl", "x509", "-noout", "-checkip", str(address), "-in", server)
        assert "does match" in checked
    content = yaml.safe_load(pki.kubeconfig(folder, "admin", NET.api_url, "da-x"))
    assert content["current-context"] == content["contexts"][0]["name"] == "da-x"
    assert content["clusters"][0]["cluster"]["server"] == NET.api_url


def test_refusals_are_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("platform.system", lambda: "Darwin")
    with pytest.raises(ClusterError, match="needs Linux, this is Darwin"):
        host.check()
    monkeypatch.setattr("platform.system", lambda: "Linux")
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    with pytest.raises(ClusterError, match="needs root"):
        host.check()
    monkeypatch.setattr("os.geteuid", lambda: 0)
    monkeypatch.setattr(host, "capabilities", lambda: 0)
    with pytest.raises(ClusterError, match="CAP_SYS_ADMIN"):
        host.check()


def test_without_apt_the_packages_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.which", lambda command: None)
    with pytest.raises(ClusterError, match=r"no apt-get here.*containerd.*etcd-server"):
        host.prepare()


def test_fresh_packages_start_no_services(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    policy = tmp_path / "policy-rc.d"
    monkeypatch.setattr(host, "POLICY", policy)
    monkeypatch.setattr("shutil.which", lambda command: f"/usr/bin/{command}")
    seen: list[tuple[tuple[object, ...], bool]] = []

    def note(*argv: object, **_: object) -> str:
        forbids = policy.exists() and not succeeds(policy)
        seen.append((argv, forbids))
        return ""

    monkeypatch.setattr(host, "run", note)
    host.install(["a-package"])
    assert [forbids for argv, forbids in seen if "install" in argv] == [True]
    assert not policy.exists()

    policy.write_text("somebody's own")
    host.install(["a-package"])
    assert policy.read_text() == "somebody's own"


def test_nothing_is_installed_without_need(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    host.install([])


def test_a_failed_command_shows_its_last_words() -> None:
    with pytest.raises(ClusterError, match=r"failed \(3\): sh.*\nthe reason"):
        run("sh", "-c", "echo the reason >&2; exit 3")
    with pytest.raises(ClusterError, match="no-such-command is not installed"):
        run("no-such-command")
    with pytest.raises(ClusterError, match=r"longer than 0\.1 s"):
        run("sleep", "5", timeout=0.1)
    assert run("cat", stdin="given") == "given"
    assert run("cat") == ""
    assert not succeeds("false")


def test_waiting_ends_with_a_hint() -> None:
    with pytest.raises(ClusterError, match="no such thing after 0 s: look there"):
        wait_for("such thing", lambda: False, timeout=0.05, every=0.01, hint=lambda: "look there")


def test_a_long_step_gives_signs_of_life(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("hack.progress.HEARTBEAT_SECONDS", 0.01)
    with progress.step("building x (about a day)"):
        end = time.monotonic() + 10
        said = ""
        while "still building x," not in said and time.monotonic() < end:
            said += capsys.readouterr().err
    assert "building x (about a day) ..." in said
    assert "still building x," in said
    assert "done in" in capsys.readouterr().err


def test_programs_that_only_root_uses_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/mine:/usr/bin:/usr/sbin")
    host.find_programs()
    host.find_programs()
    assert os.environ["PATH"] == "/mine:/usr/bin:/usr/sbin:/usr/local/sbin:/sbin"

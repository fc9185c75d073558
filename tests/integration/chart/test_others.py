"""A second release is refused what the operator of another one looks after: they would fight."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.integration.chart.helm import CHART, NAMESPACE, RELEASE, HelmError, Manifest, helm

pytestmark = pytest.mark.integration

VERSION = "rbac.authorization.k8s.io/v1"
RBAC = f"/apis/{VERSION}"
KINDS = {"clusterroles": ("ClusterRole", False), "roles": ("Role", True)}


class Cluster(ThreadingHTTPServer):
    """As much of an API server as Helm asks for roles. It knows these, and nothing else."""

    roles: Sequence[Manifest] = ()

    def answer(self, path: str) -> Manifest:
        if path == RBAC:
            resources = [
                {"name": name, "kind": kind, "namespaced": namespaced, "verbs": ["list"]}
                for name, (kind, namespaced) in KINDS.items()
            ]
            return {"kind": "APIResourceList", "resources": resources}
        *parents, name = path.removeprefix(f"{RBAC}/").split("/")
        kind, _ = KINDS[name]
        where = parents[1] if parents else None
        found = [
            role
            for role in self.roles
            if role["kind"] == kind and where in {None, role["metadata"].get("namespace")}
        ]
        return {"kind": f"{kind}List", "apiVersion": VERSION, "metadata": {}, "items": found}


class Answer(BaseHTTPRequestHandler):
    server: Cluster

    def do_GET(self) -> None:
        body = json.dumps(self.server.answer(self.path.partition("?")[0])).encode()
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Nobody reads it."""


@pytest.fixture
def cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Cluster]:
    with running() as server:
        address = f"http://127.0.0.1:{server.server_port}"
        config = {
            "current-context": "it",
            "contexts": [{"name": "it", "context": {"cluster": "it", "user": "it"}}],
            "clusters": [{"name": "it", "cluster": {"server": address}}],
            "users": [{"name": "it", "user": {}}],
        }
        path = tmp_path / "kubeconfig"
        path.write_text(yaml.safe_dump(config))
        monkeypatch.setenv("KUBECONFIG", str(path))
        yield server


@contextmanager
def running() -> Iterator[Cluster]:
    with Cluster(("127.0.0.1", 0), Answer) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield server
        finally:
            server.shutdown()


def roles_of(release: str, namespace: str, watched: list[str]) -> list[Manifest]:
    """What a release has installed of this chart, with the notes that Helm adds."""
    text = helm("template", release, str(CHART), "-n", namespace, values=watching(watched))
    roles = [r for r in yaml.safe_load_all(text) if r and r["kind"] in {"Role", "ClusterRole"}]
    notes = {"meta.helm.sh/release-name": release, "meta.helm.sh/release-namespace": namespace}
    for role in roles:
        role["metadata"]["annotations"] = notes
    return roles


def watching(namespaces: list[str]) -> dict[str, Any]:
    return {"operator": {"watchNamespaces": namespaces}}


def install(watched: list[str], *options: str) -> None:
    arguments = ("template", RELEASE, str(CHART), "--namespace", NAMESPACE, "--dry-run=server")
    helm(*arguments, *options, values=watching(watched))


UPGRADE = "--is-upgrade"


@pytest.mark.parametrize(
    ("mine", "theirs", "options", "shared"),
    [
        ([], [], [], "all namespaces"),
        ([], [], [UPGRADE], "all namespaces"),
        ([], ["shop"], [], "the namespace shop"),
        (["shop"], [], [], "all namespaces"),
        (["shop"], [], [UPGRADE], None),  # or neither could give way
        (["bank", "shop"], ["shop"], [], "the namespace shop"),
        (["shop"], ["shop"], [UPGRADE], "the namespace shop"),
        (["bank"], ["shop"], [], None),
    ],
)
def test_beside_another_release(
    cluster: Cluster, mine: list[str], theirs: list[str], options: list[str], shared: str | None
) -> None:
    cluster.roles = roles_of("others", "there", theirs)
    if shared is None:
        install(mine, *options)
        return
    with pytest.raises(HelmError, match=f"another release .others, by .*looks after {shared},"):
        install(mine, *options)


@pytest.mark.parametrize(("before", "after"), [([], []), ([], ["shop"]), (["shop"], [])])
def test_its_own_roles_are_in_no_release_s_way(
    cluster: Cluster, before: list[str], after: list[str]
) -> None:
    cluster.roles = roles_of(RELEASE, NAMESPACE, before)
    install(after, UPGRADE)


def test_nor_are_roles_of_people(cluster: Cluster) -> None:
    rule = {"apiGroups": ["durableagents.dev"], "resources": ["agentdeployments"], "verbs": ["get"]}
    body = {"apiVersion": VERSION, "kind": "ClusterRole"}
    plain = {**body, "metadata": {"name": "view-agents"}, "rules": [rule]}
    aggregated = {**body, "metadata": {"name": "view", "labels": {}}, "rules": None}
    cluster.roles = [plain, aggregated]
    install([])

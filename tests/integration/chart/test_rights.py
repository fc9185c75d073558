"""What the operator may read with the rights that the chart gives it, asked of the API server."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import pytest
import yaml

from hack import cluster
from tests.integration.chart.helm import CHART, helm
from tests.support import kube

pytestmark = pytest.mark.integration
SECRETS = ("restate-token", "of-somebody-else")


@pytest.fixture(scope="module")
def kubectl() -> Iterator[kube.Kubectl]:
    cluster.up()
    kube.crd()
    with kube.namespace("rights") as kubectl:
        for name in SECRETS:
            kubectl("create", "secret", "generic", name, "--from-literal=token=t")
        yield kubectl


@contextmanager
def granted(kubectl: kube.Kubectl, **values: Any) -> Iterator[None]:
    """The chart's accounts, roles and bindings, and nothing that runs."""
    values.setdefault("operator", {})["watchNamespaces"] = [kubectl.namespace]
    text = helm("template", "da", str(CHART), "--namespace", kubectl.namespace, values=values)
    kinds = {"ServiceAccount", "Role", "RoleBinding"}
    bodies = [b for b in yaml.safe_load_all(text) if b and b["kind"] in kinds]
    kubectl("apply", "-f", "-", stdin=yaml.safe_dump_all(bodies))
    yield
    kubectl("delete", "-f", "-", stdin=yaml.safe_dump_all(bodies))


def readable(kubectl: kube.Kubectl) -> list[str]:
    """The Secrets that the operator gets when it asks for them by name."""
    account = f"--as=system:serviceaccount:{kubectl.namespace}:da-operator"
    found = []
    for name in SECRETS:
        with suppress(kube.KubectlError):
            kubectl("get", "secret", name, account)
            found.append(name)
    with pytest.raises(kube.KubectlError, match="forbidden"):
        kubectl("get", "secrets", account)
    return found


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        pytest.param({}, [], id="none unless asked for"),
        pytest.param(
            {"operator": {"reads": {"secretNames": ["restate-token"]}}},
            ["restate-token"],
            id="those that are named",
        ),
        pytest.param({"operator": {"reads": {"secrets": True}}}, list(SECRETS), id="all"),
        pytest.param(
            {
                "restate": {
                    "enabled": False,
                    "external": {
                        "adminURL": "https://restate.example:9070",
                        "ingressURL": "https://restate.example:8080",
                        "tokenSecret": {"name": "restate-token"},
                    },
                }
            },
            ["restate-token"],
            id="the token of the chart's own Restate",
        ),
    ],
)
def test_secrets(kubectl: kube.Kubectl, values: dict[str, Any], expected: list[str]) -> None:
    with granted(kubectl, **values):
        assert readable(kubectl) == expected

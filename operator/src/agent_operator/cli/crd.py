"""``crd print`` and ``crd apply``: Helm installs a CRD once and never upgrades it; this does."""

import sys
from typing import Literal

import yaml

from agent_operator.api.crd import crd


def as_yaml() -> str:
    """The CRD as a manifest file."""

    class Plain(yaml.SafeDumper):
        def ignore_aliases(self, data: object) -> bool:  # noqa: ARG002 - the base class's name
            return True

    head = "# Made by `make manifests` from agent_operator.api: change it there.\n"
    return head + yaml.dump(crd(), Dumper=Plain, sort_keys=False, width=100)


async def run(action: Literal["print", "apply"]) -> None:
    """Print the CRD, or bring the cluster's one up to date."""
    if action == "print":
        sys.stdout.write(as_yaml())
        return
    from agent_operator.kube.client import CRDS, Kube

    kube = await Kube.connect()
    try:
        applied = await kube.apply(CRDS, crd())
    finally:
        await kube.close()
    print(f"{applied['metadata']['name']} is up to date")

"""Makes the schema of ``spec.template`` from what a Kubernetes API server says of its pods.

``python -m hack.pod_template`` asks the cluster in use and writes the file that is part of
``agent_operator.api``; ``--check`` only says whether it is stale. Needed when the pinned version
of Kubernetes changes.
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from agent_operator.api import template
from hack import cluster
from hack.cluster import ClusterError
from hack.cluster.paths import this_clone

Schema = dict[str, Any]

FILE: Final = Path(template.__file__).with_name(template.SCHEMA_FILE)
ROOT_TYPE: Final = "io.k8s.api.core.v1.PodSpec"
KEPT: Final = frozenset(
    {
        "type",
        "format",
        "enum",
        "required",
        "x-kubernetes-list-type",
        "x-kubernetes-list-map-keys",
        "x-kubernetes-map-type",
    }
)
# A ReplicaSet's pods can't have them, or the name is an old one of another field.
LEFT_OUT: Final = frozenset({"ephemeralContainers", "activeDeadlineSeconds", "serviceAccount"})
# The estimate of what a CEL rule costs multiplies the greatest lengths of lists.
GREATEST_LENGTHS: Final = {"containers": 16, "initContainers": 16, "env": 200, "ports": 64}
# Deeper than this, what kubectl explains is left to `kubectl explain pod.spec`: an apply from the
# client's side keeps the whole CRD in an annotation, which has room for 256 KiB.
EXPLAINED_DEPTH: Final = 3
LONGEST_EXPLANATION: Final = 400


def pod_spec(schemas: Mapping[str, Schema]) -> Schema:
    """The structural schema of a pod's spec, as a ReplicaSet of an agent can have it.

    Args:
        schemas: ``components.schemas`` of the API server's OpenAPI v3 document of ``api/v1``.
    """
    made = _structural({"$ref": ROOT_TYPE}, schemas, depth=0)
    # The agent's container may come from the spec's short forms alone.
    made.pop("required", None)
    for name in LEFT_OUT:
        made["properties"].pop(name)
    made["properties"]["restartPolicy"]["enum"] = ["Always"]
    return made


def _structural(node: Schema, schemas: Mapping[str, Schema], depth: int) -> Schema:
    """Without references, unions, defaults, and the parts of descriptions that fill books."""
    node = _resolved(node, schemas)
    out: Schema = {key: value for key, value in node.items() if key in KEPT}
    if node.get("x-kubernetes-int-or-string") or "oneOf" in node:
        out = {"x-kubernetes-int-or-string": True}
    if depth <= EXPLAINED_DEPTH and (said := _first_sentence(node.get("description", ""))):
        out["description"] = said
    if "properties" in node:
        out["properties"] = {
            name: _property(name, child, schemas, depth + 1)
            for name, child in sorted(node["properties"].items())
        }
    for key in ("items", "additionalProperties"):
        if isinstance(node.get(key), dict):
            out[key] = _structural(node[key], schemas, depth + 1)
            out[key].pop("description", None)
    _give_keys_defaults(out, node, schemas)
    return out


def _property(name: str, node: Schema, schemas: Mapping[str, Schema], depth: int) -> Schema:
    made = _structural(node, schemas, depth)
    if made.get("type") == "array" and name in GREATEST_LENGTHS:
        made["maxItems"] = GREATEST_LENGTHS[name]
    return made


def _resolved(node: Schema, schemas: Mapping[str, Schema]) -> Schema:
    """The node with what it refers to; its own words win."""
    while reference := _reference(node):
        own = {key: value for key, value in node.items() if key not in {"$ref", "allOf"}}
        node = {**schemas[reference.rsplit("/", 1)[-1]], **own}
    return node


def _reference(node: Schema) -> str | None:
    (only,) = node.get("allOf") or [node]
    return str(only["$ref"]) if "$ref" in only else None


def _give_keys_defaults(out: Schema, node: Schema, schemas: Mapping[str, Schema]) -> None:
    """The keys of a list must be given, or have a default: the only defaults that are kept."""
    if "x-kubernetes-list-map-keys" not in out:
        return
    items, source = out["items"], _resolved(node["items"], schemas)
    for key in out["x-kubernetes-list-map-keys"]:
        if key not in items.get("required", ()):
            items["properties"][key]["default"] = source["properties"][key]["default"]


def _first_sentence(text: str) -> str:
    first = re.split(r"(?<=[.!?])\s|\n", text.strip(), maxsplit=1)[0].strip()
    return first if len(first) <= LONGEST_EXPLANATION else ""


def from_cluster() -> Schema:
    """What the cluster in use makes of it.

    Raises:
        ClusterError: it can't be asked.
    """
    kubectl = this_clone().bin / "kubectl"
    command = [
        str(kubectl), f"--kubeconfig={cluster.kubeconfig()}", "get", "--raw", "/openapi/v3/api/v1",
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise ClusterError(f"the cluster's OpenAPI document can't be read: {done.stderr.strip()}")
    return pod_spec(json.loads(done.stdout)["components"]["schemas"])


def as_text(schema: Schema) -> str:
    """As it is kept: one property a line would be 5,000 lines, so it is compact."""
    return json.dumps(schema, separators=(",", ":"), sort_keys=True) + "\n"


def main() -> int:
    """Writes the schema of pods, or says with ``--check`` whether it is stale."""
    parser = argparse.ArgumentParser(prog="python -m hack.pod_template", description=main.__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing; end with 1 if stale")
    only_check = parser.parse_args().check
    try:
        cluster.up()
        text = as_text(from_cluster())
    except ClusterError as error:
        print(f"hack.pod_template: {error}", file=sys.stderr)
        return 1
    if FILE.exists() and FILE.read_text() == text:
        return 0
    print(f"pod_template: {'stale' if only_check else 'writing'} {FILE.name}")
    if not only_check:
        FILE.write_text(text)
    return 1 if only_check else 0


if __name__ == "__main__":
    sys.exit(main())

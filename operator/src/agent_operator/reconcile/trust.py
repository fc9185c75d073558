"""How a candidate's pods learn which gate's Restate server they may trust, and for how long.

The key is an annotation of the pods, which the kubelet shows them in a file within seconds, and
which ends with the pods (docs/decisions/0012).
"""

from typing import Any, Final

from agent_operator.api import names

FOLDER: Final = "/etc/durable-agents"
FILE: Final = "gate-key"

VOLUME: Final[dict[str, Any]] = {
    "name": "durable-agents-gate",
    "downwardAPI": {
        "items": [
            {
                "path": FILE,
                "fieldRef": {"fieldPath": f"metadata.annotations['{names.GATE_KEY_ANNOTATION}']"},
            }
        ]
    },
}
MOUNT: Final[dict[str, Any]] = {
    "name": VOLUME["name"],
    "mountPath": FOLDER,
    "readOnly": True,
}


def offered(template: dict[str, Any]) -> dict[str, Any]:
    """A pod template whose agent can read the key."""
    pod = template["spec"]
    containers = [
        {**c, "volumeMounts": [*(c.get("volumeMounts") or ()), MOUNT]}
        if c["name"] == names.IMAGE_CONTAINER
        else c
        for c in pod["containers"]
    ]
    volumes = [*(pod.get("volumes") or ()), VOLUME]
    return {**template, "spec": {**pod, "containers": containers, "volumes": volumes}}

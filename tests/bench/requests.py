"""How many requests a client makes of the API server, which has no such metric.

Priority and fairness counts requests by flow schema. So the bench gives a client a flow schema of
its own, at the priority that it has anyway, and reads that counter.
"""

import asyncio
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from hack.demo import shell

# Below the built-in schemas for service accounts, so that ours are matched first.
PRECEDENCE = 790


@dataclass(frozen=True)
class Client:
    """A service account, and the priority level of its requests."""

    schema: str
    namespace: str
    account: str
    level: str

    def requests(self) -> int:
        """How many were let through so far, watches included."""
        text = shell.run("kubectl", "get", "--raw", "/metrics")
        pattern = (
            r"apiserver_flowcontrol_dispatched_requests_total"
            rf'{{flow_schema="{re.escape(self.schema)}",[^}}]*}} (\S+)'
        )
        return round(sum(float(value) for value in re.findall(pattern, text)))

    def manifest(self) -> dict[str, Any]:
        everything = {
            "verbs": ["*"], "apiGroups": ["*"], "resources": ["*"],
            "namespaces": ["*"], "clusterScope": True,
        }  # fmt: skip
        subject = {
            "kind": "ServiceAccount",
            "serviceAccount": {"namespace": self.namespace, "name": self.account},
        }
        return {
            "apiVersion": "flowcontrol.apiserver.k8s.io/v1",
            "kind": "FlowSchema",
            "metadata": {"name": self.schema},
            "spec": {
                "matchingPrecedence": PRECEDENCE,
                "priorityLevelConfiguration": {"name": self.level},
                "distinguisherMethod": {"type": "ByUser"},
                "rules": [
                    {
                        "subjects": [subject],
                        "resourceRules": [everything],
                        "nonResourceRules": [{"verbs": ["*"], "nonResourceURLs": ["*"]}],
                    }
                ],
            },
        }


async def per_minute(client: Client, seconds: float) -> float:
    """How many requests a client makes a minute, over so many seconds."""
    before, started = await asyncio.to_thread(client.requests), time.monotonic()
    await asyncio.sleep(seconds)
    made = await asyncio.to_thread(client.requests) - before
    return made / (time.monotonic() - started) * 60


@contextmanager
def counted(*clients: Client) -> Iterator[None]:
    """Count these clients' requests for as long as it lasts."""
    try:
        for client in clients:
            shell.apply("default", client.manifest())
        yield
    finally:
        names = [client.schema for client in clients]
        shell.run("kubectl", "delete", "flowschema", *names, "--ignore-not-found")

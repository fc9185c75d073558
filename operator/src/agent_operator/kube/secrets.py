"""Secrets, read one by one where something refers to them: none is listed, watched or kept here."""

import base64
from collections.abc import Mapping
from typing import Final

from agent_operator.kube.client import Kube, Resource
from agent_operator.kube.errors import KubeError, SecretError

SECRETS: Final = Resource("Secret", "secrets", "/api/v1")


async def read(kube: Kube, namespace: str, name: str) -> Mapping[str, bytes]:
    """What a Secret holds, by key.

    Raises:
        SecretError: it does not exist, or may not be read.
    """
    try:
        body = await kube.get(SECRETS, namespace, name)
    except KubeError as error:
        raise SecretError(_why(namespace, name, error)) from error
    return {key: base64.b64decode(text) for key, text in (body.get("data") or {}).items()}


def _why(namespace: str, name: str, error: KubeError) -> str:
    secret = f"Secret {namespace}/{name}"
    if error.missing:
        return f"{secret} does not exist"
    if error.status == 403:
        return (
            f"the operator may not read {secret}: name it in the chart's operator.reads.secretNames"
        )
    return f"{secret} can't be read: {error}"

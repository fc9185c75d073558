"""The headers that Restate is to send to a revision: their values, for the time of a registration.

They are read anew each time, and never logged, shown or kept.
"""

from agent_operator.kube import secrets
from agent_operator.kube.client import Kube
from agent_operator.kube.errors import SecretError
from agent_operator.restate.access import header_value
from agent_operator.restate.client import CREDENTIALS_MISSING, RestateUnavailableError
from agent_operator.restate.server import Calling


async def read(kube: Kube, namespace: str, calling: Calling) -> dict[str, str]:
    """Each header's value.

    Raises:
        RestateUnavailableError: a Secret is missing, so nothing can be registered.
    """
    found = {}
    for header in calling.headers:
        if header.secret is None:
            found[header.name] = header.value or ""
            continue
        try:
            secret = await secrets.read(kube, namespace, header.secret.name)
            found[header.name] = header_value(secret, header.secret.name, header.secret.key)
        except SecretError as error:
            raise RestateUnavailableError(
                f"header {header.name}: {error}", CREDENTIALS_MISSING
            ) from error
    return found

"""Typed async client of the parts of Restate's admin API that the operator uses.

Facts behind it (admin API 2 to 4, server 1.7): ``POST /deployments`` with a known URI and without
``force`` answers 200 without looking at the endpoint; with ``force`` it keeps the id, discovers
anew and takes all routes, but accepts a changed service type too. ``DELETE`` works only with
``force=true``.
"""

from collections import Counter
from collections.abc import Mapping
from datetime import datetime
from types import TracebackType
from typing import Any, Final, Self

import httpx

from agent_operator.api.status import InvocationCounts, OldestInvocation
from agent_operator.restate.view import Deployment, Load, Service

Row = Mapping[str, Any]

TIMEOUT: Final = httpx.Timeout(10.0, connect=3.0)
# Discovery of a pod that has just come up may take long: Restate itself gives up before this.
REGISTER_TIMEOUT: Final = httpx.Timeout(60.0, connect=3.0)

# Who needs a deployment: what is pinned to it; an attempt under way there that has no journal
# yet (unpinned); and what isn't pinned, but would go there next since the service routes to it.
LOADS_SQL: Final = """
select
  case
    when i.pinned_deployment_id is not null then i.pinned_deployment_id
    when i.status in ('running', 'backing-off') and i.last_attempt_deployment_id is not null
      then i.last_attempt_deployment_id
    else s.deployment_id
  end as deployment,
  i.status as status,
  count(1) as n,
  min(i.created_at) as since,
  first_value(i.id order by i.created_at) as id,
  first_value(i.target order by i.created_at) as target
from sys_invocation i left join sys_service s on s.name = i.target_service_name
where i.status != 'completed'
group by 1, 2
"""
# Paused since nothing answered at the deployment's address (RT0010): a paused invocation keeps no
# failure of its own, but its journal's events do.
STRANDED_SQL: Final = """
select i.id as id, i.pinned_deployment_id as deployment
from sys_invocation i join sys_journal_events e on e.id = i.id
where i.status = 'paused' and i.pinned_deployment_id is not null and e.event_type = 'Paused'
group by 1, 2
having last_value(e.event_json order by e.appended_at) like '%"RT0010"%'
"""
BACKING_OFF_SQL: Final = """
select id, pinned_deployment_id as deployment from sys_invocation
where status = 'backing-off' and pinned_deployment_id is not null
"""
BATCH: Final = 1000
_FIELDS: Final = {
    "running": "running",
    "suspended": "suspended",
    "backing-off": "backing_off",
    "paused": "paused",
}


class RestateUnavailableError(Exception):
    """Restate didn't answer as it should: nothing is known of what it holds."""


class DiscoveryError(Exception):
    """Restate could not read what the endpoint serves; trying again may help."""


class RegistrationRefusedError(Exception):
    """Restate, or a check of ours, will not have this deployment; trying again won't help."""

    def __init__(self, message: str, reason: str = "RegistrationRefused") -> None:
        super().__init__(message)
        self.reason = reason


class RestateClient:
    """One Restate server's admin API. ``url`` is its base address."""

    def __init__(self, url: str, transport: httpx.AsyncBaseTransport | None = None) -> None:
        self.url = url
        self._http = httpx.AsyncClient(
            base_url=url, timeout=TIMEOUT, transport=transport, trust_env=False
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        tb: TracebackType | None,
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Let its connections go."""
        await self._http.aclose()

    async def deployments(self) -> tuple[Deployment, ...]:
        """All registered deployments."""
        answer = await self._ask("GET", "/deployments")
        return tuple(_deployment(row) for row in answer["deployments"])

    async def services(self) -> tuple[Service, ...]:
        """All services, each with the deployment that its new invocations go to."""
        answer = await self._ask("GET", "/services")
        return tuple(_service(row) for row in answer["services"])

    async def loads(self) -> dict[str, Load]:
        """What needs each deployment, by its id."""
        rows = [row for row in await self._query(LOADS_SQL) if row.get("deployment")]
        paused = any(row["status"] == "paused" for row in rows)
        stranded = Counter(row["deployment"] for row in await self._stranded()) if paused else {}
        by_deployment: dict[str, list[Row]] = {}
        for row in rows:
            by_deployment.setdefault(row["deployment"], []).append(row)
        return {
            deployment: _load(some, stranded.get(deployment, 0))
            for deployment, some in by_deployment.items()
        }

    async def _stranded(self) -> list[Row]:
        return await self._query(STRANDED_SQL)

    async def _query(self, sql: str) -> list[Row]:
        return list((await self._ask("POST", "/query", json={"query": sql}))["rows"])

    async def discover(
        self, uri: str, *, again: bool = False, allow_breaking: bool = False
    ) -> tuple[Service, ...]:
        """What a registration would bring, by a dry run: nothing changes.

        Raises as ``register``.
        """
        answer = await self._post_deployment(uri, {}, again or allow_breaking, dry_run=True)
        return tuple(_service(row) for row in answer["services"])

    async def register(
        self,
        uri: str,
        metadata: Mapping[str, str],
        *,
        again: bool = False,
        allow_breaking: bool = False,
    ) -> Deployment:
        """Discover an endpoint, register it, and give all its services' new invocations to it.

        ``again`` is for an address that is registered already, to take the routes back.
        ``allow_breaking`` lets a service change its type.

        Raises:
            DiscoveryError: the endpoint can't be reached or doesn't answer as an SDK does.
            RegistrationRefusedError: Restate refuses it (a changed service type, say).
            RestateUnavailableError: Restate itself didn't answer.
        """
        answer = await self._post_deployment(uri, metadata, again or allow_breaking, dry_run=False)
        return _deployment({"uri": uri, "metadata": metadata, **answer})

    async def _post_deployment(
        self, uri: str, metadata: Mapping[str, str], force: bool, *, dry_run: bool
    ) -> dict[str, Any]:
        body = {"uri": uri, "metadata": dict(metadata), "force": force, "dry_run": dry_run}
        response = await self._send("POST", "/deployments", json=body, timeout=REGISTER_TIMEOUT)
        if response.is_success:
            return self._json(response)
        code, message = _error(response)
        if response.status_code in {408, 425, 429}:
            raise RestateUnavailableError(f"{self.url} answered {response.status_code}: {message}")
        if response.is_client_error:
            raise RegistrationRefusedError(message)
        if code.startswith("META"):
            raise DiscoveryError(message)
        raise RestateUnavailableError(f"{self.url} answered {response.status_code}: {message}")

    async def deregister(self, deployment_id: str) -> None:
        """Forget a deployment, whatever still needs it; one that is gone already is fine."""
        response = await self._send(
            "DELETE", f"/deployments/{deployment_id}", params={"force": "true"}
        )
        if response.status_code != httpx.codes.NOT_FOUND:
            self._checked(response)

    async def resume_waiting(self, deployment_id: str) -> int:
        """Try at once what is pinned to a deployment and waits for its next try.

        Paused ones are included if they are so because nothing answered at the deployment's
        address, as happens when nobody woke it for hours: nobody else would ever resume them.

        Returns:
            How many invocations go on.
        """
        rows = await self._query(BACKING_OFF_SQL) + await self._stranded()
        ids = [row["id"] for row in rows if row["deployment"] == deployment_id]
        for start in range(0, len(ids), BATCH):
            body = {"invocation_ids": ids[start : start + BATCH]}
            path = "/internal/invocations_batch_operations/resume"
            self._checked(await self._send("POST", path, json=body))
        return len(ids)

    async def set_public(self, service: str, *, public: bool) -> None:
        """Let the ingress take new invocations of a service, or not; a missing one is fine."""
        response = await self._send("PATCH", f"/services/{service}", json={"public": public})
        if response.status_code != httpx.codes.NOT_FOUND:
            self._checked(response)

    async def _ask(self, method: str, path: str, **options: Any) -> dict[str, Any]:
        return self._json(self._checked(await self._send(method, path, **options)))

    async def _send(self, method: str, path: str, **options: Any) -> httpx.Response:
        try:
            return await self._http.request(
                method, path, headers={"accept": "application/json"}, **options
            )
        except httpx.HTTPError as error:
            detail = str(error) or type(error).__name__
            raise RestateUnavailableError(f"{self.url} can't be reached: {detail}") from error

    def _checked(self, response: httpx.Response) -> httpx.Response:
        if not response.is_success:
            _, message = _error(response)
            raise RestateUnavailableError(
                f"{self.url} answered {response.status_code} to"
                f" {response.request.method} {response.request.url.path}: {message}"
            )
        return response

    def _json(self, response: httpx.Response) -> dict[str, Any]:
        try:
            answer = response.json()
        except ValueError as error:
            raise RestateUnavailableError(f"{self.url} answered no JSON") from error
        if not isinstance(answer, dict):
            raise RestateUnavailableError(f"{self.url} answered no JSON object")
        return answer


def _deployment(row: Mapping[str, Any]) -> Deployment:
    return Deployment(
        id=row["id"],
        # A deployment on AWS Lambda has an ARN and no URI: it is nobody's revision of ours.
        uri=str(row.get("uri", "")).rstrip("/"),
        services=tuple(service["name"] for service in row.get("services", ())),
        metadata=dict(row.get("metadata") or {}),
    )


def _service(row: Row) -> Service:
    return Service(
        name=row["name"],
        deployment_id=row["deployment_id"],
        public=bool(row["public"]),
        type=row["ty"],
        handlers={handler["name"]: handler.get("ty") or "" for handler in row["handlers"]},
    )


def _load(rows: list[Row], stranded: int) -> Load:
    counts: dict[str, int] = {}
    for row in rows:
        field = _FIELDS.get(row["status"], "waiting")
        counts[field] = counts.get(field, 0) + int(row["n"])
    first = min(rows, key=lambda row: datetime.fromisoformat(row["since"]))
    return Load(
        counts=InvocationCounts(**counts),
        oldest=OldestInvocation(id=first["id"], target=first["target"], since=first["since"]),
        stranded=stranded,
    )


def _error(response: httpx.Response) -> tuple[str, str]:
    """Restate's own code (such as META0003) and words, or as much as there is."""
    try:
        answer = response.json()
    except ValueError:
        answer = None
    if isinstance(answer, dict):
        code = str(answer.get("restate_code") or "")
        message = str(answer.get("message") or answer)
        return code, f"{code}: {message}" if code and code not in message else message
    return "", response.text[:500] or response.reason_phrase

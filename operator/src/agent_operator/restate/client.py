"""Typed async client of the parts of Restate's admin API that the operator uses.

Facts behind it (admin API 2 to 4, server 1.7): ``POST /deployments`` with a known URI and without
``force`` answers 200 without looking at the endpoint; with ``force`` it keeps the id, discovers
anew and takes all routes, but accepts a changed service type too. ``DELETE`` works only with
``force=true``.
"""

import asyncio
import json
import logging
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from types import TracebackType
from typing import Any, Final, Literal, Self

import httpx

from agent_operator import metrics
from agent_operator.api import times
from agent_operator.api.status import InvocationCounts, OldestInvocation
from agent_operator.kube.errors import SecretError
from agent_operator.restate.access import Access, Credentials, tls_context
from agent_operator.restate.view import Deployment, Load, Service, Signs, StuckInvocation

log = logging.getLogger(__name__)

Row = Mapping[str, Any]

TIMEOUT: Final = httpx.Timeout(10.0, connect=3.0)
# Discovery of a pod that has just come up may take long: Restate itself gives up before this.
REGISTER_TIMEOUT: Final = httpx.Timeout(60.0, connect=3.0)

# Who needs a deployment: what is pinned to it; an attempt under way there that has no journal
# yet (unpinned); and what isn't pinned, but would go there next since the service routes to it.
_NEEDED_BY: Final = """
  case
    when i.pinned_deployment_id is not null then i.pinned_deployment_id
    when i.status in ('running', 'backing-off') and i.last_attempt_deployment_id is not null
      then i.last_attempt_deployment_id
    else s.deployment_id
  end as deployment
"""
_NOT_COMPLETED: Final = """
from sys_invocation i left join sys_service s on s.name = i.target_service_name
where i.status != 'completed'
"""
LOADS_SQL: Final = (
    "select"
    + _NEEDED_BY
    + """,
  i.status as status,
  count(1) as n,
  max(i.retry_count) as tries,
  min(i.created_at) as since,
  first_value(i.id order by i.created_at) as id,
  first_value(i.target order by i.created_at) as target
"""
    + _NOT_COMPLETED
    + "group by 1, 2"
)
NEEDED_SQL: Final = "select i.id as id," + _NEEDED_BY + _NOT_COMPLETED

# Restate's code for "nothing answers at the deployment's address".
UNANSWERED: Final = "RT0010"
# A paused invocation keeps no failure of its own, but its journal's events do. One that fails for
# long is running while it is tried again, and keeps its failure until it gets further. After an
# outage there are thousands: of each deployment some, and first those that wait for its pods alone.
STUCK_SQL: Final = """
select * from (
  select *,
    row_number() over (
      partition by deployment
      order by status = 'paused' and coalesce(event, '') like '%"{unanswered}"%' desc, since
    ) as place
  from (
    select i.id as id, i.target as target, i.status as status, i.created_at as since,
      coalesce(i.pinned_deployment_id, i.last_attempt_deployment_id) as deployment,
      i.last_failure as failure, i.last_failure_error_code as code,
      last_value(e.event_json order by e.appended_at) as event
    from sys_invocation i
      left join sys_journal_events e on e.id = i.id and e.event_type = 'Paused'
    where i.status = 'paused' or (i.status in ('running', 'backing-off')
      and i.retry_count >= {tries} and i.last_failure is not null)
    group by 1, 2, 3, 4, 5, 6, 7
  )
)
where place <= {of_each}
order by place, since
limit {in_all}
"""
STUCK_OF_EACH: Final = 500
STUCK_IN_ALL: Final = 5000
UNANSWERED_SQL: Final = """
select id, coalesce(pinned_deployment_id, last_attempt_deployment_id) as deployment
from sys_invocation
where status = 'backing-off' and last_failure_error_code = 'RT0010'
"""
ATTEMPTED_SQL: Final = """
select distinct last_attempt_deployment_id as deployment, cast(null as varchar) as id
from sys_invocation_state
"""
# By their keys, so that it costs the same however many invocations there are.
GOING_SQL: Final = """
union all
select cast(null as varchar) as deployment, id
from sys_invocation_status where id in ({ids}) and status != 'completed'
"""
LAST_TURN_SQL: Final = """
select max(modified_at) as last from sys_invocation
where coalesce(pinned_deployment_id, last_attempt_deployment_id) = '{}'
"""
DEPLOYMENT_ID: Final = re.compile(r"[A-Za-z0-9_]+")
BATCH: Final = 1000
# A target has the caller's key in it, which may be of any length.
TARGET_LENGTH: Final = 200
# Restate keeps all registrations under one key: of many changes at a time most meet another one,
# are tried again, and fail in the end. More than one, so that a slow endpoint holds up no other.
CHANGES_AT_ONCE: Final = 3
HIGHEST_PORT: Final = 65_535
# Restate's own word, and not that of a proxy in front of it.
_FINAL: Final = frozenset({400, 409, 422})
# From then on one fails for long.
_MANY_TRIES: Final = 10
_FIELDS: Final = {
    "running": "running",
    "suspended": "suspended",
    "backing-off": "backing_off",
    "paused": "paused",
}


UNREACHABLE: Final = "Unreachable"
CREDENTIALS_MISSING: Final = "CredentialsMissing"
CREDENTIALS_REFUSED: Final = "CredentialsRefused"
# Restate's own admin API knows no such answers: they are of a proxy, or of Restate Cloud.
_REFUSED: Final = frozenset({401, 403})


class RestateUnavailableError(Exception):
    """Restate didn't answer as it should: nothing is known of what it holds."""

    def __init__(self, message: str, reason: str = UNREACHABLE) -> None:
        super().__init__(message)
        self.reason = reason


class DiscoveryError(Exception):
    """Restate could not read what the endpoint serves; trying again may help."""


class RegistrationRefusedError(Exception):
    """Restate, or a check of ours, will not have this deployment; trying again won't help."""

    def __init__(self, message: str, reason: str = "RegistrationRefused") -> None:
        super().__init__(message)
        self.reason = reason


@dataclass(frozen=True)
class Calls:
    """How Restate is to call a deployment: over HTTP/1.1 if asked, with these headers."""

    http11: bool = False
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)

    def without_values(self, text: str) -> str:
        """What Restate says of a header is told to people; its value is not."""
        for value in filter(None, self.headers.values()):
            text = text.replace(value, "***")
        return text


USUAL: Final = Calls()


class RestateClient:
    """One Restate server's admin API. ``url`` is its base address.

    ``access`` is where its credentials come from, if it wants any.
    """

    def __init__(
        self,
        url: str,
        transport: httpx.AsyncBaseTransport | None = None,
        access: Access | None = None,
    ) -> None:
        self.url = url
        self._access = access
        self._tls = Credentials().tls
        self._transport = transport
        self._clients: list[httpx.AsyncClient] = []
        self._changes = asyncio.Semaphore(CHANGES_AT_ONCE)

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
        for http in self._clients:
            await http.aclose()

    async def deployments(self) -> tuple[Deployment, ...]:
        """All registered deployments."""
        answer = await self._ask("GET", "/deployments")
        return tuple(_deployment(row) for row in answer["deployments"])

    async def services(self) -> tuple[Service, ...]:
        """All services, each with the deployment that its new invocations go to."""
        answer = await self._ask("GET", "/services")
        return tuple(_service(row) for row in answer["services"])

    async def signs(self, witnesses: Iterable[str] = ()) -> Signs:
        """What stirs, and which of the ``witnesses``, invocations, have not ended.

        One cheap question: answered from the invoker's memory, and by key.
        """
        ids = ", ".join(quoted(text) for text in sorted(witnesses))
        rows = await self._query(ATTEMPTED_SQL + (GOING_SQL.format(ids=ids) if ids else ""))
        return Signs(
            tried=frozenset(row["deployment"] for row in rows if row.get("deployment")),
            going=frozenset(row["id"] for row in rows if row.get("id")),
        )

    async def last_turn(self, deployment_id: str) -> datetime | None:
        """When an invocation at a deployment last got on, completed ones that are kept included."""
        if not DEPLOYMENT_ID.fullmatch(deployment_id):
            raise RestateUnavailableError(f"{deployment_id!r} is no id of a deployment")
        rows = await self._query(LAST_TURN_SQL.format(deployment_id))
        last = rows[0].get("last") if rows else None
        return times.parse(last) if last else None

    async def loads(self) -> dict[str, Load]:
        """What needs each deployment, by its id."""
        rows = [row for row in await self._query(LOADS_SQL) if row.get("deployment")]
        stuck = await self._stuck() if any(map(_may_be_stuck, rows)) else {}
        by_deployment: dict[str, list[Row]] = {}
        for row in rows:
            by_deployment.setdefault(row["deployment"], []).append(row)
        return {
            deployment: _load(some, tuple(stuck.get(deployment, ())))
            for deployment, some in by_deployment.items()
        }

    async def _stuck(self) -> dict[str, list[StuckInvocation]]:
        found: dict[str, list[StuckInvocation]] = {}
        try:
            rows = await self._query(stuck_sql())
        except RestateUnavailableError as error:
            # An older server may lack a column; nothing is decided on this alone.
            log.warning("can't tell what is stuck: %s", error)
            return found
        for row in sorted(rows, key=lambda row: datetime.fromisoformat(row["since"])):
            found.setdefault(row.get("deployment", ""), []).append(_stuck(row))
        return found

    async def query(self, sql: str) -> list[Row]:
        """The rows that a question to Restate's tables finds; nulls are left out of them."""
        return await self._query(sql)

    async def control(self, invocation: str, operation: str, **params: str) -> httpx.Response:
        """Ask Restate to pause, resume, kill or restart one invocation; a refusal is an answer.

        Raises:
            RestateUnavailableError: Restate didn't answer, or is in trouble itself.
        """
        path = f"/invocations/{invocation}/{operation}"
        response = await self._send("PATCH", path, params=params)
        return self._checked(response) if response.is_server_error else response

    async def _query(self, sql: str) -> list[Row]:
        return list((await self._ask("POST", "/query", json={"query": sql}))["rows"])

    async def discover(
        self, uri: str, *, again: bool = False, allow_breaking: bool = False, calls: Calls = USUAL
    ) -> tuple[Service, ...]:
        """What a registration would bring, by a dry run: nothing changes.

        Raises as ``register``.
        """
        body = _registration(uri, {}, calls, force=again or allow_breaking, dry_run=True)
        answer = await self._post_deployment(body, calls)
        return tuple(_service(row) for row in answer["services"])

    async def register(
        self,
        uri: str,
        metadata: Mapping[str, str],
        *,
        again: bool = False,
        allow_breaking: bool = False,
        calls: Calls = USUAL,
    ) -> Deployment:
        """Discover an endpoint, register it, and give all its services' new invocations to it.

        ``again`` is for an address that is registered already, to take the routes back.
        ``allow_breaking`` lets a service change its type. What ``calls`` doesn't say is as usual,
        whatever an earlier registration said.

        Raises:
            DiscoveryError: the endpoint can't be reached or doesn't answer as an SDK does.
            RegistrationRefusedError: Restate refuses it (a changed service type, say).
            RestateUnavailableError: Restate itself didn't answer.
        """
        body = _registration(uri, metadata, calls, force=again or allow_breaking, dry_run=False)
        async with self._changes:
            answer = await self._post_deployment(body, calls)
        return _deployment({"uri": uri, "metadata": metadata, **answer})

    async def _post_deployment(self, body: Row, calls: Calls) -> dict[str, Any]:
        response = await self._send("POST", "/deployments", json=body, timeout=REGISTER_TIMEOUT)
        if response.is_success:
            return self._json(response)
        code, message = _error(response)
        message = calls.without_values(message)
        if code and response.status_code in _FINAL:
            raise RegistrationRefusedError(message)
        if code.startswith("META"):
            raise DiscoveryError(message)
        raise RestateUnavailableError(f"{self.url} answered {response.status_code}: {message}")

    async def deregister(self, deployment_id: str) -> None:
        """Forget a deployment, whatever still needs it; one that is gone already is fine."""
        path = f"/deployments/{deployment_id}"
        async with self._changes:
            response = await self._send("DELETE", path, params={"force": "true"})
        if response.status_code != httpx.codes.NOT_FOUND:
            self._checked(response)

    async def resume_unanswered(self, deployment_id: str) -> int:
        """Try at once what got no answer at a deployment's address before, pinned to it or not.

        Paused ones are included: nobody woke the deployment for hours, and nobody else would ever
        resume them. What failed for a reason of its own waits for its own time.

        Returns:
            How many invocations go on.
        """
        rows = await self._query(UNANSWERED_SQL)
        stuck = (await self._stuck()).get(deployment_id, [])
        ids = [row["id"] for row in rows if row.get("deployment") == deployment_id]
        ids += [found.id for found in stuck if found.paused and found.unanswered]
        await self._batch("resume", ids)
        return len(ids)

    async def end_invocations(self, deployment_id: str, how: Literal["cancel", "kill"]) -> int:
        """Cancel or kill all that needs a deployment, by the rule of ``LOADS_SQL``.

        Returns:
            How many invocations Restate was asked to end.
        """
        rows = await self._query(NEEDED_SQL)
        ids = [row["id"] for row in rows if row.get("deployment") == deployment_id]
        await self._batch(how, ids)
        return len(ids)

    async def _batch(self, operation: str, ids: Sequence[str]) -> None:
        for start in range(0, len(ids), BATCH):
            body = {"invocation_ids": ids[start : start + BATCH]}
            path = f"/internal/invocations_batch_operations/{operation}"
            self._checked(await self._send("POST", path, json=body))

    async def set_public(self, service: str, *, public: bool) -> None:
        """Let the ingress take new invocations of a service, or not; a missing one is fine."""
        response = await self._send("PATCH", f"/services/{service}", json={"public": public})
        if response.status_code != httpx.codes.NOT_FOUND:
            self._checked(response)

    async def _ask(self, method: str, path: str, **options: Any) -> dict[str, Any]:
        return self._json(self._checked(await self._send(method, path, **options)))

    async def _send(self, method: str, path: str, **options: Any) -> httpx.Response:
        try:
            response = await self._request(method, path, **options)
            if response.status_code in _REFUSED and self._access and await self._access.changed():
                response = await self._request(method, path, **options)
        except SecretError as error:
            raise RestateUnavailableError(
                f"{self.url} was not asked: {error}", CREDENTIALS_MISSING
            ) from error
        except httpx.InvalidURL as error:
            raise RestateUnavailableError(
                f"{self.url} is no address to connect to ({error}): correct spec.restate, or the"
                " operator's RESTATE_ADMIN_URL"
            ) from error
        except httpx.HTTPError as error:
            if self._access:
                self._access.forget()  # what the TLS of a server refuses may have been replaced
            detail = _words(error) or type(error).__name__
            raise RestateUnavailableError(f"{self.url} can't be reached: {detail}") from None
        if response.status_code in _REFUSED:
            hint = "the credentials in spec.restate" if self._access else "it wants credentials"
            sent = response.request.headers.get("authorization", "").removeprefix("Bearer ")
            words = _error(response)[1]
            raise RestateUnavailableError(
                f"{self.url} answered {response.status_code} to {method} {path}; check"
                f" {hint} (its words: {words.replace(sent, '***') if sent else words})",
                CREDENTIALS_REFUSED,
            )
        return response

    async def _request(self, method: str, path: str, **options: Any) -> httpx.Response:
        headers = {"accept": "application/json"}
        credentials = await self._access.credentials() if self._access else Credentials()
        if credentials.token:
            headers["authorization"] = f"Bearer {credentials.token}"
        http = self._connected(credentials)
        with metrics.restate_request(method, path) as answered:
            response = await http.request(method, path, headers=headers, **options)
            answered(response.status_code)
            return response

    def _connected(self, credentials: Credentials) -> httpx.AsyncClient:
        """Connect anew where certificates have changed; what is under way ends as it began."""
        if not self._clients or credentials.tls != self._tls:
            verify = tls_context(credentials) if any(credentials.tls) else True
            http = httpx.AsyncClient(
                # Parsed only now: one that can't be is told like one that doesn't answer.
                base_url=_base(self.url),
                timeout=TIMEOUT,
                transport=self._transport,
                verify=verify,
                trust_env=False,
            )
            self._clients.append(http)
            self._tls = credentials.tls
        return self._clients[-1]

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


def _base(url: str) -> httpx.URL:
    """An address to connect to; httpx takes any number for a port.

    Raises:
        httpx.InvalidURL: it is none.
    """
    base = httpx.URL(url)
    if base.port is not None and base.port > HIGHEST_PORT:
        raise httpx.InvalidURL(f"Invalid port: '{base.port}'")
    return base


def _words(error: httpx.HTTPError) -> str:
    """What to tell of a request that got no answer."""
    quotes = isinstance(error, httpx.LocalProtocolError)  # headers of ours, with the token
    return "" if quotes else str(error)


def _registration(
    uri: str, metadata: Mapping[str, str], calls: Calls, *, force: bool, dry_run: bool
) -> dict[str, Any]:
    body = {"uri": uri, "metadata": dict(metadata), "force": force, "dry_run": dry_run}
    if calls.http11:
        body["use_http_11"] = True
    if calls.headers:
        body["additional_headers"] = dict(calls.headers)
    return body


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


def _may_be_stuck(row: Row) -> bool:
    return row["status"] == "paused" or int(row.get("tries") or 0) >= _MANY_TRIES


def stuck_sql(of_each: int = STUCK_OF_EACH, in_all: int = STUCK_IN_ALL) -> str:
    """What is stuck: so many of each deployment at most, and in all."""
    return STUCK_SQL.format(
        unanswered=UNANSWERED, tries=_MANY_TRIES, of_each=of_each, in_all=in_all
    )


def _stuck(row: Row) -> StuckInvocation:
    paused = row["status"] == "paused"
    error, code = row.get("failure", ""), row.get("code", "")
    if paused:
        last = json.loads(row.get("event") or "{}").get("last_failure") or {}
        error, code = last.get("error_message", ""), last.get("restate_doc_error_code", "")
    return StuckInvocation(row["id"], _target(row), paused, code == UNANSWERED, error)


def _target(row: Row) -> str:
    target = str(row["target"])
    return target if len(target) <= TARGET_LENGTH else f"{target[: TARGET_LENGTH - 1]}…"


def quoted(text: str) -> str:
    """A text as SQL has it."""
    return "'" + text.replace("'", "''") + "'"


def _load(rows: list[Row], stuck: tuple[StuckInvocation, ...]) -> Load:
    counts: dict[str, int] = {}
    for row in rows:
        field = _FIELDS.get(row["status"], "waiting")
        counts[field] = counts.get(field, 0) + int(row["n"])
    first = min(rows, key=lambda row: datetime.fromisoformat(row["since"]))
    return Load(
        counts=InvocationCounts(**counts),
        oldest=OldestInvocation(id=first["id"], target=_target(first), since=first["since"]),
        stuck=stuck,
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

"""Runs ``python -m agent_service`` as a process of its own, and talks to it through Restate."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import httpx

from hack.restate import ROOT, RestateServer, free_ports

AGENTS = "tests.integration.agent_service.agents"
START_SECONDS = 60.0


def wait_until[T](what: str, look: Callable[[], T | None], seconds: float = 60.0) -> T:
    """Looks again and again until there is something to see."""
    deadline = time.monotonic() + seconds
    while True:
        found = look()
        if found:
            return found
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {seconds:.0f} s: {what}")
        time.sleep(0.05)


class Restate:
    """The calls that tests make to a Restate server."""

    def __init__(self, server: RestateServer) -> None:
        self.server = server
        self.http = httpx.Client(timeout=90.0, trust_env=False)

    def turn(self, agent: str, session: str, message: str) -> httpx.Response:
        """Runs a turn and waits for its answer."""
        return self.call(agent, session, "turn", {"message": message})

    def call(self, agent: str, session: str, handler: str, body: Any = None) -> httpx.Response:
        """Calls a handler."""
        url = f"{self.server.ingress_url}/{agent}/{session}/{handler}"
        return self.http.post(url) if body is None else self.http.post(url, json=body)

    def send(self, agent: str, session: str, message: str) -> str:
        """Starts a turn; returns its invocation id."""
        answer = self.call(agent, session, "turn/send", {"message": message})
        return str(answer.raise_for_status().json()["invocationId"])

    def result(self, invocation: str) -> httpx.Response:
        """Waits for a turn that was started before."""
        return self.http.get(f"{self.server.ingress_url}/restate/invocation/{invocation}/attach")

    def query(self, sql: str) -> list[dict[str, Any]]:
        """Runs SQL."""
        answer = self.http.post(
            f"{self.server.admin_url}/query",
            json={"query": sql},
            headers={"accept": "application/json"},
        )
        rows: list[dict[str, Any]] = answer.raise_for_status().json()["rows"]
        return rows

    def wait_suspended(self, invocation: str) -> None:
        """Waits until a turn sleeps."""
        sql = f"select status from sys_invocation where id = '{invocation}'"
        wait_until(
            "the turn is suspended", lambda: self.query(sql) == [{"status": "suspended"}] or None
        )

    def wait_approval(self, agent: str, session: str) -> dict[str, Any]:
        """Waits until a session has a pending approval, and returns it."""

        def look() -> dict[str, Any] | None:
            found: list[dict[str, Any]] = (
                self.call(agent, session, "approvals").raise_for_status().json()
            )
            return found[0] if found else None

        return wait_until("an approval is pending", look)

    def messages(self, agent: str, session: str) -> list[tuple[str, str]]:
        """Returns role and text of a session's messages."""
        history = self.call(agent, session, "history").raise_for_status().json()
        return [(message["role"], message["text"]) for message in history["messages"]]


class Endpoint:
    """One process that serves agents; it may be killed and started again on its port."""

    def __init__(
        self, agents: Sequence[str], model_url: str, folder: Path, env: Mapping[str, str]
    ) -> None:
        self.port = free_ports(1)[0]
        self.trace = folder / "trace.txt"
        self.log = folder / "endpoint.log"
        self._agents = list(agents)
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("GOOGLE_", "AGENT_"))}
        self._env = kept | {
            "PORT": str(self.port),
            "GOOGLE_GEMINI_BASE_URL": model_url,
            "AGENT_METRICS_PORT": "0",
            "TEST_TRACE": str(self.trace),
            **env,
        }
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """Where Restate finds it."""
        return f"http://127.0.0.1:{self.port}"

    def start(self, env: Mapping[str, str] | None = None, probe: str = "/health") -> Self:
        """Starts the process and waits until it answers; ``env`` is changed from now on."""
        self._env.update(env or {})
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "agent_service", *self._agents],
                env=self._env,
                cwd=ROOT,
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        wait_until("the endpoint answers", lambda: self._answers(probe), START_SECONDS)
        return self

    def register(self, restate: Restate, *, whole_calls: bool = False) -> None:
        """Registers it with Restate as the latest deployment.

        Args:
            restate: with which one.
            whole_calls: whether each attempt ends where it waits, and the next one replays all.
        """
        body = {"uri": self.url, "force": True, "use_http_11": whole_calls}
        answer = restate.http.post(f"{restate.server.admin_url}/deployments", json=body)
        assert answer.is_success, answer.text

    def kill(self) -> None:
        """Kills the process without notice."""
        self._stop(signal.SIGKILL)

    def terminate(self) -> int:
        """Asks the process to stop, and returns its exit code."""
        return self._stop(signal.SIGTERM)

    def traced(self) -> list[str]:
        """Returns the side effects of the agents' steps so far."""
        return self.trace.read_text().splitlines() if self.trace.exists() else []

    def _stop(self, signum: signal.Signals) -> int:
        process, self.process = self.process, None
        if process is None:
            return 0
        process.send_signal(signum)
        try:
            return process.wait(60)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            raise AssertionError(
                f"the endpoint did not stop:\n{self.log.read_text()[-3000:]}"
            ) from None

    def health(self) -> httpx.Response:
        """Asks as a readiness probe does."""
        return httpx.get(f"{self.url}/health", trust_env=False, timeout=10)

    def _answers(self, probe: str) -> bool:
        assert self.process is not None
        assert self.process.poll() is None, self.log.read_text()[-3000:]
        try:
            return httpx.get(f"{self.url}{probe}", trust_env=False).is_success
        except httpx.HTTPError:
            return False

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.kill()

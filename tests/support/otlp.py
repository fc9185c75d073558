"""An OTLP receiver: what a collector is to the processes under test."""

from __future__ import annotations

import gzip
import threading
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest


@dataclass(frozen=True)
class SeenSpan:
    """One span as it was sent."""

    trace: str
    id: str
    parent: str
    name: str
    start: int
    end: int
    failed: bool
    attributes: dict[str, Any]
    resource: dict[str, Any]
    raw: str


class Collector:
    """Listens on a free port of this machine for spans."""

    def __init__(self) -> None:
        self._spans: list[SeenSpan] = []
        self._lock = threading.Lock()
        take = self._take

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                if self.headers.get("content-encoding") == "gzip":
                    body = gzip.decompress(body)
                take(self.path, body)
                self.send_response(200)
                self.send_header("content-type", "application/x-protobuf")
                self.send_header("content-length", "0")
                self.end_headers()

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def spans(self, name: str = "") -> list[SeenSpan]:
        """Returns the spans so far, of one name or of all."""
        with self._lock:
            return [span for span in self._spans if name in ("", span.name)]

    def of_trace(self, trace: str) -> list[SeenSpan]:
        """Returns a trace's spans so far, in the order in which they came."""
        return [span for span in self.spans() if span.trace == trace]

    def _take(self, path: str, body: bytes) -> None:
        assert path == "/v1/traces", path
        with self._lock:
            self._spans.extend(spans_in(body))


def spans_in(body: bytes) -> Iterator[SeenSpan]:
    """The spans of one OTLP request, as protobuf has it."""
    for group in ExportTraceServiceRequest.FromString(body).resource_spans:
        resource = _plain(group.resource.attributes)
        for scope in group.scope_spans:
            yield from (_seen(span, resource) for span in scope.spans)


def _seen(span: Any, resource: dict[str, Any]) -> SeenSpan:
    return SeenSpan(
        trace=span.trace_id.hex(),
        id=span.span_id.hex(),
        parent=span.parent_span_id.hex(),
        name=span.name,
        start=span.start_time_unix_nano,
        end=span.end_time_unix_nano,
        failed=span.status.code == 2,
        attributes=_plain(span.attributes),
        resource=resource,
        raw=str(span),
    )


def _plain(attributes: Any) -> dict[str, Any]:
    return {each.key: getattr(each.value, each.value.WhichOneof("value")) for each in attributes}


def assert_one_tree(spans: list[SeenSpan], above: str = "") -> SeenSpan:
    """Checks that spans make one tree with each of them once; returns its root.

    Args:
        spans: a trace's.
        above: the id that the root hangs below, if it isn't known to be the root.
    """
    many = [(s.name, s.id) for s in spans if Counter(each.id for each in spans)[s.id] > 1]
    assert not many, f"sent more than once: {many}"
    ids = {span.id for span in spans}
    loose = [span for span in spans if span.parent not in ids]
    assert len(loose) == 1, [(span.name, span.parent) for span in loose]
    assert loose[0].parent == above
    return loose[0]

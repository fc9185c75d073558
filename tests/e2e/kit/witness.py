"""A pod that sees what others do: ``python -m kit.witness``.

Tools tell it what they do and ask it whether they may go on, so that a test knows when to kill
their pod, and what was done in all. It takes spans as well, as a collector does.

============================ ===================================================================
``POST /notes``              a line, as plain text
``GET /notes``               all lines, as a JSON list, oldest first
``POST /released/NAME``      whoever asks for this name may go on
``GET /released/NAME``       200: go on; 404: not yet
``POST /v1/traces``          OTLP
``GET /traces``              the bodies of those, in base64
============================ ===================================================================
"""

import base64
import gzip
import json
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

PORT = 8080

notes: list[str] = []
released: set[str] = set()
traces: list[str] = []


class Handler(BaseHTTPRequestHandler):
    """Its lists are appended to from many threads, which is safe."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        if self.path == "/notes":
            self._answer(200, notes)
        elif self.path == "/traces":
            self._answer(200, traces)
        else:
            self._answer(200 if self.path in released or self.path == "/health" else 404)

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("content-length", 0)))
        if self.headers.get("content-encoding") == "gzip":
            body = gzip.decompress(body)
        if self.path == "/notes":
            notes.append(body.decode())
        elif self.path == "/v1/traces":
            traces.append(base64.b64encode(body).decode())
        else:
            released.add(self.path)
        self._answer(200)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        pass

    def _answer(self, status: int, value: object = None) -> None:
        body = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


if __name__ == "__main__":
    ThreadingHTTPServer(("0.0.0.0", PORT), Handler).serve_forever()

"""`lease hold` against an API of the test's own, which answers as a relay may and as no relay does."""

from __future__ import annotations

import contextlib
import http.server
import json
import queue
import signal
import ssl
import subprocess
import threading
from collections.abc import Iterable, Iterator
from pathlib import Path

from leasing import CLIENT, DEADLINE_S, RELAY, make_certificate, wait_until


class ScriptedApi(http.server.BaseHTTPRequestHandler):
    """Answers with what the test has put in ``server.answers``, and notes what it was asked."""

    server: ScriptedServer

    def do_POST(self) -> None:
        self.server.asked.put(f"{self.command} {self.path}")
        status, said = self.server.answers.pop(0)
        lease = {"id": "abc", "seconds-left": said}
        body = said if isinstance(said, bytes) else json.dumps(lease if status < 300 else {"error": "not now"}).encode()
        self.rfile.read(int(self.headers.get("content-length", 0)))
        self.send_response(status)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_DELETE = do_POST

    def log_message(self, *_: object) -> None: ...


class ScriptedServer(http.server.HTTPServer):
    """An API with answers of the test's own."""

    def __init__(self, directory: Path, answers: Iterable[tuple[int, float | bytes]]) -> None:
        super().__init__(("127.0.0.1", 0), ScriptedApi)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(directory / "certificate.pem", directory / "key.pem")
        self.socket = context.wrap_socket(self.socket, server_side=True)
        self.answers = list(answers)
        self.asked: queue.SimpleQueue[str] = queue.SimpleQueue()


@contextlib.contextmanager
def scripted(
    directory: Path, answers: Iterable[tuple[int, float | bytes]]
) -> Iterator[tuple[ScriptedServer, list[str]]]:
    """The API meanwhile, and the command that holds a lease of it."""
    make_certificate(directory)
    (directory / "token").write_text("a token")
    with ScriptedServer(directory, answers) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        command = [
            *RELAY, "lease", "hold", f"https://127.0.0.1:{server.server_port}", "--token", str(directory / "token"),
            "--feed", "quotes", "--to", f"main={CLIENT}:20001", "--cafile", str(directory / "certificate.pem"),
        ]  # fmt: skip
        try:
            yield server, command
        finally:
            server.shutdown()
            thread.join()


def test_a_holder_whom_the_relay_cannot_answer_now_asks_again_while_the_lease_lives(tmp_path: Path) -> None:
    script = [(201, 1.0), (200, 6.0), (503, 0), (429, 0), (200, 3600.0), (204, 0)]
    with (
        scripted(tmp_path, script) as (server, command),
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as holding,
    ):
        asked = [server.asked.get(timeout=DEADLINE_S) for _ in range(5)]
        wait_until(lambda: len(server.answers) == 1)
        holding.send_signal(signal.SIGTERM)
        _, said = holding.communicate(timeout=DEADLINE_S)
    assert asked == ["POST /v1/leases", *["POST /v1/leases/abc/renew"] * 4]
    assert (holding.returncode, server.asked.get_nowait()) == (0, "DELETE /v1/leases/abc")
    assert [code in said for code in (": 503: not now", ": 429: not now")] == [True, True]


OTHERS = [
        (b"[]", "[]"),
        (b"7", "7"),
        (b'"not here"', '"not here"'),
        (b'{"detail": "not here"}', '{"detail": "not here"}'),
        (b'{"error": {"code": 7}}', '{"error": {"code": 7}}'),
        (b'{"error": "not here", "mistakes": 7}', "not here"),
        (b'{"error": "not here", "mistakes": ["first", 2]}', "not here\nfirst\n2"),
        (b"[" * 100_000, "[" * 200),
]  # fmt: skip


def test_what_another_than_a_relay_answers_is_shown(tmp_path: Path) -> None:
    with scripted(tmp_path, [(403, body) for body, _ in OTHERS]) as (_, command):
        for body, shown in OTHERS:
            refused = subprocess.run(command, capture_output=True, text=True, check=False, timeout=DEADLINE_S)
            assert (refused.returncode, refused.stderr.partition(": 403: ")[2]) == (1, f"{shown}\n"), body[:80]

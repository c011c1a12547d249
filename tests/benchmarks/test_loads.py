"""What the public load tools send, and what is read from their reports."""

from __future__ import annotations

import shutil
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from tests.benchmarks.calls import Call
from tests.benchmarks.loads import NoLoad, closed_loop, h2load_sample, wrk_sample

H2LOAD = (
    "finished in 1.00s\ntraffic: 1.2KB (1200) total, 300B (300) headers (space savings 9%), 90B ({}) data\n"
)
LOG = ["1795183419 200 1500", "1795183420 200 500", "1795183421 200 1000"]


def wrk_report(**changed) -> dict[str, float]:
    told = {
        "answers": 3,
        "us": 2_000_000,
        "p50_us": 600_000,
        "p99_us": 900_000,
        "mean_us": 500_000,
        "errors": 0,
    }
    return {**told, **changed}


def test_wrk_of_one_connection_is_told_by_its_mean_latency() -> None:
    """In two seconds three answers of half a second each: the fourth was under way and is not lost."""
    assert wrk_sample(wrk_report(), 1, 0.5).per_s == 2
    many = wrk_sample(wrk_report(), 4, 0.5)
    assert (many.per_s, many.p50_ms, many.p99_ms, many.load_share) == (1.5, 600, 900, 0.5)


@pytest.mark.parametrize("changed", [{"answers": 0}, {"errors": 3}])
def test_wrk_without_a_right_answer_is_no_load(changed) -> None:
    with pytest.raises(NoLoad, match="answers"):
        wrk_sample(wrk_report(**changed), 4, 0)


def test_h2load_counts_answers_without_a_message_as_errors() -> None:
    right = h2load_sample(H2LOAD.format(90), LOG, 30, 0.5, 0.25)
    assert (right.per_s, right.p50_ms, right.p99_ms, right.errors) == (6, 1, 1.5, 0)
    assert h2load_sample(H2LOAD.format(60), LOG, 30, 0.5, 0.25).errors == 1
    with pytest.raises(NoLoad, match="3 of 3 answers had no message"):
        h2load_sample(H2LOAD.format(0), LOG, 30, 0.5, 0.25)


def test_h2load_without_an_answer_is_no_load() -> None:
    with pytest.raises(NoLoad):
        h2load_sample(H2LOAD.format(0), [], 30, 0.5, 0.25)


@pytest.fixture
def server():
    """Answers everything, and keeps what it was sent."""
    sent: set[tuple[str, bytes, str]] = set()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            sent.add((self.path, body, self.headers["X-Name"]))
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_arguments) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as started:
        serving = threading.Thread(target=started.serve_forever)
        serving.start()
        yield f"http://127.0.0.1:{started.server_port}", sent
        started.shutdown()
        serving.join()


@pytest.mark.skipif(shutil.which("wrk") is None, reason="the test needs wrk")
@pytest.mark.parametrize("count", [1, 2])
def test_wrk_sends_each_call_with_its_path_body_and_headers(server, count) -> None:
    url, sent = server
    calls = [Call(f"{url}/{number}", b"{%d}" % number, headers={"X-Name": "a: b"}) for number in range(count)]
    sample = closed_loop(calls, 2, 1, ())
    assert sample.errors == 0
    assert sent == {(f"/{number}", b"{%d}" % number, "a: b") for number in range(count)}

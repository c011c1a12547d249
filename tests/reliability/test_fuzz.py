"""Coverage-guided fuzzing of what reads strangers' bytes; each target in a process of its own."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from jupyter_tfserve.dataplane.http2.frames import (
    CONTINUATION,
    DATA,
    END_HEADERS,
    END_STREAM,
    HEADERS,
    ErrorCode,
    Setting,
    frame,
    rst_stream_frame,
    settings_frame,
    window_update_frame,
)
from tests.dataplane.http2_peer import head, message
from tests.reliability.lines import SEED

ROOT = Path(__file__).parents[2]
RUNS = int(os.environ.get("TFSERVE_FUZZ_RUNS", "100000"))


SEEDS = {
    "json": (
        b'{"instances": [{"x": [1.0, -2e3], "s": "a"}, {"x": [0.5, 7], "s": {"b64": "AAAA"}}]}',
        b'{"signature_name": "s", "inputs": {"x": [[NaN, null], [true, Infinity]], "s": ["\\u00e9\\n"]}}',
        b'{"context": {"a": 1}, "examples": [{"x": [20.0]}, {"y": ["z"], "b": {"b64": "//8="}}]}',
    ),
    "tensor": (
        b"\x08\x01\x12\x04\x12\x02\x08\x02\x22\x08\0\0\x80\x3f\0\0\0\x40",
        b"\x08\x07\x12\x04\x12\x02\x08\x02\x42\x01a\x42\x02bc",
        b"\x08\x01\x12\x09\x12\x07\x08\x80\x80\x80\x80\x01\x2a\x04\0\0\x80\x3f",
    ),
    "http": (
        b"POST /v1/models/m:predict HTTP/1.1\r\nHost: localhost\r\nContent-Length: 3\r\n\r\nabcGET / HTTP/1.1\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n3;x=y\r\nabc\r\n0\r\nT: 1\r\n\r\n",
        b"GET http://localhost/a HTTP/1.0\r\nConnection: upgrade\r\nExpect: 100-continue\r\nOrigin: null\r\n\r\n",
    ),
    "http2": (
        head(1, path="/a") + frame(DATA, END_STREAM, 1, message(b"abc")),
        head(1, path="/b") + frame(DATA, 0, 1, message(b"a") + message(b"b")) + window_update_frame(1, 1),
        settings_frame({Setting.INITIAL_WINDOW_SIZE: 1})
        + head(1, path="/a")
        + rst_stream_frame(1, ErrorCode.CANCEL),
        frame(HEADERS, 0, 1, b"\x83\x86\x41\x01a")
        + frame(CONTINUATION, END_HEADERS, 1, b"\x44\x02/a\x5f\x01b"),
    ),
}


@pytest.mark.nightly
@pytest.mark.parametrize("target", ["json", "tensor", "http", "http2"])
def test_parsers_raise_only_their_errors_when_fuzzed(tmp_path, record_case, target) -> None:
    pytest.importorskip("atheris", reason="pip install '.[fuzz]'")
    command = [sys.executable, "-m", "tests.reliability.fuzz_targets", target]
    limits = [f"-runs={RUNS}", f"-seed={SEED}", "-max_len=512", "-rss_limit_mb=2048", "-timeout=20"]
    for number, seed in enumerate(SEEDS[target]):
        (tmp_path / str(number)).write_bytes(seed)
    artifacts = f"-artifact_prefix={tmp_path}/crash-"
    done = subprocess.run(
        [*command, *limits, artifacts, str(tmp_path)], cwd=ROOT, capture_output=True, check=False
    )
    told = done.stderr.decode(errors="replace")
    assert done.returncode == 0, told[-3000:]
    (runs,) = re.findall(r"Done (\d+) runs", told)
    assert int(runs) >= RUNS
    record_case("L15" if target == "tensor" else "L8", f"crashes of {target}", 0, f"in {int(runs):,} inputs")

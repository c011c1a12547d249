"""What must hold after every case, whatever it was: asked of a running engine from outside.

O1 a good model answers right; O2 rows reach their caller (`rows_belong`); O3 one answer, one version (`version_of`);
O4 every request came to its end, and the engine counted it; O5 descriptors, threads and memory are back; O6 no trace,
token or path in answers; O7 the event loop's lag.
"""

from __future__ import annotations

import json
import re
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import httpx
import psutil

from tests.running_engine import RunningEngine

GOOD, GOOD_BODY, GOOD_ANSWER = "half_plus_two", '{"instances": [1.0, 2.0, 5.0]}', [2.5, 3.0, 4.5]
ASKERS = 8
REFUSED = (
    ("/v1/models/none:predict", "{}"),
    (f"/v1/models/{GOOD}:predict", '{"instances": ["x"]}'),
    (f"/v1/models/{GOOD}:predict", "{"),
    (f"/v1/models/{GOOD}/versions/999:predict", GOOD_BODY),
)
SETTLE_DEADLINE_S = 60
GROWTH = 1.05
ALLOCATOR_SLACK_BYTES = 16 * 2**20
"""Of an engine of some 70 MB: an allocator's arenas after a first peak, which no later one adds to."""


@dataclass(frozen=True)
class Resources:
    """What an engine's process holds."""

    resident_bytes: int
    descriptors: int
    threads: int

    @classmethod
    def of(cls, pid: int) -> Resources:
        process = psutil.Process(pid)
        with process.oneshot():
            return cls(process.memory_info().rss, process.num_fds(), process.num_threads())


class Oracles:
    """The standing questions to one engine, which serves `half_plus_two`. Made before the case."""

    def __init__(self, engine: RunningEngine) -> None:
        self.engine = engine
        self._secrets = (engine.connection.token, str(engine.log.parent))
        self._told = engine.log.stat().st_size
        self.slack_bytes = ALLOCATOR_SLACK_BYTES
        """What allocators may keep beyond the engine's growth; a case that asks for everything keeps more of it."""
        self.ask_good()
        self.before = Resources.of(engine.process.pid)

    def ask_good(self) -> float:
        """O1: seconds until the good model answered right."""
        began = time.perf_counter()
        answer = self.engine.rest.post(f"/v1/models/{GOOD}:predict", content=GOOD_BODY)
        took = time.perf_counter() - began
        assert answer.status_code == 200, answer.text
        assert answer.json() == {"predictions": GOOD_ANSWER}
        return took

    def counted(self) -> int:
        """O4: the requests that the engine says the good model has answered."""
        figures = self.engine.control.get("/control/figures").json()["models"]
        return sum(int(version["requests"]) for version in figures[GOOD].values())

    def check_rows(self) -> None:
        """O2: callers who ask at once get their own rows."""

        def ask(number: int) -> None:
            rows = [float(number * 100 + row) for row in range(number)]
            answer = client.post(f"/v1/models/{GOOD}:predict", json={"instances": rows})
            assert answer.status_code == 200, answer.text
            rows_belong(rows, answer.content)

        # A client of its own: the connections that it keeps go with it.
        url = self.engine.connection.rest_url or ""
        with (
            httpx.Client(base_url=url, timeout=60, trust_env=False) as client,
            ThreadPoolExecutor(ASKERS) as threads,
        ):
            list(threads.map(ask, range(1, ASKERS + 1)))

    def check_version(self) -> None:
        """O3: one answer is one version's, where a model is served that tells its own."""
        answer = self.engine.rest.post("/v1/models/version:predict", content='{"inputs": [[1.0], [2.0]]}')
        if answer.status_code != 404:
            version_of(answer.json()["outputs"])

    def left_behind(self) -> float:
        """O4: the requests that the engine still holds, in its queues or on its lanes; 0 if each came to its end."""
        page = self.engine.control.get("/monitoring/prometheus/metrics").text
        held = re.findall(
            r"^jupyter_tfserve_(?:requests_in_flight|queue_tasks|lanes_busy)\S* (\S+)$", page, re.M
        )
        assert held
        return sum(map(float, held))

    def check_refusals(self) -> None:
        """O6: what is refused tells nothing of the inside, and the log has no trace of a fault of ours."""
        for path, body in REFUSED:
            answer = self.engine.rest.post(path, content=body)
            assert 400 <= answer.status_code < 500, answer.text
            self.check_clean(answer.text)
        with self.engine.log.open("rb") as log:
            log.seek(self._told)
            text = log.read().decode(errors="replace")
        assert "Traceback" not in text, text[-3000:]

    def check_clean(self, text: str) -> None:
        """O6: nothing of the inside is in this answer or log line."""
        assert "Traceback" not in text, text[:400]
        assert re.search(r'File "/|site-packages', text) is None, text[:400]
        for secret in self._secrets:
            assert secret not in text, text[:400]

    def loop_lag_s(self) -> float:
        """O7: the largest lag of the engine's event loop in the last seconds."""
        page = self.engine.control.get("/monitoring/prometheus/metrics").text
        (found,) = re.findall(r"event_loop_lag_seconds\S* (\S+)", page)
        return float(found)

    def check(self, *, slack_bytes: int | None = None) -> Resources:
        """O1 to O6, as soon as the engine has settled; what it holds then."""
        assert self.engine.process.poll() is None, self.engine.log.read_text()
        self.ask_good()
        self.check_rows()
        self.check_version()
        self.check_refusals()
        slack_bytes = self.slack_bytes if slack_bytes is None else slack_bytes
        deadline = time.monotonic() + SETTLE_DEADLINE_S
        while True:
            now = Resources.of(self.engine.process.pid)
            has_settled = (
                now.descriptors <= self.before.descriptors + 2
                and now.threads <= self.before.threads + 2
                and now.resident_bytes <= self.before.resident_bytes * GROWTH + slack_bytes
                and self.left_behind() == 0
            )
            if has_settled:
                return now
            assert time.monotonic() < deadline, f"{self.before} before, {now} after"
            time.sleep(0.05)


def rows_belong(sent: list[float], body: bytes) -> None:
    """O2: half_plus_two's answer is that to these rows; numbers below 2^22 come through exactly."""
    assert json.loads(body)["predictions"] == [x / 2 + 2 for x in sent]


def version_of(outputs: dict[str, Any]) -> int:
    """O3: the one version that computed an answer of the model `version`."""
    (version,) = {row[0] for row in outputs["y"]} | set(outputs["version"])
    return int(version)

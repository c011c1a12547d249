"""Where one request's time went, for the few callers that ask: filled in on its way, from the wire to the wire.

A request without one pays nothing; so this is no return value of every step, which all requests would pay for.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(slots=True)
class Stopwatch:
    """One request's times in seconds. `began` and `run_began` are `time.perf_counter`'s.

    `run_s` is from the decoded inputs to the outputs, `queue_s` the wait for a lane, `compute_s` what the model's
    process took; the rest of `run_s` is batching: merging, the way to the worker and back, splitting.
    """

    began: float
    run_began: float = 0.0
    run_s: float = 0.0
    queue_s: float = 0.0
    compute_s: float = 0.0

    def split(self, now: float) -> dict[str, float]:
        """Seconds by stage, in the order of the way; they add up to the time since `began`."""
        # Pieces of a large request may have been computed side by side.
        compute_s = min(self.compute_s, max(self.run_s - self.queue_s, 0.0))
        batch_s = max(self.run_s - self.queue_s - compute_s, 0.0)
        encode_s = max(now - self.run_began - self.run_s, 0.0)
        return {
            "decode": self.run_began - self.began,
            "queue": self.queue_s,
            "batch": batch_s,
            "compute": compute_s,
            "encode": encode_s,
        }


def server_timing(watch: Stopwatch, now: float) -> str:
    """The split as a Server-Timing header's value, in milliseconds, the whole at its end."""
    stages = {**watch.split(now), "total": now - watch.began}
    return ", ".join(f"{name};dur={1000 * seconds:.4f}" for name, seconds in stages.items())

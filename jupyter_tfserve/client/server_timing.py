"""Where a request's time went, as the server's Server-Timing header tells it. Pure."""

from __future__ import annotations

from typing import Final

TIMING_HEADER: Final = "X-TFServe-Timing"
SERVER_TIMING: Final = "Server-Timing"
_DURATION: Final = "dur="


def parse_server_timing(text: str) -> dict[str, float]:
    """Seconds by stage, in the header's order. What is no stage with a duration is left out."""
    stages: dict[str, float] = {}
    for entry in text.split(","):
        name, *parameters = (part.strip() for part in entry.split(";"))
        for parameter in parameters:
            if name and parameter.startswith(_DURATION):
                try:
                    stages[name] = float(parameter.removeprefix(_DURATION)) / 1000
                except ValueError:
                    continue
    return stages

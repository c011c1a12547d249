"""States and figures of a made-up model, as a panel gets them."""

from __future__ import annotations

from jupyter_tfserve.engine.client_figures import FigurePoint, Figures, VersionFigures
from jupyter_tfserve.engine.client_state import EngineState, ModelState, State, VersionState
from jupyter_tfserve.notebook.panel.snapshot import Snapshot

NOW = 1_700_000_000.0


def model_state(versions, labels, policy, name="prices", problem=""):
    """`versions`: state by number."""
    states = tuple(VersionState(number, versions[number]) for number in sorted(versions, reverse=True))
    return ModelState(name, "/models/" + name, policy, labels, states, problem)


def version_figures(rate=0.0, p99_ms=None, points=()):
    history = tuple(FigurePoint(NOW - age, value, p99_ms) for age, value in points)
    return VersionFigures(
        requests=int(rate * 60),
        requests_per_second=rate,
        p99_ms=p99_ms,
        memory_bytes=24_000_000,
        disk_bytes=1_200,
        available_since=NOW - 90,
        devices=("CPU",),
        rows_per_batch=5.2,
        batch_rows=64,
        waiting=3,
        history=history,
    )


def snapshot_of(*models, rates=None, in_folder=(), events=(), problem=None):
    """The first model answered `rates`: requests a second by version."""
    engine = EngineState(1, "1.0", 1, NOW - 100, "http://127.0.0.1:8501", "127.0.0.1:8500", True)
    figures = {number: version_figures(rate) for number, rate in (rates or {}).items()}
    named = {models[0].name: figures} if models else {}
    return Snapshot(
        time=NOW,
        state=State(engine, models),
        figures=Figures(60.0, named),
        events=events,
        in_folder={model.name: in_folder for model in models},
        owner="this kernel",
        problem=problem,
    )

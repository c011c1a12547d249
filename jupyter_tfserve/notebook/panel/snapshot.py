"""What the panel knows of the engine at one moment. Values only."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from jupyter_tfserve.engine.client_figures import Figures
from jupyter_tfserve.engine.client_state import ModelState, State
from jupyter_tfserve.notebook.events import Event

NO_FIGURES: Final = Figures(60.0, {})


@dataclass(frozen=True, slots=True)
class Problem:
    """Why there is nothing newer to show, and the next step."""

    message: str
    hint: str = ""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The engine at `time`, in seconds since the epoch. With a `problem` it is what was known before.

    `in_folder`: the versions that lie in each model's folder. `log`: its last lines, if they were asked for.
    """

    time: float = 0.0
    state: State | None = None
    figures: Figures = NO_FIGURES
    events: tuple[Event, ...] = ()
    in_folder: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    log: str = ""
    owner: str = ""
    problem: Problem | None = None

    def model(self, name: str | None) -> ModelState | None:
        """The model of that name; None when it is not served."""
        models = () if self.state is None else self.state.models
        return next((model for model in models if model.name == name), None)

    def rate(self, model: str, version: int | None) -> float:
        """The version's requests a second over the last minute; 0 when nobody knows."""
        figures = None if version is None else self.figures.version(model, version)
        return 0.0 if figures is None else figures.requests_per_second

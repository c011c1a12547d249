"""Labels of models that were opened again: known, but not shown before the version they name can be asked."""

from __future__ import annotations

from collections.abc import Iterable

from jupyter_tfserve.lifecycle.config import ModelConfig


class ReopenedLabels:
    """Which labels of which models wait for their version. Event loop only."""

    def __init__(self) -> None:
        self._waiting: set[tuple[str, str]] = set()

    def hold_back(self, models: Iterable[ModelConfig]) -> None:
        """The labels of `models` wait from now on."""
        self._waiting.update((model.name, label) for model in models for label in model.labels)

    def shown(self, model: ModelConfig) -> dict[str, int]:
        """The labels of `model` that do not wait."""
        return {k: v for k, v in model.labels.items() if (model.name, k) not in self._waiting}

    def bring_back(self, model: ModelConfig, version: int) -> bool:
        """Lets those labels of `model` go that wait for `version`; whether there were any."""
        back = {(model.name, label) for label, named in model.labels.items() if named == version}
        came = bool(back & self._waiting)
        self._waiting -= back
        return came

    def forget(self, model: str, label: str) -> None:
        """Somebody moved or removed this label: it waits no more."""
        self._waiting.discard((model, label))

    def forget_model(self, model: str) -> None:
        """The model was closed."""
        self._waiting = {pair for pair in self._waiting if pair[0] != model}

    def forget_all(self) -> None:
        """A configuration said all labels anew."""
        self._waiting.clear()

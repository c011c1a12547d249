"""What Tab offers after `%tfserve`: commands, options, models, labels, versions, variables."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from jupyter_tfserve.engine.client_state import ModelState
from jupyter_tfserve.notebook.arguments import parser_of
from jupyter_tfserve.notebook.commands import AS_STARTED, PER_GPU, SUBCOMMANDS

MODEL_OPTIONS: Final = ("--model", "--name")

Models = Callable[[], tuple[ModelState, ...]]
"""The models that are served now; empty when nobody can say quickly."""


def complete(line: str, models: Models, namespace: Mapping[str, Any]) -> list[str]:
    """The words that may stand where the line ends; IPython drops those that do not fit it."""
    words = line.split()
    if line[-1:].isspace() or not line:
        words.append("")
    typed, last = words[1:-1], words[-1]
    if not typed:
        return list(SUBCOMMANDS)
    command, previous = typed[0], typed[-1]
    if command not in SUBCOMMANDS:
        return []
    if last.startswith("-"):
        return [option for option in parser_of(command)._option_string_actions if option.startswith("--")]
    offered = _option_values(command, previous, models)
    return _positional(command, last, models, namespace) if offered is None else offered


def _option_values(command: str, option: str, models: Models) -> list[str] | None:
    """What may follow an option; None when the word before is none that takes a known value."""
    action = parser_of(command)._option_string_actions.get(option)
    if action is not None and action.choices:
        return [str(choice) for choice in action.choices]
    if option in MODEL_OPTIONS:
        return [model.name for model in models()]
    return _labels(models()) if option == "--label" else None


def _positional(command: str, last: str, models: Models, namespace: Mapping[str, Any]) -> list[str]:
    """The words for the command's own argument; none for a command that is not in the table."""
    words: dict[str, Callable[[], list[str]]] = {
        "save": lambda: _savable(namespace),
        "label": lambda: _label_moves(last, models()),
        "unlabel": lambda: _labels(models()),
        "load": lambda: _versions(models()),
        "unload": lambda: _versions(models()),
        "panel": lambda: [model.name for model in models()],
        "versions": lambda: ["all", "latest", "specific"],
        "replicas": lambda: [PER_GPU, AS_STARTED],
        "batching": lambda: _names(models()),
        "tune": lambda: _targets(last, models()),
        "limit": lambda: _names(models()),
        "share": lambda: _names(models()),
        "query": lambda: _targets(last, models()),
        "bench": lambda: _targets(last, models()),
        "compare": lambda: _targets(last, models()),
        "snippet": lambda: _targets(last, models()),
    }
    return words.get(command, list)()


def _savable(namespace: Mapping[str, Any]) -> list[str]:
    return [name for name, value in namespace.items() if not name.startswith("_") and _can_be_saved(value)]


def _label_moves(last: str, models: tuple[ModelState, ...]) -> list[str]:
    return _versions(models) if "=" in last else [f"{label}=" for label in _labels(models)]


def _targets(last: str, models: tuple[ModelState, ...]) -> list[str]:
    name, at, _ = last.partition("@")
    if at:
        # `@` ends a word for IPython: only what follows it is replaced.
        return [label for model in models if model.name == name for label in model.labels]
    name, slash, _ = last.partition("/")
    if slash:
        return [f"{name}/{item.version}" for model in models if model.name == name for item in model.versions]
    return [model.name for model in models]


def _names(models: tuple[ModelState, ...]) -> list[str]:
    return [model.name for model in models]


def _labels(models: tuple[ModelState, ...]) -> list[str]:
    return sorted({label for model in models for label in model.labels})


def _versions(models: tuple[ModelState, ...]) -> list[str]:
    return [str(number) for number in sorted({item.version for model in models for item in model.versions})]


def _can_be_saved(value: object) -> bool:
    """Whether the value looks like a model, told by its classes' names: nothing is imported or run."""
    kinds = {(cls.__module__.partition(".")[0], cls.__name__) for cls in type(value).__mro__}
    models = {("keras", "Model"), ("tf_keras", "Model"), ("tensorflow", "Module"), ("tensorflow", "Function")}
    return bool(kinds & models)

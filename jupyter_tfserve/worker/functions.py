"""Signatures for a SavedModel that has none: derived from its callable and its other `tf.function`s.

TF Hub modules are often saved so. The functions are called once on placeholders, in the graph of a session,
which makes them signatures like any other: `serving_default` is `__call__`, the others go by their names.
Runs in the worker's process, called by `saved_model`; imports TensorFlow.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final

import tensorflow as tf

from jupyter_tfserve.types import DEFAULT_SIGNATURE

v1 = tf.compat.v1

_METHOD_NAME: Final = "tensorflow/serving/predict"
_NOT_IN_NAMES: Final = re.compile(r"[^A-Za-z0-9_.\-/]")
_NOT_TENSORS: Final = (tf.resource, tf.variant)
_UNKNOWN_RANK: Final = 1000
"""More general than any number of unknown dimensions."""


def derive_signatures(session: Any, path: str, tags: Sequence[str]) -> dict[str, Any]:
    """Loads the object in `path` into the session's graph, and gives a SignatureDef per function of it.

    A function of anything but plain tensors is left out. REQUIRES: the session's graph is empty.
    """
    with session.graph.as_default():
        loaded = tf.saved_model.load(path, tags=list(tags))
        signatures = {
            key: _signature(key, chosen)
            for key, function in _functions(loaded)
            if (chosen := _most_general(function.concrete_functions)) is not None
        }
        session.run([v1.global_variables_initializer(), v1.tables_initializer()])
    return signatures


def call_signatures(session: Any, path: str, tags: Sequence[str], saved: Mapping[str, Any]) -> dict[str, Any]:
    """Loads the object in `path` into the session's graph, and gives its own signatures, called on placeholders.

    Method names and defaults are those of `saved`, the SignatureDefs as they were written; those that are no
    functions are left out. REQUIRES: the session's graph is empty.
    """
    with session.graph.as_default():
        loaded = tf.saved_model.load(path, tags=list(tags))
        signatures = {key: _signature(key, function) for key, function in loaded.signatures.items()}
        session.run([v1.global_variables_initializer(), v1.tables_initializer()])
    for key, signature in signatures.items():
        signature.method_name = saved[key].method_name
        for alias, value in saved[key].defaults.items():
            signature.defaults[alias].CopyFrom(value)
    return signatures


def _functions(loaded: Any) -> Iterator[tuple[str, Any]]:
    for name in dir(loaded):
        key = DEFAULT_SIGNATURE if name == "__call__" else name
        function = None if key.startswith("_") else getattr(loaded, name, None)
        if hasattr(function, "concrete_functions"):
            yield key, function


def _most_general(concrete_functions: Sequence[Any]) -> Any:
    """The one to serve of a function's traces: for inference, with the fewest fixed dimensions; None if none."""
    servable = [function for function in concrete_functions if _is_servable(function)]
    return max(servable, key=_generality, default=None)


def _is_servable(function: Any) -> bool:
    inputs = [leaf for leaf in tf.nest.flatten(function.structured_input_signature) if _is_spec(leaf)]
    outputs = tf.nest.flatten(function.structured_outputs)
    return bool(outputs) and all(
        isinstance(spec, tf.TensorSpec) and spec.dtype not in _NOT_TENSORS for spec in [*inputs, *outputs]
    )


def _generality(function: Any) -> tuple[int, int]:
    """Orders traces: first without `training=True` and the like, then by how much of the shapes is open."""
    leaves = tf.nest.flatten(function.structured_input_signature)
    switched_on = sum(leaf is True for leaf in leaves)
    return -switched_on, sum(_openness(leaf.shape) for leaf in leaves if _is_spec(leaf))


def _openness(shape: Any) -> int:
    return _UNKNOWN_RANK if shape.rank is None else sum(size is None for size in shape.as_list())


def _signature(key: str, function: Any) -> Any:
    """The SignatureDef of `function` called on placeholders of its specs."""
    inputs: dict[str, Any] = {}

    def feed(alias: str, leaf: Any) -> Any:
        if not _is_spec(leaf):
            return leaf  # a Python value, `training=False`, that is part of the trace
        inputs[alias] = v1.placeholder(leaf.dtype, leaf.shape, name=_NOT_IN_NAMES.sub("_", f"{key}_{alias}"))
        return inputs[alias]

    arguments, keywords = function.structured_input_signature
    positional = list(function.function_type.parameters)[: len(arguments)]
    named = {**dict(zip(positional, arguments, strict=True)), **keywords}
    fed = _map_named(feed, named, _is_prefix_needed(named))
    outputs = function(*(fed[name] for name in positional), **{name: fed[name] for name in keywords})
    return v1.saved_model.build_signature_def(
        {alias: v1.saved_model.build_tensor_info(tensor) for alias, tensor in inputs.items()},
        {
            alias: v1.saved_model.build_tensor_info(tensor)
            for alias, tensor in _named_outputs(outputs).items()
        },
        _METHOD_NAME,
    )


def _named_outputs(outputs: Any) -> dict[str, Any]:
    """A mapping's own keys, else `output_0`, `output_1`, …: as TensorFlow names a signature's outputs."""
    named: dict[str, Any] = {}
    tops = outputs if isinstance(outputs, Mapping) else _numbered(outputs)
    _map_named(named.__setitem__, tops, prefixed=True)
    return named


def _numbered(outputs: Any) -> dict[str, Any]:
    several = outputs if isinstance(outputs, (list, tuple)) else [outputs]
    return {f"output_{place}": value for place, value in enumerate(several)}


def _is_prefix_needed(named: Mapping[str, Any]) -> bool:
    """Not if one mapping holds every tensor: its keys alone are the names that a caller knows."""
    holders = [value for value in named.values() if any(map(_is_spec, tf.nest.flatten(value)))]
    return len(holders) != 1 or not isinstance(holders[0], Mapping)


def _map_named(visit: Callable[[str, Any], Any], tops: Mapping[str, Any], prefixed: bool) -> dict[str, Any]:
    """The same structures with `visit(name, leaf)` for each leaf; names are paths joined with `_`."""

    def walk(name: str, value: Any) -> Any:
        if isinstance(value, Mapping):
            return {key: walk(f"{name}_{key}" if name else str(key), inner) for key, inner in value.items()}
        if isinstance(value, tuple) and hasattr(value, "_fields"):
            inner = {
                field: walk(f"{name}_{field}", part) for field, part in zip(value._fields, value, strict=True)
            }
            return type(value)(**inner)
        if isinstance(value, (list, tuple)):
            return type(value)(walk(f"{name}_{place}", part) for place, part in enumerate(value))
        return visit(name, value)

    return {
        name: walk("" if not prefixed and isinstance(value, Mapping) else name, value)
        for name, value in tops.items()
    }


def _is_spec(leaf: Any) -> bool:
    return isinstance(leaf, tf.TypeSpec)

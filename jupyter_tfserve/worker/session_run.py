"""SessionRun: any tensors of a model's graph fed and fetched by their names, signatures left aside.

Runs in the worker's process, called by `saved_model`; imports TensorFlow.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import tensorflow as tf

from jupyter_tfserve.errors import invalid_argument, not_found
from jupyter_tfserve.types import Tensors
from jupyter_tfserve.worker.frame import Call


def session_run(session: Any, call: Call, timeout_ms: int) -> dict[str, Any]:
    """The fetched tensors by name. `call.inputs` are the feeds; `call.outputs` the fetches, and targets as `^name`.

    NOT_FOUND for a name that the graph does not have.
    """
    if not call.outputs:
        raise invalid_argument("Must specify at least one target to fetch or execute.")
    graph = session.graph
    feeds = _feeds(graph, call.inputs)
    names = [name for name in call.outputs if not name.startswith("^")]
    fetches = [_tensor(graph, name, f"FetchOutputs node {name}: not found") for name in names]
    targets = [_operation(graph, name[1:]) for name in call.outputs if name.startswith("^")]
    # TensorFlow refuses to fetch what is fed: that comes back as it is.
    computed = [tensor for tensor in fetches if tensor.ref() not in feeds]
    options = tf.compat.v1.RunOptions(timeout_in_ms=timeout_ms)
    values = iter(session.run([*computed, *targets], _by_tensor(feeds), options=options))
    return {
        name: feeds[tensor.ref()] if tensor.ref() in feeds else next(values)
        for name, tensor in zip(names, fetches, strict=True)
    }


def _feeds(graph: Any, inputs: Tensors) -> dict[Any, Any]:
    return {
        _tensor(graph, name, f"FeedInputs: unable to find feed output {name}").ref(): value
        for name, value in inputs.items()
    }


def _by_tensor(feeds: dict[Any, Any]) -> dict[Any, Any]:
    return {reference.deref(): value for reference, value in feeds.items()}


def _tensor(graph: Any, name: str, refusal: str) -> Any:
    """A name without a port is its operation's first output, as everywhere in TensorFlow's C++."""
    return _named(graph.get_tensor_by_name, name if ":" in name else f"{name}:0", refusal)


def _operation(graph: Any, name: str) -> Any:
    return _named(graph.get_operation_by_name, name, f"TargetNode {name} not found")


def _named(find: Callable[[str], Any], name: str, refusal: str) -> Any:
    try:
        return find(name)
    except (KeyError, ValueError):
        raise not_found(refusal) from None

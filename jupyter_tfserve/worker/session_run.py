"""SessionRun: any tensors of a model's graph fed and fetched by their names, signatures left aside.

Runs in the worker's process, called by `saved_model`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from tensorflow.core.protobuf import config_pb2

from jupyter_tfserve.errors import invalid_argument, not_found
from jupyter_tfserve.worker.frame import Call


def session_run(session: Any, call: Call, timeout_ms: int) -> dict[str, Any]:
    """The fetched tensors by name. `call.inputs` are the feeds; `call.outputs` the fetches, and targets as `^name`.

    NOT_FOUND for a name that the graph does not have.
    """
    if not call.outputs:
        raise invalid_argument("Must specify at least one target to fetch or execute.")
    graph = session.graph
    feeds = {
        _tensor(graph, name, f"FeedInputs: unable to find feed output {name}"): value
        for name, value in call.inputs.items()
    }
    names = [name for name in call.outputs if not name.startswith("^")]
    fetches = {name: _tensor(graph, name, f"FetchOutputs node {name}: not found") for name in names}
    # TensorFlow refuses to fetch what is fed: that comes back as it is.
    computed = [name for name in dict.fromkeys(fetches.values()) if name not in feeds]
    options = config_pb2.CallableOptions(feed=list(feeds), fetch=computed)
    options.target.extend(_operation(graph, name[1:]) for name in call.outputs if name.startswith("^"))
    options.run_options.timeout_in_ms = timeout_ms
    values: Sequence[Any] = ()
    if computed or options.target:
        # Not `session.run`: that hides an error's reason among the Python stack of the model's builder.
        values = session._make_callable_from_options(options)(*feeds.values())
    by_tensor = {**feeds, **dict(zip(computed, values, strict=True))}
    return {name: by_tensor[tensor] for name, tensor in fetches.items()}


def _tensor(graph: Any, name: str, refusal: str) -> str:
    """A name without a port is its operation's first output, as everywhere in TensorFlow's C++."""
    return _named(graph.get_tensor_by_name, name if ":" in name else f"{name}:0", refusal)


def _operation(graph: Any, name: str) -> str:
    return _named(graph.get_operation_by_name, name, f"TargetNode {name} not found")


def _named(find: Callable[[str], Any], name: str, refusal: str) -> str:
    try:
        return str(find(name).name)
    except (KeyError, ValueError):
        raise not_found(refusal) from None

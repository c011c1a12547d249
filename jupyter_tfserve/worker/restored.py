"""Whether a session has every variable that a model's signatures read.

What `tf.saved_model.save` writes of a Keras 3 model names its variables so that a session's restore misses them:
TensorFlow Serving loads such a model and fails at its first request. Runs in the worker's process, called by
`saved_model`; imports TensorFlow.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import tensorflow as tf


def are_variables_restored(session: Any, signatures: Mapping[str, Any]) -> bool:
    """Whether every variable that an output depends on has a value."""
    handles = _variable_handles(session.graph, signatures)
    if not handles:
        return True
    with session.graph.as_default():
        checks = [tf.raw_ops.VarIsInitializedOp(resource=handle) for handle in handles]
    return all(session.run(checks))


def _variable_handles(graph: Any, signatures: Mapping[str, Any]) -> list[Any]:
    outputs = [info.name for signature in signatures.values() for info in signature.outputs.values()]
    waiting = [graph.get_tensor_by_name(name).op for name in outputs if ":" in name]
    seen = set(waiting)
    while waiting:
        operation = waiting.pop()
        before = [tensor.op for tensor in operation.inputs]
        fresh = [found for found in (*before, *operation.control_inputs) if found not in seen]
        seen.update(fresh)
        waiting.extend(fresh)
    return [operation.outputs[0] for operation in seen if operation.type == "VarHandleOp"]

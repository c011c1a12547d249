"""One `model.tflite` behind the same face as a SavedModel: a pool of LiteRT interpreters, one per lane.

Runs in the worker's process, called by `main`; imports TensorFlow, not `codec.protos`, whose gRPC stubs the
fork server must not hold. The interpreter is ai-edge-litert's where that is installed,
otherwise TensorFlow's own. Builtin operators only: neither interpreter has TensorFlow's (the "flex" ones).
"""

from __future__ import annotations

import importlib
import queue
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeAlias

import numpy as np
from tensorflow.core.protobuf.meta_graph_pb2 import SignatureDef
from tensorflow_serving.apis.get_model_metadata_pb2 import SignatureDefMap

from jupyter_tfserve.codec.dtypes import STRING, by_numpy
from jupyter_tfserve.errors import Code, ServingError, invalid_argument
from jupyter_tfserve.types import DEFAULT_SIGNATURE, Tensor, Tensors
from jupyter_tfserve.worker.failures import run_error, without_stack
from jupyter_tfserve.worker.frame import SESSION_RUN, Call
from jupyter_tfserve.worker.lite_signatures import embedded_signature_defs, without_port
from jupyter_tfserve.worker.model import check_inputs, chosen_outputs, signature_not_found
from jupyter_tfserve.worker.order import LITE_MODEL

_METHOD_NAME: Final = "tensorflow/serving/predict"


_Run: TypeAlias = "Callable[[Tensors, tuple[str, ...]], dict[str, Tensor]]"
"""One signature on one interpreter: inputs by alias and the wanted outputs, to outputs by alias."""


@dataclass(frozen=True, slots=True)
class _Loaded:
    """One interpreter: its signatures, and what runs each."""

    signatures: Mapping[str, Any]
    runs: Mapping[str, _Run]


def load_lite_model(path: Path, interpreters: int) -> LiteModel:
    """The model in `path`/model.tflite with so many interpreters. INTERNAL for one that they cannot run."""
    file = path / LITE_MODEL
    try:
        loaded = [_new_interpreter(file) for _ in range(interpreters)]
        embedded = embedded_signature_defs(file.read_bytes())
        return LiteModel([_prepare(interpreter, embedded) for interpreter in loaded])
    except Exception as error:  # the loader call: broken files raise ValueError, RuntimeError, struct.error …
        raise ServingError(
            Code.INTERNAL, f"{LITE_MODEL} cannot be loaded: {without_stack(str(error))}"
        ) from error


class LiteModel:
    """Interpreters that take turns; a call waits for a free one. Threads may call `run` at the same time."""

    def __init__(self, interpreters: list[_Loaded]) -> None:
        self._signatures = interpreters[0].signatures
        self._free: queue.SimpleQueue[_Loaded] = queue.SimpleQueue()
        for interpreter in interpreters:
            self._free.put(interpreter)

    @property
    def signature_defs(self) -> bytes:
        """A serialized `tensorflow.serving.SignatureDefMap`."""
        signature_map = SignatureDefMap()
        for key, signature in self._signatures.items():
            signature_map.signature_def[key].CopyFrom(signature)
        text: bytes = signature_map.SerializeToString(deterministic=True)
        return text

    def run(self, call: Call) -> dict[str, Tensor]:
        """The outputs that the call asks for, all of the signature's if it names none; else ServingError."""
        key = call.signature or DEFAULT_SIGNATURE
        if key == SESSION_RUN:
            raise ServingError(Code.UNIMPLEMENTED, f"{LITE_MODEL} has no session to run")
        signature = self._signatures.get(key)
        if signature is None:
            raise signature_not_found(key)
        check_inputs(call.inputs, signature.inputs)
        outputs = chosen_outputs(call.outputs, signature.outputs)
        interpreter = self._free.get()
        try:
            return interpreter.runs[key](call.inputs, outputs)
        except (
            Exception
        ) as error:  # the worker run: an interpreter may raise anything, and must not end its lane
            raise run_error(error) from error
        finally:
            self._free.put(interpreter)


def _prepare(interpreter: Any, embedded: Mapping[str, Any]) -> _Loaded:
    # An operator that the interpreter lacks shows here, at the load, not at the first request.
    interpreter.allocate_tensors()
    if embedded:
        return _with_signatures(interpreter, embedded)
    keys = list(interpreter.get_signature_list())
    if not keys:
        return _with_signatures(interpreter, {DEFAULT_SIGNATURE: _generated(interpreter)})
    runners = {key: interpreter.get_signature_runner(key) for key in keys}
    return _Loaded(
        {
            key: _described(runner.get_input_details(), runner.get_output_details())
            for key, runner in runners.items()
        },
        {key: _runner_run(runner) for key, runner in runners.items()},
    )


def _new_interpreter(file: Path) -> Any:
    with warnings.catch_warnings():
        # TensorFlow's announces that ai-edge-litert's will replace it: that is no news to a user of ours.
        warnings.simplefilter("ignore", UserWarning)
        return _interpreter_class()(model_path=str(file), num_threads=1)


def _interpreter_class() -> Any:
    try:
        return importlib.import_module("ai_edge_litert.interpreter").Interpreter
    except ImportError:
        return importlib.import_module("tensorflow").lite.Interpreter


def _runner_run(runner: Any) -> _Run:
    """A signature that the converter wrote: its runner resizes the inputs itself."""

    def run(inputs: Tensors, outputs: tuple[str, ...]) -> dict[str, Tensor]:
        try:
            answer = runner(**inputs)
        except RuntimeError as error:
            raise _refused(error) from error
        return {alias: _as_tensor(answer[alias]) for alias in outputs}

    return run


def _with_signatures(interpreter: Any, signatures: Mapping[str, Any]) -> _Loaded:
    """Signatures over the model's first graph, by its tensors' names."""
    inputs, outputs = interpreter.get_input_details(), interpreter.get_output_details()
    runs = {
        key: _graph_run(
            interpreter,
            _places(signature.inputs, inputs, "Signature input"),
            _places(signature.outputs, outputs, "Signature output"),
        )
        for key, signature in signatures.items()
    }
    return _Loaded(signatures, runs)


def _places(infos: Mapping[str, Any], details: list[dict[str, Any]], what: str) -> dict[str, int]:
    """The interpreter's index of each alias's tensor; its name may be written with or without `:0`."""
    by_name = {without_port(one["name"]): int(one["index"]) for one in details}
    places = {alias: by_name.get(without_port(info.name), -1) for alias, info in infos.items()}
    for alias, place in places.items():
        if place < 0:
            raise ValueError(f"{what} {alias} references an unknown tensor")
    return places


def _graph_run(interpreter: Any, inputs: Mapping[str, int], outputs: Mapping[str, int]) -> _Run:
    def run(tensors: Tensors, wanted: tuple[str, ...]) -> dict[str, Tensor]:
        try:
            for alias, place in inputs.items():
                interpreter.resize_tensor_input(place, tensors[alias].shape)
            interpreter.allocate_tensors()
            for alias, place in inputs.items():
                interpreter.set_tensor(place, tensors[alias])
            interpreter.invoke()
        except RuntimeError as error:
            raise _refused(error) from error
        return {alias: _as_tensor(interpreter.get_tensor(outputs[alias])) for alias in wanted}

    return run


def _refused(error: RuntimeError) -> ServingError:
    """Mostly inputs of a shape that an operator cannot take."""
    return invalid_argument(f"The interpreter cannot run these inputs: {without_stack(str(error))}")


def _generated(interpreter: Any) -> Any:
    def named(details: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
        return {without_port(one["name"]): one for one in details}

    return _described(named(interpreter.get_input_details()), named(interpreter.get_output_details()))


def _described(inputs: Mapping[str, dict[str, Any]], outputs: Mapping[str, dict[str, Any]]) -> Any:
    signature = SignatureDef(method_name=_METHOD_NAME)
    for details, infos in ((inputs, signature.inputs), (outputs, signature.outputs)):
        for alias, one in details.items():
            infos[alias].name = one["name"]
            infos[alias].dtype = _dtype_number(np.dtype(one["dtype"]))
            infos[alias].tensor_shape.SetInParent()
            for size in one["shape_signature"] if len(one["shape_signature"]) else one["shape"]:
                infos[alias].tensor_shape.dim.add(size=int(size))
    return signature


def _dtype_number(dtype: np.dtype[Any]) -> int:
    """TensorFlow's number; 0 for a type that no tensor on the wire has."""
    known = STRING if dtype.kind == "S" else by_numpy(dtype)
    return 0 if known is None else known.number


def _as_tensor(value: Any) -> Tensor:
    """An array, also for a string of rank 0, which comes as bare bytes."""
    return (
        value
        if isinstance(value, np.ndarray)
        else np.array(value, dtype=object if isinstance(value, bytes) else None)
    )

"""One SavedModel in a TensorFlow session, and its signatures as functions from arrays to arrays.

Runs in the worker's process, called by `main`; with `main` the only module that imports TensorFlow. Loading
is TensorFlow Serving's way: a v1 session, so that TF1 and TF2 SavedModels and any signature work alike.
"""

from __future__ import annotations

import gc
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import tensorflow as tf
from tensorflow.core.protobuf import config_pb2
from tensorflow_serving.apis import get_model_metadata_pb2

from jupyter_tfserve.errors import Code, ServingError, invalid_argument, not_found
from jupyter_tfserve.types import DEFAULT_SIGNATURE, Tensor, Tensors
from jupyter_tfserve.worker.device_session import limit_gpu_memory
from jupyter_tfserve.worker.failures import op_error, run_error, without_stack
from jupyter_tfserve.worker.frame import SESSION_RUN, Call
from jupyter_tfserve.worker.functions import call_signatures, derive_signatures
from jupyter_tfserve.worker.model import chosen_outputs, signature_not_found
from jupyter_tfserve.worker.restored import are_variables_restored
from jupyter_tfserve.worker.session_run import session_run

_IN_CALLING_THREAD: Final = -1
_MIN_TIMEOUT_MS: Final = 64
_MAX_TIMEOUT_MS: Final = 2**30


@dataclass(frozen=True, slots=True)
class LoadOptions:
    """How a model is loaded: an exact set of tags, thread counts (0: TensorFlow chooses), a ConfigProto, a limit of
    GPU memory (0: the config's, or half)."""

    tags: Sequence[str]
    intra_op_parallelism: int = 0
    inter_op_parallelism: int = 0
    session_config: bytes = b""
    gpu_memory_limit_mb: int = 0


def load_saved_model(path: Path, options: LoadOptions) -> LoadedModel:
    """The model in `path`, ready to run. Blocks; runs the model's initialisers, which may do anything.

    ServingError: NOT_FOUND without a SavedModel or without one of these tags, DATA_LOSS for a broken file,
    otherwise TensorFlow's code.
    """
    _check_files(path)
    try:
        model = _load(path, options)
    except Exception as error:  # the loader call: broken files raise anything from IndexError to OpError
        raise _load_error(error, path, options.tags) from error
    # What the load left behind lives as long as the process: no collection need walk over it again.
    gc.collect()
    gc.freeze()
    return model


def load_op_libraries(files: Sequence[str]) -> None:
    """Makes the operations of these shared libraries known to TensorFlow. ServingError if one cannot be loaded."""
    for file in files:
        _load_op_library(Path(file))


def _load_op_library(file: Path) -> None:
    try:
        tf.load_op_library(str(file))
    except Exception as error:  # the loader call: a library's own initialisers run here
        raise ServingError(
            Code.FAILED_PRECONDITION,
            f"The operation library {file.name} cannot be loaded: {without_stack(str(error))}",
        ) from error


def _load(path: Path, options: LoadOptions) -> LoadedModel:
    session = _new_session(options)
    with session.graph.as_default():
        meta_graph = tf.compat.v1.saved_model.load(session, list(options.tags), str(path))
    signatures = dict(meta_graph.signature_def)
    if meta_graph.HasField("object_graph_def") and all(key.startswith("__") for key in signatures):
        session.close()
        session = _new_session(options)
        signatures = derive_signatures(session, str(path), options.tags)
    elif meta_graph.HasField("object_graph_def") and not are_variables_restored(session, signatures):
        session.close()
        session = _new_session(options)
        signatures = call_signatures(session, str(path), options.tags, signatures)
    return LoadedModel(session, signatures, _has_thread_pool(options))


def _new_session(options: LoadOptions) -> Any:
    return tf.compat.v1.Session(graph=tf.Graph(), config=_session_config(options))


class LoadedModel:
    """A session and its signatures. Threads may call `run` at the same time."""

    def __init__(self, session: Any, signatures: Mapping[str, Any], has_thread_pool: bool = False) -> None:
        self._session = session
        self._signatures = signatures
        self._thread_pool = 0 if has_thread_pool else _IN_CALLING_THREAD
        self._runners: dict[tuple[str, tuple[str, ...], int], _Runner] = {}
        self._making = threading.Lock()

    @property
    def signature_defs(self) -> bytes:
        """A serialized `tensorflow.serving.SignatureDefMap`, as the model has it."""
        signature_map = get_model_metadata_pb2.SignatureDefMap()
        for key, signature in self._signatures.items():
            signature_map.signature_def[key].CopyFrom(signature)
        text: bytes = signature_map.SerializeToString(deterministic=True)
        return text

    def run(self, call: Call) -> dict[str, Tensor]:
        """The outputs that the call asks for, all of the signature's if it names none; else ServingError."""
        key = call.signature or DEFAULT_SIGNATURE
        timeout_ms = _timeout_ms(call.timeout_s)
        try:
            if key == SESSION_RUN:
                fetched = session_run(self._session, call, timeout_ms)
                return {name: _as_tensor(value) for name, value in fetched.items()}
            runner = self._runners.get((key, call.outputs, timeout_ms))
            if runner is None:
                runner = self._make_runner(key, call.outputs, timeout_ms)
            return runner.run(call.inputs)
        except ServingError:
            raise
        except Exception as error:  # the worker run: a model may raise anything, and must not end its lane
            raise run_error(error) from error

    def _make_runner(self, key: str, outputs: tuple[str, ...], timeout_ms: int) -> _Runner:
        with self._making:
            cache_key = (key, outputs, timeout_ms)
            if cache_key not in self._runners:
                signature = self._callable_signature(key)
                self._runners[cache_key] = self._new_runner(signature, outputs, timeout_ms)
            return self._runners[cache_key]

    def _callable_signature(self, key: str) -> Any:
        signature = self._signatures.get(key)
        if signature is None:
            raise signature_not_found(key)
        tensors = [*signature.inputs.values(), *signature.outputs.values()]
        if any(tensor.dtype == 0 for tensor in tensors):
            raise ServingError(Code.FAILED_PRECONDITION, f'Signature "{key}" is not a function of tensors.')
        if not all(tensor.name for tensor in tensors):
            raise ServingError(Code.UNIMPLEMENTED, f'Signature "{key}" has sparse or composite tensors.')
        return signature

    def _new_runner(self, signature: Any, outputs: tuple[str, ...], timeout_ms: int) -> _Runner:
        feeds = _unique({alias: info.name for alias, info in signature.inputs.items()})
        fetches = _output_names(signature, outputs)
        # TensorFlow refuses to fetch what is fed, and to feed one tensor twice.
        computed = list(dict.fromkeys(name for name in fetches.values() if name not in feeds))
        options = config_pb2.CallableOptions(feed=list(feeds), fetch=computed)
        # In the lane's own thread a small call costs 3 µs instead of 18; lanes are the parallelism.
        options.run_options.inter_op_thread_pool = self._thread_pool
        options.run_options.timeout_in_ms = timeout_ms
        return _Runner(
            call=self._session._make_callable_from_options(options) if computed else lambda *_: [],
            input_count=len(signature.inputs),
            feeds=tuple(feeds.values()),
            computed=tuple(
                (alias, computed.index(name)) for alias, name in fetches.items() if name in computed
            ),
            copied=tuple((alias, feeds[name]) for alias, name in fetches.items() if name in feeds),
        )


@dataclass(frozen=True, slots=True)
class _Runner:
    """One signature with one choice of outputs: what feeds which place, which place is which output."""

    call: Any
    input_count: int
    feeds: tuple[str, ...]
    computed: tuple[tuple[str, int], ...]
    copied: tuple[tuple[str, str], ...]

    def run(self, inputs: Tensors) -> dict[str, Tensor]:
        if len(inputs) != self.input_count:
            raise invalid_argument(f"input size does not match signature: {len(inputs)}!={self.input_count}")
        try:
            arguments = [inputs[alias] for alias in self.feeds]
        except KeyError as error:
            raise invalid_argument(f"Signature input alias: {error.args[0]} not found in request") from error
        values = self.call(*arguments)
        outputs = {alias: _as_tensor(values[place]) for alias, place in self.computed}
        for alias, source in self.copied:
            outputs[alias] = inputs[source]
        return outputs


def _as_tensor(value: Any) -> Tensor:
    """An array, also for rank 0, where TensorFlow gives numpy scalars and bare bytes."""
    if isinstance(value, np.ndarray):
        return value
    return np.array(value, dtype=object if isinstance(value, bytes) else None)


def _unique(names: Mapping[str, str]) -> dict[str, str]:
    """Alias by tensor name, in the aliases' order: the first alias of each tensor."""
    unique: dict[str, str] = {}
    for alias in sorted(names):
        unique.setdefault(names[alias], alias)
    return unique


def _output_names(signature: Any, outputs: tuple[str, ...]) -> dict[str, str]:
    known = signature.outputs
    return {alias: known[alias].name for alias in chosen_outputs(outputs, known)}


def _timeout_ms(timeout_s: float | None) -> int:
    """The time for TensorFlow, rounded up to a power of two; 0 is no limit.

    A callable has its limit built in and costs milliseconds to make, so there must be few of them. The caller
    has its own clock; this one only gives the lane back.
    """
    if timeout_s is None:
        return 0
    wanted = max(_MIN_TIMEOUT_MS, int(timeout_s * 1000))
    rounded = 1 << (wanted - 1).bit_length()
    return rounded if rounded <= _MAX_TIMEOUT_MS else 0


def _has_thread_pool(options: LoadOptions) -> bool:
    """Whether somebody asked for a pool of threads that run operations."""
    config = config_pb2.ConfigProto.FromString(options.session_config)
    return options.inter_op_parallelism > 0 or bool(config.session_inter_op_thread_pool)


def _session_config(options: LoadOptions) -> Any:
    config = tf.compat.v1.ConfigProto()
    config.ParseFromString(options.session_config)
    config.intra_op_parallelism_threads = options.intra_op_parallelism
    config.inter_op_parallelism_threads = options.inter_op_parallelism
    limit_gpu_memory(config, options.gpu_memory_limit_mb)
    return config


def _check_files(path: Path) -> None:
    if (path / "saved_model.pb").is_file() or (path / "saved_model.pbtxt").is_file():
        return
    if (path / "export.meta").is_file():
        raise ServingError(Code.UNIMPLEMENTED, "Session Bundle is deprecated and removed.")
    raise not_found(
        "Specified file path does not appear to contain a SavedModel bundle "
        f"(should have a file called `saved_model.pb`)\nSpecified file path: {path}"
    )


def _load_error(error: Exception, path: Path, tags: Sequence[str]) -> ServingError:
    if isinstance(error, MemoryError):
        return ServingError(Code.RESOURCE_EXHAUSTED, "There is not enough memory to load the SavedModel")
    text = without_stack(str(error))
    if isinstance(error, RuntimeError) and "could not be found in SavedModel" in text:
        return not_found(
            f"Could not find meta graph def matching supplied tags: {{ {' '.join(tags)} }}. "
            "To inspect available tag-sets in the SavedModel, please use the SavedModel CLI: "
            "`saved_model_cli`"
        )
    if isinstance(error, OSError) and "Cannot parse file" in text:
        return ServingError(Code.DATA_LOSS, f"Can't parse {path / 'saved_model.pb'} as binary proto")
    if isinstance(error, tf.errors.OpError):
        return op_error(error)
    return ServingError(Code.INTERNAL, f"The SavedModel cannot be loaded: {text}")

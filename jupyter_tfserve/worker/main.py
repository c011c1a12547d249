"""The worker's process: loads one SavedModel, then answers its lanes, each in a blocking thread of its own.

The mirror image of the engine's event loop. Ends with the engine: the control socket's end of file exits the
process at once, even while a lane hangs inside TensorFlow. A fork server's child begins at `serve`; a fresh
process is `python -m jupyter_tfserve.worker.main ORDER CONTROL_FD SIDE_FD LANE_FD...`. TensorFlow is imported
only when a model is loaded; the engine imports nothing of this.
"""

from __future__ import annotations

import base64
import contextlib
import json
import os
import signal
import socket
import sys
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from pathlib import Path
from typing import Final, Protocol

from jupyter_tfserve.errors import Code, ServingError
from jupyter_tfserve.types import Tensor
from jupyter_tfserve.worker.busy import BusyMeter
from jupyter_tfserve.worker.cpus import usable_cpus
from jupyter_tfserve.worker.frame import (
    Buffer,
    Call,
    Frame,
    FrameDecoder,
    decode_call,
    encode_error,
    encode_report,
    encode_result,
)
from jupyter_tfserve.worker.gentle import gently, leave_gently
from jupyter_tfserve.worker.model import Model
from jupyter_tfserve.worker.order import LITE_MODEL, VISIBLE_DEVICES, WorkerOrder
from jupyter_tfserve.worker.profile import Profiler

OOM_SCORE: Final = "500"


class Runner(Protocol):
    """What answers a lane's calls."""

    def run(self, call: Call) -> dict[str, Tensor]:
        """The outputs by alias; ServingError."""


def serve(
    order: WorkerOrder, control: socket.socket, side: socket.socket, lanes: Sequence[socket.socket]
) -> None:
    """Loads the model, reports on `control`, answers `lanes` until each has reached its end. Blocks.

    `side` is a lane for what is no prediction and must not wait behind them: profiling.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C in a terminal is for the engine
    _offer_to_oom_killer()
    threading.Thread(target=_exit_with_engine, args=(control,), daemon=True).start()
    _show_gpu(order.gpu)
    try:
        if order.probes_gpus:
            _send(control, encode_report(_probe_gpus()))
            return
        _limit_memory(order.max_memory_bytes)
        # Before the load, whose low priority they would have for good where it cannot be taken back.
        loaded: Future[Model] = Future()
        threads = [threading.Thread(target=_serve_loaded, args=(lane, loaded), daemon=True) for lane in lanes]
        for thread in threads:
            thread.start()
        # With one CPU operations run in the lanes' threads, unless somebody asked for a pool.
        has_pool = order.inter_op_parallelism or order.session_config
        gentleness = gently(may_stay=usable_cpus() == 1 and not has_pool)
        with gentleness if order.is_gentle else contextlib.nullcontext():
            model = _load(order, len(lanes))
    except ServingError as error:
        _send(control, encode_error(error))
        return
    loaded.set_result(model)
    threading.Thread(target=serve_lane, args=(side, Profiler()), daemon=True).start()
    _send(control, encode_report(model.signature_defs))
    for thread in threads:
        thread.join()
    leave_gently()


def _serve_loaded(lane: socket.socket, loaded: Future[Model]) -> None:
    serve_lane(lane, loaded.result())


def serve_lane(lane: socket.socket, runner: Runner) -> None:
    """Answers one call after the other until the engine closes its side."""
    decoder = FrameDecoder()
    meter = BusyMeter(usable_cpus())
    while True:
        count = _receive_into(lane, decoder.get_buffer())
        if count == 0:
            meter.close()
            return
        frame = decoder.received(count)
        if frame is not None:
            _send(lane, _answer(runner, frame, meter))


def _answer(runner: Runner, frame: Frame, meter: BusyMeter) -> list[Buffer]:
    try:
        call = decode_call(frame)
        meter.begin()
        outputs = runner.run(call)
        return encode_result(outputs, *meter.end())
    except ServingError as error:
        return encode_error(error)
    except Exception:  # the worker run: whatever a model's output does to us, its lane lives on
        return encode_error(ServingError(Code.INTERNAL, "The model's answer cannot be sent"))


def _load(order: WorkerOrder, lanes: int) -> Model:
    _import_tensorflow()
    from jupyter_tfserve.worker.lite import load_lite_model
    from jupyter_tfserve.worker.saved_model import LoadOptions, load_op_libraries, load_saved_model

    path = Path(order.path)
    if order.prefer_tflite_model and (path / LITE_MODEL).is_file():
        return load_lite_model(path, lanes)
    load_op_libraries(order.custom_op_libraries)
    if order.xla_cpu_compilation_enabled:
        # No session option says it; TensorFlow reads it when the first session is made.
        flags = os.environ.get("TF_XLA_FLAGS", "")
        os.environ["TF_XLA_FLAGS"] = f"{flags} --tf_xla_cpu_global_jit".strip()
    session_config = base64.b64decode(order.session_config)
    return load_saved_model(
        path,
        LoadOptions(
            order.tags,
            order.intra_op_parallelism,
            order.inter_op_parallelism,
            session_config,
            order.gpu_memory_limit_mb,
        ),
    )


def _probe_gpus() -> bytes:
    _import_tensorflow()
    from jupyter_tfserve.worker.device_probe import probe_gpus

    try:
        with _silence():
            return probe_gpus()
    except Exception as error:  # the loader call: a driver that does not fit raises anything
        reason = str(error).partition("\n")[0]
        raise ServingError(Code.FAILED_PRECONDITION, f"TensorFlow cannot list the GPUs: {reason}") from error


def _import_tensorflow() -> None:
    try:
        import_quietly()
    except Exception as error:  # the loader call: a broken installation raises anything, not only ImportError
        reason = str(error).partition("\n")[0]
        raise ServingError(Code.FAILED_PRECONDITION, f"TensorFlow cannot be imported: {reason}") from error


def _show_gpu(name: str) -> None:
    """Hides the other GPUs from whatever the process runs; TensorFlow looks for them with its first session."""
    if name:
        os.environ[VISIBLE_DEVICES] = name


def _receive_into(lane: socket.socket, buffer: Buffer) -> int:
    """How many bytes have come; 0 at the end."""
    try:
        return lane.recv_into(buffer)
    except ConnectionResetError:  # the engine was killed before it had read all that we sent
        return 0


def _send(sock: socket.socket, parts: list[Buffer]) -> None:
    # An engine that is gone is the control thread's business.
    with contextlib.suppress(BrokenPipeError, ConnectionResetError):
        for part in parts:
            sock.sendall(part)


def _exit_with_engine(control: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while control.recv(64):
            pass
    os._exit(0)


def import_quietly() -> None:
    """Imports TensorFlow and what uses it."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    with _silence():
        import tensorflow as tf

        from jupyter_tfserve.worker import device_probe, lite, saved_model  # noqa: F401

    tf.get_logger().setLevel("ERROR")


@contextlib.contextmanager
def _silence() -> Iterator[None]:
    """Standard error goes nowhere: TensorFlow's import greets there before any log level counts."""
    sys.stderr.flush()
    kept = os.dup(2)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    os.close(nowhere)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)


def _offer_to_oom_killer() -> None:
    # A model that eats the memory should take itself down, not the engine or the notebook.
    with contextlib.suppress(OSError), open("/proc/self/oom_score_adj", "w") as score:
        score.write(OOM_SCORE)


def _limit_memory(max_bytes: int) -> None:
    """Allocations beyond fail, which TensorFlow answers with RESOURCE_EXHAUSTED; the limit cannot be raised again.

    Of the limits that a process can have this is the one that counts what it may write, not the terabytes of
    addresses that its libraries reserve. Threads' stacks count too.
    """
    if not max_bytes:
        return
    import resource

    with open("/proc/self/status") as status:
        sizes = dict(line.split(":", 1) for line in status)
    limit = int(sizes["VmData"].split()[0]) * 1024 + max_bytes
    resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))


def main() -> None:
    """Serves the order and the inherited sockets on the command line."""
    control, side, *lanes = [socket.socket(fileno=int(number)) for number in sys.argv[2:]]
    serve(WorkerOrder(**json.loads(sys.argv[1])), control, side, lanes)


if __name__ == "__main__":
    main()
    # Not through the interpreter's exit: a lane's thread may be inside TensorFlow.
    os._exit(0)

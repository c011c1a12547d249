"""From flags to how workers run their models: threads, session, libraries."""

from __future__ import annotations

from pathlib import Path

from jupyter_tfserve.codec.session_config import BFLOAT16, FLOAT16, SessionFlags, session_config
from jupyter_tfserve.engine.flag_values import FlagValues, read_text
from jupyter_tfserve.errors import invalid_argument
from jupyter_tfserve.options import WorkerOptions
from jupyter_tfserve.worker.cpus import lanes_for, usable_cpus


def worker_options(flags: FlagValues) -> WorkerOptions:
    """The options; INVALID_ARGUMENT for flags that contradict each other and files that can't be used."""
    session, intra, inter = (
        flags.integer(f"tensorflow_{name}_parallelism") for name in ("session", "intra_op", "inter_op")
    )
    if session > 0 and intra > 0 and inter > 0:
        raise invalid_argument(
            "Either configure server_options.tensorflow_session_parallelism or "
            "(server_options.tensorflow_intra_op_parallelism, server_options.tensorflow_inter_op_parallelism) "
            "separately. You cannot configure all."
        )
    if intra <= 0 and inter <= 0:
        intra = inter = session
    return WorkerOptions(
        saved_model_tags=tuple(tag for tag in flags.text("saved_model_tags").split(",") if tag),
        intra_op_parallelism=max(intra, 0),
        inter_op_parallelism=max(inter, 0),
        lanes=flags.integer("lanes") or lanes_for(usable_cpus()),
        replicas=flags.integer("replicas"),
        prefer_tflite_model=flags.is_set("prefer_tflite_model"),
        num_tflite_pools=flags.integer("num_tflite_pools"),
        session_config=_session_config(flags),
        uses_xla=_uses_xla(flags),
        xla_cpu_compilation_enabled=flags.is_set("xla_cpu_compilation_enabled"),
        custom_op_libraries=_op_libraries(flags.text("custom_op_libraries")),
        max_worker_memory_mb=flags.integer("max_worker_memory_mb"),
        gpu_memory_limit_mb=flags.integer("gpu_memory_limit_mb"),
        memory_estimate_factor=flags.number("memory_estimate_factor"),
        load_timeout_s=flags.number("load_timeout_s"),
        max_worker_deaths=flags.integer("max_worker_deaths"),
    )


def worker_notes(flags: FlagValues) -> list[str]:
    """Numbers of threads that were given in vain."""
    names = (f"tensorflow_{name}_parallelism" for name in ("session", "intra_op", "inter_op"))
    return [
        f"--{name}={flags.integer(name)} is negative, which counts as 0: as many as CPUs may be used"
        for name in names
        if flags.integer(name) < 0
    ]


def _session_config(flags: FlagValues) -> bytes:
    file = flags.text("tensorflow_session_config_file")
    overwrites = SessionFlags(
        per_process_gpu_memory_fraction=flags.number("per_process_gpu_memory_fraction"),
        use_xla=_uses_xla(flags),
        use_bfloat16=flags.text("mixed_precision") == BFLOAT16,
        use_float16=flags.text("mixed_precision") == FLOAT16,
    )
    return session_config(read_text(file) if file else "", file, overwrites)


def _uses_xla(flags: FlagValues) -> bool:
    return any(flags.is_set(f"xla_{device}_compilation_enabled") for device in ("cpu", "gpu"))


def _op_libraries(text: str) -> tuple[str, ...]:
    """The files as absolute paths; INVALID_ARGUMENT for one that is not there."""
    files = tuple(Path(file).expanduser().absolute() for file in text.split(",") if file)
    for file in files:
        if not file.is_file():
            raise invalid_argument(f"--custom_op_libraries: there is no file '{file}'")
    return tuple(map(str, files))

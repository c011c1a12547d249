"""`--platform_config_file` in place of the flags that it replaces."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from jupyter_tfserve.codec.platform_config import PlatformConfig
from jupyter_tfserve.engine.flag_values import FlagValues
from jupyter_tfserve.options import BatchOptions, EngineOptions, WarmupOptions

REPLACED_FLAGS: Final = (
    "enable_batching",
    "batching_parameters_file",
    "enable_per_model_batching_parameters",
    "enable_model_warmup",
    "num_request_iterations_for_warmup",
    "saved_model_tags",
    "tensorflow_session_config_file",
    "tensorflow_session_parallelism",
    "tensorflow_intra_op_parallelism",
    "tensorflow_inter_op_parallelism",
    "per_process_gpu_memory_fraction",
    "mixed_precision",
    "prefer_tflite_model",
    "num_tflite_pools",
    "xla_cpu_compilation_enabled",
    "xla_gpu_compilation_enabled",
)
"""What the file decides alone, whether it says something or not."""


def with_platform(options: EngineOptions, platform: PlatformConfig) -> EngineOptions:
    """The options as the platform's config has them; what it leaves out has its message's defaults."""
    batching = platform.batching
    worker = replace(
        options.worker,
        session_config=platform.session_config,
        intra_op_parallelism=platform.intra_op_parallelism,
        inter_op_parallelism=platform.inter_op_parallelism,
        saved_model_tags=platform.saved_model_tags,
        prefer_tflite_model=platform.prefer_tflite_model,
        num_tflite_pools=platform.num_tflite_pools,
        xla_cpu_compilation_enabled=False,
        uses_xla=False,
    )
    if batching is not None and batching.lanes is not None:
        worker = replace(worker, lanes=batching.lanes)
    return replace(
        options,
        batching=replace(
            BatchOptions() if batching is None else batching.options,
            max_queue_wait_ms=options.batching.max_queue_wait_ms,
        ),
        enable_per_model_batching_parameters=platform.enable_per_model_batching_parameters,
        worker=worker,
        warmup=WarmupOptions(platform.enable_model_warmup, platform.num_request_iterations_for_warmup),
    )


def platform_notes(flags: FlagValues, platform: PlatformConfig) -> list[str]:
    """What the file says in vain, and the flags that were given in vain beside it."""
    replaced = [name for name in REPLACED_FLAGS if flags.is_changed(name)]
    notes = list(platform.notes)
    if replaced:
        notes.append(f"--platform_config_file replaces --{', --'.join(replaced)}")
    return notes

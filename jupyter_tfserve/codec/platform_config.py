"""`--platform_config_file`: a text PlatformConfigMap, of which the platform `tensorflow` is read. Pure.

The SavedModelBundleSourceAdapterConfig in it, and its SessionBundleConfig, are not shipped with
tensorflow-serving-api; they are described here, by their public names.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from google.protobuf import text_format, wrappers_pb2

from jupyter_tfserve.codec.batching_parameters import (
    BatchingParameters,
    batching_parameters_class,
    parse_batching_parameters,
)
from jupyter_tfserve.codec.described_messages import message_class, parse_text
from jupyter_tfserve.codec.session_config import BFLOAT16, session_config_class, use_bfloat16
from jupyter_tfserve.errors import invalid_argument

PLATFORM: Final = "tensorflow"
_ADAPTER: Final = "tensorflow.serving.SavedModelBundleSourceAdapterConfig"
_BUNDLE: Final = "tensorflow.serving.SessionBundleConfig"
_WARMUP: Final = "tensorflow.serving.ModelWarmupOptions"
_MESSAGES: Final = {
    _ADAPTER: {"legacy_config": _BUNDLE},
    _BUNDLE: {
        "session_target": "string",
        "session_config": "tensorflow.ConfigProto",
        "batching_parameters": "jupyter_tfserve.batching.BatchingParameters",
        "session_run_load_threadpool_index": "google.protobuf.Int32Value",
        "experimental_transient_ram_bytes_during_load": "uint64",
        "saved_model_tags": "repeated string",
        "enable_model_warmup": "bool",
        "model_warmup_options": _WARMUP,
        "enable_session_metadata": "bool",
        "remove_unused_fields_from_bundle_metagraph": "bool",
        "prefer_tflite_model": "bool",
        "num_tflite_pools": "int32",
        "num_tflite_interpreters_per_pool": "int32",
        "wrap_session_with_no_threading_params": "bool",
        "enable_per_model_batching_params": "bool",
        "resource_estimation_uses_validation_result": "bool",
        "mixed_precision": "string",
    },
    _WARMUP: {
        "num_request_iterations": "google.protobuf.Int32Value",
        "num_model_warmup_threads": "google.protobuf.Int32Value",
        "model_name": "string",
        "model_version": "int64",
    },
}
_HONOURED: Final = frozenset(
    (
        "session_config",
        "batching_parameters",
        "saved_model_tags",
        "enable_model_warmup",
        "model_warmup_options",
        "prefer_tflite_model",
        "num_tflite_pools",
        "enable_per_model_batching_params",
        "mixed_precision",
    )
)


@dataclass(frozen=True, slots=True)
class PlatformConfig:
    """What a platform config says; it stands in for all the flags of the same matters.

    `session_config` is a serialized ConfigProto, its thread counts beside it. `notes` name what has no effect.
    """

    session_config: bytes
    intra_op_parallelism: int
    inter_op_parallelism: int
    batching: BatchingParameters | None
    saved_model_tags: tuple[str, ...]
    enable_model_warmup: bool
    num_request_iterations_for_warmup: int
    prefer_tflite_model: bool
    num_tflite_pools: int
    enable_per_model_batching_parameters: bool
    notes: tuple[str, ...]


def parse_platform_config(text: str, file: str) -> PlatformConfig:
    """The config of TensorFlow's platform; INVALID_ARGUMENT naming `file` if there is none, or none to read."""
    from tensorflow_serving.config.platform_config_pb2 import PlatformConfigMap

    adapter_class = _adapter_class()
    platforms = parse_text(text, PlatformConfigMap(), file).platform_configs
    if PLATFORM not in platforms:
        raise invalid_argument(f"'{file}' has no config for the platform '{PLATFORM}'")
    adapter = adapter_class()
    packed = platforms[PLATFORM].source_adapter_config
    if not packed.Unpack(adapter):
        raise invalid_argument(
            f"'{file}': the source_adapter_config of '{PLATFORM}' must be a {_ADAPTER}; was '{packed.type_url}'"
        )
    others = [f"platform {name} is not served" for name in sorted(platforms) if name != PLATFORM]
    return _platform_config(adapter.legacy_config, file, others)


def _platform_config(bundle: Any, file: str, notes: list[str]) -> PlatformConfig:
    session = bundle.session_config
    if bundle.mixed_precision == BFLOAT16:
        use_bfloat16(session)
    elif bundle.mixed_precision:
        notes.append(f"mixed_precision {bundle.mixed_precision} has no effect: only {BFLOAT16} is known")
    set_fields = [field.name for field, _ in bundle.ListFields()]
    notes += [f"{name} has no effect here" for name in set_fields if name not in _HONOURED]
    batching = None
    if bundle.HasField("batching_parameters"):
        batching = parse_batching_parameters(text_format.MessageToString(bundle.batching_parameters), file)
    return PlatformConfig(
        session_config=session.SerializeToString(deterministic=True),
        intra_op_parallelism=max(session.intra_op_parallelism_threads, 0),
        inter_op_parallelism=max(session.inter_op_parallelism_threads, 0),
        batching=batching,
        saved_model_tags=tuple(bundle.saved_model_tags) or ("serve",),
        enable_model_warmup=bundle.enable_model_warmup,
        num_request_iterations_for_warmup=bundle.model_warmup_options.num_request_iterations.value,
        prefer_tflite_model=bundle.prefer_tflite_model,
        num_tflite_pools=bundle.num_tflite_pools,
        enable_per_model_batching_parameters=bundle.enable_per_model_batching_params,
        notes=tuple(f"--platform_config_file: {note}" for note in notes),
    )


def _adapter_class() -> Any:
    dependencies = [wrappers_pb2.Int32Value, session_config_class(), batching_parameters_class()]
    return message_class(_ADAPTER, _MESSAGES, dependencies)

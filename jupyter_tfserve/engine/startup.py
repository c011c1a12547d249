"""From the command line to `EngineOptions`: which flag fills which option, and what can't be combined."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from jupyter_tfserve.codec.batching_parameters import BatchingParameters, parse_batching_parameters
from jupyter_tfserve.codec.monitoring_config import parse_monitoring_config
from jupyter_tfserve.dataplane.grpc_options import parse_channel_arguments
from jupyter_tfserve.dataplane.tls import parse_ssl_config
from jupyter_tfserve.engine.flags import Value
from jupyter_tfserve.errors import ServingError, invalid_argument
from jupyter_tfserve.options import (
    BatchOptions,
    EngineOptions,
    GrpcOptions,
    LifecycleOptions,
    ListenOptions,
    WarmupOptions,
    WorkerOptions,
)


@dataclass(frozen=True, slots=True)
class _Flags:
    """The flags' values with their types."""

    values: Mapping[str, Value]

    def text(self, name: str) -> str:
        return str(self.values[name])

    def number(self, name: str) -> int:
        return int(self.values[name])

    def seconds(self, name: str) -> float:
        return float(self.values[name])

    def is_set(self, name: str) -> bool:
        return bool(self.values[name])

    def path(self, name: str) -> Path | None:
        return Path(self.text(name)).expanduser().absolute() if self.text(name) else None


def engine_options(values: Mapping[str, Value]) -> tuple[EngineOptions, list[str]]:
    """(options, notes) for the parsed flags. INVALID_ARGUMENT with upstream's text for what can't start."""
    flags = _Flags(values)
    batching = _batching(flags)
    worker = _worker(flags)
    options = EngineOptions(
        listen=_listen(flags),
        grpc=_grpc(flags),
        batching=batching.options,
        enable_per_model_batching_parameters=flags.is_set("enable_batching")
        and flags.is_set("enable_per_model_batching_parameters"),
        worker=worker if batching.lanes is None else replace(worker, lanes=batching.lanes),
        lifecycle=_lifecycle(flags),
        warmup=WarmupOptions(
            flags.is_set("enable_model_warmup"), flags.number("num_request_iterations_for_warmup")
        ),
        model_name=flags.text("model_name"),
        model_base_path=flags.text("model_base_path"),
        model_config_file=flags.text("model_config_file"),
        model_config_file_poll_wait_seconds=flags.number("model_config_file_poll_wait_seconds"),
        state_dir=flags.path("state_dir"),
        connection_file=flags.path("connection_file"),
        jupyter_server_pid=flags.number("jupyter_server_pid") or None,
        exit_with_parent=flags.is_set("exit_with_parent"),
    )
    if not (options.model_base_path or options.model_config_file or options.connection_file):
        raise invalid_argument(
            "Both server_options.model_base_path and server_options.model_config_file are empty!",
            "Give --model_base_path=FOLDER, the folder that holds the numbered version folders",
        )
    return options, _notes(flags)


def _listen(flags: _Flags) -> ListenOptions:
    if not flags.number("port") and not flags.text("grpc_socket_path"):
        raise invalid_argument(
            "At least one of server_options.grpc_port or server_options.grpc_socket_path must be set."
        )
    return ListenOptions(
        host=flags.text("host"),
        grpc_port=flags.number("port"),
        rest_port=flags.number("rest_api_port"),
        grpc_socket_path=flags.text("grpc_socket_path"),
        rest_timeout_ms=flags.number("rest_api_timeout_in_ms"),
        rest_enable_cors=flags.is_set("rest_api_enable_cors_support"),
        rest_metrics_path=_metrics_path(flags.text("monitoring_config_file")),
    )


def _metrics_path(file: str) -> str:
    return parse_monitoring_config(read_text(file), file) if file else ""


def _grpc(flags: _Flags) -> GrpcOptions:
    file = flags.text("ssl_config_file")
    return GrpcOptions(
        channel_arguments=parse_channel_arguments(flags.text("grpc_channel_arguments")),
        tls=parse_ssl_config(read_text(file), file) if file else None,
        enable_grpc_healthcheck_service=flags.is_set("enable_grpc_healthcheck_service"),
        enable_serialization_as_tensor_content=flags.is_set("enable_serialization_as_tensor_content"),
        enable_signature_method_name_check=flags.is_set("enable_signature_method_name_check"),
        enable_profiler=flags.is_set("enable_profiler"),
        enable_session_run=flags.is_set("enable_session_run"),
    )


def _worker(flags: _Flags) -> WorkerOptions:
    session, intra, inter = (
        flags.number(f"tensorflow_{name}_parallelism") for name in ("session", "intra_op", "inter_op")
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
        lanes=flags.number("lanes"),
        prefer_tflite_model=flags.is_set("prefer_tflite_model"),
        num_tflite_pools=flags.number("num_tflite_pools"),
        custom_op_libraries=_op_libraries(flags.text("custom_op_libraries")),
    )


def _op_libraries(text: str) -> tuple[str, ...]:
    """The files as absolute paths; INVALID_ARGUMENT for one that is not there."""
    files = tuple(Path(file).expanduser().absolute() for file in text.split(",") if file)
    for file in files:
        if not file.is_file():
            raise invalid_argument(f"--custom_op_libraries: there is no file '{file}'")
    return tuple(map(str, files))


def _lifecycle(flags: _Flags) -> LifecycleOptions:
    return LifecycleOptions(
        file_system_poll_wait_seconds=flags.seconds("file_system_poll_wait_seconds"),
        max_num_load_retries=flags.number("max_num_load_retries"),
        load_retry_interval_micros=flags.number("load_retry_interval_micros"),
        allow_version_labels_for_unavailable_models=flags.is_set(
            "allow_version_labels_for_unavailable_models"
        ),
        num_load_threads=flags.number("num_load_threads") or LifecycleOptions().num_load_threads,
    )


def _batching(flags: _Flags) -> BatchingParameters:
    file = flags.text("batching_parameters_file")
    if not flags.is_set("enable_batching"):
        if file:
            raise invalid_argument(
                "server_options.batching_parameters_file is set without setting "
                "server_options.enable_batching to true."
            )
        return BatchingParameters(BatchOptions(), None)
    return parse_batching_parameters(read_text(file) if file else "", file)


def _notes(flags: _Flags) -> list[str]:
    if flags.is_set("enable_per_model_batching_parameters") and not flags.is_set("enable_batching"):
        return ["--enable_per_model_batching_parameters has no effect without --enable_batching"]
    return []


def read_text(file: str) -> str:
    """The text of a file that a flag names; INVALID_ARGUMENT saying why it can't be read."""
    try:
        return Path(file).expanduser().read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not text"
        raise invalid_argument(f"Can't read '{file}': {reason}") from None


def start_failure(error: ServingError) -> str:
    """The line that ends a failed start, as upstream prints it, with the next step below."""
    hint = f"\n{error.hint}" if error.hint else ""
    return f"Failed to start server. Error: {error}{hint}"

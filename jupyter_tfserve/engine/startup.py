"""From the command line to `EngineOptions`: which flag fills which option, and what can't be combined."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from dataclasses import replace

from jupyter_tfserve.codec.batching_parameters import BatchingParameters, parse_batching_parameters
from jupyter_tfserve.codec.monitoring_config import parse_monitoring_config
from jupyter_tfserve.codec.platform_config import parse_platform_config
from jupyter_tfserve.codec.session_config import BFLOAT16, FLOAT16
from jupyter_tfserve.dataplane.grpc_options import parse_channel_arguments
from jupyter_tfserve.dataplane.tls import parse_ssl_config
from jupyter_tfserve.engine.flag_values import FlagValues, read_text
from jupyter_tfserve.engine.flags import Value
from jupyter_tfserve.engine.platform_options import platform_notes, with_platform
from jupyter_tfserve.engine.worker_flags import worker_notes, worker_options
from jupyter_tfserve.errors import invalid_argument
from jupyter_tfserve.options import (
    BatchOptions,
    EngineOptions,
    GrpcOptions,
    LifecycleOptions,
    ListenOptions,
    WarmupOptions,
)
from jupyter_tfserve.worker.cpus import fronts_for, loads_for, usable_cpus


def engine_options(values: Mapping[str, Value]) -> tuple[EngineOptions, list[str]]:
    """(options, notes) for the parsed flags. INVALID_ARGUMENT with upstream's text for what can't start."""
    flags = FlagValues(values)
    batching = _batching(flags)
    worker = worker_options(flags)
    options = EngineOptions(
        listen=_listen(flags),
        grpc=_grpc(flags),
        batching=batching.options,
        enable_per_model_batching_parameters=flags.is_set("enable_batching")
        and flags.is_set("enable_per_model_batching_parameters"),
        worker=worker if batching.lanes is None else replace(worker, lanes=batching.lanes),
        lifecycle=_lifecycle(flags),
        warmup=WarmupOptions(
            flags.is_set("enable_model_warmup"), flags.integer("num_request_iterations_for_warmup")
        ),
        model_name=flags.text("model_name"),
        model_base_path=flags.text("model_base_path"),
        model_config_file=flags.text("model_config_file"),
        model_config_file_poll_wait_seconds=flags.integer("model_config_file_poll_wait_seconds"),
        state_dir=flags.path("state_dir"),
        connection_file=flags.path("connection_file"),
        jupyter_server_pid=flags.integer("jupyter_server_pid") or None,
        exit_with_parent=flags.is_set("exit_with_parent"),
        owner_socket=_descriptor(flags.integer("owner_socket")),
        owner_ports=_descriptor(flags.integer("owner_ports")),
        front_processes=_front_processes(flags),
    )
    if not (options.model_base_path or options.model_config_file or options.connection_file):
        raise invalid_argument(
            "Both server_options.model_base_path and server_options.model_config_file are empty!",
            "Give --model_base_path=FOLDER, the folder that holds the numbered version folders",
        )
    file = flags.text("platform_config_file")
    if file:
        platform = parse_platform_config(read_text(file), file)
        return with_platform(options, platform), platform_notes(flags, platform)
    return options, _notes(flags)


def _descriptor(number: int) -> int | None:
    return None if number < 0 else number


def _front_processes(flags: FlagValues) -> int:
    """As many as were asked for. An engine beside a notebook has one user, whose memory it shares."""
    asked = flags.integer("front_processes")
    if asked or flags.is_set("exit_with_parent"):
        return asked or 1
    return fronts_for(usable_cpus())


def _listen(flags: FlagValues) -> ListenOptions:
    if not flags.integer("port") and not flags.text("grpc_socket_path"):
        raise invalid_argument(
            "At least one of server_options.grpc_port or server_options.grpc_socket_path must be set."
        )
    return ListenOptions(
        host=flags.text("host"),
        grpc_port=flags.integer("port"),
        rest_port=flags.integer("rest_api_port"),
        grpc_socket_path=flags.text("grpc_socket_path"),
        rest_timeout_ms=flags.integer("rest_api_timeout_in_ms"),
        rest_enable_cors=flags.is_set("rest_api_enable_cors_support"),
        rest_metrics_path=_metrics_path(flags.text("monitoring_config_file")),
        require_keys=flags.is_set("require_keys"),
        allow_insecure_network=flags.is_set("allow_insecure_network"),
    )


def _metrics_path(file: str) -> str:
    return parse_monitoring_config(read_text(file), file) if file else ""


def _grpc(flags: FlagValues) -> GrpcOptions:
    file = flags.text("ssl_config_file")
    if flags.is_set("use_alts_credentials"):
        # Serving in the clear whoever asked for credentials would be worse than not serving.
        raise invalid_argument(
            "Either use_alts_credentials must be false or ssl_config_file must be empty."
            if file
            else "--use_alts_credentials: ALTS exists on Google's cloud only; use --ssl_config_file"
        )
    return GrpcOptions(
        channel_arguments=parse_channel_arguments(flags.text("grpc_channel_arguments")),
        tls=parse_ssl_config(read_text(file), file) if file else None,
        enable_grpc_healthcheck_service=flags.is_set("enable_grpc_healthcheck_service"),
        enable_serialization_as_tensor_content=flags.is_set("enable_serialization_as_tensor_content"),
        enable_signature_method_name_check=flags.is_set("enable_signature_method_name_check"),
        enable_profiler=flags.is_set("enable_profiler"),
        enable_session_run=flags.is_set("enable_session_run"),
    )


def _lifecycle(flags: FlagValues) -> LifecycleOptions:
    return LifecycleOptions(
        file_system_poll_wait_seconds=flags.number("file_system_poll_wait_seconds"),
        max_num_load_retries=flags.integer("max_num_load_retries"),
        load_retry_interval_micros=flags.integer("load_retry_interval_micros"),
        allow_version_labels_for_unavailable_models=flags.is_set(
            "allow_version_labels_for_unavailable_models"
        ),
        num_load_threads=flags.integer("num_load_threads") or loads_for(usable_cpus()),
        allowed_roots=tuple(
            os.path.abspath(os.path.expanduser(root))
            for root in flags.text("allowed_roots").split(os.pathsep)
            if root
        ),
    )


def _batching(flags: FlagValues) -> BatchingParameters:
    file = flags.text("batching_parameters_file")
    wait_ms = flags.number("max_queue_wait_ms")
    if not 0 <= wait_ms < math.inf:
        raise invalid_argument(f"--max_queue_wait_ms={wait_ms}: expected milliseconds, 0 for no limit")
    if not flags.is_set("enable_batching"):
        if file:
            raise invalid_argument(
                "server_options.batching_parameters_file is set without setting "
                "server_options.enable_batching to true."
            )
        target_p99_ms = flags.number("target_p99_ms")
        if not 0 <= target_p99_ms < math.inf:
            raise invalid_argument(f"--target_p99_ms={target_p99_ms}: expected milliseconds, 0 for no goal")
        return BatchingParameters(BatchOptions(target_p99_ms=target_p99_ms, max_queue_wait_ms=wait_ms), None)
    parsed = parse_batching_parameters(read_text(file) if file else "", file)
    # Counts for versions that have no parameters of their own, where each version may have some.
    return replace(parsed, options=replace(parsed.options, max_queue_wait_ms=wait_ms))


def _notes(flags: FlagValues) -> list[str]:
    notes = worker_notes(flags)
    if flags.is_set("enable_per_model_batching_parameters") and not flags.is_set("enable_batching"):
        notes.append("--enable_per_model_batching_parameters has no effect without --enable_batching")
    if flags.is_changed("target_p99_ms") and flags.is_set("enable_batching"):
        notes.append("--target_p99_ms has no effect with --enable_batching, which batches by its parameters")
    precision = flags.text("mixed_precision")
    if precision not in ("", BFLOAT16, FLOAT16):
        notes.append(f"--mixed_precision={precision} has no effect: only {BFLOAT16} and {FLOAT16} are known")
    return notes

"""tensorflow_model_server's command line: its flags by their own names, and ours beside them.

Syntax as upstream: `--name=value`; a boolean also as `--name`. An unknown flag is reported with its nearest
neighbour and the server starts all the same; a bad value ends the start.
"""

from __future__ import annotations

import difflib
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias

from jupyter_tfserve.errors import invalid_argument

Value: TypeAlias = "bool | int | float | str"


@dataclass(frozen=True, slots=True)
class Flag:
    """One flag. Its default's type is its type. `ours`: upstream does not have it. `inert`: accepted, changes nothing."""

    name: str
    default: Value
    help: str
    ours: bool = False
    inert: str = ""


_ONE_LOOP: Final = "one event loop serves all connections"

FLAGS: Final[tuple[Flag, ...]] = (
    Flag("port", 8500, "gRPC port; 0 switches gRPC off, -1 picks a free port"),
    Flag("grpc_socket_path", "", "also serve gRPC on this UNIX socket"),
    Flag("rest_api_port", 8501, "REST port; 0 switches REST off, -1 picks a free port"),
    Flag("rest_api_timeout_in_ms", 30_000, "time limit of a REST prediction; 0 or less: none"),
    Flag("rest_api_enable_cors_support", False, "web pages of any origin may ask the REST port"),
    Flag("host", "127.0.0.1", "address to listen on", ours=True),
    Flag("require_keys", False, "answer only requests with a key; always so for other machines", ours=True),
    Flag(
        "allow_insecure_network",
        False,
        "let other machines in without TLS and keys (--host other than loopback)",
        ours=True,
    ),
    Flag("model_name", "", "name of the model at --model_base_path; default: default"),
    Flag("model_base_path", "", "folder with numbered version folders"),
    Flag("model_config_file", "", "ModelServerConfig, as text proto or JSON"),
    Flag(
        "model_config_file_poll_wait_seconds",
        0,
        "seconds between reads of the config file; 0 or less: read once",
    ),
    Flag(
        "file_system_poll_wait_seconds",
        1.0,
        "seconds between looks for new versions; 0: once; negative: never",
    ),
    Flag("allow_version_labels_for_unavailable_models", False, "labels may name versions not loaded yet"),
    Flag("enable_batching", False, "batch by TensorFlow Serving's parameters instead of our defaults"),
    Flag("batching_parameters_file", "", "BatchingParameters text proto; needs --enable_batching"),
    Flag(
        "enable_per_model_batching_parameters",
        False,
        "batch a version by its own batching_params.pbtxt, one without that file not at all; needs --enable_batching",
    ),
    Flag("max_num_load_retries", 5, "retries after a failed load"),
    Flag("load_retry_interval_micros", 60_000_000, "pause between load retries; negative: none"),
    Flag("num_load_threads", 0, "how many versions may load at once; 0: by the CPUs, two to four"),
    Flag("enable_model_warmup", True, "replay a model's recorded requests before it serves"),
    Flag(
        "num_request_iterations_for_warmup",
        0,
        "times that each recorded request is replayed; 0 or less: once",
    ),
    Flag("saved_model_tags", "serve", "tags of the meta graph, comma-separated"),
    Flag("tensorflow_intra_op_parallelism", 0, "threads of one operation; 0: as many as CPUs may be used"),
    Flag("tensorflow_inter_op_parallelism", 0, "operations that run at once; 0: as many as CPUs"),
    Flag("tensorflow_session_parallelism", 0, "sets both parallelism flags"),
    Flag("version", False, "print the versions and exit"),
    Flag("help", False, "print this text and exit"),
    Flag("custom_op_libraries", "", "shared libraries of operations, comma-separated", ours=True),
    Flag("enable_session_run", False, "serve SessionService.SessionRun over gRPC", ours=True),
    Flag(
        "allowed_roots",
        "",
        f"serve models from inside these folders only, separated by '{os.pathsep}'; default: from anywhere",
        ours=True,
    ),
    Flag("max_worker_memory_mb", 0, "memory that one version may take, in MiB; 0: no limit", ours=True),
    Flag(
        "gpu_memory_limit_mb",
        0,
        "memory of its GPU that one process of a version may take, in MiB; 0: by --per_process_gpu_memory_fraction",
        ours=True,
    ),
    Flag(
        "memory_estimate_factor",
        1.2,
        "load a version only if this many times the size of its files is free memory; 0: always",
        ours=True,
    ),
    Flag(
        "max_worker_deaths",
        3,
        "deaths of a version's process within a minute, or runs within an hour that never end, after which it is "
        "given up; 0: never. A request that kills is tried twice",
        ours=True,
    ),
    Flag(
        "load_timeout_s",
        300.0,
        "end a load that takes longer than this; after two such loads the version is given up",
        ours=True,
    ),
    Flag(
        "front_processes",
        0,
        "processes that accept connections, decode and encode; 1: the engine alone; 0: one for each four CPUs, but "
        "one for engines that a Jupyter server or a kernel starts",
        ours=True,
    ),
    Flag(
        "lanes",
        0,
        "batches that one process of a version may run at once; 0: by the CPUs, two to eight",
        ours=True,
    ),
    Flag("replicas", 1, "processes that serve each version; 0: one for each GPU", ours=True),
    Flag(
        "target_p99_ms",
        0.0,
        "keep batches small enough that a request takes at most so many ms; 0: highest throughput",
        ours=True,
    ),
    Flag(
        "max_queue_wait_ms",
        5000.0,
        "refuse at once a request that would wait longer than this for its batch, or than half of its deadline; "
        "0: never. Not with TensorFlow Serving's batching parameters, which have a bound of their own",
        ours=True,
    ),
    Flag(
        "state_dir",
        "",
        "folder that keeps labels, policies and models across restarts; one server's at a time",
        ours=True,
    ),
    Flag("connection_file", "", "write addresses and the control token here (mode 0600)", ours=True),
    Flag("jupyter_server_pid", 0, "the Jupyter server that owns this engine; 0: none", ours=True),
    Flag("exit_with_parent", False, "stop when standard input or the parent process ends", ours=True),
    Flag(
        "owner_socket",
        -1,
        "inherited socket by which the parent keeps TensorFlow in memory for a restart; -1: none",
        ours=True,
    ),
    Flag(
        "owner_ports",
        -1,
        "inherited socket by which the parent keeps the ports open during a restart; -1: none",
        ours=True,
    ),
    Flag("rest_api_num_threads", 0, "HTTP threads", inert=_ONE_LOOP),
    Flag("grpc_max_threads", 0, "gRPC threads", inert=_ONE_LOOP),
    Flag("num_unload_threads", 0, "unload threads", inert="versions unload independently of each other"),
    Flag("flush_filesystem_caches", True, "flush file system caches", inert="nothing is cached"),
    Flag(
        "remove_unused_fields_from_bundle_metagraph", True, "save memory", inert="workers keep only what runs"
    ),
    Flag(
        "tensorflow_session_config_file", "", "ConfigProto text proto; flags overwrite its threads and memory"
    ),
    Flag(
        "platform_config_file",
        "",
        "PlatformConfigMap text proto, in place of session, batching, warm-up flags",
    ),
    Flag(
        "per_process_gpu_memory_fraction",
        0.0,
        "share of a GPU's memory that one process of a version may take; 0: half",
    ),
    Flag("use_alts_credentials", False, "refused: ALTS exists on Google's cloud only"),
    Flag("ssl_config_file", "", "SSLConfig text proto: TLS for gRPC and REST"),
    Flag("grpc_channel_arguments", "", "gRPC server arguments, name=value,name=value"),
    Flag("monitoring_config_file", "", "MonitoringConfig text proto: Prometheus on the REST port"),
    Flag("prefer_tflite_model", False, "serve VERSION/model.tflite where there is one"),
    Flag(
        "num_tflite_pools",
        0,
        "interpreters of a TFLite model, each for one batch at a time; 0: as many as --lanes",
    ),
    Flag(
        "num_tflite_interpreters_per_pool",
        1,
        "TFLite parallelism",
        inert="batches are not split between them",
    ),
    Flag("enable_signature_method_name_check", False, "classify and regress need their own method names"),
    Flag("xla_cpu_compilation_enabled", False, "compile clusters of operations just in time, on CPUs too"),
    Flag("xla_gpu_compilation_enabled", False, "compile clusters of operations just in time, on GPUs"),
    Flag("enable_profiler", True, "TensorBoard may profile the models over the gRPC port"),
    Flag("thread_pool_factory_config_file", "", "thread pools", inert="upstream ships no factory either"),
    Flag(
        "mixed_precision",
        "",
        "compute in bfloat16 (CPU) or float16 (GPU) where TensorFlow considers that safe",
    ),
    Flag("skip_initialize_tpu", False, "TPU builds", inert="there is no TPU support"),
    Flag("enable_grpc_healthcheck_service", False, "serve grpc.health.v1"),
    Flag("enable_serialization_as_tensor_content", False, "gRPC Predict answers in tensor_content"),
)
DEFAULTS: Final[Mapping[str, Value]] = {flag.name: flag.default for flag in FLAGS}

_BY_NAME: Final[Mapping[str, Flag]] = {flag.name: flag for flag in FLAGS}


def parse_flags(arguments: Sequence[str]) -> tuple[dict[str, Value], list[str]]:
    """(every flag's value by name, notes for the user). INVALID_ARGUMENT for a value that its flag can't have."""
    values = dict(DEFAULTS)
    notes: list[str] = []
    for argument in arguments:
        name, equals, text = argument.removeprefix("--").partition("=")
        flag = _BY_NAME.get(name) if argument.startswith("--") else None
        if flag is None:
            notes.append(f"unknown argument: {argument}{_nearest(name)}")
            continue
        values[name] = _value(flag, text if equals else None)
        if flag.inert and values[name] != flag.default:
            notes.append(f"--{name} is accepted for compatibility: {flag.inert}")
    return values, notes


def usage() -> str:
    """The help text."""
    lines = ["usage: jupyter tfserve serve [--flag=value …]", "", "TensorFlow Serving's flags:"]
    lines += [_usage_line(flag) for flag in FLAGS if not flag.ours and not flag.inert]
    lines += ["", "Ours:", *(_usage_line(flag) for flag in FLAGS if flag.ours)]
    lines += [
        "",
        "Accepted, without effect:",
        *(f"  --{flag.name}: {flag.inert}" for flag in FLAGS if flag.inert),
    ]
    return "\n".join(lines)


def _usage_line(flag: Flag) -> str:
    return f"  --{flag.name}={_shown(flag.default)}\n        {flag.help}"


def _shown(value: Value) -> str:
    return str(value).lower() if isinstance(value, bool) else repr(value) if value == "" else str(value)


def _value(flag: Flag, text: str | None) -> Value:
    if isinstance(flag.default, bool):
        if text not in (None, "true", "false"):
            raise invalid_argument(f"--{flag.name}={text}: expected true or false")
        return text != "false"
    if text is None:
        raise invalid_argument(f"--{flag.name} needs a value: --{flag.name}=…")
    try:
        return type(flag.default)(text)
    except ValueError:
        kind = "a whole number" if isinstance(flag.default, int) else "a number"
        raise invalid_argument(f"--{flag.name}={text}: expected {kind}") from None


def _nearest(name: str) -> str:
    near = difflib.get_close_matches(name.replace("-", "_"), _BY_NAME, n=1)
    return f" (did you mean --{near[0]}?)" if near else ""

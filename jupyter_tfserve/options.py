"""Every setting as a frozen value, checked once when it is made.

The edges (command line, Jupyter configuration, magics) fill these; inner layers receive the value that
concerns them and nothing else. Names are tensorflow_model_server's where it has one; one unit per suffix.
"""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, TypeAlias

from jupyter_tfserve.errors import invalid_argument

MAX_REPLICAS: Final = 64


def _check(condition: bool, message: str) -> None:
    if not condition:
        raise invalid_argument(message)


@dataclass(frozen=True, slots=True)
class LimitOptions:
    """What one sender may cost us. Sizes in bytes, times in seconds."""

    max_body_bytes: int = 256 * 2**20
    max_unfinished_bytes: int = 1024 * 2**20
    """gRPC requests of which only a part is here and what compressed ones inflate to, of all callers together; and
    as many of answers that wait to be taken, a quarter of it for one connection."""
    max_tensor_bytes: int = 1024 * 2**20
    max_header_bytes: int = 64 * 2**10
    max_headers: int = 128
    max_json_depth: int = 10_000
    max_connections: int = 4096
    header_timeout_s: float = 10.0
    min_body_bytes_per_s: int = 1024
    idle_timeout_s: float = 300.0
    write_timeout_s: float = 30.0

    def __post_init__(self) -> None:
        for name in self.__dataclass_fields__:
            _check(getattr(self, name) > 0, f"{name} must be positive; was {getattr(self, name)}")


@dataclass(frozen=True, slots=True)
class BatchOptions:
    """One queue's batching. Defaults: no waiting, batches form only while every lane is busy, and are as large as
    is learned to be best, up to `max_batch_size` rows and `max_batch_bytes`.

    `target_p99_ms` bounds batches by what a request may take in all; 0: no such goal.
    `enabled` off: every request runs alone. `verify` compares a signature's first batches with single runs, so
    that a model whose rows are not independent is never batched. `strict` keeps TensorFlow Serving's rules
    instead: what can't be batched is refused, and `max_enqueued_batches` bounds each queue.
    `max_enqueued_rows` and `max_enqueued_bytes` bound what may wait in all, `max_queue_wait_ms` for how long: a
    request that would wait longer by what is known of the model is refused at once (0: none is; never with
    `strict`). `max_execution_batch_size` counts with `enable_large_batch_splitting` only; 0 means `max_batch_size`.
    """

    max_batch_size: int = 1024
    max_batch_bytes: int = 64 * 2**20
    target_p99_ms: float = 0.0
    batch_timeout_micros: int = 0
    max_enqueued_rows: int = 2**24
    max_enqueued_bytes: int = 512 * 2**20
    max_queue_wait_ms: float = 5000.0
    allowed_batch_sizes: tuple[int, ...] = ()
    pad_to_powers_of_two: bool = False
    """Where no sizes are allowed alone: a compiler or a GPU wants few. Only rows that have shown to be independent
    are padded by this, and nothing with `strict`."""
    enabled: bool = True
    verify: bool = True
    strict: bool = False
    max_enqueued_batches: int = 10
    pad_variable_length_inputs: bool = False
    enable_large_batch_splitting: bool = False
    max_execution_batch_size: int = 0

    def __post_init__(self) -> None:
        _check(self.max_batch_size > 0, f"max_batch_size must be positive; was {self.max_batch_size}")
        _check(self.max_batch_bytes > 0, f"max_batch_bytes must be positive; was {self.max_batch_bytes}")
        _check(
            0 <= self.target_p99_ms < float("inf"),
            f"target_p99_ms must be a time, or 0 for none; was {self.target_p99_ms}",
        )
        _check(
            0 <= self.max_queue_wait_ms < float("inf"),
            f"max_queue_wait_ms must be a time, or 0 for no limit; was {self.max_queue_wait_ms}",
        )
        _check(
            self.batch_timeout_micros >= 0,
            f"batch_timeout_micros must be non-negative; was {self.batch_timeout_micros}",
        )
        _check(
            self.max_enqueued_batches >= 0,
            f"max_enqueued_batches must be non-negative; was {self.max_enqueued_batches}",
        )
        _check(
            0 <= self.execution_size <= self.max_batch_size,
            "When enable_large_batch_splitting is true, input_batch_size_limit must be greater than or equal to "
            "max_execution_batch_size.",
        )
        if self.allowed_batch_sizes:
            last = self.allowed_batch_sizes[-1]
            name = "max_execution_batch_size" if self.enable_large_batch_splitting else "max_batch_size"
            _check(
                last == self.execution_size,
                f"Last entry in allowed_batch_sizes must match {name}; "
                f"last entry was {last}; expected {self.execution_size}",
            )

    @property
    def execution_size(self) -> int:
        """The rows of the largest batch that is run."""
        if self.enable_large_batch_splitting and self.max_execution_batch_size:
            return self.max_execution_batch_size
        return self.max_batch_size


@dataclass(frozen=True, slots=True)
class WorkerOptions:
    """How a version's process is started and how it runs its model."""

    saved_model_tags: tuple[str, ...] = ("serve",)
    intra_op_parallelism: int = 0
    inter_op_parallelism: int = 0
    lanes: int = 2
    replicas: int = 1
    """Processes that serve each version; 0: one for each GPU."""
    load_timeout_s: float = 300.0
    stop_timeout_s: float = 5.0
    session_config: bytes = b""
    """A serialized ConfigProto; the parallelism above overwrites what it says of threads."""
    xla_cpu_compilation_enabled: bool = False
    uses_xla: bool = False
    """Whether the session compiles, on whatever device: batches are of few sizes then."""
    prefer_tflite_model: bool = False
    num_tflite_pools: int = 0
    """Interpreters of a TFLite model, one lane each; 0: as many as `lanes`."""
    custom_op_libraries: tuple[str, ...] = ()
    """Shared libraries of operations that a worker loads before its model."""
    max_worker_memory_mb: int = 0
    """What a model may take, above TensorFlow itself; 0: no limit. Linux only."""
    gpu_memory_limit_mb: int = 0
    """What one process may take of its GPU, over TensorFlow's own context; 0: by the session's config, half of it
    where that says nothing."""
    memory_estimate_factor: float = 1.2
    """A model takes so many times the size of its files, and is not loaded if that is not left (upstream's
    estimate); 0: always loaded."""
    max_worker_deaths: int = 3
    """So many deaths within a minute, by its own fault, or hangs within an hour put a version in quarantine; 0: never."""

    def __post_init__(self) -> None:
        _check(
            self.num_tflite_pools >= 0, f"num_tflite_pools must not be negative; was {self.num_tflite_pools}"
        )
        for name in (
            "max_worker_memory_mb",
            "gpu_memory_limit_mb",
            "memory_estimate_factor",
            "max_worker_deaths",
        ):
            _check(getattr(self, name) >= 0, f"{name} must not be negative; was {getattr(self, name)}")
        _check(
            0 <= self.replicas <= MAX_REPLICAS,
            f"replicas must be from 0 to {MAX_REPLICAS}; was {self.replicas}",
        )
        _check(
            0 < self.load_timeout_s < float("inf"),
            f"load_timeout_s must be positive; was {self.load_timeout_s}",
        )
        _check(self.lanes > 0, f"lanes must be positive; was {self.lanes}")


@dataclass(frozen=True, slots=True)
class LifecycleOptions:
    """Which versions are looked for, how often, and how stubbornly they are loaded."""

    file_system_poll_wait_seconds: float = 1.0
    max_num_load_retries: int = 5
    load_retry_interval_micros: int = 60_000_000
    allow_version_labels_for_unavailable_models: bool = False
    num_load_threads: int = 4
    """How many versions may load at once."""
    allowed_roots: tuple[str, ...] = ()
    """Models are served from inside these folders only; empty: from anywhere."""


@dataclass(frozen=True, slots=True)
class ListenOptions:
    """Where the engine listens. A port of 0 switches that protocol off; -1 picks a free port."""

    host: str = "127.0.0.1"
    grpc_port: int = 8500
    rest_port: int = 8501
    grpc_socket_path: str = ""
    rest_timeout_ms: int = 30_000
    rest_enable_cors: bool = False
    rest_metrics_path: str = ""
    """Where Prometheus may read on the REST port; empty: nowhere."""
    require_keys: bool = False
    """Answer only those who show a key; off this machine that is so whatever is said here."""
    allow_insecure_network: bool = False
    """Other machines may come in without TLS and, unless `require_keys` says otherwise, without a key."""

    def __post_init__(self) -> None:
        for name in ("grpc_port", "rest_port"):
            _check(-1 <= getattr(self, name) < 65536, f"{name} must be a port; was {getattr(self, name)}")
        _check(
            self.rest_port <= 0 or self.rest_port != self.grpc_port,
            f"--port and --rest_api_port must differ; both are {self.rest_port}",
        )

    @property
    def is_local(self) -> bool:
        """Whether nobody but this machine can come in. A name that is not `localhost` may mean anything."""
        if self.host == "localhost" or not (self.grpc_port or self.rest_port):
            return True
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return False

    @property
    def keys_required(self) -> bool:
        """Whether the ports answer only those who show a key."""
        return self.require_keys or not (self.is_local or self.allow_insecure_network)


@dataclass(frozen=True, slots=True)
class WarmupOptions:
    """Whether a model's recorded requests are replayed before it serves, and how often each (0: once)."""

    enable_model_warmup: bool = True
    num_request_iterations_for_warmup: int = 0


@dataclass(frozen=True, slots=True)
class TlsOptions:
    """A server's key and certificate chain in PEM. `client_verify`: clients need one by `custom_ca`."""

    server_key: bytes = field(repr=False)
    server_cert: bytes
    custom_ca: bytes = b""
    client_verify: bool = False


ChannelArguments: TypeAlias = "tuple[tuple[str, int | str], ...]"


@dataclass(frozen=True, slots=True)
class GrpcOptions:
    """tensorflow_model_server's gRPC switches, by its own names; `tls` is its `ssl_config_file`."""

    channel_arguments: ChannelArguments = ()
    tls: TlsOptions | None = None
    enable_grpc_healthcheck_service: bool = False
    enable_serialization_as_tensor_content: bool = False
    enable_signature_method_name_check: bool = False
    enable_profiler: bool = True
    enable_session_run: bool = False


@dataclass(frozen=True, slots=True)
class EngineOptions:
    """Everything an engine is started with."""

    listen: ListenOptions = field(default_factory=ListenOptions)
    grpc: GrpcOptions = field(default_factory=GrpcOptions)
    limits: LimitOptions = field(default_factory=LimitOptions)
    batching: BatchOptions = field(default_factory=BatchOptions)
    enable_per_model_batching_parameters: bool = False
    worker: WorkerOptions = field(default_factory=WorkerOptions)
    lifecycle: LifecycleOptions = field(default_factory=LifecycleOptions)
    warmup: WarmupOptions = field(default_factory=WarmupOptions)
    model_name: str = ""
    model_base_path: str = ""
    model_config_file: str = ""
    model_config_file_poll_wait_seconds: float = 0
    state_dir: Path | None = None
    connection_file: Path | None = None
    jupyter_server_pid: int | None = None
    exit_with_parent: bool = False
    """Stop when standard input reaches its end, whose other side the parent holds, or the parent's process ends."""
    owner_socket: int | None = None
    """The descriptor by which whoever restarts the engine keeps its fork server for the next run."""
    owner_ports: int | None = None
    """The descriptor by which it keeps the listening sockets."""
    front_processes: int = 1
    """How many processes take connections; 1: the engine does it itself."""

    def __post_init__(self) -> None:
        listen = self.listen
        _check(self.front_processes > 0, f"front_processes must be positive; was {self.front_processes}")
        _check(
            listen.is_local or listen.allow_insecure_network or self.grpc.tls is not None,
            f"--host={listen.host} lets other machines in, which needs TLS (--ssl_config_file) and a key with each "
            "request; --allow_insecure_network serves them in the clear and without keys",
        )

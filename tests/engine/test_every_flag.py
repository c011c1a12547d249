"""Every flag of tensorflow_model_server: it changes the engine's options, or says plainly that it does not."""

from __future__ import annotations

from pathlib import Path

import pytest

from jupyter_tfserve.engine.flags import FLAGS, parse_flags, usage
from jupyter_tfserve.engine.initial_models import initial_models
from jupyter_tfserve.engine.startup import engine_options
from jupyter_tfserve.errors import ServingError
from jupyter_tfserve.options import EngineOptions

ADAPTER = "type.googleapis.com/tensorflow.serving.SavedModelBundleSourceAdapterConfig"
PEM = '"-----BEGIN X-----\\nc2VjcmV0\\n"'
FILES = {
    "batching": "max_batch_size { value: 7 }",
    "models": 'model_config_list { config { name: "m" base_path: "/m" model_platform: "tensorflow" } }',
    "session": "allow_soft_placement: true",
    "platform": (
        'platform_configs { key: "tensorflow" value { source_adapter_config { '
        f'[{ADAPTER}] {{ legacy_config {{ saved_model_tags: "gpu" }} }} }} }} }}'
    ),
    "ssl": f"server_key: {PEM} server_cert: {PEM}",
    "monitoring": "prometheus_config { enable: true }",
}

WORKS = {
    "port": "9000",
    "grpc_socket_path": "/tmp/x.sock",
    "rest_api_port": "9001",
    "rest_api_timeout_in_ms": "5",
    "rest_api_enable_cors_support": "true",
    "enable_batching": "true",
    "batching_parameters_file": "@batching",
    "enable_per_model_batching_parameters": "true",
    "allow_version_labels_for_unavailable_models": "true",
    "model_config_file": "@models",
    "model_config_file_poll_wait_seconds": "3",
    "model_name": "m",
    "model_base_path": "/elsewhere",
    "num_load_threads": "9",
    "max_num_load_retries": "1",
    "load_retry_interval_micros": "7",
    "file_system_poll_wait_seconds": "4",
    "tensorflow_session_parallelism": "2",
    "tensorflow_intra_op_parallelism": "2",
    "tensorflow_inter_op_parallelism": "2",
    "tensorflow_session_config_file": "@session",
    "platform_config_file": "@platform",
    "per_process_gpu_memory_fraction": "0.5",
    "saved_model_tags": "serve,gpu",
    "ssl_config_file": "@ssl",
    "grpc_channel_arguments": "grpc.max_concurrent_streams=3",
    "enable_model_warmup": "false",
    "num_request_iterations_for_warmup": "3",
    "monitoring_config_file": "@monitoring",
    "prefer_tflite_model": "true",
    "num_tflite_pools": "3",
    "enable_signature_method_name_check": "true",
    "xla_cpu_compilation_enabled": "true",
    "xla_gpu_compilation_enabled": "true",
    "enable_profiler": "false",
    "mixed_precision": "bfloat16",
    "enable_grpc_healthcheck_service": "true",
    "enable_serialization_as_tensor_content": "true",
}
"""A value of each flag that works, which its default is not; `@name` is a file."""

SAYS_SO = {
    "rest_api_num_threads": "8",
    "grpc_max_threads": "8",
    "num_unload_threads": "2",
    "flush_filesystem_caches": "false",
    "remove_unused_fields_from_bundle_metagraph": "false",
    "num_tflite_interpreters_per_pool": "2",
    "thread_pool_factory_config_file": "/x",
    "skip_initialize_tpu": "true",
}
REFUSED = {"use_alts_credentials": "true"}
ANSWERED = {"version", "help"}
"""Printed by the command itself, before there are options."""
NEEDS = {
    "batching_parameters_file": ["--enable_batching"],
    "enable_per_model_batching_parameters": ["--enable_batching"],
}


@pytest.fixture
def options_of(tmp_path: Path):
    """The options and notes of a command line; `@name` in a value is that file."""
    for name, text in FILES.items():
        (tmp_path / name).write_text(text)

    def make(*arguments: str) -> tuple[EngineOptions, list[str]]:
        values, notes = parse_flags([argument.replace("@", f"{tmp_path}/") for argument in arguments])
        options, more = engine_options(values)
        return options, [*notes, *more]

    return make


def test_table_has_every_flag_of_upstream_and_no_other():
    known = {flag.name for flag in FLAGS if not flag.ours}
    assert known == WORKS.keys() | SAYS_SO.keys() | REFUSED.keys() | ANSWERED
    assert all(f"--{name}" in usage() for name in known)


@pytest.mark.parametrize("name", WORKS)
def test_flag_changes_the_options_when_it_works(options_of, name):
    base = [] if name == "model_base_path" else ["--model_base_path=/m"]
    before, _ = options_of("--model_base_path=/m", *NEEDS.get(name, []))
    after, notes = options_of(*base, *NEEDS.get(name, []), f"--{name}={WORKS[name]}")
    assert after != before
    assert notes == []


@pytest.mark.parametrize("name", SAYS_SO)
def test_flag_says_so_when_it_changes_nothing(options_of, name):
    before, _ = options_of("--model_base_path=/m")
    after, notes = options_of("--model_base_path=/m", f"--{name}={SAYS_SO[name]}")
    assert after == before
    (note,) = notes
    assert note.startswith(f"--{name} is accepted for compatibility: ")


OFF_LOOPBACK = ["0.0.0.0", "::", "192.0.2.7", "example.test", ""]


@pytest.mark.parametrize("host", OFF_LOOPBACK)
def test_start_is_refused_off_this_machine_without_tls_or_the_words(options_of, host):
    """S1: one line that names the host, what is missing, and the words that do without."""
    with pytest.raises(ServingError) as caught:
        options_of("--model_base_path=/m", f"--host={host}")
    assert caught.value.message == (
        f"--host={host} lets other machines in, which needs TLS (--ssl_config_file) and a key with each "
        "request; --allow_insecure_network serves them in the clear and without keys"
    )
    assert caught.value.hint is None


@pytest.mark.parametrize(
    ("flags", "required"),
    [
        ([], False),
        (["--host=localhost"], False),
        (["--host=127.0.0.2"], False),
        (["--host=::1"], False),
        (["--require_keys"], True),
        (["--host=0.0.0.0", "--ssl_config_file=@ssl"], True),
        (["--host=0.0.0.0", "--ssl_config_file=@ssl", "--allow_insecure_network"], False),
        (["--host=0.0.0.0", "--allow_insecure_network"], False),
        (["--host=0.0.0.0", "--allow_insecure_network", "--require_keys"], True),
        (["--host=0.0.0.0", "--port=0", "--rest_api_port=0", "--grpc_socket_path=/tmp/x"], False),
    ],
)
def test_keys_are_needed_off_this_machine_and_where_it_is_said(options_of, flags, required):
    options, _ = options_of("--model_base_path=/m", *flags)
    assert options.listen.keys_required is required


def test_flag_is_refused_when_going_on_would_be_unsafe(options_of):
    with pytest.raises(ServingError, match="ALTS exists on Google's cloud only"):
        options_of("--model_base_path=/m", "--use_alts_credentials")
    with pytest.raises(ServingError, match="Either use_alts_credentials must be false or ssl_config_file"):
        options_of("--model_base_path=/m", "--use_alts_credentials", "--ssl_config_file=@ssl")


def test_mixed_precision_is_told_about_when_it_is_not_known(options_of):
    options, notes = options_of("--model_base_path=/m", "--mixed_precision=float8")
    assert options.worker.session_config == b""
    assert notes == ["--mixed_precision=float8 has no effect: only bfloat16 and float16 are known"]


def test_flags_are_told_about_when_the_platform_config_replaces_them(options_of):
    flags = ["--model_base_path=/m", "--platform_config_file=@platform"]
    alone, _ = options_of(*flags)
    both, notes = options_of(
        *flags, "--saved_model_tags=x", "--enable_batching", "--xla_cpu_compilation_enabled"
    )
    assert both == alone
    assert both.worker.saved_model_tags == ("gpu",)
    assert notes == [
        "--platform_config_file replaces --enable_batching, --saved_model_tags, --xla_cpu_compilation_enabled"
    ]


@pytest.mark.parametrize(
    "name", [name for name, value in WORKS.items() if value.startswith("@")] + ["batching_parameters_file"]
)
def test_start_is_refused_with_the_file_when_it_cannot_be_read(options_of, tmp_path, name):
    arguments = ["--model_base_path=/m", *NEEDS.get(name, []), f"--{name}={tmp_path}/absent"]
    with pytest.raises(ServingError, match="absent"):
        initial_models(options_of(*arguments)[0])


@pytest.mark.parametrize(
    "name", [name for name, value in WORKS.items() if value.startswith("@") and name != "model_config_file"]
)
def test_start_is_refused_with_the_file_when_it_is_nonsense(options_of, tmp_path, name):
    (tmp_path / "nonsense").write_text("no_such_field { 7 }")
    with pytest.raises(ServingError, match=r"Invalid protobuf file: '.*nonsense'"):
        options_of("--model_base_path=/m", *NEEDS.get(name, []), f"--{name}=@nonsense")

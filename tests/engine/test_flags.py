"""The command line: TensorFlow Serving's flags by their own names, and what is said about the wrong ones."""

from __future__ import annotations

from pathlib import Path

import pytest

from jupyter_tfserve.engine.flags import FLAGS, parse_flags, usage
from jupyter_tfserve.engine.initial_models import initial_models
from jupyter_tfserve.engine.startup import engine_options
from jupyter_tfserve.errors import Code, ServingError
from jupyter_tfserve.lifecycle.config import ModelConfig
from jupyter_tfserve.options import EngineOptions


def opened(options: EngineOptions) -> tuple[ModelConfig, ...]:
    resolved = initial_models(options).opened
    assert resolved is not None
    return resolved.models


def options_of(*arguments: str) -> EngineOptions:
    values, _ = parse_flags(arguments)
    return engine_options(values)[0]


def test_flags_fill_the_options_that_they_name(tmp_path: Path) -> None:
    options = options_of(
        "--port=0", "--grpc_socket_path=/tmp/x.sock", "--rest_api_port=9000", "--host=0.0.0.0",
        "--allow_insecure_network",
        "--rest_api_timeout_in_ms=5", "--model_name=m", f"--model_base_path={tmp_path}",
        "--file_system_poll_wait_seconds=0.5", "--max_num_load_retries=2", "--load_retry_interval_micros=-1",
        "--allow_version_labels_for_unavailable_models", "--saved_model_tags=serve,gpu",
        "--tensorflow_intra_op_parallelism=3", "--tensorflow_inter_op_parallelism=4",
        "--model_config_file_poll_wait_seconds=7", "--num_load_threads=9",
    )  # fmt: skip
    listen, worker, lifecycle = options.listen, options.worker, options.lifecycle
    assert (listen.grpc_port, listen.rest_port, listen.host) == (0, 9000, "0.0.0.0")
    assert (listen.grpc_socket_path, listen.rest_timeout_ms) == ("/tmp/x.sock", 5)
    assert (options.model_name, options.model_base_path) == ("m", str(tmp_path))
    assert options.model_config_file_poll_wait_seconds == 7
    assert lifecycle.file_system_poll_wait_seconds == 0.5
    assert (lifecycle.max_num_load_retries, lifecycle.load_retry_interval_micros) == (2, -1)
    assert lifecycle.allow_version_labels_for_unavailable_models
    assert lifecycle.num_load_threads == 9
    assert worker.saved_model_tags == ("serve", "gpu")
    assert (worker.intra_op_parallelism, worker.inter_op_parallelism) == (3, 4)


def test_defaults_bind_loopback_on_the_usual_ports() -> None:
    listen = options_of("--model_base_path=/m").listen
    assert (listen.host, listen.grpc_port, listen.rest_port) == ("127.0.0.1", 8500, 8501)


def test_unknown_flag_is_reported_with_its_nearest_and_the_rest_counts() -> None:
    values, notes = parse_flags(["--model_basepath=/m", "--zzzzzz", "stray", "--port=1"])
    assert values["port"] == 1
    assert notes == [
        "unknown argument: --model_basepath=/m (did you mean --model_base_path?)",
        "unknown argument: --zzzzzz",
        "unknown argument: stray",
    ]


def test_flag_without_effect_says_so_only_when_it_was_changed() -> None:
    assert parse_flags(["--flush_filesystem_caches=true"])[1] == []
    assert "--rest_api_num_threads is accepted" in parse_flags(["--rest_api_num_threads=8"])[1][0]


def test_negative_number_of_threads_says_that_it_counts_as_none() -> None:
    values, _ = parse_flags(["--model_base_path=/m", "--tensorflow_session_parallelism=-3"])
    options, notes = engine_options(values)
    assert options.worker.intra_op_parallelism == 0
    assert notes[0].startswith("--tensorflow_session_parallelism=-3 is negative")
    assert engine_options(parse_flags(["--model_base_path=/m"])[0])[1] == []


@pytest.mark.parametrize(
    ("argument", "message"),
    [
        ("--port=many", "expected a whole number"),
        ("--file_system_poll_wait_seconds=x", "expected a number"),
        ("--enable_batching=yes", "expected true or false"),
        ("--model_name", "needs a value"),
    ],
)
def test_bad_value_is_refused(argument: str, message: str) -> None:
    with pytest.raises(ServingError, match=message) as error:
        parse_flags([argument])
    assert error.value.code is Code.INVALID_ARGUMENT


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "Both server_options.model_base_path and server_options.model_config_file are empty!"),
        (["--port=0", "--model_base_path=/m"], "At least one of server_options.grpc_port"),
        (["--model_base_path=/m", "--batching_parameters_file=/x"], "without setting"),
        (["--port=70000", "--model_base_path=/m"], "grpc_port must be a port"),
        (["--port=9000", "--rest_api_port=9000", "--model_base_path=/m"], "must differ; both are 9000"),
        (
            [f"--tensorflow_{n}_parallelism=1" for n in ("session", "intra_op", "inter_op")]
            + ["--model_base_path=/m"],
            "You cannot configure all",
        ),
    ],
)
def test_impossible_combination_is_refused(arguments: list[str], message: str) -> None:
    with pytest.raises(ServingError, match=message):
        options_of(*arguments)


def test_batching_parameters_are_read_when_batching_is_enabled(tmp_path: Path) -> None:
    file = tmp_path / "batching.txt"
    file.write_text(
        "max_batch_size { value: 8 } batch_timeout_micros { value: 500 } num_batch_threads { value: 3 }\n"
        "max_enqueued_batches { value: 5 } allowed_batch_sizes: 4 allowed_batch_sizes: 8"
    )
    options = options_of("--model_base_path=/m", "--enable_batching", f"--batching_parameters_file={file}")
    batching = options.batching
    assert (batching.max_batch_size, batching.batch_timeout_micros) == (8, 500)
    assert (batching.allowed_batch_sizes, batching.max_enqueued_batches) == ((4, 8), 5)
    assert batching.strict
    assert not batching.verify
    assert options.worker.lanes == 3


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("max_batch_size: 8", "Invalid protobuf file"),
        ("num_batch_threads { value: 0 }", "num_batch_threads must be positive; was 0"),
        ("batch_timeout_micros { value: -1 }", "batch_timeout_micros must be non-negative; was -1"),
        ("max_batch_size { value: 8 } allowed_batch_sizes: 4", "last entry was 4; expected 8"),
    ],
)
def test_bad_batching_parameters_are_refused(tmp_path: Path, text: str, message: str) -> None:
    file = tmp_path / "batching.txt"
    file.write_text(text)
    with pytest.raises(ServingError, match=message):
        options_of("--model_base_path=/m", "--enable_batching", f"--batching_parameters_file={file}")


def test_batching_is_strict_only_when_it_is_asked_for() -> None:
    assert not options_of("--model_base_path=/m").batching.strict
    batching = options_of("--model_base_path=/m", "--enable_batching").batching
    assert (batching.strict, batching.max_batch_size, batching.max_enqueued_batches) == (True, 1000, 10)


def test_per_model_batching_parameters_count_only_with_batching() -> None:
    flag = "--enable_per_model_batching_parameters"
    assert options_of("--model_base_path=/m", "--enable_batching", flag).enable_per_model_batching_parameters
    options, notes = engine_options(parse_flags(["--model_base_path=/m", flag])[0])
    assert not options.enable_per_model_batching_parameters
    assert notes == [f"{flag} has no effect without --enable_batching"]


def test_warm_up_flags_become_options() -> None:
    warmup = options_of("--model_base_path=/m").warmup
    assert (warmup.enable_model_warmup, warmup.num_request_iterations_for_warmup) == (True, 0)
    warmup = options_of(
        "--model_base_path=/m", "--enable_model_warmup=false", "--num_request_iterations_for_warmup=3"
    ).warmup
    assert (warmup.enable_model_warmup, warmup.num_request_iterations_for_warmup) == (False, 3)


def test_every_flag_is_in_the_help() -> None:
    assert all(f"--{flag.name}" in usage() for flag in FLAGS)


def test_base_path_is_called_default_when_no_name_is_given(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "half" / "1").mkdir(parents=True)
    (tmp_path / "half" / "1" / "saved_model.pb").touch()
    monkeypatch.chdir(tmp_path)
    (model,) = opened(options_of("--model_base_path=half"))
    assert (model.name, model.base_path) == ("default", str(tmp_path / "half"))
    (model,) = opened(options_of("--model_base_path=."))
    assert (model.name, model.base_path) == ("half", str(tmp_path / "half"))


def test_missing_base_path_or_config_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(ServingError, match="nowhere") as error:
        initial_models(options_of(f"--model_base_path={tmp_path}/nowhere"))
    assert error.value.code is Code.NOT_FOUND
    with pytest.raises(ServingError, match=r"absent\.config") as error:
        initial_models(options_of(f"--model_config_file={tmp_path}/absent.config"))
    assert error.value.code is Code.INVALID_ARGUMENT

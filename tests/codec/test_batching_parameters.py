"""BatchingParameters as options: every field, every default."""

from __future__ import annotations

import pytest

from jupyter_tfserve.codec.batching_parameters import parse_batching_parameters
from jupyter_tfserve.errors import Code, ServingError
from jupyter_tfserve.options import BatchOptions

EVERY_FIELD = """
max_batch_size { value: 128 }
batch_timeout_micros { value: 2000 }
max_enqueued_batches { value: 20 }
num_batch_threads { value: 4 }
thread_pool_name { value: "batch_threads" }
allowed_batch_sizes: 32
allowed_batch_sizes: 64
pad_variable_length_inputs: true
enable_large_batch_splitting { value: true }
max_execution_batch_size { value: 64 }
"""


def test_every_field_becomes_an_option() -> None:
    parameters = parse_batching_parameters(EVERY_FIELD, "batching.txt")
    assert parameters.lanes == 4
    assert parameters.options == BatchOptions(
        max_batch_size=128,
        batch_timeout_micros=2000,
        max_enqueued_batches=20,
        allowed_batch_sizes=(32, 64),
        pad_variable_length_inputs=True,
        enable_large_batch_splitting=True,
        max_execution_batch_size=64,
        verify=False,
        strict=True,
    )


def test_fields_left_out_have_upstreams_defaults() -> None:
    parameters = parse_batching_parameters("", "batching.txt")
    assert parameters.lanes is None
    options = parameters.options
    assert (options.max_batch_size, options.max_enqueued_batches, options.execution_size) == (1000, 10, 1000)
    assert (options.batch_timeout_micros, options.allowed_batch_sizes) == (0, ())


def test_written_zero_is_no_default() -> None:
    assert (
        parse_batching_parameters("max_enqueued_batches { value: 0 }", "f").options.max_enqueued_batches == 0
    )


def test_text_that_is_no_message_is_refused_and_the_hint_names_the_line() -> None:
    with pytest.raises(ServingError) as caught:
        parse_batching_parameters("max_batch_size { value: 1 }\nmax_batch: 8", "dir/batching.txt")
    assert (caught.value.code, caught.value.message) == (
        Code.INVALID_ARGUMENT,
        "Invalid protobuf file: 'dir/batching.txt'",
    )
    assert caught.value.hint is not None
    assert caught.value.hint.startswith("2:1")

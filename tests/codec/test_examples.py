"""examples: requests read with their Examples left as bytes, and the tensor that they become."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jupyter_tfserve.codec.examples import (
    ExampleInput,
    ExampleRequest,
    MultiExampleRequest,
    example_input,
)
from jupyter_tfserve.codec.protos import (
    ClassificationRequest,
    Example,
    MultiInferenceRequest,
    RegressionRequest,
)
from jupyter_tfserve.errors import Code, ServingError
from jupyter_tfserve.options import LimitOptions

LIMITS = LimitOptions()


def example(**features: float) -> Example:
    message = Example()
    for name, value in features.items():
        message.features.feature[name].float_list.value.append(value)
    return message


def refusal(given_input: ExampleInput, limits: LimitOptions = LIMITS) -> ServingError:
    with pytest.raises(ServingError) as caught:
        given_input.tensor(limits)
    return caught.value


@pytest.mark.parametrize("request_type", [ClassificationRequest, RegressionRequest])
def test_request_is_read_with_examples_as_bytes_when_it_has_a_list(request_type):
    message = request_type()
    message.model_spec.name = "m"
    message.model_spec.version.value = 3
    message.input.example_list.examples.extend([example(x=1), example(x=2)])
    read = ExampleRequest.FromString(message.SerializeToString())
    assert (read.model_spec.name, read.model_spec.version.value) == ("m", 3)
    examples = example_input(read.input)
    assert [Example.FromString(text) for text in examples.examples] == [example(x=1), example(x=2)]
    assert examples.context == b""


def test_tasks_are_read_when_the_request_is_for_several():
    message = MultiInferenceRequest()
    message.tasks.add(method_name="a").model_spec.signature_name = "s"
    message.input.example_list.examples.append(example(x=1))
    read = MultiExampleRequest.FromString(message.SerializeToString())
    assert (read.tasks[0].method_name, read.tasks[0].model_spec.signature_name) == ("a", "s")
    assert len(example_input(read.input).examples) == 1


def test_context_is_put_before_every_example_when_given():
    message = ClassificationRequest()
    with_context = message.input.example_list_with_context
    with_context.context.CopyFrom(example(x=1, c=7))
    with_context.examples.extend([example(x=5), example(y=2)])
    read = ExampleRequest.FromString(message.SerializeToString())
    tensor = example_input(read.input).tensor(LIMITS)
    merged = [Example.FromString(text) for text in tensor.tolist()]
    assert merged == [example(x=5, c=7), example(x=1, c=7, y=2)]


@given(st.lists(st.binary(max_size=20), min_size=1, max_size=6), st.binary(max_size=20))
def test_tensor_holds_context_and_example_in_order_when_fed(examples, context):
    tensor = ExampleInput(examples, context).tensor(LIMITS)
    assert tensor.dtype == np.object_
    assert tensor.shape == (len(examples),)
    assert tensor.tolist() == [context + text for text in examples]


def empty_inputs():
    unset, empty, empty_with_context, only_context = (ClassificationRequest() for _ in range(4))
    empty.input.example_list.SetInParent()
    empty_with_context.input.example_list_with_context.SetInParent()
    only_context.input.example_list_with_context.context.CopyFrom(example(c=1))
    return [unset, empty, empty_with_context, only_context]


@pytest.mark.parametrize("message", empty_inputs(), ids=["unset", "empty", "empty_context", "only_context"])
def test_input_is_refused_when_it_has_no_examples(message):
    read = ExampleRequest.FromString(message.SerializeToString())
    error = refusal(example_input(read.input))
    assert (error.code, error.message) == (Code.INVALID_ARGUMENT, "Input is empty.")


def test_input_is_refused_before_it_is_built_when_the_context_multiplies_it():
    """A thousand empty examples and one context of a kilobyte are a megabyte."""
    error = refusal(ExampleInput([b""] * 1000, b"x" * 1000), LimitOptions(max_tensor_bytes=1_000_000))
    assert error.code is Code.RESOURCE_EXHAUSTED
    assert error.message == "The request's examples need 1024000 bytes; the limit max_tensor_bytes is 1000000"
    ExampleInput([b""] * 1000, b"x" * 1000).tensor(LimitOptions(max_tensor_bytes=1_024_000))

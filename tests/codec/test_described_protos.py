"""The messages for where TensorFlow is not installed: laid out as the generated ones."""

from __future__ import annotations

import numpy as np
import pytest

from jupyter_tfserve.codec import client_protos, described_protos, protos
from jupyter_tfserve.codec.tensor_proto import encode_tensor

MESSAGES = [name for name in client_protos.__all__ if name != "DataType"]
INT32, ENUM = 5, 14


def layout(descriptor) -> dict[str, object]:
    """What is on the wire of each field that has a number below; an enum is an int32."""
    return {
        field.name: (
            field.number,
            INT32 if field.type == ENUM else field.type,
            field.has_presence,
            None if field.message_type is None else field.message_type.GetOptions().map_entry,
            None if field.containing_oneof is None else field.containing_oneof.name,
        )
        for field in descriptor.fields
    }


def message_pairs(ours, theirs, seen):
    """Both descriptors, and those of the messages in their fields."""
    if ours.full_name in seen:
        return
    seen.add(ours.full_name)
    yield ours, theirs
    for field in ours.fields:
        if field.message_type is not None:
            other = theirs.fields_by_name[field.name].message_type
            yield from message_pairs(field.message_type, other, seen)


@pytest.mark.parametrize("name", MESSAGES)
def test_fields_are_the_generated_ones_when_they_are_described(name):
    ours, theirs = getattr(described_protos, name), getattr(protos, name)
    assert ours is not theirs
    for our, their in message_pairs(ours.DESCRIPTOR, theirs.DESCRIPTOR, set()):
        assert layout(our).items() <= layout(their).items(), our.full_name


def test_generated_messages_are_used_when_they_are_installed():
    assert client_protos.PredictRequest is protos.PredictRequest


def test_data_types_have_tensorflows_numbers():
    theirs = {name: number for name, number in protos.DataType.items() if not name.endswith("_REF")}
    ours = dict(described_protos.DataType.items())
    # An older TensorFlow knows fewer.
    assert theirs.items() <= ours.items()


def test_bytes_are_read_back_when_each_side_has_its_own_messages():
    request = described_protos.PredictRequest()
    request.model_spec.name, request.model_spec.version.value = "m", 7
    encode_tensor(np.arange(6, dtype="f4").reshape(2, 3), request.inputs["x"])
    request.inputs["x"].half_val.extend([1, 2])
    read = protos.PredictRequest.FromString(request.SerializeToString())
    assert (read.model_spec.name, read.model_spec.version.value) == ("m", 7)
    assert list(read.inputs["x"].float_val) == [0, 1, 2, 3, 4, 5]
    assert described_protos.PredictRequest.FromString(read.SerializeToString()) == request

"""codec.dtypes: one table, the same as TensorFlow's own."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from jupyter_tfserve.codec.dtypes import DTYPES, STRING, by_number, by_numpy, numpy_dtype, tf_name
from jupyter_tfserve.codec.protos import DataType


@pytest.mark.parametrize("name", sorted(DTYPES))
def test_dtype_has_tensorflows_number_when_looked_up_by_name(name):
    assert DataType.Value(f"DT_{name.upper()}") == DTYPES[name].number


@pytest.mark.parametrize("row", DTYPES.values(), ids=lambda row: row.name)
def test_dtype_is_found_again_when_looked_up_from_either_side(row):
    assert by_number(row.number) is row
    assert by_numpy(row.numpy) is row
    assert numpy_dtype(row.name) == row.numpy
    assert tf_name(row.numpy) == row.name


def test_dtype_is_none_when_no_tensor_on_the_wire_can_have_it():
    assert by_number(DataType.Value("DT_RESOURCE")) is None
    assert by_number(0) is None
    assert by_numpy(np.dtype("datetime64[s]")) is None
    assert by_numpy(np.dtype("U3")) is None
    assert by_numpy(np.dtype(np.float32).newbyteorder()) is None


def test_strings_are_object_arrays_when_held_by_numpy():
    assert STRING.numpy == np.dtype(object)
    assert STRING.name == "string"


def test_dtypes_cannot_change_when_someone_tries():
    with pytest.raises(TypeError):
        DTYPES["float"] = STRING  # type: ignore[index]
    with pytest.raises(dataclasses.FrozenInstanceError):
        STRING.number = 1  # type: ignore[misc]

"""Tensors as numpy's own files: one as `.npy`, several by name as `.npz`. Pure.

On the data path this is *parse* and *encode* of REST's binary bodies. Nothing is unpickled: what only pickle could
carry (objects, strings among them) is refused by the file's header. What a header claims is checked before it costs
memory.
"""

from __future__ import annotations

import io
import math
import zipfile
import zlib
from collections.abc import Mapping
from typing import Any, Final

import numpy as np
from numpy.lib import format as npy_format

from jupyter_tfserve.codec.dtypes import by_numpy, numpy_dtype
from jupyter_tfserve.errors import Code, ServingError, invalid_argument
from jupyter_tfserve.types import Signature, Tensor, Tensors, TensorSpec

MAX_MEMBERS: Final = 1024
"""Tensors of one `.npz`."""

_SUFFIX: Final = ".npy"
_STRINGS_HINT: Final = "Strings travel in JSON or as application/x-protobuf (PredictRequest)."


def parse_npy(body: bytes, max_bytes: int, what: str = "The request's body", spent_bytes: int = 0) -> Tensor:
    """The array of a `.npy` file, in this machine's byte order, maybe read-only. `what` is how errors call the file.

    `spent_bytes` is what other tensors of the request hold already. Types that numpy does not know itself (bfloat16)
    come as numpy saves them, as bytes of their width: see `fitted`.
    INVALID_ARGUMENT for what is no such file or holds objects; RESOURCE_EXHAUSTED above `max_bytes`.
    """
    shape, is_fortran, dtype, start = _read_header(body, what)
    if dtype.hasobject or dtype.kind in "SUmM" or dtype.names is not None or dtype.subdtype is not None:
        raise invalid_argument(
            f"{what} holds an array of {dtype}, which cannot be a tensor here", _STRINGS_HINT
        )
    count = math.prod(shape)
    if any(size < 0 for size in shape) or math.prod(max(size, 1) for size in shape) >= 2**62:
        raise invalid_argument(f"{what} has an impossible shape: {shape}")
    if count * dtype.itemsize + spent_bytes > max_bytes:
        raise _too_large(count * dtype.itemsize + spent_bytes, max_bytes)
    if len(body) - start != count * dtype.itemsize:
        raise invalid_argument(
            f"{what} has {len(body) - start} bytes of numbers; {count} elements of {dtype} take "
            f"{count * dtype.itemsize}"
        )
    if dtype.kind == "b":
        # Any byte may come in; a numpy bool other than 0 or 1 is undefined behaviour.
        values: Tensor = np.frombuffer(body, np.uint8, count, start) != 0
    else:
        values = np.frombuffer(body, dtype, count, start)
    if not dtype.isnative:
        values = values.astype(dtype.newbyteorder("="))
    return np.ascontiguousarray(values.reshape(shape[::-1]).T) if is_fortran else values.reshape(shape)


def parse_npz(body: bytes, max_bytes: int) -> dict[str, Tensor]:
    """The arrays of a `.npz` file by name, compressed or not; `max_bytes` is for all of them. Errors as `parse_npy`."""
    tensors: dict[str, Tensor] = {}
    spent_bytes = 0
    try:
        with zipfile.ZipFile(io.BytesIO(body)) as archive:
            members = archive.infolist()
            if len(members) > MAX_MEMBERS:
                raise invalid_argument(
                    f"The request's .npz has {len(members)} members; the limit is {MAX_MEMBERS}"
                )
            for member in members:
                name = member.filename.removesuffix(_SUFFIX)
                if name in tensors or name == member.filename:
                    raise invalid_argument(
                        "The request's .npz needs one NAME.npy for each input, and no more"
                    )
                content = _read_member(archive, member, max_bytes, spent_bytes)
                tensors[name] = parse_npy(content, max_bytes, f"Input {name}", spent_bytes)
                spent_bytes += tensors[name].nbytes
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, OSError):
        raise invalid_argument("The request's body is not a valid .npz file") from None
    return tensors


def encode_npy(tensor: Tensor) -> bytes:
    """The `.npy` file of one tensor; UNIMPLEMENTED for strings."""
    if tensor.dtype.hasobject:
        raise ServingError(Code.UNIMPLEMENTED, "An output of strings cannot be a .npy file", _STRINGS_HINT)
    head = io.BytesIO()
    values = np.ascontiguousarray(tensor).reshape(tensor.shape)
    description = npy_format.header_data_from_array_1_0(values.view(_saved_dtype(values.dtype)))
    npy_format.write_array_header_1_0(head, description)
    return head.getvalue() + values.tobytes()


def encode_npz(tensors: Tensors) -> bytes:
    """The `.npz` file of several, not compressed; UNIMPLEMENTED for strings."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
        for name, tensor in tensors.items():
            # A fixed date: equal answers are equal bytes.
            member = zipfile.ZipInfo(name + _SUFFIX)
            with archive.open(member, "w", force_zip64=True) as content:
                content.write(encode_npy(tensor))
    return file.getvalue()


def fitted(tensor: Tensor, spec: TensorSpec) -> Tensor:
    """The tensor with the type of `spec` where numpy had none for it and saved bytes of its width; else as it is."""
    wanted = numpy_dtype(spec.dtype)
    is_bare = tensor.dtype.kind == "V" and by_numpy(tensor.dtype) is None
    return tensor.view(wanted) if is_bare and tensor.dtype.itemsize == wanted.itemsize else tensor


def bind_arrays(arrays: Mapping[str, Tensor], signature: Signature) -> dict[str, Tensor]:
    """The signature's inputs, defaults filled in; an array named `""` is the only input's, whatever that is called.

    Types are the signature's own, exactly: nothing is converted. INVALID_ARGUMENT naming what does not fit.
    """
    if "" in arrays:
        arrays = {_only_input(signature): arrays[""]}
    known = ", ".join(sorted(signature.inputs))
    for alias in arrays.keys() - signature.inputs.keys():
        raise invalid_argument(f"The signature has no input {alias}", f"Its inputs are {known}.")
    inputs: dict[str, Tensor] = {}
    for alias, spec in signature.inputs.items():
        if alias in arrays:
            inputs[alias] = _checked(alias, fitted(arrays[alias], spec), spec)
        elif alias in signature.defaults:
            inputs[alias] = signature.defaults[alias]
        else:
            raise invalid_argument(f"The input {alias} is missing", f"The signature's inputs are {known}.")
    return inputs


def _checked(alias: str, tensor: Tensor, spec: TensorSpec) -> Tensor:
    dtype = by_numpy(tensor.dtype)
    given = tensor.dtype.name if dtype is None else dtype.name
    if given != spec.dtype:
        hint = (
            "" if spec.dtype == "string" else f'Convert it first: array.astype("{numpy_dtype(spec.dtype)}").'
        )
        raise invalid_argument(
            f"Input {alias} is expected to be {spec.dtype}, but {given} is provided", hint or _STRINGS_HINT
        )
    return tensor


def _only_input(signature: Signature) -> str:
    if len(signature.inputs) != 1:
        names = ", ".join(sorted(signature.inputs)) or "none"
        raise invalid_argument(
            f"A .npy body is one tensor; the signature's inputs are {names}", "Send a .npz with those names."
        )
    return next(iter(signature.inputs))


def _read_header(body: bytes, what: str) -> tuple[tuple[int, ...], bool, np.dtype[Any], int]:
    """Shape, whether the first index runs fastest, type, and where the numbers begin."""
    # The header is bounded by numpy itself (10,000 characters); only its bytes are handed over.
    stream = io.BytesIO(body[:65_536])
    try:
        version = npy_format.read_magic(stream)
        if version == (1, 0):
            shape, is_fortran, dtype = npy_format.read_array_header_1_0(stream)
        elif version == (2, 0):
            shape, is_fortran, dtype = npy_format.read_array_header_2_0(stream)
        else:
            raise ValueError(version)
    except (ValueError, TypeError, SyntaxError, RecursionError, MemoryError, UnicodeError, EOFError):
        raise invalid_argument(f"{what} is not a valid .npy file") from None
    return shape, is_fortran, dtype, stream.tell()


def _read_member(
    archive: zipfile.ZipFile, member: zipfile.ZipInfo, max_bytes: int, spent_bytes: int
) -> bytes:
    allowed = max_bytes - spent_bytes + 65_536  # its header; `parse_npy` counts the numbers
    with archive.open(member) as content:
        # The size that a member claims is not believed: no more than allowed is ever inflated.
        read = content.read(allowed + 1)
    if len(read) > allowed:
        raise _too_large(spent_bytes + len(read), max_bytes)
    return read


def _too_large(size_bytes: int, max_bytes: int) -> ServingError:
    return ServingError(
        Code.RESOURCE_EXHAUSTED,
        f"The request's tensors need {size_bytes} bytes or more; the limit max_tensor_bytes is {max_bytes}",
    )


def _saved_dtype(dtype: np.dtype[Any]) -> np.dtype[Any]:
    """What the file's header says: bare bytes for types that numpy has not, as `np.save` has it."""
    return np.dtype(f"V{dtype.itemsize}") if dtype.kind == "V" or dtype.num >= 256 else dtype

"""Where a request and a signature differ, and the line that makes them agree. Pure.

Asked only after a request has failed: the server's own check is the authority, this one explains.
"""

from __future__ import annotations

import difflib
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from jupyter_tfserve.codec.dtypes import DTYPES
from jupyter_tfserve.codec.value_shape import Shape, describe_shape, is_b64, look, shape_fits
from jupyter_tfserve.types import Signature, TensorSpec

MOST_SHOWN: Final = 3
TAKEN_KINDS: Final[Mapping[str, str]] = {"f": "fiu", "i": "iu", "u": "iu", "O": "O", "b": "b"}
"""The kinds of values that an input of a numpy kind takes: a whole number is a good float, not the reverse."""
KIND_NAMES: Final[Mapping[str, str]] = {
    "f": "fractions",
    "i": "whole numbers",
    "u": "whole numbers",
    "b": "booleans",
    "O": "strings",
}


@dataclass(frozen=True, slots=True)
class Mismatch:
    """One place where the request is not what the signature wants; `fix` is an expression or a sentence."""

    where: str
    came: str
    wanted: str
    fix: str = ""

    def __str__(self) -> str:
        """`instances[3].image: shape [28,28], wanted [?,28,28,1] float32`."""
        return f"{self.where}: {self.came}, wanted {self.wanted}"


def explain(document: Mapping[str, Any], signature: Signature, source: str = "x") -> str | None:
    """What the signature wants, where the request differs, and the fix; None when they agree.

    `source` is how the caller wrote the rows, for the line that fixes them.
    """
    found = list(find_mismatches(document, signature, source))
    if not found:
        return None
    wanted = ", ".join(f"{alias} {describe_spec(spec)}" for alias, spec in sorted(signature.inputs.items()))
    lines = [f"The signature wants {wanted}.", *(str(item) for item in found[:MOST_SHOWN])]
    if len(found) > MOST_SHOWN:
        lines.append(f"… and {len(found) - MOST_SHOWN} more places.")
    fixes = dict.fromkeys(item.fix for item in found if item.fix)
    return "\n".join([*lines, *(f"Fix: {fix}" for fix in list(fixes)[:MOST_SHOWN])])


def describe_spec(spec: TensorSpec) -> str:
    """`[?,28,28,1] float32`."""
    return f"{describe_shape(spec.shape)} {_dtype_name(spec.dtype)}"


def find_mismatches(
    document: Mapping[str, Any], signature: Signature, source: str = "x"
) -> Iterator[Mismatch]:
    """Every place where the request differs from the signature, in the request's order."""
    if "instances" in document:
        yield from _check_rows(document["instances"], signature, source)
    elif "inputs" in document:
        yield from _check_columns(document["inputs"], signature, source)


def _check_columns(inputs: object, signature: Signature, source: str) -> Iterator[Mismatch]:
    if isinstance(inputs, Mapping) and not is_b64(inputs):
        yield from _check_names("inputs", inputs, signature)
        for alias, spec in signature.inputs.items():
            if alias in inputs:
                # A fix must name a value of the user's, which a part of a longer expression is not.
                where = f"{source}[{alias!r}]" if source.isidentifier() else ""
                yield from _check_tensor(f"inputs.{alias}", inputs[alias], spec, spec.shape, where)
    elif len(signature.inputs) == 1:
        ((alias, spec),) = signature.inputs.items()
        yield from _check_tensor("inputs", inputs, spec, spec.shape, source)
    else:
        yield _unnamed("inputs", signature)


def _check_rows(rows: Any, signature: Signature, source: str) -> Iterator[Mismatch]:
    if not isinstance(rows, list):
        if not hasattr(rows, "shape"):
            yield Mismatch(
                "instances", f"shape {describe_shape(look(rows).shape)}", "a list of rows", f"[{source}]"
            )
        elif len(signature.inputs) == 1:
            ((_, spec),) = signature.inputs.items()
            yield from _check_tensor("instances", rows, spec, spec.shape, source)
        else:
            yield _unnamed("instances", signature)
        return
    is_one_row = _is_one_row(rows, signature)
    for index, row in enumerate(rows):
        where = f"instances[{index}]"
        if isinstance(row, Mapping) and not is_b64(row):
            yield from _check_names(where, row, signature)
            for alias, spec in signature.inputs.items():
                if alias in row:
                    shape = _row_shape(spec)
                    yield from _check_tensor(f"{where}.{alias}", row[alias], spec, shape, "", spec.shape)
        elif len(signature.inputs) == 1:
            ((_, spec),) = signature.inputs.items()
            yield from _check_tensor(where, row, spec, _row_shape(spec), source, spec.shape, is_one_row)
        else:
            yield _unnamed(where, signature)


def _check_names(where: str, given: Mapping[str, Any], signature: Signature) -> Iterator[Mismatch]:
    missing = [alias for alias in signature.inputs if alias not in given]
    for name in given:
        if name not in signature.inputs:
            near = difflib.get_close_matches(str(name), missing, n=1) or (
                missing if len(missing) == 1 else []
            )
            fix = f"rename {str(name)!r} to {near[0]!r}" if near else f"leave {str(name)!r} out"
            yield Mismatch(where, f"an input {str(name)!r}", " and ".join(signature.inputs), fix)
            missing = [alias for alias in missing if alias not in near]
    for alias in missing:
        wanted = f"{alias} {describe_spec(signature.inputs[alias])}"
        yield Mismatch(where, f"no input {alias!r}", wanted, f"add {alias!r} to every row")


def _check_tensor(
    where: str,
    value: object,
    spec: TensorSpec,
    wanted: Shape | None,
    source: str,
    shown: Shape | None = None,
    is_one_row: bool = False,
) -> Iterator[Mismatch]:
    """At most one mismatch. `wanted` is the shape at this place, `shown` the one that a person knows."""
    seen = look(value)
    words = f"{describe_shape(wanted if shown is None else shown)} {_dtype_name(spec.dtype)}"
    if seen.problem:
        yield Mismatch(where, seen.problem, words, "make all rows equally long")
    elif not shape_fits(seen.shape, wanted):
        fix = f"[{source}]" if is_one_row else _shape_fix(seen.shape, wanted, source, shown is not None)
        yield Mismatch(where, f"shape {describe_shape(seen.shape)}", words, fix)
    elif not _kind_fits(seen.kind, spec.dtype):
        came = KIND_NAMES.get(seen.kind, "values of several kinds")
        yield Mismatch(where, came, words, _kind_fix(spec.dtype, source))


def _kind_fits(kind: str, dtype: str) -> bool:
    known = DTYPES.get(dtype)
    # Kinds that only gRPC carries (complex, bfloat16) are the server's to judge.
    if known is None or known.numpy.kind not in TAKEN_KINDS or kind == "":
        return True
    return kind in TAKEN_KINDS[known.numpy.kind]


def _shape_fix(came: Shape | None, wanted: Shape | None, source: str, is_row: bool) -> str:
    """The expression that gives the rows the wanted shape, if one is plain. `is_row`: the shapes are one row's."""
    if came is None or wanted is None or not source:
        return ""
    candidates = [(f"np.expand_dims({source}, -1)", (*came, 1))]
    if not is_row:
        candidates.append((f"[{source}]", (1, *came)))
    if came[-1:] == (1,):
        candidates.append((f"np.squeeze({source}, -1)", came[:-1]))
    if came[:1] == (1,):
        candidates.append((f"np.squeeze({source}, {int(is_row)})", came[1:]))
    inner, own = (wanted, came) if is_row else (wanted[1:], came[1:])
    if inner and all(size > 0 for size in inner) and math.prod(inner) == math.prod(own):
        sizes = ", ".join(str(size) for size in (-1, *inner))
        candidates.append((f"np.reshape({source}, ({sizes}))", wanted))
    return next((text for text, shape in candidates if shape_fits(shape, wanted)), "")


def _kind_fix(dtype: str, source: str) -> str:
    if not source:
        return ""
    if dtype == "string":
        return f"np.asarray({source}).astype(str).tolist()"
    return f'np.asarray({source}).astype("{_dtype_name(dtype)}")'


def _is_one_row(rows: list[Any], signature: Signature) -> bool:
    """Whether the list is a single row whose outer brackets were left out."""
    if len(signature.inputs) != 1:
        return False
    ((_, spec),) = signature.inputs.items()
    wanted, seen = _row_shape(spec), look(rows)
    return wanted is not None and len(wanted) > 0 and not seen.problem and shape_fits(seen.shape, wanted)


def _row_shape(spec: TensorSpec) -> Shape | None:
    return None if spec.shape is None else spec.shape[1:]


def _unnamed(where: str, signature: Signature) -> Mismatch:
    names = ", ".join(f"{alias!r}: …" for alias in sorted(signature.inputs))
    return Mismatch(
        where, "one value without a name", f"{len(signature.inputs)} named inputs", f"{{{names}}}"
    )


def _dtype_name(dtype: str) -> str:
    """numpy's name, which the user's own arrays show; TensorFlow says `float` for it."""
    known = DTYPES.get(dtype)
    return dtype if known is None or dtype == "string" else str(known.numpy)

"""Where a request and a signature differ, and the line that makes them agree. Pure.

Asked only after a request has failed: the server's own check is the authority, this one explains. What it costs is
bounded by `value_shape.Budget` and `MOST_FOUND`.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from itertools import islice
from typing import Any, Final

from jupyter_tfserve.codec.dtypes import DTYPES
from jupyter_tfserve.codec.mismatch_fix import kind_fix, lone_row_fix, numpy_name, shape_fix
from jupyter_tfserve.codec.value_shape import Budget, Shape, Value, describe_shape, is_b64, look, shape_fits
from jupyter_tfserve.types import Signature, TensorSpec

MOST_SHOWN: Final = 3
MOST_FOUND: Final = 1000
"""Then the search ends."""
MOST_INPUTS: Final = 8
LONGEST_NAME: Final = 64
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
    found = list(islice(find_mismatches(document, signature, source), MOST_FOUND))
    if not found:
        return None
    wanted = [f"{alias} {describe_spec(spec)}" for alias, spec in sorted(signature.inputs.items())]
    rest = f" and {len(wanted) - MOST_INPUTS} more" if len(wanted) > MOST_INPUTS else ""
    lines = [f"The signature wants {', '.join(wanted[:MOST_INPUTS])}{rest}."]
    lines += [str(item) for item in found[:MOST_SHOWN]]
    if len(found) > MOST_SHOWN:
        least = "at least " if len(found) == MOST_FOUND else ""
        lines.append(f"… and {least}{len(found) - MOST_SHOWN} more places.")
    fixes = dict.fromkeys(item.fix for item in found if item.fix)
    return "\n".join([*lines, *(f"Fix: {fix}" for fix in list(fixes)[:MOST_SHOWN])])


def describe_spec(spec: TensorSpec) -> str:
    """`[?,28,28,1] float32`."""
    return f"{describe_shape(spec.shape)} {numpy_name(spec.dtype)}"


def find_mismatches(
    document: Mapping[str, Any], signature: Signature, source: str = "x"
) -> Iterator[Mismatch]:
    """Every place where the request differs from the signature, in the request's order.

    Values may be `Value`s, where shape and dtype of a tensor are known and the tensor is not at hand.
    """
    if "instances" in document:
        yield from _check_rows(document["instances"], signature, source)
    elif "inputs" in document:
        yield from _check_columns(document["inputs"], signature, source)


def _check_columns(inputs: object, signature: Signature, source: str) -> Iterator[Mismatch]:
    if isinstance(inputs, Mapping) and not is_b64(inputs):
        yield from _check_names("inputs", inputs, signature, "the request")
        budget = Budget()
        for alias, spec in signature.inputs.items():
            if alias in inputs:
                # A fix must name a value of the user's, which a part of a longer expression is not.
                where = f"{source}[{alias!r}]" if source.isidentifier() else ""
                yield from _check_whole(f"inputs.{alias}", inputs[alias], spec, where, budget)
    elif len(signature.inputs) == 1:
        ((_, spec),) = signature.inputs.items()
        yield from _check_whole("inputs", inputs, spec, source)
    else:
        yield _unnamed("inputs", signature)


def _check_rows(rows: Any, signature: Signature, source: str) -> Iterator[Mismatch]:
    if isinstance(rows, list):
        yield from _check_each_row(rows, signature, source)
    elif not hasattr(rows, "shape"):
        shape = describe_shape(look(rows).shape)
        yield Mismatch("instances", f"shape {shape}", "a list of rows", f"[{source}]")
    elif len(signature.inputs) == 1:
        ((_, spec),) = signature.inputs.items()
        yield from _check_whole("instances", rows, spec, source)
    else:
        yield _unnamed("instances", signature)


def _check_each_row(rows: list[Any], signature: Signature, source: str) -> Iterator[Mismatch]:
    budget = Budget()
    whole = look(rows) if len(signature.inputs) == 1 else None
    # Once for all rows: it may look at each of them.
    conversion = cache(lambda dtype: kind_fix(rows, dtype, source))
    for index, row in enumerate(rows):
        budget.left -= 1
        if budget.left < 0:
            return
        where = f"instances[{index}]"
        if isinstance(row, Mapping) and not is_b64(row):
            yield from _check_names(where, row, signature, "every row")
            for alias, spec in signature.inputs.items():
                if alias in row:
                    seen = look(row[alias], budget)
                    place = f"{where}[{alias!r}]"
                    yield from _check_lone(f"{where}.{alias}", row[alias], seen, spec, place)
        elif whole is not None:
            ((_, spec),) = signature.inputs.items()
            seen = look(row, budget)
            if whole.problem and not seen.problem and not shape_fits(seen.shape, _row_shape(spec)):
                place = f"{source if source.isidentifier() else 'instances'}[{index}]"
                yield from _check_lone(where, row, seen, spec, place)
            else:
                yield from _check_like_others(where, whole, seen, spec, source, conversion)
        else:
            yield _unnamed(where, signature)


def _check_names(
    where: str, given: Mapping[str, Any], signature: Signature, whole: str
) -> Iterator[Mismatch]:
    missing = [alias for alias in signature.inputs if alias not in given]
    for name in given:
        if name not in signature.inputs:
            short = str(name)[:LONGEST_NAME]
            near = difflib.get_close_matches(short, missing, n=1) or (missing if len(missing) == 1 else [])
            fix = f"rename {short!r} to {near[0]!r}" if near else f"leave {short!r} out"
            names = " and ".join(islice(signature.inputs, MOST_INPUTS))
            yield Mismatch(where, f"an input {short!r}", names, fix)
            missing = [alias for alias in missing if alias not in near]
    for alias in missing:
        wanted = f"{alias} {describe_spec(signature.inputs[alias])}"
        yield Mismatch(where, f"no input {alias!r}", wanted, f"add {alias!r} to {whole}")


def _check_whole(
    where: str, value: object, spec: TensorSpec, source: str, budget: Budget | None = None
) -> Iterator[Mismatch]:
    """A tensor with all rows in it."""
    seen, words = look(value, budget), describe_spec(spec)
    if seen.problem:
        yield Mismatch(where, seen.problem, words, "make all rows equally long")
    elif not _kind_fits(seen, spec.dtype):
        yield Mismatch(where, _kind_came(seen, spec.shape), words, kind_fix(value, spec.dtype, source))
    elif not shape_fits(seen.shape, spec.shape):
        shape = f"shape {describe_shape(seen.shape)}"
        yield Mismatch(where, shape, words, shape_fix(seen.shape, spec.shape, source, is_row=False))


def _check_like_others(
    where: str,
    whole: Value,
    seen: Value,
    spec: TensorSpec,
    source: str,
    conversion: Callable[[str], str],
) -> Iterator[Mismatch]:
    """A row of an only input, whose fix is that of all rows."""
    wanted, words = _row_shape(spec), describe_spec(spec)
    if seen.problem:
        yield Mismatch(where, seen.problem, words, "make all rows equally long")
    elif not _kind_fits(seen, spec.dtype):
        yield Mismatch(where, _kind_came(seen, wanted), words, conversion(spec.dtype))
    elif not shape_fits(seen.shape, wanted):
        # A single row whose outer brackets were left out is told by all of them.
        is_one_row = bool(wanted) and not whole.problem and shape_fits(whole.shape, wanted)
        fix = f"[{source}]" if is_one_row else shape_fix(seen.shape, wanted, source, is_row=True)
        yield Mismatch(where, f"shape {describe_shape(seen.shape)}", words, fix)


def _check_lone(where: str, value: object, seen: Value, spec: TensorSpec, place: str) -> Iterator[Mismatch]:
    """A value of one row that is mended by itself."""
    wanted, words = _row_shape(spec), describe_spec(spec)
    if seen.problem:
        yield Mismatch(where, seen.problem, words, "make all rows equally long")
    elif not _kind_fits(seen, spec.dtype):
        fix = kind_fix(value, spec.dtype, place)
        fix = f"{place} = {fix}" if fix.startswith("np.") else fix
        yield Mismatch(where, _kind_came(seen, wanted), words, fix)
    elif not shape_fits(seen.shape, wanted):
        shape = f"shape {describe_shape(seen.shape)}"
        yield Mismatch(where, shape, words, lone_row_fix(seen.shape, wanted, place))


def _kind_fits(seen: Value, dtype: str) -> bool:
    if seen.dtype:
        return seen.dtype == dtype
    known = DTYPES.get(dtype)
    # Kinds that only gRPC carries (complex, bfloat16) are the server's to judge.
    if known is None or known.numpy.kind not in TAKEN_KINDS or seen.kind == "":
        return True
    return seen.kind in TAKEN_KINDS[known.numpy.kind]


def _kind_came(seen: Value, wanted: Shape | None) -> str:
    """The kind, which is what is refused first, and the shape if that is wrong too."""
    kind = numpy_name(seen.dtype) if seen.dtype else KIND_NAMES.get(seen.kind, "values of several kinds")
    return kind if shape_fits(seen.shape, wanted) else f"{kind} of shape {describe_shape(seen.shape)}"


def _row_shape(spec: TensorSpec) -> Shape | None:
    return None if spec.shape is None else spec.shape[1:]


def _unnamed(where: str, signature: Signature) -> Mismatch:
    names = ", ".join(f"{alias!r}: …" for alias in sorted(signature.inputs)[:MOST_INPUTS])
    return Mismatch(
        where, "one value without a name", f"{len(signature.inputs)} named inputs", f"{{{names}}}"
    )

"""Turns a model of the user's namespace into the next version of a served model's folder.

The one module of the kernel's side that touches TensorFlow, and only inside functions: whoever has something
to save has TensorFlow imported already. A version is written beside its place under a hidden name and renamed
in, so that a server that watches the folder never sees half of it.
"""

from __future__ import annotations

import contextlib
import inspect
import logging
import os
import re
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final, TypeAlias

from jupyter_tfserve.errors import Code, ServingError, invalid_argument
from jupyter_tfserve.types import DEFAULT_SIGNATURE, parse_version

Writer: TypeAlias = Callable[[Path], None]
"""Writes a SavedModel into a folder that does not exist yet."""

RENAME_ATTEMPTS: Final = 20
TENSOR_NAME: Final = re.compile(r"[A-Za-z][A-Za-z0-9_]*")
WHERE_NOT_WHAT: Final = re.compile(
    r"\s*$|Graph execution error:|Detected at node |\s+File |    |<stack traces"
)
KINDS_HINT: Final = "Save a Keras model, a tf.Module with a tf.function, or a tf.function."
LIKE_HINT: Final = "Give an example input: --like x_train[:1] (in Python: like=x_train[:1])."


def next_version(base_path: Path) -> int:
    """One more than the highest version in the folder; 1 when there is none."""
    if not base_path.is_dir():
        return 1
    versions = (parse_version(entry.name) for entry in base_path.iterdir())
    return max((version for version in versions if version is not None), default=0) + 1


def save_version(
    obj: object, base_path: Path, like: object | None = None, complete: Callable[[Path], object] | None = None
) -> int:
    """Write `obj` as the next free version under `base_path`; returns its number.

    Two savers never get the same number. Nothing is left behind when the export fails. `complete` may add to the
    version's folder before a server can see it.
    """
    writer = writer_for(obj, like)
    base_path.mkdir(parents=True, exist_ok=True)
    with _hidden_folder(base_path) as folder:
        target = folder / "model"
        _export(writer, target)
        if complete is not None:
            complete(target)
        return _rename_in(target, base_path)


def writer_for(obj: object, like: object | None = None) -> Writer:
    """What writes `obj` as a SavedModel. INVALID_ARGUMENT when it is nothing that can be served."""
    if _is_keras_model(obj):
        return _keras_writer(obj, like)
    if _is_a(obj, "tensorflow", "Module") or _is_a(obj, "tensorflow", "AutoTrackable"):
        return _module_writer(obj, like)
    if hasattr(obj, "get_concrete_function"):
        return _function_writer(obj, like)
    if callable(obj) and not isinstance(obj, type):
        raise invalid_argument(
            f"{_describe(obj)} is a plain Python function.",
            "Decorate it: @tf.function(input_signature=[tf.TensorSpec([None, 3], tf.float32)]).",
        )
    raise invalid_argument(f"{_describe(obj)} is not a model that can be served.", KINDS_HINT)


def specs_like(example: object, name: str | None = None) -> Any:
    """A `tf.TensorSpec` of the example's dtype and shape with the first dimension free, or a dict of them.

    The specs of a dict are named by its keys, which then are the signature's.
    """
    import tensorflow as tf

    if isinstance(example, Mapping):
        return {key: specs_like(value, str(key)) for key, value in example.items()}
    tensor = tf.convert_to_tensor(example)
    shape = tensor.shape.as_list()
    named = name if name is not None and TENSOR_NAME.fullmatch(name) else None
    return tf.TensorSpec([None, *shape[1:]] if shape else [], tensor.dtype, named)


def default_function(obj: Any) -> Any:
    """What answers for `obj` when it is served. REQUIRES: `writer_for` takes it."""
    if _is_keras_model(obj) or hasattr(obj, "get_concrete_function"):
        return obj
    return _functions_of(obj)[DEFAULT_SIGNATURE]


def model_errors() -> tuple[type[Exception], ...]:
    """What a model that is called or exported raises. REQUIRES: TensorFlow is imported already, or soon will be."""
    import tensorflow as tf

    named = (
        ValueError,
        TypeError,
        RuntimeError,
        LookupError,
        AssertionError,
        AttributeError,
        ArithmeticError,
    )
    return (*named, tf.errors.OpError)


def reason_of(error: Exception) -> str:
    """The one line of a model's error that says what is wrong; the error keeps the rest.

    TensorFlow's texts run over many lines, and those of a graph begin with where it happened.
    """
    lines = (line for line in str(error).splitlines() if not WHERE_NOT_WHAT.match(line))
    return next(lines, type(error).__name__).strip()


def withdraw_version(base_path: Path, version: int) -> None:
    """The version's folder is gone, at once for whoever watches; nothing if there is none."""
    with _hidden_folder(base_path) as folder, contextlib.suppress(FileNotFoundError):
        os.rename(base_path / str(version), folder / "withdrawn")


def folder_bytes(folder: Path) -> int:
    """The size of the files below `folder`."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def _keras_writer(model: Any, like: object | None) -> Writer:
    if not model.built and like is not None:
        model(like)
    if not model.built:
        raise invalid_argument(
            f"{_describe(model)} has not seen any data yet, so its inputs are unknown.", LIKE_HINT
        )
    # Older releases of Keras have no `verbose` and print nothing.
    quiet = {"verbose": False} if "verbose" in inspect.signature(model.export).parameters else {}
    return lambda path: model.export(str(path), **quiet)


def _module_writer(module: Any, like: object | None) -> Writer:
    import tensorflow as tf

    functions = _functions_of(module)
    if not functions:
        raise invalid_argument(
            f"{_describe(module)} has no tf.function.", "Decorate its `__call__` with @tf.function."
        )
    signatures = {name: _concrete(function, like) for name, function in functions.items()}
    return lambda path: tf.saved_model.save(module, str(path), signatures=signatures)


def _functions_of(module: Any) -> dict[str, Any]:
    """The module's functions by signature name; `__call__`, or the only one, is the default signature."""
    names = [name for name in dir(module) if not name.startswith("_") or name == "__call__"]
    # Looked up without running properties; read through the module afterwards, which binds methods.
    functions = {
        name: getattr(module, name)
        for name in names
        if hasattr(inspect.getattr_static(module, name, None), "get_concrete_function")
    }
    if len(functions) == 1:
        return {DEFAULT_SIGNATURE: next(iter(functions.values()))}
    if "__call__" in functions:
        functions.setdefault(DEFAULT_SIGNATURE, functions.pop("__call__"))
    if functions and DEFAULT_SIGNATURE not in functions:
        raise invalid_argument(
            f"{_describe(module)} has several functions: {', '.join(sorted(functions))}.",
            f"Name one of them `__call__` or `{DEFAULT_SIGNATURE}`.",
        )
    return functions


def _function_writer(function: Any, like: object | None) -> Writer:
    import tensorflow as tf

    concrete = _concrete(function, like)
    holder = tf.Module()
    # A SavedModel keeps only the variables that its root object knows.
    holder.captured_variables = list(concrete.variables)
    return lambda path: tf.saved_model.save(holder, str(path), signatures={DEFAULT_SIGNATURE: concrete})


def _concrete(function: Any, like: object | None) -> Any:
    if getattr(function, "input_signature", None) is not None:
        return function.get_concrete_function()
    if like is None:
        raise invalid_argument(f"{_describe(function)} has no input_signature.", LIKE_HINT)
    if isinstance(like, tuple):
        return function.get_concrete_function(*(specs_like(value) for value in like))
    return function.get_concrete_function(specs_like(like))


@contextlib.contextmanager
def _hidden_folder(base_path: Path) -> Iterator[Path]:
    """A folder that no server takes for a version, on the same file system; gone afterwards."""
    folder = Path(tempfile.mkdtemp(prefix=".saving-", dir=base_path))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _export(writer: Writer, target: Path) -> None:
    try:
        with _quiet_log():
            writer(target)
    except model_errors() as error:
        reason = reason_of(error)
        raise ServingError(Code.FAILED_PRECONDITION, f"The model cannot be exported: {reason}") from error


@contextlib.contextmanager
def _quiet_log() -> Iterator[None]:
    """TensorFlow's log without its "Assets written to …", which would name a folder that is gone."""
    logger = logging.getLogger("tensorflow")
    level = logger.level
    logger.setLevel(max(level, logging.WARNING))
    try:
        yield
    finally:
        logger.setLevel(level)


def _rename_in(target: Path, base_path: Path) -> int:
    for _ in range(RENAME_ATTEMPTS):
        version = next_version(base_path)
        place = base_path / str(version)
        try:
            os.rename(target, place)
        except OSError:
            if not place.exists():
                raise
            # Another saver was faster; its folder is not empty, so the rename refused.
            continue
        return version
    raise ServingError(Code.ABORTED, "Other savers kept taking the next version number.", "Save again.")


def _is_keras_model(obj: object) -> bool:
    return _is_a(obj, "keras", "Model") or _is_a(obj, "tf_keras", "Model")


def _is_a(obj: object, package: str, name: str) -> bool:
    """Whether the object's classes hold one of that name from that package; imports nothing."""
    return any(
        cls.__name__ == name and cls.__module__.partition(".")[0] == package for cls in type(obj).__mro__
    )


def _describe(obj: object) -> str:
    name = getattr(obj, "__name__", None) or getattr(obj, "name", None)
    return (
        f"{type(obj).__name__} {name!r}"
        if isinstance(name, str)
        else f"An object of type {type(obj).__name__}"
    )

"""A new version's warm-up file: the example rows as the requests that a server replays before it serves the version.

Both sizes in which requests come: one row alone, and some together. Imports no TensorFlow; the signature is read
from the saved model's own file.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

from jupyter_tfserve.codec.prediction_log import WARMUP_FILE
from jupyter_tfserve.codec.protos import PredictionLog, SavedModel, SignatureDefMap
from jupyter_tfserve.codec.signatures import parse_signatures
from jupyter_tfserve.codec.tensor_proto import encode_tensor
from jupyter_tfserve.codec.tfrecord import encode_record
from jupyter_tfserve.notebook.verify import NotComparable, as_bytes, call_model, columns_of
from jupyter_tfserve.types import DEFAULT_SIGNATURE, Signature, Tensor

MAX_ROWS: Final = 8
MAX_BYTES: Final = 8 * 2**20
"""Of all requests together: the file goes where the model goes."""


class WarmUp:
    """Writes the file for one new version of `model`. `missing` tells why there is none; empty when there is one.

    Rows that the notebook's own model refuses are left out: replayed, they would keep the version from loading.
    """

    def __init__(self, model: str, obj: object, like: object) -> None:
        self.missing = ""
        self._model, self._obj, self._like = model, obj, like

    def write(self, version: Path) -> None:
        """Puts the file into the version's folder. REQUIRES: the folder holds the saved model."""
        try:
            signature = _default_signature(version)
            columns = columns_of(self._obj, self._like, signature)
            call_model(self._obj, self._like, columns)
        except NotComparable as problem:
            self.missing = str(problem)
            return
        records = list(_records(self._model, columns, signature))
        if not records:
            self.missing = f"the first row has more than {MAX_BYTES // 2**20} MB"
            return
        path = version / WARMUP_FILE
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"".join(map(encode_record, records)))


def _default_signature(version: Path) -> Signature:
    saved = SavedModel.FromString((version / "saved_model.pb").read_bytes())
    found = SignatureDefMap()
    for graph in saved.meta_graphs:
        for key, signature in graph.signature_def.items():
            found.signature_def[key].CopyFrom(signature)
    signatures = parse_signatures(found.SerializeToString())
    if DEFAULT_SIGNATURE not in signatures:
        raise NotComparable("it has no default signature")
    return signatures[DEFAULT_SIGNATURE]


def _records(model: str, columns: Mapping[str, Tensor], signature: Signature) -> Iterator[bytes]:
    """The requests that fit, the smallest first."""
    spent = 0
    for count in _row_counts(columns, signature):
        rows = columns if count is None else {alias: column[:count] for alias, column in columns.items()}
        # Looked at before it is encoded, too: an example may be all of the training data.
        if spent + sum(column.nbytes for column in rows.values()) > MAX_BYTES:
            return
        record = _predict_log(model, rows)
        spent += len(record)
        if spent > MAX_BYTES:
            return
        yield record


def _row_counts(columns: Mapping[str, Tensor], signature: Signature) -> Sequence[int | None]:
    """How many rows each request has; None for the columns as they are, where there are no rows to choose from."""
    lengths = {len(column) if column.ndim else 0 for column in columns.values()}
    free = all(spec.shape and spec.shape[0] == -1 for spec in signature.inputs.values())
    if not free or len(lengths) != 1 or lengths == {0}:
        return [None]
    return sorted({1, min(MAX_ROWS, *lengths)})


def _predict_log(model: str, columns: Mapping[str, Tensor]) -> bytes:
    log = PredictionLog()
    request = log.predict_log.request
    request.model_spec.name = model
    request.model_spec.signature_name = DEFAULT_SIGNATURE
    for alias, column in columns.items():
        encode_tensor(as_bytes(column) if column.dtype.kind == "O" else column, request.inputs[alias])
    encoded: bytes = log.SerializeToString(deterministic=True)
    return encoded

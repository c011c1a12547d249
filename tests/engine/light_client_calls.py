"""What the light client's tests ask: needs nothing but the client, so that it runs where nothing else is installed."""

from __future__ import annotations

import numpy as np

from jupyter_tfserve.client import ClassScore, Client


def assert_same(answer, dtype, values):
    assert answer.dtype == np.dtype(dtype)
    assert answer.tolist() == values


def predict_everything(client: Client) -> None:
    assert_same(client.predict("half_plus_two", [1, 2, 5.0]), "f4", [2.5, 3, 4.5])
    assert_same(client.predict("half_plus_two", rows=[1.0, np.nan])[:1], "f4", [2.5])
    assert_same(client.predict("half_plus_two", {"x": np.float64([2])}, version=1), "f4", [3])
    texts = client.predict("strings", rows=[{"text": "é", "suffix": b"\0\xff"}, {"text": "a", "suffix": ""}])
    assert_same(texts["joined"], object, ["é".encode() + b"\0\xff", b"a"])
    assert_same(texts["upper_bytes"], object, ["é".encode(), b"A"])
    several = client.predict("multi_io", {"a": [[1, 2]], "b": [[0, 9]]})
    assert_same(several["sum"], "f4", [[1, 11]])
    assert_same(several["bigger"], "?", [[True, False]])
    assert_same(several["total"], "i4", [12])
    assert_same(client.predict("scalar", 4)["y"], "f4", 8)
    assert_same(client.predict("two_signatures", [2], signature="triple"), "f4", [6])


def ask_everything(client: Client) -> None:
    """Every method, once at least."""
    predict_everything(client)
    examples = [{"x": 2.0}, {"x": [4.0]}]
    assert client.classify("examples", examples, signature="classify_x_to_y") == [
        [ClassScore("", 3.0)],
        [ClassScore("", 4.0)],
    ]
    regressed = client.regress("examples", examples, signature="regress_x_to_y")
    assert_same(regressed, "f4", [3, 4])
    shared = client.regress("examples", [{}], context={"x": 6.0}, signature="regress_x_to_y")
    assert_same(shared, "f4", [5])
    (status,) = client.status("half_plus_two")
    assert (status.version, status.state, status.error_code) == (1, "AVAILABLE", "OK")
    metadata = client.metadata("multi_io", version=1)
    assert (metadata.name, metadata.version) == ("multi_io", 1)
    only = metadata.signatures["serving_default"]
    assert {alias: (one.dtype, one.shape) for alias, one in only.outputs.items()} == {
        "sum": ("float", (-1, 2)),
        "bigger": ("bool", (-1, 2)),
        "total": ("int32", (-1,)),
    }

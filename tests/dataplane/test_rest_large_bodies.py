"""Large bodies over REST mean what small ones mean."""

from __future__ import annotations

import json

import pytest

from jupyter_tfserve.options import LimitOptions
from tests.dataplane.rest_answers import answer_of, examples


async def test_large_bodies_are_answered_as_small_ones_are(serving_rest) -> None:
    values = [float(number % 7) for number in range(300_000)]
    async with serving_rest(LimitOptions()) as rest:
        predicted = answer_of(await rest.predict(json.dumps({"instances": values}).encode()))
        body = examples("regress", *values[:50_000], padding="a" * 2**20)
        regressed = answer_of(await rest.ask("POST", "/v1/models/m:regress", body))
    assert predicted["predictions"] == [value / 2 + 2 for value in values]
    assert regressed["results"] == [value / 2 + 2 for value in values[:50_000]]


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b'{"instances": [' + b"0.5, " * 60_000 + b"1]}", 200),
        (b'{"instances": [' + b"0.5, " * 60_000 + b"NaN]}", 200),
        (b'{"instances": [' + b"0.5, " * 500_000 + b"1]}", 200),
        (b'{"instances": [[' + b"0.5, " * 60_000 + b"1], [2]]}", 400),
        (b'{"instances": [' + b"0.5, " * 60_000 + b'"text"]}', 400),
        (b'{"signature_name": "echo", "instances": [' + b"0.5, " * 60_000 + b"1]}", 400),
        (b'{"signature_name": "nowhere", "instances": [' + b"0.5, " * 60_000 + b"1]}", 400),
        (b'{"instances": [' + b"0.5, " * 60_000, 400),
    ],
)
async def test_large_bodies_mean_the_same_wherever_they_are_decoded(
    serving_rest, monkeypatch, body: bytes, status: int
) -> None:
    async with serving_rest(LimitOptions()) as rest:
        answer = await rest.predict(body)
        monkeypatch.setattr("jupyter_tfserve.dataplane.rest_predict.OWN_TURN_BYTES", 2**40)
        assert (answer.status, answer.body) == (status, (await rest.predict(body)).body)

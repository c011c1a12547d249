"""L7: every odd number to every dtype. What is answered is what was sent; everything else is refused, and said."""

from __future__ import annotations

import json
import re
from collections import Counter
from fractions import Fraction

import ml_dtypes
import numpy as np

from tests.contract.echo import JSON_DTYPES

FLOATS = {"float": np.float32, "double": np.float64, "half": np.float16, "bfloat16": ml_dtypes.bfloat16}
NUMBERS = (
    *("0", "-0", "-0.0", "1", "-1", "1.0", "1.5", "1.7", "-1.7", "1e3", "1E-3", "0.1", "127", "128", "-129"),
    *("255", "256", "65504", "65536", "2147483647", "2147483648", "-2147483649", "4294967296"),
    *("9007199254740993", "9223372036854775807", "9223372036854775808", "-9223372036854775809"),
    *(
        "18446744073709551615",
        "18446744073709551616",
        "1e39",
        "-1e39",
        "1e308",
        "1e400",
        "1e-400",
        "9" * 5000,
    ),
)
WORDS = (
    *("NaN", "Infinity", "-Infinity", "null", "true", "false", '"1.5"', '"1"', '"NaN"', '"true"', '""'),
    *("{}", '{"b64": "AAAA"}', '{"b64": 1}', "01", "+1", ".5", "1.", "0x10", "1_000", "１２"),
)


def is_kept(alias: str, sent: str, got: str) -> bool:
    """Whether the answer's text `got` is what was sent: of numbers floats keep what their width can, as upstream."""
    if alias == "string":
        return sent == '{"b64": "AAAA"}' or json.loads(got) == json.loads(sent)
    if sent not in NUMBERS or alias == "bool":
        return got == sent
    if alias not in FLOATS:
        return re.fullmatch("-?[0-9]+", got) is not None and int(got) == Fraction(sent)
    # As texts of the same number of this type, which is printed with as many digits as tell it from any other.
    return float(FLOATS[alias](float(got))) == float(FLOATS[alias](float(sent)))


def test_no_number_is_converted_silently_when_it_does_not_fit_its_dtype(engine, record_case) -> None:
    silent, outcomes = [], Counter()
    defaults = dict.fromkeys(JSON_DTYPES, "0") | {"bool": "true", "string": '""'}
    with np.errstate(over="ignore", under="ignore"):
        for alias in JSON_DTYPES:
            for text in (*NUMBERS, *WORDS):
                columns = ", ".join(
                    f'"{name}": [{text if name == alias else one}]' for name, one in defaults.items()
                )
                answer = engine.rest.post(
                    "/v1/models/json_echo:predict", content=f'{{"inputs": {{{columns}}}}}'.encode()
                )
                outcomes[answer.status_code] += 1
                if answer.status_code == 200:
                    found = re.findall(rf'"{alias}": \[\s*(.*?)\s*\]', answer.text)
                    assert found, (alias, text, answer.text)
                    (got,) = found
                    if not is_kept(alias, text, got):
                        silent.append((alias, text[:40], got))
                else:
                    assert answer.status_code == 400, (alias, text[:40], answer.text)
                    assert answer.json()["error"]
    tried = outcomes.total()
    record_case(
        "L7",
        f"silent conversions, {outcomes[400]} refused and {outcomes[200]} answered",
        len(silent),
        f"of {tried}",
    )
    assert silent == []
    assert outcomes[200] > 100
    assert outcomes[400] > 100

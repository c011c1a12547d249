"""How the REST contract is asked, and texts that come back from many requests."""

from __future__ import annotations

import json

TWO = "half_plus_two"
PREDICT = f"/v1/models/{TWO}:predict"
ONE = '{"instances": [1.0]}'
NOT_FOUND = "Servable not found for request: "
NO_LABEL = "Unrecognized servable version label: x"
HUGE = "9" * 20
PAGE = "<HTML><HEAD>\n<TITLE>{0}</TITLE>\n</HEAD><BODY>\n<H1>{1}</H1>\n</BODY></HTML>\n"


def examples(signature: str) -> str:
    return json.dumps({"signature_name": signature, "examples": [{"x": 1.0}]})


def ask(engine, method: str, target: str, body: str | bytes = "") -> tuple[int, str]:
    """The status and the error's text."""
    answer = engine.rest.request(method, target, content=body)
    assert answer.headers["Content-Type"] == "application/json"
    return answer.status_code, json.loads(answer.content)["error"]


def refused(engine, body: str | bytes, model: str = TWO) -> tuple[int, str]:
    return ask(engine, "POST", f"/v1/models/{model}:predict", body)

"""Answers of REST read, and bodies of Examples."""

from __future__ import annotations

import json


def error_of(response) -> tuple[int, str]:
    assert response.content_type == "application/json"
    document = json.loads(response.body)
    assert set(document) <= {"error", "hint"}
    return response.status, document["error"]


def answer_of(response) -> dict:
    assert (response.status, response.content_type) == (200, "application/json"), response.body
    return json.loads(response.body)


def examples(signature: str, *values: float, **members: object) -> bytes:
    return json.dumps(
        {"signature_name": signature, "examples": [{"x": value} for value in values], **members}
    ).encode()

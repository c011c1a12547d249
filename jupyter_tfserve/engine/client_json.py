"""Predict documents by the name that the notebook side knows them by; they are `client.documents`' own."""

from __future__ import annotations

from jupyter_tfserve.client.documents import encode_body, parse_answer

__all__ = ["encode_body", "parse_answer"]

"""Snippets of one model in several languages, as a value that shows itself."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

from jupyter_tfserve.client.programs import (
    IMAGE_LANGUAGE,
    LANGUAGES,
    LONGEST_BODY,
    TITLES,
    Request,
    client_text,
)
from jupyter_tfserve.codec.sample_request import (
    MAX_SAMPLE_ELEMENTS,
    example_columns,
    example_document,
    sample_size,
)
from jupyter_tfserve.notebook.addresses import Place
from jupyter_tfserve.notebook.answer_table import describe_target
from jupyter_tfserve.types import DEFAULT_SIGNATURE, ModelSpec, Signature


@dataclass(frozen=True, slots=True)
class Snippets:
    """Client texts by language, and what to know before running them."""

    target: str
    texts: Mapping[str, str]
    notes: tuple[str, ...] = ()

    def __getitem__(self, language: str) -> str:
        """The text of one language."""
        return self.texts[language]

    def __iter__(self) -> Iterator[str]:
        """The languages, as of a dict."""
        return iter(self.texts)

    def __len__(self) -> int:
        """How many languages there are."""
        return len(self.texts)

    def __str__(self) -> str:
        """The only text as it is; several under their titles."""
        if len(self.texts) == 1 and not self.notes:
            return next(iter(self.texts.values()))
        parts = [f"# {TITLES[language]}\n{text}" for language, text in self.texts.items()]
        return "\n\n".join([*parts, *(f"Note: {note}" for note in self.notes)])

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, str]:
        blocks = "".join(
            f"<details{' open' if index == 0 else ''}><summary>{escape(TITLES[language])}</summary>"
            f"<pre style='white-space:pre-wrap'>{escape(text)}</pre></details>"
            for index, (language, text) in enumerate(self.texts.items())
        )
        notes = "".join(f"<p><em>{escape(note)}</em></p>" for note in self.notes)
        html = f"<div><strong>Ask {escape(self.target)}</strong>{blocks}{notes}</div>"
        return {"text/plain": str(self), "text/html": html}


def write_snippets(
    spec: ModelSpec,
    chosen: tuple[str, Signature],
    row: Mapping[str, Any] | None,
    place: Place,
    languages: Sequence[str] = LANGUAGES,
) -> Snippets:
    """Snippets that send `row` (a document of one row) if a person can read it, else one made for the signature."""
    name, signature = chosen
    document = example_document(signature, name)
    if row is not None and len(json.dumps(row)) <= LONGEST_BODY:
        document = {**row, "signature_name": name} if name != DEFAULT_SIGNATURE else dict(row)
    columns = example_columns(signature) if sample_size(signature) <= MAX_SAMPLE_ELEMENTS else {}
    request = Request(
        spec, name, signature, document, columns, place.base_url, place.grpc_address, place.needs_token
    )
    texts = {language: client_text(language, request) for language in languages}
    # That a model takes no images is worth a word only to who asked for such a client.
    is_asked = {language: language != IMAGE_LANGUAGE or len(texts) == 1 for language in texts}
    missing = [TITLES[language] for language, text in texts.items() if not text and is_asked[language]]
    reasons = "no such port, or inputs that are not images, too large, or that JSON cannot hold"
    notes = [f"Not for {', '.join(missing)}: {reasons}."] if missing else []
    written = {language: text for language, text in texts.items() if text}
    return Snippets(describe_target(spec), written, (*(place.notes if written else ()), *notes))

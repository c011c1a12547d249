"""What is asked of the models that a server serves: single questions, comparisons, benchmarks, and client texts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

import numpy as np

from jupyter_tfserve.client.documents import columns_of_document
from jupyter_tfserve.client.programs import curl_line
from jupyter_tfserve.codec.sample_request import choose_signature, example_document
from jupyter_tfserve.engine.client import predict_path
from jupyter_tfserve.engine.client_json import encode_body
from jupyter_tfserve.errors import Code, ServingError
from jupyter_tfserve.notebook.addresses import Via
from jupyter_tfserve.notebook.bench import Bench, run_bench
from jupyter_tfserve.notebook.comparison import Answers, Comparison, compare_answers
from jupyter_tfserve.notebook.handle import ServerHandle
from jupyter_tfserve.notebook.progress import cell_progress
from jupyter_tfserve.notebook.query import parse_target, predict_document
from jupyter_tfserve.notebook.recorded_rows import recorded_document
from jupyter_tfserve.notebook.reply import Reply, ask
from jupyter_tfserve.notebook.row_runs import answer_rows, count_rows, cut_rows, time_rows
from jupyter_tfserve.notebook.snippet_view import Snippets, write_snippets
from jupyter_tfserve.notebook.snippets import one_row
from jupyter_tfserve.notebook.tune import TuneWish, Tuning, tune
from jupyter_tfserve.notebook.verify import direct_call
from jupyter_tfserve.notebook.whom_to_ask import whom_to_ask
from jupyter_tfserve.types import ModelSpec, Signature

ASKED_AGAIN: Final = "the engine crashed meanwhile and was asked again"


class Questions:
    """The questions of one kernel to one server. Remembers one row of the last question to each model."""

    def __init__(self, server: ServerHandle) -> None:
        self._server = server
        self._last_row: dict[str, Mapping[str, Any]] = {}

    def ask(self, spec: ModelSpec, inputs: object, source: str) -> Reply:
        """See `Server.ask`."""
        document = predict_document(inputs)
        asked, signatures = self._server.connection(), self.signatures(spec)
        try:
            reply = self._ask(spec, document, signatures, source)
        except ServingError as error:
            if error.code is not Code.UNAVAILABLE or not self._server.is_back_after(asked):
                raise
            # A prediction changes nothing, so it may be asked twice.
            reply = replace(self._ask(spec, document, signatures, source), note=ASKED_AGAIN)
        row = None if reply.signature is None else one_row(reply.document, reply.signature)
        if row is not None and not spec.signature_name:
            # One row, since the whole request may be large.
            self._last_row[spec.name] = row
        return reply

    def _ask(
        self,
        spec: ModelSpec,
        document: Mapping[str, Any],
        signatures: Mapping[str, Signature],
        source: str,
    ) -> Reply:
        try:
            return ask(self._server.client, spec, document, signatures, source)
        except ServingError as error:
            if error.code not in (Code.NOT_FOUND, Code.INVALID_ARGUMENT):
                raise
            hint = whom_to_ask(self._server.client.state(), spec)
            raise error if hint is None else ServingError(error.code, error.message, hint) from error

    def compare(
        self, a: str, b: str, on: object, y: object | None, output: str | None, limit: int
    ) -> Comparison:
        """See `Server.compare`."""
        specs = (self._target(a), self._target(b))
        document = predict_document(on)
        document = cut_rows(document, 0, min(count_rows(document), limit))
        client = self._server.client
        with cell_progress() as say:
            answers = [
                answer_rows(client, spec, document, self.signatures(spec), output, say) for spec in specs
            ]
            times = time_rows(client, specs, document, say)
        left, right = (Answers(*each) for each in zip((a, b), answers, times, strict=True))
        return compare_answers(left, right, None if y is None else np.asarray(y)[:limit])

    def bench(self, target: str, on: object | None, model: object | None, seconds: float) -> Bench:
        """See `Server.bench`."""
        spec = self._target(target)
        url, document, signature = self._measurable(spec, on)
        columns = columns_of_document(document, signature)
        call = None if model is None else direct_call(model, columns, signature)
        with cell_progress() as say:
            closed, opened, direct = run_bench(url, encode_body(document), seconds, say, call)
        return Bench(target, _row_count(document), closed, opened, direct)

    def tune(self, target: str, on: object | None, wish: TuneWish) -> Tuning:
        """See `Server.tune`."""
        spec = self._target(target)
        url, document, _ = self._measurable(spec, on)
        with cell_progress() as say:
            return tune(self._server.client, spec.name, (url, encode_body(document)), wish, say, target)

    def snippets(
        self, target: str | None, languages: Sequence[str], row: object | None, via: Via | None
    ) -> Snippets:
        """See `Server.snippets`."""
        spec = ModelSpec(self._server.model(None).name) if target is None else self._target(target)
        chosen = self._predicting(spec)
        known = self._last_row.get(spec.name)
        if row is not None:
            known = one_row(predict_document(row), chosen[1])
        return write_snippets(spec, chosen, known, self._server.place(via), languages)

    def curl(self, model: str, rest_url: str | None) -> str:
        """A command that asks the model something real; empty when REST cannot."""
        chosen = choose_signature(self.signatures(ModelSpec(model)))
        if rest_url is None or chosen is None:
            return ""
        document = example_document(chosen[1], chosen[0])
        return "" if document is None else curl_line(rest_url, ModelSpec(model), document)

    def signatures(self, spec: ModelSpec) -> Mapping[str, Signature]:
        """The signatures of what `spec` names; none when that is not served."""
        try:
            return self._server.client.signatures(spec.name, spec.version)[1]
        except ServingError:
            # Nothing is loaded, or no such model: what is asked next says so in the data plane's own words.
            return {}

    def _target(self, text: str) -> ModelSpec:
        """Whom `text` names. NOT_FOUND, with those that are there, if that is nobody."""
        spec = parse_target(text)
        missing = whom_to_ask(self._server.client.state(), spec)
        if missing is not None:
            raise ServingError(Code.NOT_FOUND, missing)
        return spec

    def _predicting(self, spec: ModelSpec) -> tuple[str, Signature]:
        """The signature that predicts, and its name. FAILED_PRECONDITION when the model has none."""
        chosen = choose_signature(self._server.client.signatures(spec.name, spec.version)[1])
        if chosen is None:
            raise ServingError(
                Code.FAILED_PRECONDITION,
                f"Model {spec.name} has no signature for predict.",
                "Save it with a tf.function that has inputs.",
            )
        return chosen

    def _measurable(self, spec: ModelSpec, on: object | None) -> tuple[str, Mapping[str, Any], Signature]:
        """Where a load is sent, the request that it repeats, and its signature."""
        rest_url = self._server.rest_url
        if rest_url is None:
            raise ServingError(
                Code.FAILED_PRECONDITION,
                "The REST port is off: there is nothing to measure.",
                "`%tfserve stop`, then start the server with a REST port: `%tfserve start --rest-port 8501`.",
            )
        if self._server.state().engine.keys_required:
            raise ServingError(
                Code.FAILED_PRECONDITION,
                "The REST port needs a key, and the load generator has none.",
                "Measure on a server that was started without --require-keys.",
            )
        name, signature = self._predicting(spec)
        document = self._known_row(spec, name, signature) if on is None else predict_document(on)
        # Once by itself: an input that does not fit is explained here.
        ask(self._server.client, spec, document, self.signatures(spec))
        return rest_url.rstrip("/") + predict_path(spec), document, signature

    def _known_row(self, spec: ModelSpec, name: str, signature: Signature) -> Mapping[str, Any]:
        document = self._last_row.get(spec.name) or self._recorded(spec, name)
        document = document or example_document(signature, name)
        if document is None:
            raise ServingError(
                Code.FAILED_PRECONDITION, f"JSON cannot hold the inputs of {spec.name}.", "Use gRPC for it."
            )
        return document

    def _recorded(self, spec: ModelSpec, signature_name: str) -> Mapping[str, Any] | None:
        """A request that lies beside the version, if this kernel can read it and JSON can say it."""
        model = next(each for each in self._server.state().models if each.name == spec.name)
        serving = [each.version for each in model.versions if each.state == "AVAILABLE"]
        version = spec.version or model.labels.get(spec.label or "") or max(serving, default=0)
        return recorded_document(model.base_path, version, signature_name)


def _row_count(document: Mapping[str, Any]) -> int:
    try:
        return count_rows(document)
    except ServingError:
        # A model without rows: its whole input is one.
        return 1

"""docs/compatibility_table.md: the rows of the contract, joined with what the code says of itself.

    python -m tests.contract.compatibility          writes the file

Flags, metrics, methods and the fields of every message come from the code, so that a row cannot outlive it.
"""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from google.protobuf import descriptor_pool

from jupyter_tfserve.codec import protos
from jupyter_tfserve.codec.batching_parameters import parse_batching_parameters
from jupyter_tfserve.codec.monitoring_config import parse_monitoring_config
from jupyter_tfserve.codec.platform_config import parse_platform_config
from jupyter_tfserve.dataplane.metrics import Metric, Metrics
from jupyter_tfserve.dataplane.metrics_cells import (
    BATCH_SIZE_LIMITS,
    EXAMPLE_LIMITS,
    LATENCY_LIMITS,
    QUEUING_LIMITS,
    Histogram,
)
from jupyter_tfserve.dataplane.tls import parse_ssl_config
from jupyter_tfserve.engine.flags import FLAGS
from jupyter_tfserve.errors import HTTP_STATUS, ServingError
from tests.contract import compatibility_names as names
from tests.contract import compatibility_rows as rows
from tests.contract.compatibility_rows import Row, Verdict

ROOT = Path(__file__).parents[2]
DESCRIBED = (
    "jupyter_tfserve.batching.BatchingParameters",
    "jupyter_tfserve.monitoring.MonitoringConfig",
    "jupyter_tfserve.monitoring.PrometheusConfig",
    "jupyter_tfserve.tls.SSLConfig",
    "tensorflow.serving.SessionBundleConfig",
)
API_VERSION = "2.21"
FILE = ROOT / "docs" / "compatibility_table.md"
BUCKETS = {"A": LATENCY_LIMITS, "B14": BATCH_SIZE_LIMITS, "B15": EXAMPLE_LIMITS, "C": QUEUING_LIMITS}
METRIC_TEST = (
    "dataplane/test_metrics.py::test_every_metric_of_upstream_is_there_by_name_when_nothing_happened"
)
INTRODUCTION = """# Compatibility, row by row

Made by `python -m tests.contract.compatibility` with the messages of tensorflow-serving-api {api}; a test
fails when it and the code disagree. The reasons are in [compatibility.md](compatibility.md). *works*: as
`tensorflow_model_server`, shown by the tests named; *differs*: on purpose; *not here*: without effect, and why.
"""


def document() -> str:
    """The whole page."""
    sections = {
        "REST": rows.REST,
        "HTTP statuses": status_rows(),
        "gRPC methods": tuple(names.METHODS.values()),
        "Messages": message_rows(),
        "Configuration messages": config_rows(),
        "Flags": flag_rows(),
        "Metrics": metric_rows(),
        "Models, configuration and the rest": rows.MANAGEMENT,
    }
    return INTRODUCTION.format(api=API_VERSION) + "".join(
        _section(title, found) for title, found in sections.items()
    )


def all_rows() -> Iterator[Row]:
    """Every row of the page."""
    yield from itertools.chain(
        rows.REST, status_rows(), names.METHODS.values(), message_rows(), config_rows(), flag_rows(),
        metric_rows(), rows.MANAGEMENT,
    )  # fmt: skip


def status_rows() -> list[Row]:
    """Code to HTTP status, from the table that REST answers by."""
    shown = ("dataplane/test_rest.py::test_every_code_has_its_status",)
    return [Row(f"{code.name}: {status}", shown=shown) for code, status in HTTP_STATUS.items()]


def message_rows() -> list[Row]:
    """Each field of each message of the APIs."""
    found = []
    for name, notes in names.MESSAGES.items():
        for field in fields_of(message(name)):
            note = notes.get(field, "") if isinstance(notes, Mapping) else notes
            verdict = Verdict.ABSENT if note else Verdict.WORKS
            found.append(Row(f"{name}.{field}", verdict, note, () if note else (_shown_by(name),)))
    return found


def _shown_by(name: str) -> str:
    kinds = {
        "Session": "engine/test_engine_kinds.py::test_session_run_feeds_and_fetches_when_it_is_enabled",
        "Class": f"{rows.GRPC_INFERENCE}test_classify_and_regress_answer",
        "Regress": f"{rows.GRPC_INFERENCE}test_classify_and_regress_answer",
        "Inference": f"{rows.GRPC_INFERENCE}test_multi_inference_answers_every_task",
        "MultiInference": f"{rows.GRPC_INFERENCE}test_multi_inference_answers_every_task",
        "Input": f"{rows.GRPC_INFERENCE}test_context_is_every_example_s_and_the_example_wins",
        "Example": f"{rows.GRPC_INFERENCE}test_context_is_every_example_s_and_the_example_wins",
        "ModelSpec": f"{rows.GRPC}test_answer_names_the_version_that_gave_it",
        "GetModelMetadata": f"{rows.GRPC}test_metadata_has_every_signature",
        "SignatureDefMap": f"{rows.GRPC}test_metadata_has_every_signature",
        "GetModelStatus": f"{rows.GRPC}test_status_lists_versions",
        "ModelVersionStatus": f"{rows.GRPC}test_status_lists_versions",
        "Reload": f"{rows.RELOAD}test_reload_returns_when_new_models_serve",
        "Metric": f"{rows.RELOAD}test_metrics_asked_for_tell_their_growth",
        "Predict": f"{rows.GRPC_PREDICT}test_predict_answers_in_float_val",
    }
    return next(test for prefix, test in kinds.items() if name.startswith(prefix))


def config_rows() -> list[Row]:
    """Each field of each configuration message."""
    found = [
        Row(f"{name}.{field}", row.verdict, row.note, row.shown)
        for name, fields in names.CONFIG.items()
        for field, row in fields.items()
    ]
    for field, note in names.SESSION_BUNDLE.items():
        read = "codec/test_platform_config.py::" + (
            "test_what_has_no_effect_is_said" if note else "test_everything_that_maps_is_read"
        )
        found.append(
            Row(f"SessionBundleConfig.{field}", Verdict.ABSENT if note else Verdict.WORKS, note, (read,))
        )
    return found


def flag_rows() -> list[Row]:
    """Upstream's flags as ours say of themselves."""
    ours = {flag.name: flag for flag in FLAGS}
    found = []
    for name in names.FLAGS:
        flag = ours[name]
        if flag.inert:
            test = "engine/test_every_flag.py::test_flag_says_so_when_it_changes_nothing"
            found.append(Row(f"--{name}", Verdict.ABSENT, flag.inert, (test,)))
        elif name == "use_alts_credentials":
            test = "engine/test_engine_tls.py::test_start_fails_when_alts_is_asked_for"
            found.append(Row(f"--{name}", Verdict.ABSENT, names.FLAG_NOTES[name], (test,)))
        else:
            note = names.FLAG_NOTES.get(name, "")
            test = "engine/test_engine_start.py::test_version_and_help_end_well"
            shown = test if name == "version" else rows.FLAG_TEST
            found.append(Row(f"--{name}", Verdict.DIFFERS if note else Verdict.WORKS, note, (shown,)))
    return found


def metric_rows() -> list[Row]:
    """Upstream's metrics as ours are."""
    return [
        Row(
            f"{name} {{{', '.join(labels)}}}",
            Verdict.DIFFERS if name in names.METRIC_NOTES else Verdict.WORKS,
            names.METRIC_NOTES.get(name, ""),
            (METRIC_TEST,),
        )
        for name, (_, labels, _) in names.METRICS.items()
    ]


def our_metrics() -> dict[str, Metric]:
    """Ours under upstream's prefix, by the rest of their names; with one sample in each that needs one."""
    prefix = "/tensorflow/serving/"
    metrics = Metrics()
    metrics.inferred_examples("m", 1)
    metrics.rest.succeeded("m", "predict", 0, 1)
    metrics.warmed_up("/m/1", None, 1, 1)
    metrics.batching.padding_size.cell("1").add(0)
    found = {metric.name.removeprefix(prefix): metric for metric in metrics.collect()}
    assert all(name.startswith(prefix) for name in (metric.name for metric in found.values()))
    return found


def bucket_limits(metric: Metric) -> tuple[float, ...]:
    """The limits of a histogram's buckets; none for another metric."""
    return next((cell.limits for cell in metric.cells.values() if isinstance(cell, Histogram)), ())


def message(name: str) -> Any:
    """The message of that name, of whichever package it is."""
    for module in _MODULES:
        found: Any = getattr(module, name, None)
        if found is not None:
            return found
    raise KeyError(name)


def fields_of(message_type: Any) -> list[str]:
    """A message's fields."""
    return [field.name for field in message_type.DESCRIPTOR.fields]


def described_fields() -> dict[str, list[str]]:
    """The fields of the messages that tensorflow-serving-api does not ship, as our parsers have them."""
    parse_batching_parameters("", "")
    parse_monitoring_config("", "")
    with contextlib.suppress(ServingError):
        parse_ssl_config("", "")
    with contextlib.suppress(ServingError):
        parse_platform_config("", "")
    pool = descriptor_pool.Default()
    return {
        name.rpartition(".")[2]: [field.name for field in pool.FindMessageTypeByName(name).fields]
        for name in DESCRIBED
    }


def _modules() -> tuple[Any, ...]:
    # `protos` first: it makes the others importable without TensorFlow.
    from tensorflow_serving.apis import (
        classification_pb2,
        inference_pb2,
        input_pb2,
        model_management_pb2,
        predict_pb2,
        regression_pb2,
        session_service_pb2,
    )
    from tensorflow_serving.config import (
        log_collector_config_pb2,
        logging_config_pb2,
        model_server_config_pb2,
        platform_config_pb2,
    )

    return (
        protos, predict_pb2, classification_pb2, regression_pb2, inference_pb2, input_pb2, model_management_pb2,
        session_service_pb2, model_server_config_pb2, logging_config_pb2, log_collector_config_pb2,
        platform_config_pb2,
    )  # fmt: skip


_MODULES = _modules()


def _section(title: str, found: Iterable[Row]) -> str:
    lines = ["", f"## {title}", "", "| what | here | why, and shown by |", "|---|---|---|"]
    for row in found:
        tests = ", ".join(f"`{test}`" for test in row.shown)
        last = "; ".join(part for part in (row.note, tests) if part)
        lines.append(f"| {_cell(row.what)} | {row.verdict.value} | {_cell(last)} |")
    return "\n".join(lines) + "\n"


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


if __name__ == "__main__":
    FILE.write_text(document(), encoding="utf-8")

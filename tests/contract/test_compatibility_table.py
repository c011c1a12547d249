"""The table of compatibility against the code: no row without a test or a reason, nothing in the code without a row."""

from __future__ import annotations

import re
from importlib.metadata import version

import grpc
import pytest

from jupyter_tfserve.codec.platform_config import parse_platform_config
from jupyter_tfserve.engine.flags import FLAGS
from tests.contract import compatibility, compatibility_names
from tests.contract.compatibility_rows import Row, Verdict

TESTS = compatibility.ROOT / "tests"


same_messages = pytest.mark.skipif(
    not version("tensorflow-serving-api").startswith(compatibility.API_VERSION),
    reason=f"the table lists the messages of tensorflow-serving-api {compatibility.API_VERSION}",
)


@same_messages
def test_file_is_what_the_generator_writes() -> None:
    assert compatibility.FILE.read_text(encoding="utf-8") == compatibility.document(), (
        "run: python -m tests.contract.compatibility"
    )


@pytest.mark.parametrize("row", list(compatibility.all_rows()), ids=lambda row: row.what)
def test_row_is_shown_by_tests_that_exist_or_has_a_reason(row: Row) -> None:
    assert row.note or row.verdict is Verdict.WORKS
    assert row.shown or row.verdict is Verdict.ABSENT
    for shown in row.shown:
        file, _, name = shown.partition("::")
        source = (TESTS / file).read_text(encoding="utf-8")
        assert re.search(rf"^(async )?def {name}\(", source, re.M), shown


# Flags


def test_every_flag_of_upstream_has_a_row_and_none_else() -> None:
    ours = {flag.name for flag in FLAGS if not flag.ours}
    assert ours - set(compatibility_names.FLAGS) == {"help"}
    assert set(compatibility_names.FLAGS) - ours == set()


@pytest.mark.parametrize(
    "flag",
    [flag for flag in FLAGS if flag.name in compatibility_names.FLAGS and not flag.inert],
    ids=lambda f: f.name,
)
def test_flag_without_a_note_has_upstream_s_default(flag) -> None:
    if flag.name not in compatibility_names.FLAG_NOTES:
        default = compatibility_names.FLAGS[flag.name]
        assert (type(flag.default), flag.default) == (type(default), default)


# Metrics


def test_every_metric_of_upstream_has_a_row_and_none_else() -> None:
    assert set(compatibility.our_metrics()) == set(compatibility_names.METRICS)


@pytest.mark.parametrize("name", list(compatibility_names.METRICS))
def test_metric_has_upstream_s_type_labels_and_buckets(name: str) -> None:
    kind, labels, buckets = compatibility_names.METRICS[name]
    metric = compatibility.our_metrics()[name]
    assert (metric.kind.value, tuple(metric.label_names)) == (kind, labels)
    assert compatibility.bucket_limits(metric) == (compatibility.BUCKETS[buckets] if buckets else ())


def test_buckets_are_upstream_s() -> None:
    limits = compatibility.BUCKETS
    assert {name: len(found) for name, found in limits.items()} == {"A": 33, "B14": 14, "B15": 15, "C": 52}
    assert [f"{limit:g}" for limit in limits["A"][:6]] == ["10", "18", "32.4", "58.32", "104.976", "188.957"]
    assert [f"{limit:g}" for limit in (limits["B14"][-1], limits["C"][0], limits["C"][1])] == [
        "8192",
        "100",
        "120",
    ]


# Methods, messages, configuration


@pytest.mark.parametrize("method", list(compatibility_names.METHODS))
def test_method_is_served_as_its_row_says(channel, method: str) -> None:
    """An empty request may be refused for what it lacks, but only a method that is not here is unimplemented."""
    call = channel.unary_stream(f"/{method}")
    try:
        next(iter(call(b"", timeout=5)), None)
        code = grpc.StatusCode.OK
    except grpc.RpcError as error:
        code = error.code()
    row = compatibility_names.METHODS[method]
    # SessionRun is behind a flag, which the contract's engine does not have.
    is_here = row.verdict is not Verdict.ABSENT and "SessionRun" not in method
    assert (code is not grpc.StatusCode.UNIMPLEMENTED) is is_here, code


def test_every_method_of_upstream_s_services_has_a_row() -> None:
    from tensorflow_serving.apis import model_service_pb2, prediction_service_pb2, session_service_pb2

    for module in (prediction_service_pb2, model_service_pb2, session_service_pb2):
        for service in module.DESCRIPTOR.services_by_name.values():
            for method in service.methods:
                assert f"{service.full_name}/{method.name}" in compatibility_names.METHODS


@same_messages
def test_every_message_of_the_apis_has_a_row() -> None:
    from tensorflow_serving.apis import prediction_log_pb2

    # The messages of logs are the warm-up's; those nested in others are those others'.
    left_out = set(prediction_log_pb2.DESCRIPTOR.message_types_by_name)
    found = {
        name
        for module in compatibility._MODULES
        if getattr(module, "DESCRIPTOR", None)
        and module.DESCRIPTOR.name.startswith("tensorflow_serving/apis/")
        for name in module.DESCRIPTOR.message_types_by_name
    }
    assert found - left_out - set(compatibility_names.MESSAGES) == set()


@same_messages
@pytest.mark.parametrize("name", list(compatibility_names.MESSAGES))
def test_note_is_of_a_field_that_exists(name: str) -> None:
    notes = compatibility_names.MESSAGES[name]
    if notes:
        assert set(notes) <= set(compatibility.fields_of(compatibility.message(name)))


SHIPPED = (
    "ModelServerConfig",
    "ModelConfigList",
    "ModelConfig",
    "LoggingConfig",
    "LogCollectorConfig",
    "SamplingConfig",
    "PlatformConfigMap",
    "PlatformConfig",
)


@same_messages
@pytest.mark.parametrize("name", SHIPPED)
def test_every_field_of_a_config_message_has_a_row(name: str) -> None:
    assert set(compatibility_names.CONFIG[name]) == set(compatibility.fields_of(compatibility.message(name)))


def test_every_field_of_the_described_messages_has_a_row() -> None:
    described = compatibility.described_fields()
    for name in ("BatchingParameters", "SSLConfig", "MonitoringConfig", "PrometheusConfig"):
        assert set(compatibility_names.CONFIG[name]) == set(described[name])
    assert set(compatibility_names.SESSION_BUNDLE) == set(described["SessionBundleConfig"])


ADAPTER = "type.googleapis.com/tensorflow.serving.SavedModelBundleSourceAdapterConfig"
VALUES = {"session_target": '"x"', "session_run_load_threadpool_index": "{ value: 1 }"}


@pytest.mark.parametrize("field", [name for name, note in compatibility_names.SESSION_BUNDLE.items() if note])
def test_field_without_effect_says_so_at_the_start(field: str) -> None:
    is_count = field.startswith(("num_", "experimental_"))
    value = VALUES.get(field, "2" if is_count else "true")
    text = (
        f'platform_configs {{ key: "tensorflow" value {{ source_adapter_config {{ [{ADAPTER}] {{ '
        f"legacy_config {{ {field}: {value} }} }} }} }} }}"
    )
    assert f"--platform_config_file: {field} has no effect here" in parse_platform_config(text, "x").notes

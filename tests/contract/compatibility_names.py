"""What the contract names: methods, messages, configuration fields, flags, metrics; and what each comes to here.

Held against the code by `test_compatibility_table`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from tests.contract.compatibility_rows import (
    BATCHING,
    GRPC,
    GRPC_INFERENCE,
    GRPC_PREDICT,
    KINDS,
    RELOAD,
    SERVER,
    SOURCE,
    TLS,
    Row,
    absent,
    differs,
    works,
)

REQUEST_LOG = "engine/test_request_log.py::"
ENGINE_LOG = "engine/test_engine_request_log.py::"
LOGGING = "lifecycle/test_request_logging.py::"
METRICS_PAGE = "engine/test_engine_metrics.py::"
STRICT = "batching/test_strict_batching.py::"
SCHEDULER = "batching/test_scheduler.py::"
PLATFORM = "codec/test_platform_config.py::"
SESSION = "engine/test_engine_session.py::"

METHODS: Final[Mapping[str, Row]] = {
    row.what: row
    for row in (
        works(
            "tensorflow.serving.PredictionService/Predict",
            f"{GRPC_PREDICT}test_predict_answers_in_float_val",
            f"{GRPC_PREDICT}test_predict_request_that_is_wrong_is_told_how",
        ),
        works(
            "tensorflow.serving.PredictionService/Classify",
            f"{GRPC_INFERENCE}test_classify_and_regress_answer",
            f"{GRPC_INFERENCE}test_inference_that_cannot_be_is_told_why",
        ),
        works(
            "tensorflow.serving.PredictionService/Regress",
            f"{GRPC_INFERENCE}test_classify_and_regress_answer",
            f"{GRPC_INFERENCE}test_inference_that_cannot_be_is_told_why",
        ),
        works(
            "tensorflow.serving.PredictionService/MultiInference",
            f"{GRPC_INFERENCE}test_multi_inference_answers_every_task",
            f"{GRPC_INFERENCE}test_multi_inference_that_cannot_be_is_told_why",
        ),
        works(
            "tensorflow.serving.PredictionService/GetModelMetadata",
            f"{GRPC}test_metadata_has_every_signature",
            f"{GRPC}test_metadata_of_another_kind_is_refused",
        ),
        works(
            "tensorflow.serving.ModelService/GetModelStatus",
            f"{GRPC}test_status_lists_versions",
            f"{GRPC}test_status_of_what_is_not_there_is_told",
        ),
        works(
            "tensorflow.serving.ModelService/HandleReloadConfigRequest",
            f"{RELOAD}test_reload_returns_when_new_models_serve",
            f"{RELOAD}test_config_that_breaks_a_rule_leaves_no_trace",
        ),
        works("grpc.health.v1.Health/Check", f"{GRPC}test_health_knows_both_names_of_a_service"),
        works(
            "grpc.health.v1.Health/Watch",
            "dataplane/test_grpc_health.py::test_status_is_told_when_it_changes",
        ),
        works(
            "grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
            f"{GRPC}test_reflection_lists_the_services",
        ),
        works(
            "grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
            f"{GRPC}test_reflection_lists_the_services",
        ),
        differs(
            "tensorflow.ProfilerService/Profile",
            "records every worker; recordings come back in the answer, no file is written",
            f"{KINDS}test_profiler_service_records_when_tensorflow_traces_during_rest_load",
        ),
        works(
            "tensorflow.ProfilerService/Terminate", f"{KINDS}test_profile_ends_early_when_it_is_terminated"
        ),
        absent(
            "tensorflow.ProfilerService/Monitor",
            "UNIMPLEMENTED: profile instead",
            "dataplane/test_profiler.py::test_monitor_is_unimplemented_when_it_is_called",
        ),
        differs(
            "tensorflow.serving.SessionService/SessionRun",
            "served with `--enable_session_run`; upstream has the message only",
            f"{KINDS}test_session_run_feeds_and_fetches_when_it_is_enabled",
            f"{GRPC}test_method_that_is_not_served_is_unimplemented",
        ),
    )
}
"""Every method of every service. PredictStreamed exists in no service of upstream's either."""

_STREAMED = "of PredictStreamed, which no service of upstream's has"

MESSAGES: Final[Mapping[str, str | Mapping[str, str]]] = {
    # Message of tensorflow.serving: "" if every field works, else a note for each field that does not.
    "PredictRequest": {
        "predict_streamed_options": _STREAMED, "client_id": "read by no one upstream either",
        "request_options": "read by no one upstream either",
    },
    "PredictResponse": "", "ClassificationRequest": "", "ClassificationResponse": "", "ClassificationResult": "",
    "Classifications": "", "Class": "", "RegressionRequest": "", "RegressionResponse": "", "RegressionResult": "",
    "Regression": "", "InferenceTask": "", "InferenceResult": "", "MultiInferenceRequest": "",
    "MultiInferenceResponse": "", "Input": "", "ExampleList": "", "ExampleListWithContext": "", "ModelSpec": "",
    "GetModelMetadataRequest": "", "GetModelMetadataResponse": "", "SignatureDefMap": "", "GetModelStatusRequest": "",
    "GetModelStatusResponse": "", "ModelVersionStatus": "", "ReloadConfigRequest": "", "ReloadConfigResponse": "",
    "Metric": "",
    "SessionRunRequest": {
        "options": "of RunOptions only the time limit",
    },
    "SessionRunResponse": {"metadata": "runs are not traced; profile instead"},
    "PredictStreamedOptions": {
        "request_state": _STREAMED, "split_dimensions": _STREAMED, "return_single_response": _STREAMED,
    },
}  # fmt: skip

CONFIG: Final[Mapping[str, Mapping[str, Row]]] = {
    "ModelServerConfig": {
        "model_config_list": works("", f"{SERVER}test_config_file_s_models_are_served"),
        "custom_model_config": differs(
            "", "refused with a text; aborts the stock binary", f"{RELOAD}test_only_a_list_of_models_is_taken"
        ),
    },
    "ModelConfigList": {"config": works("", f"{RELOAD}test_reload_replaces_everything")},
    "ModelConfig": {
        "name": works("", f"{RELOAD}test_config_that_breaks_a_rule_leaves_no_trace"),
        "base_path": works("", f"{RELOAD}test_base_path_may_change"),
        "model_type": works("", f"{RELOAD}test_deprecated_model_type_still_works"),
        "model_platform": works("", f"{RELOAD}test_config_that_breaks_a_rule_leaves_no_trace"),
        "model_version_policy": works("", f"{SOURCE}test_look_finds_what_the_policy_wants"),
        "version_labels": works(
            "",
            f"{RELOAD}test_label_needs_its_version_first",
            f"{RELOAD}test_labels_of_versions_to_come_need_the_flag",
        ),
        "logging_config": differs(
            "",
            "logs requests; refused by the stock binary",
            f"{ENGINE_LOG}test_logged_requests_warm_the_next_version_up",
        ),
    },
    "FileSystemStoragePathSourceConfig.ServableVersionPolicy": {
        "latest": works("", f"{SOURCE}test_look_finds_what_the_policy_wants"),
        "all": works("", f"{SOURCE}test_look_finds_what_the_policy_wants"),
        "specific": works("", f"{SOURCE}test_look_finds_what_the_policy_wants"),
    },
    "BatchingParameters": {
        "max_batch_size": works("", f"{BATCHING}test_request_that_cannot_be_batched_is_refused"),
        "batch_timeout_micros": works(
            "", f"{SCHEDULER}test_underfull_batch_waits_for_the_timeout_and_a_full_one_does_not"
        ),
        "max_enqueued_batches": differs(
            "",
            "batches that an idle lane is about to take do not count",
            f"{BATCHING}test_full_queue_refuses_and_a_long_wait_is_ended",
        ),
        "num_batch_threads": differs(
            "",
            "per version, not one pool for all",
            f"{BATCHING}test_parameters_that_cannot_be_are_told_at_the_start",
        ),
        "thread_pool_name": absent("", "a name only, upstream too"),
        "allowed_batch_sizes": works(
            "",
            f"{BATCHING}test_requests_are_merged_and_each_gets_its_own_rows",
            f"{STRICT}test_padding_rows_are_the_first_row_of_the_last_request",
        ),
        "pad_variable_length_inputs": works(
            "",
            f"{BATCHING}test_shorter_rows_are_padded_with_their_own_first_value",
            f"{BATCHING}test_different_shapes_in_one_batch_fail_together",
        ),
        "enable_large_batch_splitting": works(
            "", f"{BATCHING}test_large_request_is_split_and_its_rows_come_back_in_order"
        ),
        "max_execution_batch_size": works(
            "", f"{BATCHING}test_large_request_is_split_and_its_rows_come_back_in_order"
        ),
    },
    "LoggingConfig": {
        "log_collector_config": differs(
            "", "the one type is `tfrecord`", f"{LOGGING}test_impossible_logging_refuses_the_whole_config"
        ),
        "sampling_config": works("", f"{REQUEST_LOG}test_share_of_requests_is_the_sampling_rate"),
        "custom_logging_config": absent("", "for loggers that are linked in; none can be"),
    },
    "LogCollectorConfig": {
        "type": differs(
            "",
            "the one type is `tfrecord`",
            f"{ENGINE_LOG}test_logging_follows_the_configuration_and_an_unknown_collector_refuses_it",
        ),
        "filename_prefix": works("", f"{REQUEST_LOG}test_models_with_one_prefix_share_its_file"),
    },
    "SamplingConfig": {
        "sampling_rate": works("", f"{REQUEST_LOG}test_share_of_requests_is_the_sampling_rate"),
        "per_task_sampling_configs": differs(
            "",
            "this server is task 0 without a dc",
            f"{LOGGING}test_first_entry_for_task_zero_overrides_the_rate",
        ),
        "attributes": absent("", "for loggers that are linked in; none can be"),
    },
    "MonitoringConfig": {
        "prometheus_config": works("", f"{METRICS_PAGE}test_page_has_the_path_of_the_config")
    },
    "PrometheusConfig": {
        "enable": works(
            "", f"{METRICS_PAGE}test_page_is_on_the_control_port_only_when_monitoring_is_not_enabled"
        ),
        "path": works("", f"{METRICS_PAGE}test_page_has_the_path_of_the_config"),
    },
    "SSLConfig": {
        "server_key": works("", f"{TLS}test_both_ports_speak_tls_when_configured"),
        "server_cert": works("", f"{TLS}test_both_ports_speak_tls_when_configured"),
        "custom_ca": works(
            "", f"{TLS}test_client_needs_a_certificate_of_the_authority_when_clients_are_verified"
        ),
        "client_verify": works(
            "", f"{TLS}test_client_needs_a_certificate_of_the_authority_when_clients_are_verified"
        ),
    },
    "PlatformConfigMap": {"platform_configs": works("", f"{SESSION}test_platform_config_replaces_the_flags")},
    "PlatformConfig": {"source_adapter_config": works("", f"{PLATFORM}test_everything_that_maps_is_read")},
}

_BUNDLE_SAID: Final = "said at the start: no effect here"

SESSION_BUNDLE: Final[Mapping[str, str]] = {
    # SessionBundleConfig, field by field: "" works, else why not.
    "session_config": "", "batching_parameters": "", "saved_model_tags": "", "enable_model_warmup": "",
    "model_warmup_options": "", "prefer_tflite_model": "", "num_tflite_pools": "",
    "enable_per_model_batching_params": "", "mixed_precision": "",
    "session_target": _BUNDLE_SAID, "session_run_load_threadpool_index": _BUNDLE_SAID,
    "experimental_transient_ram_bytes_during_load": _BUNDLE_SAID, "enable_session_metadata": _BUNDLE_SAID,
    "remove_unused_fields_from_bundle_metagraph": _BUNDLE_SAID, "num_tflite_interpreters_per_pool": _BUNDLE_SAID,
    "wrap_session_with_no_threading_params": _BUNDLE_SAID, "resource_estimation_uses_validation_result": _BUNDLE_SAID,
}  # fmt: skip

FLAGS: Final[Mapping[str, object]] = {
    # Upstream's flags and their defaults; None is "as many as CPUs", or four times as many.
    "port": 8500, "grpc_socket_path": "", "rest_api_port": 0, "rest_api_num_threads": None,
    "rest_api_timeout_in_ms": 30000, "rest_api_enable_cors_support": False, "enable_batching": False,
    "batching_parameters_file": "", "enable_per_model_batching_parameters": False,
    "allow_version_labels_for_unavailable_models": False, "model_config_file": "",
    "model_config_file_poll_wait_seconds": 0, "model_name": "default", "model_base_path": "", "num_load_threads": 0,
    "num_unload_threads": 0, "max_num_load_retries": 5, "load_retry_interval_micros": 60_000_000,
    "file_system_poll_wait_seconds": 1, "flush_filesystem_caches": True, "tensorflow_session_parallelism": 0,
    "tensorflow_intra_op_parallelism": 0, "tensorflow_inter_op_parallelism": 0, "tensorflow_session_config_file": "",
    "platform_config_file": "", "per_process_gpu_memory_fraction": 0.0, "saved_model_tags": "serve",
    "use_alts_credentials": False, "ssl_config_file": "", "grpc_channel_arguments": "", "grpc_max_threads": None,
    "enable_model_warmup": True, "num_request_iterations_for_warmup": 0, "monitoring_config_file": "",
    "remove_unused_fields_from_bundle_metagraph": True, "prefer_tflite_model": False, "num_tflite_pools": None,
    "num_tflite_interpreters_per_pool": 1, "enable_signature_method_name_check": False,
    "xla_cpu_compilation_enabled": False, "xla_gpu_compilation_enabled": False, "enable_profiler": True,
    "thread_pool_factory_config_file": "", "mixed_precision": "", "skip_initialize_tpu": False,
    "enable_grpc_healthcheck_service": False, "enable_serialization_as_tensor_content": False, "version": False,
}  # fmt: skip

FLAG_NOTES: Final[Mapping[str, str]] = {
    "rest_api_port": "on by default, at 8501, on this machine only",
    "model_name": "left out, a folder of models gives each its folder's name; one model is `default`",
    "num_load_threads": "0 means four at once; upstream's 0 loads one after another",
    "file_system_poll_wait_seconds": "fractions too",
    "model_config_file": "text or JSON",
    "ssl_config_file": "for REST too",
    "num_tflite_pools": "as many as `--lanes` by default",
    "use_alts_credentials": "refused: ALTS exists on Google's cloud only",
    "version": "names this program and TensorFlow",
}
"""Why a flag that has an effect is not quite upstream's."""

METRICS: Final[Mapping[str, tuple[str, tuple[str, ...], str]]] = {
    # Below /tensorflow/serving/: type, labels, first and last bucket limits and their number.
    "request_count": ("counter", ("model_name", "status"), ""),
    "request_latency": ("histogram", ("model_name", "API", "entrypoint"), "A"),
    "runtime_latency": ("histogram", ("model_name", "API", "runtime"), "A"),
    "request_example_counts": ("histogram", ("model",), "B15"),
    "request_example_count_total": ("counter", ("model",), ""),
    "request_log_count": ("counter", ("model_name", "status_code"), ""),
    "model_warmup_latency": ("histogram", ("model_path", "status"), "A"),
    "model_warmup_records_read": ("counter", ("model_path", "status"), ""),
    "mlmd_map": ("gauge", ("model_name", "version"), ""),
    "batching_session/queuing_latency": ("histogram", ("thread_pool_name",), "C"),
    "batching_session/wrapped_run_count": ("counter", (), ""),
    "batching_session/padding_size": ("histogram", ("execution_batch_size",), "B14"),
    "batching_session/input_batch_size": ("histogram", (), "B14"),
    "batching_session/processed_batch_size": ("histogram", (), "B14"),
}

METRIC_NOTES: Final[Mapping[str, str]] = {
    "mlmd_map": "always empty: session metadata is not published",
    "request_log_count": "counts; the stock binary never logs",
}

"""The contract, row by row, by hand: what each part of it comes to here, and which tests show it.

A row without a note works as upstream's does and is shown by tests; a row with a note differs or is not here, and
the note says why. Flags, metrics, methods and fields are held against the code by `test_compatibility_table`.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import Final


class Verdict(enum.Enum):
    """What a row of the contract comes to here."""

    WORKS = "works"
    DIFFERS = "differs"
    ABSENT = "not here"


@dataclass(frozen=True, slots=True)
class Row:
    """One row: what it is, the verdict, why it differs, and the tests that show it (folder/file::test)."""

    what: str
    verdict: Verdict = Verdict.WORKS
    note: str = ""
    shown: tuple[str, ...] = ()


ERRORS = "contract/test_contract_rest_errors.py::"
ROUTES = "contract/test_contract_rest_routes.py::"
EXAMPLES = "contract/test_contract_rest_examples.py::"
GRPC = "contract/test_contract_grpc.py::"
GRPC_PREDICT = "contract/test_contract_grpc_predict.py::"
GRPC_INFERENCE = "contract/test_contract_grpc_inference.py::"
RELOAD = "contract/test_contract_reload.py::"
SERVER = "contract/test_contract_server.py::"
KINDS = "engine/test_engine_kinds.py::"
TLS = "engine/test_engine_tls.py::"
SOURCE = "lifecycle/test_source.py::"
MANAGER = "lifecycle/test_manager.py::"
ATTEMPTS = "lifecycle/test_load_attempts.py::"
BATCHING = "contract/test_contract_batching.py::"
DTYPES = "contract/test_contract_dtypes.py::"
FLAG_TEST = "engine/test_every_flag.py::test_flag_changes_the_options_when_it_works"


def works(what: str, *shown: str) -> Row:
    return Row(what, Verdict.WORKS, "", shown)


def differs(what: str, note: str, *shown: str) -> Row:
    return Row(what, Verdict.DIFFERS, note, shown)


def absent(what: str, note: str, *shown: str) -> Row:
    return Row(what, Verdict.ABSENT, note, shown)


REST: Final = (
    works("POST …:predict", f"{EXAMPLES}test_worked_example_is_answered"),
    works("POST …:classify", f"{EXAMPLES}test_worked_example_is_answered"),
    works("POST …:regress", f"{EXAMPLES}test_worked_example_is_answered"),
    works("GET …/NAME, …/versions/N", f"{EXAMPLES}test_status_is_upstream_s_to_the_byte"),
    differs(
        "GET …/labels/LABEL",
        "the label counts; upstream shows every version",
        f"{EXAMPLES}test_status_is_upstream_s_to_the_byte",
        "dataplane/test_rest.py::test_status_lists_what_is_asked_for",
    ),
    works(
        "GET …/metadata",
        f"{EXAMPLES}test_metadata_is_upstream_s_document",
        f"{EXAMPLES}test_metadata_tells_defaults_and_the_version_asked_for",
    ),
    differs(
        "GET /v1/models",
        "lists the models; 400 upstream",
        "dataplane/test_rest.py::test_all_models_are_listed",
    ),
    differs(
        "GET …/openapi.json",
        "an OpenAPI 3.1 document of the model; 400 upstream",
        "contract/test_contract_openapi.py::test_document_is_valid_and_its_examples_are_answered_as_it_says",
        "contract/test_contract_openapi.py::test_document_is_of_the_version_that_was_asked_for",
    ),
    differs("HEAD", "as GET; 400 upstream", "dataplane/test_rest.py::test_head_is_get"),
    differs(
        "OPTIONS",
        "200 with Allow whatever Origin says; permission is in the CORS headers",
        "dataplane/test_rest.py::test_options_tells_what_is_allowed",
    ),
    works("PUT, DELETE, PATCH are malformed", f"{ROUTES}test_malformed_request_is_repeated"),
    works(
        "TRACE, CONNECT, unknown verbs: 501 page", f"{EXAMPLES}test_verb_or_uri_that_is_none_gets_the_page"
    ),
    works("unroutable path: 404 page", f"{ROUTES}test_unroutable_path_is_the_page"),
    works(
        "URL grammar, case, percent-decoding",
        f"{EXAMPLES}test_case_of_the_path_does_not_matter",
        f"{ROUTES}test_request_that_cannot_be_answered_is_told_why",
    ),
    differs(
        "query strings",
        "ignored; part of the name upstream",
        f"{EXAMPLES}test_status_is_upstream_s_to_the_byte",
    ),
    differs(
        "names that cannot be decoded",
        "400 with the JSON error; an empty body upstream",
        f"{ROUTES}test_request_that_cannot_be_answered_is_told_why",
    ),
    works(
        "statuses and texts of bad requests",
        f"{ROUTES}test_request_that_cannot_be_answered_is_told_why",
        f"{ROUTES}test_malformed_request_is_repeated",
    ),
    differs(
        "error body",
        "to the byte; a `hint` may follow the error",
        f"{ROUTES}test_error_body_is_as_upstream_writes_it",
        "dataplane/test_rest.py::test_hint_stands_beside_the_error",
    ),
    works("JSON parser: texts and offsets", f"{ERRORS}test_text_that_is_no_json_is_told_where"),
    works(
        "JSON parser: liberties, nesting",
        f"{ERRORS}test_liberty_that_upstream_s_parser_takes_is_taken",
        f"{ERRORS}test_deep_signature_name_is_no_string",
    ),
    works("JSON parser: numbers", f"{ERRORS}test_number_is_read_as_upstream_reads_it"),
    works(
        "predict bodies: row format",
        f"{ERRORS}test_predict_body_that_is_wrong_is_told_how",
        f"{ERRORS}test_model_of_two_inputs_needs_them_named",
    ),
    works(
        "predict bodies: columnar format",
        f"{ERRORS}test_predict_body_that_is_wrong_is_told_how",
        f"{ERRORS}test_extra_column_is_ignored",
    ),
    differs(
        "predict bodies: element typing",
        "int8, int16, uint8 are checked against their range; half, bfloat16, uint16 are numbers",
        f"{ERRORS}test_dtype_s_elements_are_typed",
        f"{DTYPES}test_columns_over_rest_equal_grpc",
    ),
    works("base64 strings", f"{DTYPES}test_any_bytes_travel_as_base64"),
    works(
        "predict answers: values, `_bytes`, NaN",
        f"{EXAMPLES}test_worked_example_is_answered",
        f"{EXAMPLES}test_floats_have_upstream_s_values",
    ),
    differs(
        "predict answers: layout",
        "upstream's to the byte, with members sorted by name; a large tensor has no white space, and its numbers are "
        "spelled shorter",
        "codec/test_json_encode.py::test_encode_predict_lays_the_body_out_as_upstream",
        "codec/test_json_encode.py::test_numbers_are_spelled_as_upstream",
    ),
    works("answers that JSON cannot hold", f"{ERRORS}test_answer_that_json_cannot_hold_is_400"),
    works(
        "classify and regress bodies and texts",
        f"{EXAMPLES}test_example_body_that_is_wrong_is_told_how",
    ),
    differs(
        "gzip request bodies",
        "any inflated size that bodies may have; what is no gzip is told as such",
        f"{EXAMPLES}test_gzip_body_is_inflated",
        "dataplane/test_rest_gzip.py::test_bad_gzip_is_400_and_names_the_reason",
    ),
    works("chunked bodies, Expect", f"{EXAMPLES}test_chunked_body_and_expectation_are_honoured"),
    differs(
        "Content-Type and Accept are ignored",
        "but for `application/x-npy`, `x-npz` and `x-protobuf` on `:predict`; every other type is JSON",
        f"{EXAMPLES}test_content_type_and_accept_are_ignored",
        "dataplane/test_bodies.py::test_tensors_are_equal_by_every_encoding",
    ),
    differs(
        "answers are never compressed",
        "gzip for who sends `Accept-Encoding: gzip`, from 1 KiB on",
        "dataplane/test_bodies.py::test_answer_is_compressed_when_asked_for_and_worth_it",
    ),
    works("CORS headers", f"{SERVER}test_cors_headers_are_on_every_answer_of_the_api"),
    differs(
        "time limit",
        "also bounds the wait for a first load and in the queue",
        f"{SERVER}test_run_that_takes_too_long_is_given_up",
    ),
    differs(
        "limits",
        "bodies, headers, connections and slow senders are bounded; not upstream",
        "dataplane/test_http_server.py::test_hostile_request_is_refused_with_its_status",
    ),
    differs(
        "TLS",
        "`ssl_config_file` holds for REST too; plain upstream",
        f"{TLS}test_both_ports_speak_tls_when_configured",
    ),
    works("request_count, request_latency", f"{SERVER}test_requests_are_counted_as_upstream_counts_them"),
    works(
        "Prometheus page",
        f"{SERVER}test_prometheus_page_has_upstream_s_metrics",
        f"{SERVER}test_prometheus_page_is_absent_without_its_flag",
    ),
)

MANAGEMENT: Final = (
    works(
        "version folders: names, leading zeros, duplicates",
        f"{SOURCE}test_version_of_reads_a_name_as_absl_does",
        f"{SOURCE}test_look_takes_one_name_when_several_mean_the_same_version",
    ),
    differs(
        "version folders: what counts",
        "one that holds a model whose files are quiet; upstream: any name that is a number",
        f"{SOURCE}test_version_counts_when_it_holds_a_model",
        f"{SOURCE}test_fresh_version_is_not_aspired_before_its_files_are_quiet",
    ),
    differs(
        "a missing base path",
        "stops nobody else; holds up every model upstream",
        "engine/test_engine_start.py::test_missing_base_path_in_a_config_file_stops_nobody_else",
    ),
    works(
        "states and their order",
        "lifecycle/test_states.py::test_every_state_leads_to_the_end_and_never_back",
        f"{MANAGER}test_version_goes_through_every_state_when_aspired_and_unaspired",
    ),
    works(
        "retries of a load",
        f"{ATTEMPTS}test_load_is_repeated_until_it_succeeds",
        f"{ATTEMPTS}test_load_ends_with_the_last_error_when_every_attempt_fails",
    ),
    works(
        "availability is preserved",
        "lifecycle/test_policy.py::test_next_action_follows_the_availability_preserving_policy",
        f"{MANAGER}test_new_version_is_up_before_the_old_one_goes",
    ),
    works(
        "labels: targets, texts, the flag",
        f"{RELOAD}test_label_needs_its_version_first",
        f"{RELOAD}test_labels_of_versions_to_come_need_the_flag",
    ),
    works(
        "config checks and texts",
        f"{RELOAD}test_config_that_breaks_a_rule_leaves_no_trace",
        f"{RELOAD}test_model_that_fails_is_told_and_the_rest_serves",
    ),
    differs(
        "a rejected config",
        "leaves no trace; upstream keeps it as its current one",
        f"{RELOAD}test_config_that_breaks_a_rule_leaves_no_trace",
    ),
    differs(
        "config file polling",
        "a file is applied when its text has changed, not each time that it is read: labels and policies that were "
        "set while the server ran are acknowledged changes too",
        f"{SERVER}test_rewritten_config_file_counts_only_when_it_is_polled",
    ),
    works("a config file that does not parse", f"{SERVER}test_bad_config_file_ends_the_start"),
    differs(
        "ports at the start",
        "open at once; requests wait for a first load",
        "dataplane/test_rest.py::test_request_waits_for_the_first_load",
        f"{SERVER}test_models_are_up_when_the_readiness_probe_is_answered",
    ),
    differs(
        "a first load that fails",
        "the server runs on and tells the error; upstream exits with 255",
        f"{RELOAD}test_model_that_fails_is_told_and_the_rest_serves",
    ),
    differs(
        "load error: a folder without a model",
        "is no version until it holds one; NOT_FOUND upstream",
        f"{SOURCE}test_version_does_not_count_when_it_is_a_file_or_holds_no_model",
    ),
    works(
        "load error: a folder from before SavedModels",
        f"{RELOAD}test_model_that_fails_is_told_and_the_rest_serves",
    ),
    works(
        "signature rules and the method name check",
        f"{SERVER}test_switches_of_signatures_and_serialization",
        f"{GRPC_INFERENCE}test_inference_that_cannot_be_is_told_why",
    ),
    works(
        "batching: refusals",
        f"{BATCHING}test_request_that_cannot_be_batched_is_refused",
        f"{BATCHING}test_signature_without_inputs_cannot_be_batched",
    ),
    differs(
        "batching: without its flag",
        "requests are merged while all lanes are busy, and verified",
        "batching/test_scheduler.py::test_independent_rows_are_merged_after_verification",
    ),
    differs(
        "batching: a batch that fails",
        "each request is run alone; all fail together upstream",
        "batching/test_scheduler.py::test_poison_row_fails_alone_with_its_own_error",
    ),
    works(
        "warm-up: record kinds and failures",
        "engine/test_warmup.py::test_every_kind_of_record_is_run_in_order",
        "engine/test_warmup.py::test_other_kinds_of_log_are_unimplemented",
        "engine/test_engine_warmup.py::test_recorded_requests_have_run_when_the_version_is_available",
    ),
    differs(
        "request logging",
        "works; refused by the stock binary",
        "engine/test_engine_request_log.py::test_logged_requests_warm_the_next_version_up",
    ),
    works(
        "TLS and mutual TLS over gRPC",
        f"{TLS}test_both_ports_speak_tls_when_configured",
        f"{TLS}test_client_needs_a_certificate_of_the_authority_when_clients_are_verified",
    ),
    works(
        "session ConfigProto",
        "engine/test_engine_session.py::test_session_config_is_used_and_flags_overwrite_its_threads",
    ),
    differs(
        "saved_model_config.pb",
        "`disable_meta_optimizer` counts; no TensorFlow wheel has the other rewriters, which is said in the log",
        "engine/test_version_options.py::test_saved_model_config_overrides_the_session_and_fails_nothing",
    ),
    absent("mlmd_uuid", "session metadata is not published"),
    differs(
        "model.tflite",
        "LiteRT's own operations; without `ParseExample`, which no wheel has",
        f"{KINDS}test_lite_models_answer_when_they_are_preferred",
    ),
    works(
        "TensorFlow 2 exports, Keras exports",
        f"{KINDS}test_functions_and_keras_exports_answer_when_saved_as_upstream_does",
    ),
    differs(
        "Keras 3 models by `tf.saved_model.save`",
        "served; upstream does not find their variables",
        "clients/test_clients_digits.py::test_custom_signature_is_called_by_its_name",
    ),
    differs(
        "flags: syntax",
        "`--help` exits with 0; every unknown flag is reported with the nearest",
        "engine/test_engine_start.py::test_version_and_help_end_well",
        f"{SERVER}test_unknown_flag_is_reported_and_the_server_runs",
    ),
    works("flags that cannot be combined", f"{SERVER}test_flags_that_cannot_be_combined_end_the_start"),
    works("unix socket, channel arguments", f"{SERVER}test_predict_answers_over_tcp_and_a_unix_socket"),
    works(
        "ModelSpec resolution",
        f"{GRPC}test_model_that_is_not_there_is_named",
        f"{GRPC}test_missing_model_spec_is_told",
        f"{GRPC}test_answer_names_the_version_that_gave_it",
    ),
    works("status texts are cut at 1024 bytes", f"{GRPC_PREDICT}test_long_status_message_is_cut"),
    works("signature defaults", f"{GRPC_PREDICT}test_input_with_a_default_may_be_left_out"),
    works("TensorProto's short forms", f"{GRPC_PREDICT}test_tensor_proto_s_short_forms_are_read"),
    works(
        "every dtype, REST equal to gRPC",
        f"{DTYPES}test_every_dtype_comes_back_over_grpc",
        f"{DTYPES}test_rows_over_rest_equal_grpc",
    ),
    works(
        "random bytes at every door",
        "contract/test_contract_fuzz.py::test_ten_thousand_random_requests_do_no_harm",
    ),
)

"""L: what load may not do."""

from __future__ import annotations

from tests.reliability.case import Case, Told

CASES = (
    Case(
        "L1",
        "versions switch and labels move at 500 requests/s",
        "nothing fails, no answer mixes two versions, later requests see the label where it was put",
        (
            "engine/test_engine_load.py::test_version_switches_lose_and_mix_nothing_under_load",
            "engine/test_engine_load.py::test_label_moves_are_seen_by_every_later_request",
            "engine/test_engine_load.py::test_new_version_in_the_folder_takes_over_and_a_broken_one_does_not",
        ),
        told=(
            Told("requests failed", at_most=0),
            Told("p99 during the switches", times=2, than="p99 before them"),
            Told("switches a minute"),
        ),
    ),
    Case(
        "L2",
        "a thousand connections that say nothing",
        "others are answered as before; over the limit a connection is refused at once",
        (
            "dataplane/test_http_server.py::test_idle_connection_is_closed",
            "dataplane/test_http_server.py::test_connections_over_the_limit_are_refused_at_once",
            "dataplane/test_accepting.py::test_handshakes_take_places_of_connections_until_their_time_is_over",
            "reliability/test_connections.py::test_idle_connections_cost_little_and_hurt_nobody",
        ),
        told=(
            Told("memory of an idle connection", at_most=64),
            Told("p99 of others meanwhile", at_most=50),
        ),
    ),
    Case(
        "L3",
        "slow loris: headers, bodies and readers",
        "408 at the deadline, and nobody else notices",
        (
            "dataplane/test_http_server.py::test_slow_sender_is_answered_408_and_closed",
            "reliability/test_connections.py::test_slow_clients_hurt_nobody",
        ),
        told=(Told("p99 of others beside 500 slow ones", at_most=50),),
    ),
    Case(
        "L4",
        "bodies of 2 GiB, without an end, in a million pieces",
        "413 before more is read; memory stays",
        (
            "dataplane/test_http_server.py::test_hostile_request_is_refused_with_its_status",
            "dataplane/test_http_server.py::test_refusal_reaches_a_client_that_is_still_sending",
            "reliability/test_hostile_http.py::test_huge_bodies_cost_no_memory",
        ),
        told=(Told("memory after", at_most=16),),
    ),
    Case(
        "L5",
        "JSON nested 50 to 100,000 deep, whole and cut off",
        "an answer or a 400, and no stack that overflows",
        (
            "dataplane/test_rest_properties.py::test_deep_bodies_are_answered",
            "reliability/test_hostile_http.py::test_nested_bodies_are_refused_quickly",
        ),
        told=(Told("slowest refusal"),),
    ),
    Case(
        "L6",
        "a million numbers in one request, a hundred thousand rows",
        "the right answer; what others wait meanwhile is told, Jupyter's own users too",
        (
            "reliability/test_hostile_http.py::test_large_lists_are_answered_right",
            "notebook/test_jupyter_under_load.py::test_jupyter_answers_meanwhile_when_its_proxy_is_loaded",
        ),
        told=(
            Told("p99 of three numbers meanwhile", at_most=50, name="p99 of others meanwhile"),
            Told("p99 of them while its proxy carries", at_most=50),
            Told("memory kept after", at_most=64, name="memory kept"),
            Told("1,000,000 numbers as", name="1,000,000 numbers, both ways"),
        ),
    ),
    Case(
        "L7",
        "NaN, 1e400, 2^64, -1 as uint8, 1.7 as int, true as float",
        "one fixed outcome each, and no silent conversion",
        (
            "contract/test_contract_number_abuse.py::test_no_number_is_converted_silently_when_it_does_not_fit_its_dtype",
            "contract/test_contract_rest_errors.py::test_number_is_read_as_upstream_reads_it",
            "contract/test_contract_rest_errors.py::test_dtype_s_elements_are_typed",
        ),
    ),
    Case(
        "L8",
        "random and broken bytes at every REST and gRPC door",
        "an answer to each, and no 500",
        (
            "contract/test_contract_fuzz.py::test_ten_thousand_random_requests_do_no_harm",
            "contract/test_contract_fuzz.py::test_hundred_thousand_random_requests_do_no_harm",
            "dataplane/test_rest_properties.py::test_any_body_is_answered",
            "reliability/test_fuzz.py::test_parsers_raise_only_their_errors_when_fuzzed",
        ),
        told=(
            Told("crashes of", at_most=0, name="crashes of a parser"),
            Told("the engine's memory after", at_most=16),
        ),
    ),
    Case(
        "L9",
        "70 KB of header, 1,000 headers, one 10,000 times, both framings",
        "431 or 400, said and not just hung up, in time that grows with the size",
        (
            "dataplane/test_http_server.py::test_hostile_request_is_refused_with_its_status",
            "reliability/test_hostile_http.py::test_hostile_headers_are_answered",
        ),
        told=(
            Told("slowest refusal"),
            Told("twice the headers take", at_most=2.3),
        ),
    ),
    Case(
        "L10",
        "gzip bodies that inflate a thousandfold",
        "413 at the limit of the inflated size",
        (
            "dataplane/test_rest_gzip.py::test_bomb_costs_no_more_than_the_limit",
            "dataplane/test_rest_gzip.py::test_bomb_is_413_and_names_the_limit",
            "dataplane/test_grpc_server.py::test_bomb_is_refused_when_it_inflates_above_the_limit",
        ),
    ),
    Case(
        "L11",
        "64 clients, half of which hang up in the queue or during the run",
        "those that stay lose no answer; batching goes on",
        (
            "batching/test_scheduler.py::test_cancelled_request_leaves_the_queue_and_its_mates_are_answered",
            "reliability/test_storms.py::test_callers_that_stay_are_answered_when_others_hang_up",
        ),
        told=(
            Told("answers lost beside", at_most=0, name="answers lost beside hang-ups"),
            Told("rows run that nobody waited for"),
        ),
    ),
    Case(
        "L12",
        "a request that makes its batch fail",
        "it fails alone, with its own words; the next one is answered",
        (
            "batching/test_scheduler.py::test_poison_row_fails_alone_with_its_own_error",
            "batching/test_strict_batching.py::test_failed_piece_fails_its_request_once_and_spares_the_rest",
            "reliability/test_storms.py::test_failing_rows_fail_alone_under_load",
        ),
    ),
    Case(
        "L13",
        "ten times as many requests as the model can answer",
        "refused within 5 ms, with a limit and by default, and at least 85 % of the peak goes on being answered",
        (
            "engine/test_engine_overload.py::test_goodput_holds_and_refusals_are_quick_at_ten_times_the_capacity",
            "reliability/test_overload.py::test_goodput_holds_by_default_at_ten_times_the_capacity",
        ),
        "an open loop from other machines: client and server share two cores here",
        told=(
            Told("answered", at_least=85, name="answered at ten times the capacity"),
            Told("a refusal, p99", at_most=5),
            Told("a refusal by default, p99", at_most=5),
            Told("an answer of the full line, p99"),
        ),
    ),
    Case(
        "L14",
        "deadlines of 1 ms to 1 s over a full queue",
        "DEADLINE_EXCEEDED in time, or a refusal at once where the line is too long; what is too late is not run",
        (
            "batching/test_waiting.py::test_caller_that_has_little_time_is_refused_earlier",
            "batching/test_scheduler.py::test_expired_request_is_answered_and_never_run",
            "batching/test_adaptive_scheduler.py::test_request_is_not_run_when_its_time_is_up_between_two_sweeps",
            "reliability/test_storms.py::test_deadlines_are_kept_over_a_full_queue",
        ),
        told=(Told("latest news of a deadline that passed", at_most=50),),
    ),
    Case(
        "L15",
        "broken TensorProtos; 18 bytes that claim a gigabyte",
        "INVALID_ARGUMENT before anything is allocated",
        (
            "codec/test_tensor_proto.py::test_proto_is_refused_when_tensorflow_would_refuse_it",
            "codec/test_tensor_proto.py::test_a_small_proto_costs_nothing_when_it_claims_more_than_the_limit",
            "contract/test_contract_fuzz.py::test_ten_thousand_random_requests_do_no_harm",
            "reliability/test_fuzz.py::test_parsers_raise_only_their_errors_when_fuzzed",
        ),
    ),
    Case(
        "L16",
        "HTTP/2: a thousand streams at once, metadata of 1 MiB, rapid reset, floods of every frame",
        "streams and metadata are bounded, a flood ends its connection or is read slowly, others are answered",
        (
            "reliability/test_connections.py::test_many_streams_hurt_nobody",
            "reliability/test_connections.py::test_floods_hurt_nobody",
            "dataplane/test_http2_limits.py::test_flood_ends_its_connection_and_no_other",
            "dataplane/test_http2_limits.py::test_peer_that_resets_what_it_opens_is_read_slowly_and_keeps_its_calls",
        ),
        told=(
            Told("p99 of gRPC calls beside", at_most=50, name="p99 of gRPC calls beside floods and streams"),
            Told("connections ended by a ping flood"),
        ),
    ),
    Case(
        "L17",
        "a slow model that is saturated, beside a fast one",
        "the fast one has its own queue and processes, and is answered",
        (
            "engine/test_engine_overload.py::test_goodput_holds_and_refusals_are_quick_at_ten_times_the_capacity",
            "reliability/test_overload.py::test_goodput_holds_by_default_at_ten_times_the_capacity",
        ),
        told=(
            Told("the neighbour's p99 meanwhile", times=1.2, than="the neighbour's p99 before"),
            Told("the neighbour's median meanwhile", times=1.2, than="the neighbour's median before"),
        ),
    ),
    Case(
        "L18",
        "everything at once, for long",
        "memory, descriptors and threads stay",
        ("reliability/test_soak.py::test_nothing_grows_under_a_mixed_load",),
        told=(
            Told("engine's memory over", at_most=8),
            Told("slope of it", at_most=5),
            Told("most descriptors"),
        ),
    ),
    Case(
        "M1",
        "a model of 200 MB, loaded and unloaded a hundred times",
        "memory of all processes is back where it was",
        ("reliability/test_soak.py::test_memory_is_back_after_loads_and_unloads",),
        told=(Told("all processes after", at_most=16),),
    ),
)

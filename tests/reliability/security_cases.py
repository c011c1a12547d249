"""S: what strangers may not do."""

from __future__ import annotations

from tests.reliability.case import Case, Told

CASES = (
    Case(
        "S1",
        "what listens by default",
        "loopback alone; elsewhere needs TLS and keys, or the words for it",
        (
            "engine/test_flags.py::test_defaults_bind_loopback_on_the_usual_ports",
            "engine/test_engine_start.py::test_other_machines_are_not_let_in_by_accident",
            "reliability/test_secrets.py::test_everything_listens_on_loopback",
        ),
    ),
    Case(
        "S2",
        "every route, gRPC method and Jupyter handler, without a token or with a wrong one",
        "401, 403 or UNAUTHENTICATED; the open ones are listed",
        (
            "extension/test_authorization.py::test_every_door_is_closed_without_the_token",
            "dataplane/test_grpc_door.py::test_every_method_but_health_is_closed_to_strangers",
            "dataplane/test_key_door.py::test_only_the_listed_doors_are_open_to_strangers",
            "engine/test_control.py::test_only_the_token_opens_any_route",
        ),
    ),
    Case(
        "S3",
        "odd tokens, timing, revocation",
        "refused and never 500; no time tells how much was right; a revoked key is dead at once",
        (
            "dataplane/test_key_door.py::test_odd_tokens_are_refused_and_nothing_more",
            "dataplane/test_key_door.py::test_revoked_key_is_refused_on_the_open_connection",
            "dataplane/test_grpc_door.py::test_revoked_key_is_refused_on_the_open_channel",
            "engine/test_engine_access.py::test_wrong_token_takes_as_long_however_much_of_it_is_right",
        ),
        told=(Told("Welch's t of a token", at_most=4.5),),
    ),
    Case(
        "S4",
        "forged requests of other sites",
        "403, and nothing changes",
        (
            "extension/test_authorization.py::test_cookie_user_needs_the_xsrf_token",
            "extension/test_authorization.py::test_foreign_origin_changes_nothing_for_a_cookie_user",
            "dataplane/test_http_server.py::test_pages_of_other_machines_are_refused_unless_they_are_welcome",
        ),
    ),
    Case(
        "S5",
        "Host: evil.test (DNS rebinding)",
        "403 before routing, on loopback too",
        (
            "dataplane/test_http_server.py::test_hostile_request_is_refused_with_its_status",
            "extension/test_authorization.py::test_foreign_host_is_refused",
            "engine/test_control.py::test_names_of_other_hosts_are_refused",
        ),
    ),
    Case(
        "S6",
        "paths that lead out: .., links, siblings, other scripts' digits",
        "inside the allowed folders by real path, or not at all",
        (
            "extension/test_base_paths.py::test_sibling_with_the_same_prefix_is_outside",
            "extension/test_proxy.py::test_target_refuses_a_path_that_leaves_the_data_plane",
            "lifecycle/test_roots.py::test_version_is_refused_when_its_folder_is_swapped_for_a_link",
            "lifecycle/test_source.py::test_version_of_agrees_with_int_on_ascii_and_refuses_the_rest",
        ),
    ),
    Case(
        "S7",
        "names and errors that look like markup",
        "shown as text, everywhere",
        (
            "browser/test_canary.py::test_canary_fires_when_markup_is_taken_for_markup",
            "browser/test_sidebar.py::test_hostile_label_is_shown_as_text",
            "browser/test_live.py::test_hostile_card_is_shown_as_text",
            "browser/test_page.py::test_names_are_text_when_they_look_like_markup",
            "browser/test_panel.py::test_panel_shows_hostile_names_as_text_and_gives_the_controls_back_after_a_long_cell",
        ),
    ),
    Case(
        "S8",
        "tokens and paths in answers, logs, command lines, environments, saved notebooks",
        "absent; files are for their user alone",
        (
            "extension/test_control_handler.py::test_no_answer_holds_the_engines_token",
            "worker/test_worker_pool.py::test_processes_hold_no_secret_when_the_engine_has_some",
            "engine/test_connection.py::test_connection_file_is_private_and_alone_when_written",
            "reliability/test_secrets.py::test_token_is_nowhere_but_in_its_file",
            "notebook/test_in_jupyter.py::test_kernel_uses_its_jupyter_servers_engine_when_there_is_one",
        ),
    ),
    Case(
        "S9",
        "a proxy that is talked into asking somebody else",
        "it reaches its own engine only; no redirect, upgrade or token passes",
        (
            "extension/test_proxy.py::test_hostile_request_reaches_no_engine",
            "extension/test_proxy.py::test_redirect_is_not_followed_nor_passed",
            "extension/test_proxy.py::test_upgrade_is_refused",
            "extension/test_proxy.py::test_jupyter_token_in_the_url_is_not_passed_on",
        ),
    ),
    Case(
        "S10",
        "old TLS, wrong keys",
        "TLS 1.2 and above on both ports; a bad key ends the start",
        (
            "engine/test_engine_tls.py::test_both_ports_speak_tls_when_configured",
            "engine/test_engine_tls.py::test_start_fails_without_showing_the_key_when_it_is_another_certificates",
            "reliability/test_tls_grade.py::test_tls_has_no_serious_weakness",
        ),
        "certificates that change while the server runs: they are read at the start",
    ),
    Case(
        "S11",
        "a Jupyter user who may only read",
        "sees, and changes nothing; loading counts as executing",
        (
            "extension/test_authorization.py::test_every_door_asks_for_its_own_action",
            "extension/test_authorization.py::test_reader_sees_and_changes_nothing",
        ),
    ),
    Case(
        "S12",
        "a model from a stranger",
        "never loaded from outside the allowed roots; a model is a program, and README says so",
        (
            "lifecycle/test_roots.py::test_folder_is_refused_outside",
            "engine/test_engine_access.py::test_keys_and_limits_hold_from_making_to_revoking_and_over_a_crash",
        ),
        "a list of a model's file and network operations: not there",
    ),
    Case(
        "S13",
        "callers that share batches, with padding, splits and errors",
        "each gets its own rows, and nobody else's",
        (
            "batching/test_strict_batching.py::test_every_row_goes_in_and_comes_out_exactly_once",
            "batching/test_scheduler.py::test_batch_is_padded_to_an_allowed_size_and_padding_never_leaves",
            "reliability/test_storms.py::test_rows_reach_their_own_caller",
        ),
        told=(Told("rows that went astray", at_most=0),),
    ),
    Case(
        "S14",
        "dependencies with known holes",
        "none of them high; no server older than the one whose holes are mended; packages by their hash",
        (
            "reliability/test_supply_chain.py::test_server_with_known_holes_is_not_taken",
            "reliability/test_supply_chain.py::test_every_package_of_the_front_end_is_held_by_its_hash",
        ),
        "the databases on the internet are asked by a nightly test, which is skipped where they do not answer",
    ),
)

"""F: what faults may not do."""

from __future__ import annotations

from tests.reliability.case import Case, Told

CASES = (
    Case(
        "F1",
        "200 times kill -9 of workers and the engine, under load, while labels move",
        "no acknowledged change is lost, no answer is wrong, only requests in flight on a killed engine fail",
        (
            "engine/test_engine_load.py::test_killed_worker_costs_no_request_and_comes_back",
            "engine/test_engine_load.py::test_killed_engine_leaves_no_orphan_and_keeps_what_was_acknowledged",
            "engine/test_engine_killed.py::test_only_requests_in_flight_fail_when_the_engine_is_killed_under_load",
            "engine/test_kept_ports.py::test_no_new_connection_fails_when_the_engine_is_killed",
            "reliability/test_kills.py::test_nothing_acknowledged_is_lost_when_processes_are_killed_at_random",
            "worker/test_worker_handover.py::test_next_engines_have_the_same_fork_server_when_they_are_killed",
        ),
        told=(
            Told("wrong or failed answers", at_most=0),
            Told("new connections refused", at_most=0),
            Told("acknowledged label moves lost", at_most=0),
            Told("answers again after the engine, longest", at_most=1),
            Told("answers again after the worker, longest", at_most=0.5),
        ),
    ),
    Case(
        "F2",
        "the disk is full, or a write fails, while the state is saved",
        "the state before is whole, the change is refused with the reason, serving goes on",
        (
            "lifecycle/test_core.py::test_change_is_refused_and_nothing_changes_when_the_state_cannot_be_saved",
            "reliability/test_state_faults.py::test_old_state_stays_when_any_call_of_a_save_fails",
            "reliability/test_engine_faults.py::test_change_is_refused_and_serving_goes_on_when_the_disk_is_full",
            "reliability/test_read_only.py::test_changes_are_refused_whole_while_a_disk_is_full_and_made_when_it_is_not",
        ),
    ),
    Case(
        "F3",
        "kill -9 at each system call of a save",
        "the file holds the old state or the new one, never half",
        (
            "lifecycle/test_store.py::test_state_is_old_or_new_when_the_process_is_killed_while_it_saves",
            "reliability/test_state_faults.py::test_state_is_old_or_new_when_killed_at_any_call_of_a_save",
        ),
    ),
    Case(
        "F4",
        "version folders that are still being copied",
        "not loaded before they are complete and quiet; the version before serves on",
        (
            "lifecycle/test_source.py::test_half_copied_version_is_never_aspired_while_it_is_copied",
            "lifecycle/test_source.py::test_half_copied_version_is_never_aspired_whatever_the_order_and_the_pauses",
            "lifecycle/test_source.py::test_live_version_stays_while_the_chosen_one_is_half_written",
            "reliability/test_engine_faults.py::test_version_is_loaded_once_and_whole_when_copied_slowly",
        ),
    ),
    Case(
        "F5",
        "models that are broken in nine ways, and ten thousand mutations of their files",
        "each ends with its reason; the version before serves on",
        (
            "reliability/test_broken_files.py::test_mutated_model_is_served_or_refused_in_one_way",
            "reliability/test_broken_files.py::test_mutated_versions_evict_nobody_from_a_live_engine",
            "worker/test_worker_pool.py::test_spawn_fails_in_one_clear_way_when_the_model_is_broken",
            "reliability/test_engine_faults.py::test_broken_versions_end_with_a_reason_and_evict_nobody",
        ),
        told=(
            Told(
                "other outcomes of mutated files",
                at_most=0,
                name="loads of mutated files that ended otherwise",
            ),
            Told("requests failed on the version before", at_most=0),
        ),
    ),
    Case(
        "F6",
        "a model that aborts its process while it is loaded",
        "that version alone ends; it is given up after two deaths, by restarts too",
        (
            "engine/test_engine_load.py::test_model_that_aborts_while_loading_leaves_all_others_serving",
            "lifecycle/test_core_quarantine.py::test_version_below_serves_when_the_newest_dies_twice_at_load",
            "lifecycle/test_core_quarantine.py::test_version_is_not_loaded_again_when_the_engine_restarts",
        ),
    ),
    Case(
        "F7",
        "a request that aborts the model's process",
        "it fails alone; a version that keeps dying is given up and the one below serves",
        (
            "engine/test_engine_load.py::test_poison_request_fails_alone_and_the_model_serves_on",
            "engine/test_engine_load.py::test_version_below_serves_when_the_newest_keeps_killing_its_process",
        ),
    ),
    Case(
        "F8",
        "a model that hangs or computes without end, at load or at run, or answers nonsense",
        "504 at the deadline, where TensorFlow ends the run; where it cannot, the process is replaced, and after two "
        "such loads or three such runs the version is given up",
        (
            "reliability/test_isolation.py::test_version_is_given_up_when_its_runs_come_to_no_end_again_and_again",
            "reliability/test_isolation.py::test_version_is_given_up_when_its_load_comes_to_no_end_twice",
            "reliability/test_isolation.py::test_nonsense_is_answered_as_tensorflow_serving_spells_it",
            "engine/test_engine_load.py::test_model_that_hangs_on_some_requests_serves_the_others_again",
            "worker/test_worker_pool.py::test_spawn_fails_at_the_deadline_when_the_load_hangs",
        ),
        told=(
            Told("the good model's slowest answer beside", name="the good model's slowest answer meanwhile"),
            Told("requests that waited in vain until", name="requests that waited in vain"),
            Told("loads of", at_most=2, name="loads until a version was given up"),
        ),
    ),
    Case(
        "F9",
        "a model that takes all memory, at load or at run",
        "refused by the estimate, or bounded by the limit; a kill is known for what it is, and others serve",
        (
            "reliability/test_memory_group.py::test_memory_that_a_group_denies_costs_only_the_version_that_takes_it",
            "reliability/test_memory_group.py::test_estimate_refuses_what_a_group_would_kill",
            "worker/test_worker_memory.py::test_model_is_refused_when_its_files_do_not_fit",
            "worker/test_worker_memory.py::test_call_fails_and_the_worker_lives_when_a_model_takes_more_than_its_limit",
        ),
        "a control group's limit where none can be made: the test is skipped there, and the process's own limit is shown",
    ),
    Case(
        "F10",
        "the version's folder is deleted or renamed while it serves",
        "it serves on until another version takes over; an empty folder unloads nothing by surprise",
        ("reliability/test_engine_faults.py::test_deleted_folder_fails_no_request",),
    ),
    Case(
        "F11",
        "the port is taken; two engines on one port",
        "one line that names the port, an exit that is not 0, and no half-open server",
        (
            "engine/test_engine_start.py::test_taken_port_is_named_and_nothing_is_left",
            "dataplane/test_grpc_server.py::test_start_fails_with_the_port_when_it_is_taken",
            "dataplane/test_http_server.py::test_taken_port_is_named",
        ),
    ),
    Case(
        "F12",
        "the clock is years off or jumps",
        "no request expires early, no limit opens",
        (
            "dataplane/test_admission.py::test_clock_that_goes_back_gives_nothing",
            "lifecycle/test_source.py::test_version_is_aspired_after_a_second_look_when_its_times_lie_in_the_future",
            "reliability/test_starved.py::test_requests_are_answered_when_the_clock_is_years_off",
        ),
        "jumps of a running engine's clock: faking both clocks hangs Python, and the machine's is not ours to set",
        told=(Told("wrong answers with the clock", at_most=0),),
    ),
    Case(
        "F13",
        "the kernel is restarted or killed",
        "serving is untouched, and the new kernel finds it",
        (
            "notebook/test_in_jupyter.py::test_kernel_uses_its_jupyter_servers_engine_when_there_is_one",
            "reliability/test_endings.py::test_serving_goes_on_when_kernels_are_restarted_and_killed",
        ),
        told=(
            Told("requests failed", at_most=0),
            Told("a new kernel's %tfserve status, median"),
        ),
    ),
    Case(
        "F14",
        "the Jupyter server, or whoever owns the engine, is stopped or killed",
        "the engine ends with it, and no process stays",
        (
            "engine/test_supervisor.py::test_engine_ends_when_its_owner_dies",
            "extension/test_engine_handlers.py::test_stop_extension_leaves_no_engine",
            "worker/test_worker_pool.py::test_no_process_is_left_when_the_engine_is_killed",
            "worker/test_worker_handover.py::test_fork_server_ends_when_owner_and_engine_are_gone",
            "reliability/test_endings.py::test_no_process_stays_when_a_jupyter_server_ends",
        ),
        "adoption of an engine by the next server: an engine ends with its owner, on purpose",
        told=(
            Told("processes that stayed", at_most=0),
            Told("all gone after", at_most=5, name="all processes gone"),
        ),
    ),
    Case(
        "F15",
        "the engine runs out of file descriptors",
        "it does not spin, answers those it has, and comes back by itself",
        ("reliability/test_starved.py::test_engine_recovers_when_descriptors_ran_out",),
        told=(
            Told("processor time while starved", at_most=10),
            Told("answered again after"),
        ),
    ),
    Case(
        "F16",
        "SIGTERM under load",
        "every request in flight is answered, then exit 0",
        (
            "engine/test_engine_start.py::test_sigterm_under_load_answers_every_request_in_flight",
            "reliability/test_endings.py::test_sigterm_under_load_loses_no_request_in_flight",
            "dataplane/test_grpc_server.py::test_call_in_flight_is_answered_when_the_server_stops_with_grace",
        ),
        told=(
            Told("requests in flight lost", at_most=0),
            Told("gone after SIGTERM, longest"),
        ),
    ),
    Case(
        "F17",
        "an engine that crashes again and again",
        "restarts back off and end, with the reason",
        (
            "engine/test_supervisor.py::test_supervisor_gives_up_when_the_engine_crashes_again_and_again",
            "engine/test_supervisor.py::test_restarts_stay_below_nine_in_five_minutes_by_default",
        ),
    ),
    Case(
        "F18",
        "a file system that hangs; a pipe where a file should be",
        "requests go on: they touch no disk",
        (
            "reliability/test_engine_faults.py::test_requests_go_on_when_the_models_folder_hangs",
            "reliability/test_engine_faults.py::test_requests_go_on_when_folders_cannot_be_listed",
        ),
    ),
    Case(
        "F19",
        "a home that is read-only, a runtime folder that cannot be written, a disk that fails later",
        "served from memory, and said so; what fails later is refused with the reason; nothing claims to be saved",
        (
            "reliability/test_read_only.py::test_engine_serves_from_memory_and_says_so_when_its_state_cannot_be_written",
            "reliability/test_read_only.py::test_engine_ends_with_one_line_when_its_connection_file_cannot_be_written",
            "reliability/test_read_only.py::test_owner_gets_an_engine_and_a_note_when_its_home_is_read_only",
            "lifecycle/test_store.py::test_save_is_refused_when_the_folder_cannot_be_made",
            "lifecycle/test_store.py::test_old_state_stays_when_a_save_fails",
        ),
    ),
)

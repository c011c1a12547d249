"""The magics in a real IPython shell, with a real engine: lines in, values and one-line errors out."""

from __future__ import annotations

import shutil
import warnings
from types import SimpleNamespace

import numpy as np
import psutil
import pytest
from IPython.core.completer import provisionalcompleter
from IPython.core.error import UsageError
from IPython.core.interactiveshell import InteractiveShell
from IPython.utils.capture import capture_output
from traitlets.config import Config

from jupyter_tfserve.notebook import discovery as discovery_module
from jupyter_tfserve.notebook.commands import SUBCOMMANDS
from jupyter_tfserve.notebook.magics import TFServeMagics
from tests.notebook.conftest import set_kernel_home


class Cells:
    """Runs cells; a failed one raises what IPython would show."""

    def __init__(self, shell):
        self.shell = shell

    def run(self, source):
        with capture_output() as captured:
            result = self.shell.run_cell(source)
        error = result.error_before_exec or result.error_in_exec
        if error is not None:
            self.shown = captured.stdout + captured.stderr
            raise error
        return result.result, captured.stdout

    def value(self, source):
        return self.run(source)[0]

    def text(self, source):
        return self.run(source)[1]

    def fails(self, source):
        """What the person sees."""
        with pytest.raises(UsageError):
            self.run(source)
        assert "Traceback" not in self.shown
        return self.shown


@pytest.fixture(scope="module")
def home(make_saved_models, tmp_path_factory):
    folder = tmp_path_factory.mktemp("magics")
    made = make_saved_models("version=1", "version=2")
    for version in ("1", "2"):
        shutil.copytree(made / "version" / version, folder / "saved_models" / "version" / version)
    with pytest.MonkeyPatch.context() as patch:
        set_kernel_home(patch, folder)
        yield folder


@pytest.fixture(scope="module")
def cells(home):
    config = Config()
    config.HistoryManager.enabled = False
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        shell = InteractiveShell(config=config)
    cells = Cells(shell)
    cells.run("%load_ext jupyter_tfserve")
    yield cells
    cells.run("%tfserve stop")


@pytest.fixture(scope="module")
def started(cells):
    cells.run("%tfserve start ./saved_models")
    cells.run("%tfserve versions all")
    return cells


def test_next_step_is_shown_when_nothing_runs(cells):
    assert "%tfserve start" in cells.fails("%tfserve status")
    assert cells.text("%tfserve stop") == "No model server runs.\n"


def test_start_returns_a_handle_that_shows_itself_when_run(cells):
    server = cells.value("server = %tfserve start ./saved_models\nserver")
    shown = server._repr_mimebundle_()
    assert "kept by this kernel" in shown["text/plain"]
    assert "version (versions: latest 1)" in shown["text/plain"]
    assert "curl -d" in shown["text/plain"]
    assert "<table>" in shown["text/html"]


def test_start_reports_the_running_engine_when_run_again(started):
    pid = started.value("server = %tfserve start ./saved_models\nserver.state().engine.pid")
    again = started.value("again = %tfserve start ./saved_models\nagain.state().engine.pid")
    assert again == pid


def test_server_that_answers_without_a_key_does_not_pass_for_one_that_needs_them(started):
    assert "answers without a key" in started.fails("%tfserve start --require-keys")


def test_key_is_made_listed_and_revoked_and_is_in_no_output(started):
    result, printed = started.run(
        "shared = %tfserve share version --expires 2h --rate 5/s --name Ann\nshared"
    )
    assert "curl -H @" in str(result)
    assert "answers without a key too" in str(result)
    assert result.key.startswith("tfserve_")
    assert result.key not in printed + str(result) + repr(result)
    assert "version  until" in str(started.value("%tfserve keys"))
    assert started.text(f"%tfserve unshare {result.info.id}").endswith("opens nothing any more.\n")
    assert "There is no key" in started.fails(f"%tfserve unshare {result.info.id}")
    assert "Could not find model absent" in started.fails("%tfserve share absent")


def test_limits_are_set_shown_and_taken_away(started):
    assert started.text("%tfserve limit version 100/s burst=20") == "version: 100/s, bursts of 20\n"
    assert "at most 100/s, bursts of 20" in str(started.value("%tfserve status"))
    assert started.text("%tfserve limit version off") == "version: no limits\n"
    assert "at most" not in str(started.value("%tfserve status"))


def test_query_takes_json_and_expressions_when_given(started):
    answer = started.value("%%tfserve query version/1\n[[1.0], [2.0]]")
    assert answer["version"].tolist() == [1, 1]
    started.shell.user_ns["rows"] = np.zeros((3, 1), np.float32)
    answer = started.value("%%tfserve query version/2\nrows[:2]")
    assert answer["y"].tolist() == [[2.0], [2.0]]
    answer = started.value('%%tfserve query version\n{"inputs": {"x": rows}}')
    assert answer["version"].tolist() == [2, 2, 2]


def test_query_keeps_plain_numpy_when_a_variable_is_named(started):
    answer, _ = started.run("%%tfserve query version/1 -o kept\n[[1.0], [2.0]]")
    assert "<table>" in answer._repr_mimebundle_()["text/html"]
    kept = started.shell.user_ns["kept"]
    assert type(kept) is dict
    assert type(kept["version"]) is np.ndarray
    assert "is not the name of a variable" in started.fails("%%tfserve query version -o 1x\n[[1.0]]")


def test_snippet_is_ready_to_copy_when_a_language_is_named(started):
    snippets = started.value("%tfserve snippet version/1 --lang python --row [[2.5]]")
    assert "[[2.5]]" in str(snippets)
    assert str(snippets).startswith("import requests")
    assert len(started.value("%tfserve snippet").texts) == 6
    assert "No Jupyter server" in started.fails("%tfserve snippet --via jupyter")


def test_label_says_what_moved_when_set(started):
    assert started.text("%tfserve label production=1") == "production -> 1\n"
    assert started.text("%tfserve label production=2 --model version") == "production -> 2 (was 1)\n"
    answer = started.value("%%tfserve query version@production\n[[0.0]]")
    assert answer["version"].tolist() == [2]
    assert started.text("%tfserve unlabel production") == "production is gone (was 2)\n"


def test_versions_are_compared_when_rows_and_truth_are_given(started):
    started.shell.user_ns.update(x=np.zeros((4, 1), np.float32), y=np.ones(4))
    found = started.value("%tfserve compare version/1 version/2 --on x,y --output y")
    assert found.a.scores["MAE"] == 0.0
    assert found.b.scores["MAE"] == 1.0
    assert started.value("%tfserve compare version/1 version/1 --on x[:2] --output y").rows == 2
    assert "--on" in started.fails("%tfserve compare version/1 version/2")


def test_load_is_measured_when_asked_for(started):
    started.shell.user_ns["x"] = np.zeros((4, 1), np.float32)
    found = started.value("%tfserve bench version/1 --on x[:2] --seconds 1")
    assert found.rows == 2
    assert found.direct is None
    assert "is not a time" in started.fails("%tfserve bench version/1 --seconds 0")


def test_change_is_undone_when_rolled_back(started):
    started.run("%tfserve label canary=1")
    started.run("%tfserve label canary=2")
    assert started.text("%tfserve rollback") == "canary of version -> 1 (was 2)\n"
    started.run("%tfserve unlabel canary")
    events = started.value("%tfserve history -n 1")
    assert [event.detail for event in events.events] == ["canary removed (was 1)"]


def test_one_version_is_served_less_when_unloaded(started):
    started.run("%tfserve unload 1")
    assert started.value("%tfserve load 1").state == "AVAILABLE"
    assert "is not served" in started.fails("%tfserve unload 7")
    started.run("%tfserve versions all")


def test_log_is_printed_when_asked_for(started):
    assert started.text("%tfserve logs -n 3").endswith("\n")
    assert "is not a count" in started.fails("%tfserve logs -n 0")
    assert "missing.config" in started.fails("%tfserve config missing.config")


def test_braces_are_filled_in_when_a_line_names_variables(started):
    started.shell.user_ns["number"] = 1
    assert started.text("%tfserve label test={number}") == "test -> 1\n"


def test_status_lists_versions_when_asked(started):
    status = started.value("%tfserve status")
    (model,) = status.models
    assert [version.state for version in model.versions] == ["AVAILABLE", "AVAILABLE"]


@pytest.mark.parametrize(
    ("source", "part"),
    [
        ("%tfserve strat", "Did you mean `%tfserve start`?"),
        ("%tfserve label production", "not NAME=VERSION"),
        ("%tfserve label production=9", "9"),
        ("%tfserve label production=1 --model nobody", "Served: version."),
        ("%tfserve save missing", "name 'missing' is not defined"),
        ("%tfserve save 3", "not a model that can be served"),
        ("%tfserve start ./saved_models/version/1/saved_model.pb", "saved_model.pb"),
        ("%tfserve versions newest", "invalid choice"),
        ("%tfserve query version", "%%tfserve query MODEL"),
        ("%%tfserve start\n[1]", "takes no cell body"),
        ("%%tfserve query version\n[1.0,, 2]", "neither JSON nor a Python expression"),
        ("%%tfserve query version@x y\n[[1.0]]", "unrecognized arguments"),
        ("%%tfserve query nobody\n[[1.0]]", "Servable not found for request: Latest(nobody)"),
        ("%tfserve bench nobody --seconds 1", "There is no model 'nobody'; there are version."),
        ("%tfserve snippet version@nobody", "has no label"),
        ("%tfserve compare version/1 version/9 --on [[1.0]]", "does not serve version 9; it serves 2, 1."),
        ("%%tfserve query version\n[['text']]", "is not of expected type: float"),
        ("%%tfserve query version\n[['1.5']]", "Fix: np.asarray([['1.5']]).astype(\"float32\")"),
    ],
)
def test_error_is_short_and_says_what_to_do_when_a_cell_is_wrong(started, source, part):
    assert part in started.fails(source)


@pytest.mark.parametrize("source", ["%tfserve", "%tfserve --help", "%tfserve save --help"])
def test_help_is_printed_when_asked_for(cells, source):
    value, text = cells.run(source)
    assert value is None
    assert "tfserve" in text


def test_question_mark_shows_the_commands_when_asked(cells):
    assert all(name in cells.shell.find_magic("tfserve").__doc__ for name in SUBCOMMANDS)


@pytest.mark.parametrize(
    ("line", "word"),
    [
        ("%tfserve sta", "status"),
        ("%tfserve label production=1 --mo", "--model"),
        ("%tfserve versions all --model ver", "version"),
        ("%%tfserve query ver", "version"),
        ("%tfserve unlabel te", "test"),
        ("%%tfserve query version@te", "test"),
        ("%tfserve snippet ver", "version"),
        ("%tfserve snippet version --lang no", "node"),
    ],
)
def test_completion_offers_the_word_when_tab_is_pressed(started, line, word):
    started.run("%tfserve label test=1")
    with provisionalcompleter():
        words = [item.text for item in started.shell.Completer.completions(line, len(line))]
    assert word in words


def test_completion_offers_models_when_this_extension_has_run_no_command_yet(started):
    fresh = TFServeMagics(started.shell)
    assert fresh._complete(started.shell, SimpleNamespace(text_until_cursor="%tfserve panel ")) == ["version"]


def test_engine_is_gone_when_stopped_from_a_cell(started):
    pid = started.value("%tfserve status").engine.pid
    process = psutil.Process(pid)
    assert started.text("%tfserve stop") == "The model server has stopped.\n"
    assert not process.is_running()
    assert started.text("%tfserve stop") == "No model server runs.\n"
    assert discovery_module.THIS_KERNEL.find() is None
    started.run("%tfserve start ./saved_models")
    started.run("%tfserve versions all")

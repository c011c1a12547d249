"""`jupyter tfserve demo`: a folder with two models and the notebooks, the quick start opened in JupyterLab.

With `--check` it does the notebook's main job without a browser, through real sockets, and says what it got.
Imports no TensorFlow: the models are made by a process of their own.
"""

from __future__ import annotations

import argparse
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from jupyter_tfserve.engine.launch import state_path
from jupyter_tfserve.errors import Code, ServingError
from jupyter_tfserve.notebook.demo_check import check_demo
from jupyter_tfserve.notebook.demo_models import MODEL_NAME
from jupyter_tfserve.notebook.jupyter_server import find_jupyter_server

NOTEBOOK: Final = "01_quickstart.ipynb"
LAB_LOG: Final = "jupyterlab.log"
ALLOW_ROOT: Final = "--allow-root"
LAB_TIMEOUT_S: Final = 60.0
STOP_TIMEOUT_S: Final = 20.0
TERMINATED: Final = 143
POLL_S: Final = 0.1


def run_demo(argv: Sequence[str]) -> int:
    """The demo's exit status; blocks until JupyterLab is closed or the check is done."""
    arguments, lab_arguments = _parse(argv)
    try:
        if arguments.check:
            return _check(arguments.dir)
        folder = Path(arguments.dir or "tfserve-demo").absolute()
        prepare(folder)
        return _open_lab(folder, lab_arguments, browser=not arguments.no_browser)
    except ServingError as error:
        print(f"jupyter tfserve demo: {error.message}", file=sys.stderr)
        if error.hint:
            print(error.hint, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130


def prepare(folder: Path) -> None:
    """The notebooks and both models lie in `folder`; what is there already is kept."""
    folder.mkdir(parents=True, exist_ok=True)
    for notebook in sorted(find_notebooks().glob("*.ipynb")):
        if not (folder / notebook.name).exists():
            shutil.copyfile(notebook, folder / notebook.name)
    make_models(folder)
    _say(f"Models and notebooks are in {folder}")


def make_models(folder: Path) -> None:
    """Both models lie in `folder / "saved_models"`, made by a process of their own."""
    _say("Making two small Keras models (a few seconds) …")
    base_path = folder / "saved_models" / MODEL_NAME
    base_path.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-m", "jupyter_tfserve.notebook.demo_models", str(base_path)]
    # Not in the current folder: `python -m` would prefer the modules that lie there.
    made = subprocess.run(command, cwd=base_path, stderr=subprocess.PIPE, text=True, check=False)  # noqa: S603
    if made.returncode != 0:
        last_line = (made.stderr.strip().splitlines() or ["it ended without a word"])[-1]
        raise ServingError(Code.INTERNAL, f"The models could not be made: {last_line}")


def find_notebooks() -> Path:
    """The folder of notebooks: beside the installed package's modules, or a checkout's `notebooks`."""
    here = Path(__file__).resolve().parent
    for place in (here / "notebooks", here.parents[1] / "notebooks"):
        if (place / NOTEBOOK).is_file():
            return place
    raise ServingError(Code.NOT_FOUND, f"{NOTEBOOK} is missing from this installation.", "Install it again.")


def _check(folder: str | None) -> int:
    if folder is not None:
        make_models(Path(folder).absolute())
        return check_demo(Path(folder).absolute(), _say)
    with tempfile.TemporaryDirectory(prefix="tfserve-demo-") as temporary:
        make_models(Path(temporary))
        try:
            return check_demo(Path(temporary), _say)
        finally:
            # Nobody will ever work in this folder again: its engine's memory goes with it.
            shutil.rmtree(state_path(Path(temporary)), ignore_errors=True)


def _open_lab(folder: Path, lab_arguments: Sequence[str], *, browser: bool) -> int:
    if _is_missing("jupyterlab"):
        raise ServingError(
            Code.FAILED_PRECONDITION,
            "JupyterLab is not installed here.",
            "pip install 'jupyter_tfserve[lab]', or open the notebook with what you have.",
        )
    # A plain kill of the demo must not leave JupyterLab behind.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(TERMINATED))
    log_path = folder / LAB_LOG
    with log_path.open("wb") as log:
        # In the terminal its hundred lines would push the address out of sight.
        command = _lab_command(folder, lab_arguments, browser=browser)
        lab = subprocess.Popen(command, cwd=folder, stdout=log, stderr=log)  # noqa: S603
    try:
        url = _lab_url(lab)
        if url is not None:
            _say(f"JupyterLab's log is in {log_path}\nOpen {url}\nStop with Ctrl-C.")
        elif lab.poll() is not None:
            raise ServingError(Code.UNAVAILABLE, f"JupyterLab did not start: {_last_line(log_path)}")
        return lab.wait()
    finally:
        _end(lab)


def _lab_command(folder: Path, lab_arguments: Sequence[str], *, browser: bool) -> list[str]:
    command = [sys.executable, "-m", "jupyterlab", str(folder / NOTEBOOK), f"--ServerApp.root_dir={folder}"]
    # Ctrl-C in this terminal means this demo: no question back.
    command += ["--ServerApp.answer_yes=True", *([] if browser else ["--no-browser"])]
    if _is_root() and ALLOW_ROOT not in lab_arguments:
        _say(f"You are root: JupyterLab is started with {ALLOW_ROOT}.")
        command.append(ALLOW_ROOT)
    return [*command, *lab_arguments]


def _is_root() -> bool:
    return hasattr(os, "geteuid") and os.geteuid() == 0


def _last_line(log_path: Path) -> str:
    lines = log_path.read_text(encoding="utf-8", errors="replace").strip().splitlines()
    return lines[-1].strip() if lines else "it ended without a word"


def _end(lab: subprocess.Popen[bytes]) -> None:
    if lab.poll() is None:
        lab.terminate()
        try:
            lab.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            lab.kill()
            lab.wait()


def _lab_url(lab: subprocess.Popen[bytes]) -> str | None:
    """The address of the notebook in the server that was just started; None if it ends before it listens."""
    from jupyter_core.paths import jupyter_runtime_dir

    deadline = time.monotonic() + LAB_TIMEOUT_S
    while lab.poll() is None and time.monotonic() < deadline:
        server = find_jupyter_server({"JPY_PARENT_PID": str(lab.pid)}, Path(jupyter_runtime_dir()))
        if server is not None:
            token = f"?token={server.token}" if server.token else ""
            return f"{server.url}lab/tree/{NOTEBOOK}{token}"
        time.sleep(POLL_S)
    return None


def _is_missing(package: str) -> bool:
    import importlib.util

    return importlib.util.find_spec(package) is None


def demo_parser() -> argparse.ArgumentParser:
    """The demo's own options; what stands after `--` is JupyterLab's."""
    parser = argparse.ArgumentParser(
        prog="jupyter tfserve demo",
        description="Open the quick-start notebook in JupyterLab, with two models to serve.",
        epilog="Arguments after -- go to JupyterLab.",
    )
    parser.add_argument("--dir", help="work folder; ./tfserve-demo, or a temporary one with --check")
    parser.add_argument("--no-browser", action="store_true", help="print the address instead of opening it")
    parser.add_argument("--check", action="store_true", help="do the main job without a browser, and exit")
    return parser


def _parse(argv: Sequence[str]) -> tuple[argparse.Namespace, list[str]]:
    own, dashes, rest = _split(list(argv))
    return demo_parser().parse_args(own), rest if dashes else []


def _split(argv: list[str]) -> tuple[list[str], bool, list[str]]:
    if "--" not in argv:
        return argv, False, []
    at = argv.index("--")
    return argv[:at], True, argv[at + 1 :]


def _say(text: str) -> None:
    print(text, flush=True)

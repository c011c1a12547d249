"""A quiet start: nothing of the greeting, everything afterwards."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def run(code):
    environment = {name: value for name, value in os.environ.items() if name != "TF_CPP_MIN_LOG_LEVEL"}
    environment["PYTHONPATH"] = str(ROOT)
    command = [
        sys.executable,
        "-c",
        f"import os, sys\nfrom jupyter_tfserve.notebook.quiet import quiet_start\n{code}",
    ]
    return subprocess.run(command, capture_output=True, text=True, check=False, env=environment)


def test_tensorflow_says_nothing_when_it_starts_quietly():
    done = run("with quiet_start():\n    import tensorflow\nprint(float(tensorflow.constant(2.0)))")
    assert done.stdout == "2.0\n"
    assert done.stderr == ""


def test_errors_are_seen_when_they_come_afterwards_or_the_import_fails():
    done = run("with quiet_start():\n    os.write(2, b'greeting')\nos.write(2, b'after')")
    assert done.stderr == "after"
    done = run("with quiet_start():\n    import no_such_module")
    assert "No module named 'no_such_module'" in done.stderr


def test_level_is_left_alone_when_the_user_chose_one():
    done = run(
        "os.environ['TF_CPP_MIN_LOG_LEVEL'] = '0'\nwith quiet_start(): pass\nprint(os.environ['TF_CPP_MIN_LOG_LEVEL'])"
    )
    assert done.stdout == "0\n"

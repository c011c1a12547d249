"""Loads mutations of a SavedModel's file and says what became of each: `python -m … FOLDER COUNT SEED` prints JSON.

Loads run in children of a process that has imported TensorFlow, as in the fork server, since some of them die. A child
goes on until it does; then another one begins with the next mutation.
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import resource
import shutil
import signal
import sys
import tempfile
from collections import Counter
from pathlib import Path

import orjson

from jupyter_tfserve.batching.task import is_batchable
from jupyter_tfserve.codec import protos
from jupyter_tfserve.codec.json_models import encode_metadata
from jupyter_tfserve.codec.openapi import openapi_document
from jupyter_tfserve.codec.signatures import parse_signatures
from jupyter_tfserve.errors import ServingError
from jupyter_tfserve.types import ModelSpec
from jupyter_tfserve.worker.main import import_quietly
from tests.reliability.mutation import mutated

MODEL = "saved_model.pb"
IN_ONE_CHILD = 200
LOAD_S = 20
MEMORY_BYTES = 4 * 2**30
INSIDE = ("Traceback", "site-packages", 'File "')


def load(folder: Path) -> str:
    """What the engine would know of the load: served, refused with a reason, or a fault of ours in words."""
    from jupyter_tfserve.worker.saved_model import LoadOptions, load_saved_model

    try:
        model = load_saved_model(folder, LoadOptions(("serve",), 1, 1))
        signatures = parse_signatures(model.signature_defs)
        for signature in signatures.values():
            is_batchable(signature)
        orjson.dumps(openapi_document(ModelSpec("m"), 1, signatures))
        encode_metadata("m", 1, protos.SignatureDefMap.FromString(model.signature_defs))
    except ServingError as error:
        inside = [word for word in INSIDE if word in error.message]
        return f"tells {inside}: {error.message[:300]}" if inside or not error.message else "refused"
    except Exception as error:
        return f"{type(error).__name__}: {error}"[:300]
    return "served"


def child(folder: Path, content: bytes, numbers: range, seed: int, report: int) -> None:
    """Writes a byte before each load, which an alarm bounds, and a line after it."""
    resource.setrlimit(resource.RLIMIT_AS, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    resource.setrlimit(resource.RLIMIT_DATA, (MEMORY_BYTES, MEMORY_BYTES))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    for number in numbers:
        (folder / MODEL).write_bytes(mutated(content, random.Random(f"{seed}-{number}")))
        signal.alarm(LOAD_S)
        outcome = load(folder)
        signal.alarm(0)
        os.write(report, f"{number} {json.dumps(outcome)}\n".encode())


def outcomes(folder: Path, content: bytes, count: int, seed: int) -> Counter[str]:
    """How often each outcome came."""
    found: Counter[str] = Counter()
    begin = 0
    while begin < count:
        end = min(begin + IN_ONE_CHILD, count)
        reader, writer = os.pipe()
        pid = os.fork()
        if pid == 0:
            os.close(reader)
            with contextlib.suppress(BaseException):
                child(folder, content, range(begin, end), seed, writer)
            os._exit(0)
        os.close(writer)
        with os.fdopen(reader) as lines:
            told = [line.partition(" ") for line in lines]
        _, status = os.waitpid(pid, 0)
        found.update(json.loads(outcome) for _, _, outcome in told)
        begin += len(told)
        if begin < end:
            ended = os.WTERMSIG(status) if os.WIFSIGNALED(status) else 0
            name = "hung" if ended == signal.SIGALRM else "died" if ended else "left"
            found[name] += 1
            begin += 1
    return found


def main() -> None:
    source, count, seed = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
    import_quietly()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "model"
        shutil.copytree(source, folder)
        # What TensorFlow prints as it dies is no answer of ours.
        os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
        found = outcomes(folder, (source / MODEL).read_bytes(), count, seed)
    print(json.dumps(found))


if __name__ == "__main__":
    main()

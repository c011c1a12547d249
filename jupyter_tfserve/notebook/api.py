"""`connect`, and other ways to the model server: found if it runs, started if it does not.

server = connect("./saved_models")
server.save(model, "regression_experiments", label="test")
server.query("regression_experiments@test", [[1.0], [2.0]])
"""

from __future__ import annotations

import os
from pathlib import Path

from jupyter_tfserve.errors import Code, ServingError
from jupyter_tfserve.notebook.discovery import START_HINT, THIS_KERNEL, Discovery, Ports
from jupyter_tfserve.notebook.doctor import Diagnosis, diagnose
from jupyter_tfserve.notebook.placement import check_spelling
from jupyter_tfserve.notebook.server import Server
from jupyter_tfserve.notebook.start_notes import port_notes
from jupyter_tfserve.notebook.surroundings import look_around


def connect(
    path: str | os.PathLike[str] | None = None,
    *,
    name: str | None = None,
    rest_port: int | None = None,
    grpc_port: int | None = None,
    require_keys: bool = False,
    discovery: Discovery = THIS_KERNEL,
) -> Server:
    """The running server, started if there is none, with the models under `path` opened.

    `path` holds models (`NAME/1/saved_model.pb`) or is one (`1/saved_model.pb`). A missing folder is made by the
    first save, but NOT_FOUND if a folder of nearly that name is there.
    `name` renames a single model. Doing it again changes nothing. With `require_keys` the ports answer only who shows
    a key; FAILED_PRECONDITION, and nothing opened, if a server runs that answers without.
    """
    if path is not None:
        check_spelling(Path(os.path.expanduser(path)).absolute(), str(path))
    ports = Ports(rest_port, grpc_port, require_keys)
    engine, ran_before = discovery.find_or_start(ports)
    notes = (*engine.notes, *(port_notes(engine, ports) if ran_before else ()))
    server = Server(engine, notes, discovery)
    if require_keys and not server.state().engine.keys_required:
        raise ServingError(
            Code.FAILED_PRECONDITION,
            "The server runs already, and answers without a key.",
            "`%tfserve stop`, then start it with --require-keys.",
        )
    if path is not None:
        server.open(path, name)
    return server


def running_server(discovery: Discovery = THIS_KERNEL) -> Server:
    """The server that runs for this kernel. UNAVAILABLE when there is none."""
    engine = discovery.find()
    if engine is None:
        raise ServingError(Code.UNAVAILABLE, "No model server runs for this notebook.", START_HINT)
    return Server(engine, discovery=discovery)


def doctor(discovery: Discovery = THIS_KERNEL) -> Diagnosis:
    """What may be wrong around the model server, with the step that mends each; works without a server too."""
    try:
        return running_server(discovery).doctor()
    except ServingError as error:
        is_none = error.code is Code.UNAVAILABLE and error.hint == START_HINT
        return diagnose(look_around(None, "" if is_none else error.message))

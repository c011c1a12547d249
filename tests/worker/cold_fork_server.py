"""A fork server without TensorFlow: `python -m tests.worker.cold_fork_server FD LIFELINE_FD`. It waits as long as
HANDOVER_S says in the environment, and its workers sleep.
"""

from __future__ import annotations

import os
import time

from jupyter_tfserve.worker import forkserver

if __name__ == "__main__":
    forkserver.HANDOVER_S = float(os.environ.get("HANDOVER_S", "60"))
    forkserver.import_tensorflow = lambda: None
    forkserver.serve = lambda *_: time.sleep(600)
    forkserver.main()

"""One process per loaded version: fork server, worker process, and the lanes between it and the engine.

The engine imports `pool`, `lane` and `frame`. `forkserver`, `main` and `saved_model` run in processes of
their own; only the last two import TensorFlow.
"""

"""One process per loaded version: fork server, worker process, and the lanes between it and the engine.

The engine imports `pool`, `lane` and `frame`. `saved_model` and `main` are the worker's own and the only
modules that import TensorFlow.
"""

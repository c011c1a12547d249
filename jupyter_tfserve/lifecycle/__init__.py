"""Which versions should and do exist: discovery, policy, loading, labels, the desired state and its history.

Imports no TensorFlow and opens no socket; one event loop owns all of it.
"""

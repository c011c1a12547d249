"""A light client of TensorFlow Serving's REST and gRPC contract: numpy in and out, TensorFlow never imported.

from jupyter_tfserve.client import Client
Client("http://127.0.0.1:8501").predict("half_plus_two", [1.0, 2.0, 5.0])     # array([2.5, 3. , 4.5])
"""

from jupyter_tfserve.client.client import Client
from jupyter_tfserve.client.values import ClassScore, Metadata, VersionStatus

__all__ = ["ClassScore", "Client", "Metadata", "VersionStatus"]

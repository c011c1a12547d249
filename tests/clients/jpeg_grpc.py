"""Sends JPEG files as they are: `python jpeg_grpc.py HOST:PORT FILE...` prints the digit that each shows.

What a client of TensorFlow Serving is written with: grpcio and tensorflow-serving-api.
"""

import sys

import grpc
import tensorflow as tf
from tensorflow_serving.apis import predict_pb2, prediction_service_pb2_grpc

channel = grpc.insecure_channel(sys.argv[1])
stub = prediction_service_pb2_grpc.PredictionServiceStub(channel)
request = predict_pb2.PredictRequest()
request.model_spec.name = "MLP_jpeg"
request.model_spec.signature_name = "serving_default"
files = []
for name in sys.argv[2:]:
    with open(name, "rb") as file:
        files.append(file.read())
request.inputs["images"].CopyFrom(tf.make_tensor_proto(files, shape=[len(files)]))
result = stub.Predict(request, 30.0)
probabilities = tf.make_ndarray(result.outputs["probabilities"])
print(*probabilities.argmax(axis=1))

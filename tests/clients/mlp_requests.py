"""Asks the model MLP which digit an image shows: `python mlp_requests.py IMAGE [URL]`. Needs requests and Pillow."""

import json
import sys

import numpy as np
import requests
from PIL import Image

image = np.array(Image.open(sys.argv[1]).convert("L").resize((28, 28))) / 255.0
url = sys.argv[2] if len(sys.argv) > 2 else "http://localhost:8501/v1/models/MLP:predict"
headers = {"content-type": "application/json"}
data = json.dumps({"signature_name": "serving_default", "instances": [image.tolist()]})
json_response = requests.post(url, data=data, headers=headers, timeout=30)
predictions = json.loads(json_response.text)["predictions"]
print(np.argmax(predictions[0]))

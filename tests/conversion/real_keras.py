"""Load what an export wrote in real Keras and compute with it; runs where that is.

python real_keras.py JOBS.json: a list of {file, record}. Prints one line of JSON a job: the
largest difference of each output by its largest magnitude, or an error.
"""
# ruff: noqa: TID251

import json
import os
import sys

os.environ.setdefault("KERAS_BACKEND", "torch")
os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"

import keras
import numpy as np

#: Of the layers of Keras 2.15 the one that it does not find by itself.
OLD = {"SpectralNormalization": keras.layers.SpectralNormalization}


def load(file):
    if keras.__version__.startswith("2"):
        return keras.models.load_model(file, compile=False, custom_objects=OLD)
    return keras.models.load_model(file, compile=False)


def compute(model, record):
    given = [record[f"in{i}"] for i in range(sum(name.startswith("in") for name in record))]
    found = model(given if len(given) > 1 else given[0], training=False)
    outputs = found if isinstance(found, list | tuple) else [found]
    if keras.__version__.startswith("2"):
        return [np.asarray(one) for one in outputs]
    return [keras.ops.convert_to_numpy(one) for one in outputs]


def main():
    with open(sys.argv[1]) as file:
        jobs = json.load(file)
    for job in jobs:
        line = {"file": job["file"]}
        try:
            record = dict(np.load(job["record"]))
            gaps = {}
            for i, output in enumerate(compute(load(job["file"]), record)):
                wanted = record[f"out{i}"].astype(float)
                assert output.shape == wanted.shape, (output.shape, wanted.shape)
                size = max(abs(wanted).max(), 1e-30)
                gaps[f"out{i}"] = float(abs(output.astype(float) - wanted).max() / size)
            line["differences"] = gaps
        except Exception as error:
            line["error"] = f"{type(error).__name__}: {error}"
        print(json.dumps(line), flush=True)


main()

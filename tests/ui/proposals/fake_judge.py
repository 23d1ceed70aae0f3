"""Proposes nuclei as `segmenter.propose` does, without a model.

`fake_judge.py MODE [--ensemble] [--drawn-by REVISION] IN OUT`.

Dark blobs are nuclei of class lymphocyte; the redder a blob, the less certain. Stroma is the left
half of the image where there are any.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time

import numpy as np
from scipy.ndimage import label, maximum


def main(mode: str, *words: str) -> None:
    *flags, source, result = words
    with np.load(source) as arrays:
        image = arrays["image"]
    for done in (1, 2):
        sys.stdout.write(json.dumps({"done": done, "total": 2}) + "\n")
        sys.stdout.flush()
    if mode == "hang":
        time.sleep(600)
    if mode == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    if mode == "crash":
        raise RuntimeError("the microscope fell over")
    if mode == "error":
        sys.stderr.write(json.dumps({"error": "expected a judge, got none; fetch one"}) + "\n")
        sys.exit(1)
    instances, n = label(image[..., 1] < 100)
    ids = np.arange(1, n + 1)
    uncertainty = maximum(image[..., 0], instances, ids) / 255 if n else np.zeros(0)
    if mode == "short":
        ids, uncertainty = ids[1:], uncertainty[1:]
    classes = np.where(instances > 0, 3, 0)
    tissue = np.zeros(instances.shape, np.uint8)
    tissue[:, : instances.shape[1] // 2] = 2 if n else 0
    found = {"instance_map": instances, "class_map": classes, "tissue_map": tissue}
    if "--ensemble" in flags:
        found["agreement"] = (1 - uncertainty).astype(np.float32)
        found["entropy"] = np.where(instances > 0, 0.4, 0.0).astype(np.float32)
    if "--drawn-by" in flags:
        found["nearness"] = float("nan") if mode == "far" else 0.5
    np.savez(result, ids=ids, uncertainty=uncertainty, **found)


if __name__ == "__main__":
    main(*sys.argv[1:])

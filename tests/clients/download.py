# Copyright: The modelops.serving contributors
# SPDX-License-Identifier: Apache-2.0
"""Download one model with a real client; runs in the clients' environment, see conftest.py.

Usage: ``python download.py modelscope|huggingface_hub ENDPOINT ID REVISION FOLDER [TOKEN]``
"""

from __future__ import annotations

import os
import sys


def main() -> None:
    """Set the client's own environment variables before it is imported, then download."""
    client, endpoint, model, revision, folder, *token = sys.argv[1:]
    if client == "modelscope":
        os.environ["MODELSCOPE_ENDPOINT"] = endpoint
        from modelscope import snapshot_download as from_modelscope  # type: ignore[import-not-found]

        from_modelscope(
            model, revision=revision, local_dir=folder, token=token[0] if token else None
        )
    else:
        os.environ["HF_ENDPOINT"] = endpoint
        os.environ["HF_HUB_DISABLE_XET"] = "1"
        from huggingface_hub import snapshot_download as from_huggingface  # type: ignore[import-not-found]

        from_huggingface(
            model, revision=revision, local_dir=folder, token=token[0] if token else False
        )


if __name__ == "__main__":
    main()

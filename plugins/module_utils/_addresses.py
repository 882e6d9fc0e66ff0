# Copyright: The modelops.serving contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The public addresses of the collection, all of them, and nothing else.

A preset is chosen by name (``modelops_mirror``), single addresses are overridden by key
(``modelops_addresses``). Modules that are called ad hoc use the ``default`` preset.
"""

from __future__ import annotations

from collections.abc import Mapping

PRESETS: dict[str, dict[str, str]] = {
    "default": {
        "modelscope": "https://www.modelscope.cn",
        "huggingface": "https://huggingface.co",
        "package_index": "https://pypi.org/simple",
        "torch_cpu_index": "https://download.pytorch.org/whl/cpu",
        "acme": "https://acme-v02.api.letsencrypt.org/directory",
        "acme_staging": "https://acme-staging-v02.api.letsencrypt.org/directory",
        "debian": "http://deb.debian.org/debian",
    },
    "china": {
        "modelscope": "https://www.modelscope.cn",
        "huggingface": "https://hf-mirror.com",
        "package_index": "https://mirrors.aliyun.com/pypi/simple",
        "torch_cpu_index": "https://mirrors.aliyun.com/pytorch-wheels/cpu",
        "acme": "https://acme-v02.api.letsencrypt.org/directory",
        "acme_staging": "https://acme-staging-v02.api.letsencrypt.org/directory",
        "debian": "http://mirrors.aliyun.com/debian",
    },
}

# Answers for names that hold an address, such as gte.192-0-2-1.sslip.io
NAMES_OF_ADDRESSES = "sslip.io"


def addresses(
    preset: str = "default", overrides: Mapping[str, str] | None = None
) -> dict[str, str]:
    """Return the addresses of ``preset`` with ``overrides`` laid over them.

    An empty override switches an address off. Raises ``ValueError`` for an unknown preset or key.
    """
    if preset not in PRESETS:
        raise ValueError(
            f"modelops_mirror is '{preset}'; choose one of {', '.join(sorted(PRESETS))}"
        )
    chosen = dict(PRESETS[preset])
    unknown = sorted(set(overrides or {}) - set(chosen))
    if unknown:
        raise ValueError(
            f"modelops_addresses has the unknown key '{unknown[0]}';"
            f" choose from {', '.join(sorted(chosen))}"
        )
    chosen.update(overrides or {})
    return chosen

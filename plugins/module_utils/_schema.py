# Copyright: The modelops.serving contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The keys of a service's declaration, each with its check and its default."""

from __future__ import annotations

from ._fields import (
    Named,
    Rows,
    Section,
    boolean,
    choice,
    choices,
    cidr_list,
    domain_name,
    domain_names,
    integer,
    integer_or_auto,
    ip_addresses,
    mapping_or_text,
    names,
    number,
    number_or_auto,
    patterns,
    size_or_auto,
    text,
    texts,
    time,
)
from ._host_names import SSLIP
from ._model_task import ENGINES, TASKS

SOURCES = ("modelscope", "huggingface", "http", "package", "path")
CLIENTS = ("builtin", "modelscope", "huggingface_hub")
SCOPES = ("embeddings", "rerank", "predict", "chat", "models")
ACCELERATORS = ("none", "cuda", "ascend")
LOOPBACK = ["127.0.0.0/8", "::1/128"]

_ARCHIVE_SHA256 = text("", pattern=r"|[0-9a-f]{64}", hint="64 hexadecimal digits")
_MIRROR: Section = {
    "source": choice(SOURCES),
    "id": text(""),
    "revision": text(""),
    "endpoint": text(""),
    "subfolder": text(""),
    "archive_sha256": _ARCHIVE_SHA256,
}
# What one key or user may do; without a value the service's own limit holds, 0 sets none.
_CLIENT: Section = {
    "scopes": choices(SCOPES, list(SCOPES)),
    "requests_per_minute": integer(None, least=0, most=10_000_000),
    "tokens_per_minute": integer(None, least=0, most=1_000_000_000),
    "concurrency": integer(None, least=0, most=1000),
}
SCHEMA: Section = {
    "state": choice(("present", "absent"), "present"),
    "model": {
        "source": choice(SOURCES, ""),
        "id": text(""),
        "revision": text(""),
        "endpoint": text(""),
        "subfolder": text(""),
        "archive_sha256": _ARCHIVE_SHA256,
        "mirrors": Rows(_MIRROR),
        "lock": mapping_or_text(),
        "signature": text(""),
        "include": texts(),
        "exclude": texts(),
        "client": choice(CLIENTS, "builtin"),
        "allow_unverified": texts(),
        "allow_pickle": texts(),
        "allow_code": texts(),
    },
    "served_name": text(""),
    "task": choice(("auto", *TASKS), "auto"),
    "domain": domain_name(or_word=SSLIP),
    "aliases": domain_names(),
    "addresses": ip_addresses(),
    "extra_port": integer(None, least=1, most=65535),
    "engine": {
        "name": choice(("auto", *ENGINES), "auto"),
        "precision": choice(("auto", "float32", "bfloat16"), "auto"),
        "file": text("", pattern=r"|[^/].*\.gguf", hint="the path of a GGUF file of the model"),
        "parallel": integer_or_auto(least=1, most=64),
        "context": integer_or_auto(least=64, most=1_000_000),
        "url": text("", pattern=r"|https?://[^\s@]+", hint="an http or https URL up to /v1"),
        "model": text(""),
    },
    "network": {"allow": cidr_list([])},
    "resources": {
        "memory": size_or_auto(),
        "cpus": number_or_auto(),
        "accelerator": choice(ACCELERATORS, ACCELERATORS[0]),
    },
    "authentication": {
        "methods": choices(("api_key", "jwt", "none"), ["api_key"]),
        "api_keys": Named({"expires": time(), **_CLIENT}),
        "users": Named(_CLIENT),
        "token_seconds": integer(3600, least=1, most=86_400),
        "issuer": text(""),
        "audience": text(""),
        "lockout_failures": integer(5, least=1, most=1000),
        "lockout_seconds": integer(900, least=1, most=86_400),
    },
    "rate_limit": {
        "requests_per_minute": integer(60, least=1, most=10_000_000),
        "burst": integer(20, least=0),
        "connections": integer(20, least=1, most=1000),
        "tokens_per_minute": integer(0, least=0, most=1_000_000_000),
        "concurrency": integer(0, least=0, most=1000),
        "address_requests_per_minute": integer(6000, least=0, most=10_000_000),
        "storage": text(
            "memory",
            pattern=r"memory|rediss?://[^\s@]+|redis\+unix:///[^\s@]+",
            hint="memory, or a Redis URL without a password, which is a secret",
        ),
    },
    "limits": {
        "body": size_or_auto(),
        "timeout": number_or_auto(),
        "waiting": integer_or_auto(least=0, most=1000),
        "websockets": integer(8, least=0, most=500),
    },
    "chat": {
        "system_prompt": text("", pattern=r"(?s).{0,65536}", hint="at most 65,536 characters"),
        "max_tokens": integer(1024, least=1, most=1_000_000),
        "default_max_tokens": integer(256, least=1, most=1_000_000),
        "temperature": number(0.7, least=0, most=2),
        "max_temperature": number(2.0, least=0, most=2),
        "top_p": number(0.9, least=0.01, most=1),
        "stop": texts(),
        "forbidden": patterns(),
    },
    "audit": {
        "enabled": boolean(True),
        "input": choice(("none", "hash", "masked"), "hash"),
    },
    "conversations": {
        "keep": boolean(False),
        "retention_days": integer(30, least=1, most=3650),
    },
    # The words are those of Nginx's map.
    "basic_auth": names(
        r"(?!(default|hostnames|include|volatile)$)[A-Za-z0-9._@-]{1,32}",
        hint="letters, digits and any of . _ @ -, at most 32, and no word of Nginx's",
    ),
    "canary": {"service": text(""), "percent": number(0, least=0, most=50)},
    "allow_from": cidr_list([]),
    "operators_from": cidr_list(LOOPBACK),
    "certificate": {
        "provider": choice(("self_signed", "acme", "files", "internal"), "self_signed"),
        "contact": text(""),
        "directory": text(""),
        "profile": text("", pattern="[a-z0-9-]*", hint="lower-case letters, digits and '-'"),
        "fullchain": text(""),
        "privkey": text(""),
    },
}

# Copyright: The modelops.serving contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The settings of a release: what the declaration and the plan say, in the server's words.

The server's package says what each key means (``model_server.settings``); secrets are no part.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

# Nginx, which alone reaches the server's socket.
TRUSTED_PROXIES = 1


def release_settings(
    service: Mapping[str, Any], planned: Mapping[str, Any], snapshot: str, log_level: str
) -> dict[str, Any]:
    """Return ``settings.json`` of a complete ``service``, without the release's own name.

    ``planned`` is what the module ``model_plan`` returned, ``snapshot`` the folder of the model, or
    for an upstream the folder of the service.
    """
    plan = {key: item["value"] for key, item in planned["plan"].items()}
    settings = {
        "service": {
            "name": service["name"],
            "task": planned["task"],
            "served_name": service["served_name"],
        },
        "model": _model(service, snapshot),
        "engine": _engine(service, planned["engine"], plan),
        "limits": _limits(service, plan),
        "authentication": _authentication(service),
        "access": {
            "allow_from": _allowed(service),
            "operators_from": service["operators_from"],
            "trusted_proxies": TRUSTED_PROXIES,
        },
        "rates": _rates(service["rate_limit"]),
        "audit": _audit(service),
        "observability": {
            "log_level": log_level,
            "watchdog_seconds": plan["watchdog_seconds"],
        },
    }
    if planned["task"] == "chat":
        settings["chat"] = _chat(service["chat"])
        settings["conversations"] = _conversations(service)
    else:
        settings["batching"] = {key: plan[key] for key in ("max_batch_tokens", "max_queue_tokens")}
    return settings


def audit_folder(service: Mapping[str, Any]) -> str:
    """Return the folder of the audit log, which systemd makes."""
    return f"/var/log/modelops/{service['name']}"


def state_folder(service: Mapping[str, Any]) -> str:
    """Return the folder of kept conversations, which systemd makes."""
    return f"/var/lib/{service['unit']}"


def _model(service: Mapping[str, Any], snapshot: str) -> dict[str, Any]:
    model, engine = service["model"], service["engine"]
    return {
        "path": snapshot,
        "source": model["source"] or engine["name"],
        "id": model["id"] or engine["model"],
        "revision": model["revision"] or "unknown",
    }


def _engine(service: Mapping[str, Any], name: str, plan: Mapping[str, Any]) -> dict[str, Any]:
    declared = service["engine"]
    engine = {
        "name": name,
        "dtype": plan["dtype"],
        "threads": plan["threads"],
        "max_tokens": plan["max_tokens"],
        "parallel": plan.get("parallel", 1),
    }
    if declared["file"]:
        engine["file"] = declared["file"]
    if name == "upstream":
        engine.update(upstream_url=declared["url"], upstream_model=declared["model"])
    return engine


def _limits(service: Mapping[str, Any], plan: Mapping[str, Any]) -> dict[str, Any]:
    limits = {key: plan[key] for key in ("body_bytes", "request_timeout_seconds")}
    if "waiting" in plan:
        limits["waiting_generations"] = plan["waiting"]
        limits["websockets"] = service["limits"]["websockets"]
    else:
        # No task but the chat has WebSockets, and each would hold a thread ready.
        limits["websockets"] = 0
        limits["inputs_per_request"] = plan["inputs_per_request"]
    return limits


def _authentication(service: Mapping[str, Any]) -> dict[str, Any]:
    declared = service["authentication"]
    keys = ("methods", "token_seconds", "lockout_failures", "lockout_seconds")
    names = {key: declared[key] for key in ("issuer", "audience") if declared[key]}
    return {**{key: declared[key] for key in keys}, **names}


def _allowed(service: Mapping[str, Any]) -> list[str]:
    """Return the networks that may call; the edge admits operators to every path, too."""
    if not service["allow_from"]:
        return []
    return list(dict.fromkeys(service["allow_from"] + service["operators_from"]))


def _rates(declared: Mapping[str, Any]) -> dict[str, Any]:
    keys = (
        "requests_per_minute",
        "tokens_per_minute",
        "concurrency",
        "address_requests_per_minute",
    )
    storage = "memory://" if declared["storage"] == "memory" else declared["storage"]
    return {**{key: declared[key] for key in keys}, "storage": storage}


def _audit(service: Mapping[str, Any]) -> dict[str, Any]:
    if not service["audit"]["enabled"]:
        return {}
    return {"file": f"{audit_folder(service)}/audit.jsonl", "input": service["audit"]["input"]}


def _conversations(service: Mapping[str, Any]) -> dict[str, Any]:
    declared = service["conversations"]
    if not declared["keep"]:
        return {}
    file = f"{state_folder(service)}/conversations.sqlite3"
    return {"file": file, "retention_days": declared["retention_days"]}


def _chat(declared: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in declared.items() if value != ""}

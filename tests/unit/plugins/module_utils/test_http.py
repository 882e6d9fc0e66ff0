# Copyright: The modelops.serving contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""HTTP: who gets the token, which failures are tried again, and what the messages say."""

from __future__ import annotations

import socket

import pytest
from ansible_collections.modelops.serving.plugins.module_utils._errors import ModelError
from ansible_collections.modelops.serving.plugins.module_utils._http import (
    Credentials,
    HttpClient,
    plain_url,
)
from ansible_collections.modelops.serving.plugins.module_utils._retry import Backoff, TransientError

SECRET = "secret-token"


def client(url="http://none.invalid", retries=2, **options):
    headers = {"Authorization": f"Bearer {SECRET}", "Cookie": f"m_session_id={SECRET}"}
    return HttpClient(
        timeout=0.5,
        credentials=Credentials(url, headers),
        backoff=lambda: Backoff(retries),
        **options,
    )


def say(status, body=b"", **headers):
    return lambda _path, _headers: (status, headers, body)


def failure(url, **options):
    with pytest.raises(ModelError) as caught:
        client(url, **options).document(f"{url}/list?auth_key=hidden")
    assert SECRET not in str(caught.value.details) + caught.value.message
    assert "hidden" not in str(caught.value.details) + caught.value.message
    return caught.value


def test_the_token_reaches_its_host(serve):
    url, seen = serve(say(200, b"[1]"))
    assert client(url).document(f"{url}/list").json() == [1]
    assert seen[0][1]["Authorization"] == f"Bearer {SECRET}"
    assert seen[0][1]["Cookie"] == f"m_session_id={SECRET}"
    assert seen[0][1]["Accept-Encoding"] == "identity"


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_the_token_does_not_follow_to_another_host_nor_port(serve, status):
    other, seen = serve(say(200, b"[]"))
    for target in (other, other.replace("127.0.0.1", "localhost")):
        url, _seen = serve(say(status, Location=f"{target}/file"))
        client(url).document(f"{url}/file")
    assert len(seen) == 2
    assert not any("Authorization" in headers or "Cookie" in headers for _path, headers in seen)


def test_the_token_stays_on_a_redirect_within_its_host(serve):
    def answer(path, _headers):
        return (302, {"Location": "/b"}, b"") if path == "/a" else (200, {}, b"[]")

    url, seen = serve(answer)
    client(url).document(f"{url}/a")
    assert [("Authorization" in headers) for _path, headers in seen] == [True, True]


def test_the_token_comes_back_with_its_host_and_the_range_goes_everywhere(serve):
    other, seen = serve(say(206, b"cd", **{"Content-Range": "bytes 2-3/4"}))
    url, _seen = serve(say(302, Location=f"{other}/cdn"))
    stream = client(url).stream(f"{url}/file", 2)
    assert (stream.offset, stream.total, stream.read(10)) == (2, 4, b"cd")
    assert seen[0][1]["Range"] == "bytes=2-"


def test_a_circle_of_redirects_ends(serve):
    url, seen = serve(say(302, Location="/again"))
    assert "redirects more than" in failure(url).message
    assert len(seen) == 10


@pytest.mark.parametrize("status", [408, 425, 429, 500, 502, 503, 504])
def test_failures_that_may_pass_are_tried_again(serve, status):
    answers = [(status, {}, b""), (status, {}, b""), (200, {}, b"[]")]
    url, seen = serve(lambda _path, _headers: answers.pop(0))
    client(url).document(f"{url}/list")
    assert len(seen) == 3


def test_a_server_that_keeps_failing_is_given_up(serve):
    url, seen = serve(say(503))
    error = failure(url)
    assert (error.code, error.details["status"], len(seen)) == ("network_error", 503, 3)


@pytest.mark.parametrize(
    ("status", "code"),
    [(401, "access_denied"), (403, "access_denied"), (404, "not_found"), (418, "network_error")],
)
def test_failures_that_stay_are_not_tried_again(serve, status, code):
    url, seen = serve(say(status))
    assert (failure(url).code, len(seen)) == (code, 1)


def test_the_final_host_of_a_failure_is_named(serve):
    other, _seen = serve(say(403))
    target = other.replace("127.0.0.1", "localhost")
    url, _seen = serve(say(302, Location=f"{target}/file?auth_key=hidden"))
    error = failure(url)
    assert "sent on to the host localhost" in error.message
    assert error.details["url"] == f"{target}/file"


def test_the_final_host_of_a_refused_connection_is_named(serve):
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        port = closed.getsockname()[1]
    url, seen = serve(say(302, Location=f"http://localhost:{port}/file"))
    error = failure(url)
    assert "sent on to the host localhost" in error.message
    assert (error.code, len(seen)) == ("network_error", 3)


def test_silence_ends_by_the_timeout():
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        with pytest.raises(TransientError, match="timed out"):
            client(url, retries=0).document(url)


def test_a_body_that_breaks_off_is_tried_again(serve):
    answers = [(200, {"Content-Length": "9"}, b"[1"), (200, {}, b"[1, 2]")]
    url, _seen = serve(lambda _path, _headers: answers.pop(0))
    assert client(url).document(url).json() == [1, 2]


def test_what_is_not_json_is_said(serve):
    url, _seen = serve(say(200, b"<html>"))
    with pytest.raises(ModelError) as caught:
        client(url).document(url).json()
    assert caught.value.code == "listing_invalid"


def test_offsets_that_the_server_does_not_heed(serve):
    url, _seen = serve(say(200, b"abcd"))
    stream = client(url).stream(url, 2)
    assert (stream.offset, stream.total) == (0, 4)

    def beyond(_path, headers):
        return (416, {}, b"") if "Range" in headers else (200, {}, b"ab")

    url, seen = serve(beyond)
    assert client(url).stream(url, 2).offset == 0
    assert len(seen) == 2


@pytest.mark.parametrize("url", ["file:///etc/passwd", "ftp://h/x", "relative", "http://"])
def test_only_http_is_spoken(url):
    with pytest.raises(ModelError) as caught:
        client().document(url)
    assert caught.value.code == "invalid_option"


def test_a_redirect_to_a_file_is_refused(serve):
    url, _seen = serve(say(302, Location="file:///etc/passwd"))
    assert failure(url).code == "invalid_option"


def test_a_proxy_may_be_given_or_stand_in_the_environment(serve, monkeypatch):
    proxy, seen = serve(say(200, b"[]"))
    client(proxy=proxy).document("http://models.invalid/list")
    monkeypatch.setenv("http_proxy", proxy)
    client().document("http://models.invalid/list")
    assert [path for path, _headers in seen] == ["http://models.invalid/list"] * 2


def test_a_ca_bundle_that_is_none_is_said(tmp_path):
    (tmp_path / "ca.pem").write_text("no certificate")
    for name in ("ca.pem", "absent.pem"):
        with pytest.raises(ModelError) as caught:
            client(ca_bundle=str(tmp_path / name))
        assert caught.value.code == "invalid_option"


def test_addresses_are_shown_without_secrets():
    assert plain_url("https://u:p@h:1/a/b?token=x#y") == "https://h:1/a/b"

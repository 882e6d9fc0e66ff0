# Copyright: The modelops.serving contributors
# SPDX-License-Identifier: Apache-2.0
"""What the network and the hub do wrong, and what the module makes of it, as a real process.

The hub is the test hub, a stand-in that shows the faults.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hub import Hub
from support import (
    ID,
    WEIGHTS,
    assert_nothing_visible,
    assert_whole,
    options,
    run,
    snapshot,
    write_model,
)

SOURCES = ("http", "huggingface", "modelscope")


def refused(answer: dict[str, Any], code: str, *words: str) -> None:
    """Hold that the module failed with ``code`` and a message that has ``words``."""
    assert answer["failed"] and answer.get("code") == code, answer
    assert [word for word in words if word not in answer["msg"]] == [], answer["msg"]


def sent(hub: Hub) -> int:
    """Return how many bytes of files the hub has sent since its journal was emptied."""
    return sum(record.get("sent", 0) for record in hub.journal.records(method="GET"))


@pytest.mark.parametrize("source", SOURCES)
def test_a_flipped_byte_is_fetched_again(
    source: str, model: Path, model_hub: Hub, store: Path
) -> None:
    model_hub.faults.add("corrupt", WEIGHTS)
    answer = run(options(model_hub, store, source))
    assert not answer["failed"] and answer["changed"], answer
    assert_whole(store, model, source)
    assert model_hub.faults.armed() == []


@pytest.mark.parametrize("source", SOURCES)
def test_bytes_that_stay_wrong_are_refused(
    source: str, model: Path, model_hub: Hub, store: Path
) -> None:
    model_hub.faults.add("corrupt", WEIGHTS, count=-1)
    answer = run(options(model_hub, store, source))
    refused(answer, "hash_mismatch", WEIGHTS, "Nothing was put in place")
    assert_nothing_visible(store, source)


@pytest.mark.parametrize("source", SOURCES)
def test_a_wrong_size_is_refused(source: str, model: Path, model_hub: Hub, store: Path) -> None:
    model_hub.faults.add("wrong_size", WEIGHTS, count=-1)
    refused(run(options(model_hub, store, source)), "size_mismatch", WEIGHTS)
    assert_nothing_visible(store, source)


@pytest.mark.parametrize("source", SOURCES)
def test_a_file_that_vanished_is_named(
    source: str, model: Path, model_hub: Hub, store: Path
) -> None:
    model_hub.faults.add("vanish", "nested/vocab.txt", count=-1)
    refused(run(options(model_hub, store, source)), "not_found", "nested/vocab.txt", "404")
    assert_nothing_visible(store, source)


def test_a_stall_is_cut_off_and_the_rest_fetched(model: Path, model_hub: Hub, store: Path) -> None:
    model_hub.faults.add("stall", WEIGHTS)
    answer = run(options(model_hub, store, timeout=1))
    assert not answer["failed"], answer
    assert_whole(store, model)
    ranges = [record["headers"].get("Range") for record in model_hub.journal.records()]
    assert any(ranges), "the second half was not asked for alone"


def test_a_hub_that_always_stalls_is_given_up(model: Path, model_hub: Hub, store: Path) -> None:
    # Half of what is left comes each time: progress, until nothing is left to halve.
    model_hub.faults.add("stall", "config.json", count=-1)
    answer = run(options(model_hub, store, timeout=1, retries=0))
    refused(answer, "network_error", "config.json", "the next run continues there")
    assert_nothing_visible(store)
    model_hub.faults.clear()
    assert not run(options(model_hub, store))["failed"]
    assert_whole(store, model)


def test_a_hub_without_ranges_begins_anew(model: Path, model_hub: Hub, store: Path) -> None:
    model_hub.faults.add("cut", WEIGHTS)
    model_hub.faults.add("no_range", WEIGHTS, count=-1)
    assert not run(options(model_hub, store))["failed"]
    assert_whole(store, model)


@pytest.mark.parametrize("source", ["huggingface", "modelscope"])
def test_a_redirect_to_a_dead_host_names_it(
    source: str, model: Path, model_hub: Hub, store: Path
) -> None:
    model_hub.faults.add("lost_redirect", WEIGHTS, count=-1)
    answer = run(options(model_hub, store, source, retries=0))
    refused(answer, "network_error", "sent on to the host localhost", "Connection refused")
    assert_nothing_visible(store, source)


@pytest.mark.parametrize("source", ["huggingface", "modelscope"])
def test_a_redirect_to_a_host_that_forbids_names_it(
    source: str, model: Path, model_hub: Hub, store: Path
) -> None:
    model_hub.faults.add("status_403", WEIGHTS, count=-1)
    answer = run(options(model_hub, store, source))
    refused(answer, "access_denied", "HTTP 403 (sent on to the host localhost)")
    assert_nothing_visible(store, source)


def test_a_long_listing_is_complete(hub_root: Path, model_hub: Hub, store: Path) -> None:
    model = write_model(hub_root, 1000)
    for folder in ("one", "two"):
        (model / folder).mkdir()
        for number in range(1600):
            (model / folder / f"{number}.txt").write_bytes(b"%d" % number)
    arguments = {**options(model_hub, store, "modelscope", timeout=60), "_ansible_check_mode": True}
    answer = run(arguments)
    assert not answer["failed"], answer
    assert len(answer["files"]) == 3200 + 3, "the hub cuts its answer at 3000 entries"

    for number in range(1600, 3100):
        (model / "one" / f"{number}.txt").write_bytes(b"%d" % number)
    refused(run(arguments), "listing_invalid", "3000", "'one'")
    assert_nothing_visible(store, "modelscope")


def test_a_token_that_expires_midway(hub_root: Path, model_hub: Hub, store: Path) -> None:
    private = "owner/private-model"
    model = write_model(hub_root, 400_000)
    model.rename(hub_root / private)
    arguments = {**options(model_hub, store), "id": private}
    model_hub.token_requests = 2  # the listing, and one of the three files

    expired = run({**arguments, "token": model_hub.token})
    refused(expired, "access_denied", "HTTP 401", "the token and its rights")
    path = snapshot(store).parent.parent / "private-model"
    assert not list(path.glob("v1.0.0")) and not list(path.glob("*.manifest.json"))
    kept = sum(file.stat().st_size for file in path.rglob("*") if file.is_file())
    assert kept

    model_hub.token_requests, model_hub.token = None, "a-renewed-token"
    model_hub.journal.clear()
    renewed = run({**arguments, "token": model_hub.token})
    assert not renewed["failed"] and renewed["changed"], renewed
    whole = sum(file.stat().st_size for file in (hub_root / private).rglob("*") if file.is_file())
    assert sent(model_hub) == whole - kept, "what had arrived was fetched again"
    assert ID not in renewed["path"]

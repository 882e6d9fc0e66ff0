# Copyright: The modelops.serving contributors
# SPDX-License-Identifier: Apache-2.0
"""Kept conversations: nothing readable on disk, no row of use elsewhere, gone when deleted."""

from __future__ import annotations

import base64
import json
import os
import sqlite3
import stat
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from fakes import FakeClock
from model_server.__main__ import main
from model_server.credentials import EncryptionKey
from model_server.errors import ConversationNotFound
from model_server.security.conversations import (
    ConversationStore,
    ConversationUnreadable,
    KeptMessage,
)
from support import settings_content

DAY = 86_400
SECRET = "何が秘密か sesame"
TURN = (KeptMessage("user", SECRET), KeptMessage("assistant", "I \ud800 see"))

Open = Callable[..., ConversationStore]


def key(version: str) -> EncryptionKey:
    return EncryptionKey(version=version, key=base64.b64encode(os.urandom(32)).decode())


OLD, NEW = key("1"), key("2")


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "conversations.db"


@pytest.fixture
def open_store(file: Path, clock: FakeClock) -> Iterator[Open]:
    stores = []

    def open_(*keys: EncryptionKey) -> ConversationStore:
        stores.append(ConversationStore(file, keys or (OLD,), 30, clock))
        return stores[-1]

    yield open_
    for store in stores:
        store.close()


@pytest.fixture
def store(open_store: Open) -> ConversationStore:
    return open_store()


def execute(file: Path, statement: str, *values: Any) -> list[Any]:
    with sqlite3.connect(file) as database:
        return database.execute(statement, values).fetchall()


def bytes_on_disk(file: Path) -> bytes:
    return b"".join(other.read_bytes() for other in file.parent.glob(f"{file.name}*"))


def test_a_conversation_is_continued(store: ConversationStore, clock: FakeClock) -> None:
    first = store.append("ann", None, TURN)
    clock.advance(5)
    assert store.append("ann", first, TURN[:1]) == first
    assert store.history("ann", first) == [*TURN, TURN[0]]
    clock.advance(5)
    second = store.append("ann", None, TURN)
    assert len(second) == 32
    assert int(second, 16) != int(first, 16)
    listed = [(one.id, one.created, one.updated, one.messages) for one in store.summaries("ann")]
    assert listed == [(second, 10, 10, 2), (first, 0, 5, 3)]


def test_another_owner_has_no_such_conversation(store: ConversationStore) -> None:
    mine = store.append("ann", None, TURN)
    for attempt in (
        lambda: store.history("bob", mine),
        lambda: store.append("bob", mine, TURN),
        lambda: store.delete("bob", mine),
        lambda: store.history("ann", "0" * 32),
    ):
        with pytest.raises(ConversationNotFound):
            attempt()
    assert store.summaries("bob") == []
    assert store.delete("bob") == 0
    assert len(store.history("ann", mine)) == 2


def test_nothing_readable_is_on_disk(store: ConversationStore, file: Path) -> None:
    store.append("ann", None, TURN)
    content = bytes_on_disk(file)
    assert file.with_name(f"{file.name}-wal").stat().st_size > 0
    assert b"ann" in content, "the check sees what is readable"
    for text in (SECRET, "sesame", "I ", "assistant"):
        assert text.encode() not in content
        assert json.dumps(text).strip('"').encode() not in content
    for other in file.parent.glob(f"{file.name}*"):
        assert stat.S_IMODE(other.stat().st_mode) == 0o600


def test_what_was_deleted_is_gone_from_disk(store: ConversationStore, file: Path) -> None:
    mine, other = store.append("ann", None, TURN), store.append("ann", None, TURN)
    nonces = [row[0] for row in execute(file, "SELECT nonce FROM message")]
    assert len(set(nonces)) == 4
    assert all(nonce in bytes_on_disk(file) for nonce in nonces)
    assert store.delete("ann", mine) == 1
    assert store.delete("ann") == 1
    assert store.summaries("ann") == []
    assert not any(nonce in bytes_on_disk(file) for nonce in nonces)
    with pytest.raises(ConversationNotFound):
        store.history("ann", other)


def test_a_conversation_ends_with_its_time(store: ConversationStore, clock: FakeClock) -> None:
    mine = store.append("ann", None, TURN)
    clock.advance(29 * DAY)
    store.append("ann", mine, TURN)
    clock.advance(30 * DAY)
    assert store.purge() == 0
    clock.advance(1)
    with capture_logs() as logs:
        store.start()
    assert logs[0]["conversations"] == 1
    assert store.summaries("ann") == []


def test_expired_conversations_are_deleted_while_the_service_runs(
    store: ConversationStore, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("model_server.security.conversations._PURGE_SECONDS", 0.01)
    purged = threading.Event()
    store.append("ann", None, TURN)
    store.start()
    clock.advance(31 * DAY)
    monkeypatch.setattr(store, "_forget", purged.set)
    assert purged.wait(10)
    assert store.summaries("ann") == []


@pytest.mark.parametrize("column", ["ciphertext", "nonce"])
def test_a_flipped_byte_is_found(store: ConversationStore, file: Path, column: str) -> None:
    mine, other = store.append("ann", None, TURN), store.append("ann", None, TURN)
    ((value,),) = execute(
        file, f"SELECT {column} FROM message WHERE conversation = ? AND position = 1", mine
    )
    flipped = bytes([value[0] ^ 1]) + value[1:]
    execute(
        file,
        f"UPDATE message SET {column} = ? WHERE conversation = ? AND position = 1",
        flipped,
        mine,
    )
    with pytest.raises(ConversationUnreadable, match=f"{mine}, message 1: was changed"):
        store.history("ann", mine)
    assert store.history("ann", other) == list(TURN)


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE conversation SET owner = 'bob' WHERE id = :mine",
        "UPDATE message SET position = position + 2 WHERE conversation = :mine",
        "DELETE FROM message WHERE conversation = :mine AND position = 0",
        "UPDATE message SET (nonce, ciphertext) = (SELECT nonce, ciphertext FROM message AS other "
        "WHERE other.conversation = :other AND other.position = message.position) "
        "WHERE conversation = :mine",
        "UPDATE message SET (nonce, ciphertext) = (SELECT nonce, ciphertext FROM message AS other "
        "WHERE other.conversation = :mine AND other.position = 1 - message.position) "
        "WHERE conversation = :mine AND position = 0",
    ],
)
def test_a_row_is_of_no_use_in_another_place(
    store: ConversationStore, file: Path, statement: str
) -> None:
    mine, other = store.append("ann", None, TURN), store.append("ann", None, TURN)
    with sqlite3.connect(file) as database:
        values = {"mine": mine, "other": other}
        assert database.execute(statement, values).rowcount > 0
    owner = "bob" if "owner" in statement else "ann"
    with pytest.raises(ConversationUnreadable):
        store.history(owner, mine)


def versions(file: Path) -> set[str]:
    return {row[0] for row in execute(file, "SELECT key_version FROM message")}


def test_keys_are_rotated_as_conversations_go_on(open_store: Open, file: Path) -> None:
    mine = open_store(OLD).append("ann", None, TURN)
    both = open_store(NEW, OLD)
    assert both.history("ann", mine) == list(TURN)
    assert versions(file) == {"1"}
    both.append("ann", mine, TURN)
    assert versions(file) == {"2"}
    assert open_store(NEW).history("ann", mine) == [*TURN, *TURN]


def test_a_lost_key_breaks_its_own_conversations_only(open_store: Open, file: Path) -> None:
    lost = open_store(OLD).append("ann", None, TURN)
    store = open_store(NEW)
    mine = store.append("ann", None, TURN)
    for attempt in (
        lambda: store.history("ann", lost),
        lambda: store.append("ann", lost, TURN),
    ):
        with pytest.raises(ConversationUnreadable, match="key '1' is not among"):
            attempt()
    assert store.history("ann", mine) == list(TURN)
    assert [one.messages for one in store.summaries("ann")] == [2, 2]
    renewed, problems = store.reencrypt()
    assert renewed == 0
    assert len(problems) == 1
    assert store.delete("ann", lost) == 1


def test_a_key_of_the_same_name_with_other_bytes_is_found(open_store: Open) -> None:
    mine = open_store(OLD).append("ann", None, TURN)
    with pytest.raises(ConversationUnreadable, match="not the one that encrypted it"):
        open_store(key("1")).history("ann", mine)


def test_the_command_encrypts_anew(
    open_store: Open,
    file: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    running = open_store(OLD)
    mine = running.append("ann", None, TURN)
    content = settings_content(
        tmp_path, conversations={"file": str(file)}, authentication={"methods": ["none"]}
    )
    secrets = {"conversation_keys": [one.model_dump(mode="json") for one in (NEW, OLD)]}
    (tmp_path / "settings.json").write_text(json.dumps(content))
    (tmp_path / "secrets.json").write_text(json.dumps(secrets))
    monkeypatch.setenv("MODEL_SERVER_SETTINGS", str(tmp_path / "settings.json"))
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))
    assert main(["reencrypt-conversations"]) == 0
    assert capsys.readouterr().out == "2 messages encrypted under the key 2\n"
    assert versions(file) == {"2"}
    assert open_store(NEW).history("ann", mine) == list(TURN)

    secrets = {"conversation_keys": [key("3").model_dump(mode="json")]}
    (tmp_path / "secrets.json").write_text(json.dumps(secrets))
    assert main(["reencrypt-conversations"]) == 1
    assert "its key '2' is not among" in capsys.readouterr().err


def test_many_threads_use_one_store(store: ConversationStore) -> None:
    mine = store.append("ann", None, ())

    def talk() -> None:
        for _turn in range(20):
            store.append("ann", mine, TURN)
            store.history("ann", mine)

    threads = [threading.Thread(target=talk) for _turn in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert store.history("ann", mine) == list(TURN) * 120

# Copyright: The modelops.serving contributors
# SPDX-License-Identifier: Apache-2.0
"""Kept conversations: SQLite, with every message encrypted by AES-256-GCM.

Each message has a random 96-bit nonce and names the version of its key. Its conversation, owner
and position are authenticated with it (associated data), so that no row can be changed, or put in
another's place. What stays readable is who spoke when, and how much. Random nonces hold for 2^32
messages a key (NIST SP 800-38D, 8.3); rotate keys long before that.
"""

from __future__ import annotations

import base64
import json
import os
import secrets
import sqlite3
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

import structlog
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from ..credentials import EncryptionKey
from ..errors import ConversationNotFound

_log = structlog.get_logger(__name__)

_MODE = 0o600
_ID_BYTES = 16
_NONCE_BYTES = 12
_DAY = 86_400
_PURGE_SECONDS = 3600
_BUSY_SECONDS = 10

_SCHEMA = """
CREATE TABLE IF NOT EXISTS conversation (
    id TEXT PRIMARY KEY,
    owner TEXT NOT NULL,
    created INTEGER NOT NULL,
    updated INTEGER NOT NULL
);
CREATE INDEX IF NOT EXISTS conversation_owner ON conversation (owner, updated);
CREATE TABLE IF NOT EXISTS message (
    conversation TEXT NOT NULL REFERENCES conversation ON DELETE CASCADE,
    position INTEGER NOT NULL,
    key_version TEXT NOT NULL,
    nonce BLOB NOT NULL,
    ciphertext BLOB NOT NULL,
    PRIMARY KEY (conversation, position)
) WITHOUT ROWID;
"""


class ConversationUnreadable(Exception):
    """A message cannot be decrypted; the message says which, why, and what to do."""


@dataclass(frozen=True)
class KeptMessage:
    """One message."""

    role: Literal["system", "user", "assistant"]
    content: str


@dataclass(frozen=True)
class Conversation:
    """What is known of a conversation without a key; times in Unix seconds."""

    id: str
    created: int
    updated: int
    messages: int


class ConversationStore:
    """The conversations of one service; safe to call from many threads.

    The first of `keys` encrypts, all of them decrypt. A conversation is deleted `retention_days`
    after its last message, at most an hour late. `clock` gives Unix seconds.
    """

    def __init__(
        self,
        file: Path,
        keys: Sequence[EncryptionKey],
        retention_days: int,
        clock: Callable[[], float],
    ) -> None:
        self._file = file
        self._ciphers = {key.version: AESGCM(base64.b64decode(key.key)) for key in keys}
        self._newest = keys[0].version
        self._retention_seconds = retention_days * _DAY
        self._clock = clock
        self._lock = threading.Lock()
        self._connection: sqlite3.Connection | None = None
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._purge_on, name="conversations", daemon=True)

    def start(self) -> None:
        """Open the database, delete what is too old, and go on doing so every hour."""
        self.purge()
        self._thread.start()

    def close(self) -> None:
        """Close the database."""
        self._stopped.set()
        if self._thread.ident is not None:
            self._thread.join()
        with self._lock:
            if self._connection is not None:
                self._connection.close()
                self._connection = None

    def history(self, owner: str, conversation_id: str) -> list[KeptMessage]:
        """Return the messages, oldest first.

        Raises ConversationNotFound, also for another's conversation, or ConversationUnreadable.
        """
        with self._transaction() as database:
            self._require(database, owner, conversation_id)
            return self._read(database, owner, conversation_id)

    def append(
        self, owner: str, conversation_id: str | None, messages: Sequence[KeptMessage]
    ) -> str:
        """Add messages to a conversation, or begin one; return its id.

        What stands there under an older key is encrypted anew. Raises as `history` does, and then
        adds nothing.
        """
        now = int(self._clock())
        with self._transaction() as database:
            if conversation_id is None:
                conversation_id = secrets.token_hex(_ID_BYTES)
                database.execute(
                    "INSERT INTO conversation VALUES (?, ?, ?, ?)",
                    (conversation_id, owner, now, now),
                )
            else:
                self._require(database, owner, conversation_id)
                self._renew(database, owner, conversation_id)
                database.execute(
                    "UPDATE conversation SET updated = ? WHERE id = ?", (now, conversation_id)
                )
            (count,) = database.execute(
                "SELECT count(*) FROM message WHERE conversation = ?", (conversation_id,)
            ).fetchone()
            for position, message in enumerate(messages, count):
                self._write(database, owner, conversation_id, position, message)
        return conversation_id

    def summaries(self, owner: str) -> list[Conversation]:
        """Return the owner's conversations, the last used first."""
        with self._transaction() as database:
            rows = database.execute(
                "SELECT id, created, updated, count(position) FROM conversation "
                "LEFT JOIN message ON conversation = id WHERE owner = ? "
                "GROUP BY id ORDER BY updated DESC, id",
                (owner,),
            ).fetchall()
        return [Conversation(*row) for row in rows]

    def delete(self, owner: str, conversation_id: str | None = None) -> int:
        """Delete one conversation (ConversationNotFound without it), or all; return how many."""
        with self._transaction() as database:
            if conversation_id is not None:
                self._require(database, owner, conversation_id)
            deleted = database.execute(
                "DELETE FROM conversation WHERE owner = ? AND id = coalesce(?, id)",
                (owner, conversation_id),
            ).rowcount
        self._forget()
        return deleted

    def purge(self) -> int:
        """Delete conversations whose last message is too old; return how many."""
        oldest = int(self._clock()) - self._retention_seconds
        with self._transaction() as database:
            deleted = database.execute(
                "DELETE FROM conversation WHERE updated < ?", (oldest,)
            ).rowcount
        if deleted:
            self._forget()
            _log.info("conversations_expired", conversations=deleted)
        return deleted

    def reencrypt(self) -> tuple[int, list[str]]:
        """Encrypt every message under the newest key.

        Returns the number of messages that were, and why some conversations could not be read.
        """
        with self._transaction() as database:
            rows = database.execute(
                "SELECT DISTINCT owner, id FROM conversation JOIN message ON conversation = id "
                "WHERE key_version <> ?",
                (self._newest,),
            ).fetchall()
        renewed, problems = 0, []
        for owner, conversation_id in rows:
            try:
                with self._transaction() as database:
                    renewed += self._renew(database, owner, conversation_id)
            except ConversationUnreadable as error:
                problems.append(str(error))
        self._forget()
        return renewed, problems

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        """One writer at a time, in this process and beside others; undone by an exception."""
        with self._lock:
            database = self._connection = self._connection or self._open()
            database.execute("BEGIN IMMEDIATE")
            with database:
                yield database

    def _open(self) -> sqlite3.Connection:
        # SQLite gives its side files the mode of the database.
        os.close(os.open(self._file, os.O_RDWR | os.O_CREAT, _MODE))
        database = sqlite3.connect(
            self._file, timeout=_BUSY_SECONDS, isolation_level=None, check_same_thread=False
        )
        for pragma in ("journal_mode = WAL", "secure_delete = ON", "foreign_keys = ON"):
            database.execute(f"PRAGMA {pragma}")
        database.executescript(_SCHEMA)
        return database

    def _forget(self) -> None:
        """Empty the write-ahead log, where deleted rows would stand on."""
        with self._lock:
            if self._connection is not None:
                self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")

    def _require(self, database: sqlite3.Connection, owner: str, conversation_id: str) -> None:
        found = database.execute(
            "SELECT 1 FROM conversation WHERE id = ? AND owner = ?", (conversation_id, owner)
        ).fetchone()
        if found is None:
            raise ConversationNotFound(
                "You have no such conversation; leave `conversation_id` out to begin one.",
                param="conversation_id",
            )

    def _read(
        self, database: sqlite3.Connection, owner: str, conversation_id: str
    ) -> list[KeptMessage]:
        rows = database.execute(
            "SELECT position, key_version, nonce, ciphertext FROM message "
            "WHERE conversation = ? ORDER BY position",
            (conversation_id,),
        ).fetchall()
        messages = []
        for wanted, (position, version, nonce, ciphertext) in enumerate(rows):
            where = f"{self._file}: conversation {conversation_id}, message {wanted}"
            if position != wanted:
                raise ConversationUnreadable(f"{where}: is missing; delete the conversation")
            if version not in self._ciphers:
                raise ConversationUnreadable(
                    f"{where}: its key {version!r} is not among the service's credentials; add it "
                    "again, or delete the conversation"
                )
            bound = _bind(conversation_id, owner, position)
            try:
                plain = self._ciphers[version].decrypt(nonce, ciphertext, bound)
            except InvalidTag as error:
                raise ConversationUnreadable(
                    f"{where}: was changed, or its key {version!r} is not the one that encrypted "
                    "it; delete the conversation"
                ) from error
            messages.append(KeptMessage(**json.loads(plain)))
        return messages

    def _write(
        self,
        database: sqlite3.Connection,
        owner: str,
        conversation_id: str,
        position: int,
        message: KeptMessage,
    ) -> None:
        nonce = os.urandom(_NONCE_BYTES)
        ciphertext = self._ciphers[self._newest].encrypt(
            nonce, json.dumps(asdict(message)).encode(), _bind(conversation_id, owner, position)
        )
        database.execute(
            "INSERT OR REPLACE INTO message VALUES (?, ?, ?, ?, ?)",
            (conversation_id, position, self._newest, nonce, ciphertext),
        )

    def _renew(self, database: sqlite3.Connection, owner: str, conversation_id: str) -> int:
        """Encrypt a conversation under the newest key, if a part of it is not; count messages."""
        (old,) = database.execute(
            "SELECT count(*) FROM message WHERE conversation = ? AND key_version <> ?",
            (conversation_id, self._newest),
        ).fetchone()
        if old:
            for position, message in enumerate(self._read(database, owner, conversation_id)):
                self._write(database, owner, conversation_id, position, message)
        return int(old)

    def _purge_on(self) -> None:
        while not self._stopped.wait(_PURGE_SECONDS):
            try:
                self.purge()
            except sqlite3.Error as error:
                _log.error("conversations_not_purged", file=str(self._file), reason=str(error))


def _bind(conversation_id: str, owner: str, position: int) -> bytes:
    """Associated data of one message, without ambiguity."""
    return json.dumps([conversation_id, owner, position]).encode()

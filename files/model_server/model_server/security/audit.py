# Copyright: The modelops.serving contributors
# SPDX-License-Identifier: Apache-2.0
"""The audit log: one line a request, each bound to the line before; see `audit_chain`.

Of an input a keyed hash is kept by default (HMAC-SHA-256). A plain hash would hide nothing: all
phone numbers can be hashed in minutes and compared. Under the key equal inputs are still seen to
be equal, and who holds the key can prove what was sent.

A log that cannot be opened stops the start, when an operator is there to see it. When writing
fails later, because the disk is full, requests are served on: the failure is logged and counted,
and the first line after it says how many requests are missing.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import hmac
import io
import os
import threading
from collections import deque
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import structlog

from ..records import PROBES, RequestRecord
from ..settings import AuditSettings
from .audit_chain import AuditError, Head, decode, encode, open_log
from .redaction import mask

_log = structlog.get_logger(__name__)

_MODE = 0o640
_SYNC_SECONDS = 1.0
_HEAD_EVERY = 1000
_MASKED_CHARACTERS = 2000
_BLOCK = 65536


class AuditLog:
    """Writes the log; an observer of requests (see `records.Observer`).

    `settings` name a file, `key` is that of the hashes. `clock` gives Unix seconds, `on_failure` is
    called for each request that could not be recorded. The file may be renamed at any time: within
    a second there is a new one, whose chain continues that of the old one.
    """

    def __init__(
        self,
        settings: AuditSettings,
        key: str | None,
        clock: Callable[[], float],
        on_failure: Callable[[], None] = lambda: None,
    ) -> None:
        assert settings.file is not None
        self._file = settings.file
        self._keep = settings.input
        self._key = (key or "").encode()
        self._clock = clock
        self._on_failure = on_failure
        self._lock = threading.Lock()
        self._descriptor: int | None = None
        self._head: Head | None = None
        self._lost = 0
        self._unsynced = False
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._sync_on, name="audit", daemon=True)

    def start(self) -> None:
        """Open the log, continue its chain and sync it in the background; raise AuditError."""
        try:
            with self._lock:
                self._ready_file()
        except BlockingIOError as error:
            raise AuditError(
                f"{self._file}: another process writes it; give each its own"
            ) from error
        except OSError as error:
            raise AuditError(f"{self._file}: cannot be written: {error.strerror}") from error
        self._tell_head()
        self._thread.start()

    def close(self) -> None:
        """Sync and close; log the head."""
        self._stopped.set()
        if self._thread.ident is not None:
            self._thread.join()
        with self._lock:
            self._close_file()
        self._tell_head()

    def __call__(self, record: RequestRecord) -> None:
        """Record a request, unless it was a probe."""
        if record.route in PROBES:
            return
        try:
            fields = {"kind": "request", **self._describe(record)}
            with self._lock:
                self._ready_file()
                self._write(fields)
                head = self._head
        except Exception as error:
            self._fail(error)
            return
        if head is not None and head.seq % _HEAD_EVERY == 0:
            self._tell_head()

    def _describe(self, record: RequestRecord) -> dict[str, Any]:
        fields: dict[str, Any] = {
            "request_id": record.request_id,
            "client": record.client,
            "address": record.address,
            "method": record.method,
            "route": record.route,
            "status": record.status,
            "code": record.code,
            "inputs": len(record.inputs),
            "characters": sum(map(len, record.inputs)),
            "tokens": record.tokens,
            "milliseconds": round(record.seconds * 1000, 3),
        }
        if self._keep == "hash":
            fields["input"] = [self._hash(text) for text in record.inputs]
        elif self._keep == "masked":
            fields["input"] = [mask(text, _MASKED_CHARACTERS) for text in record.inputs]
        return fields

    def _hash(self, text: str) -> dict[str, Any]:
        # JSON can name half of a surrogate pair, which UTF-8 has no bytes for.
        digest = hmac.new(self._key, text.encode("utf-8", "surrogatepass"), hashlib.sha256)
        return {"characters": len(text), "hmac_sha256": digest.hexdigest()}

    def _write(self, fields: dict[str, Any]) -> None:
        """Append one line whole, or raise; with the lock held and the file ready."""
        assert self._head is not None
        assert self._descriptor is not None
        line, head = encode(self._head, {"time": self._now(), **fields})
        if os.write(self._descriptor, line) != len(line):
            raise OSError(f"{self._file}: only a part of a line could be written")
        self._head = head
        self._unsynced = True

    def _ready_file(self) -> None:
        """Have the file of that name open at the end of a whole line; with the lock held."""
        if self._descriptor is not None:
            if self._is_current(self._descriptor):
                return
            self._close_file()
        descriptor = os.open(self._file, os.O_RDWR | os.O_APPEND | os.O_CREAT, _MODE)
        try:
            # Two writers would break the chain for both.
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            torn = _cut_torn_line(descriptor)
            if self._head is None:
                self._head = _last_head(self._file) or _last_head_of_renamed(self._file) or Head()
        except BaseException:
            os.close(descriptor)
            raise
        self._descriptor = descriptor
        if torn or self._lost:
            self._write({"kind": "recovered", "torn_bytes": torn, "lost_requests": self._lost})
            _log.warning("audit_recovered", torn_bytes=torn, lost_requests=self._lost)
            self._lost = 0

    def _is_current(self, descriptor: int) -> bool:
        try:
            named = self._file.stat()
        except FileNotFoundError:
            return False
        return os.path.samestat(named, os.fstat(descriptor))

    def _close_file(self) -> None:
        if self._descriptor is not None:
            with contextlib.suppress(OSError):
                os.fdatasync(self._descriptor)
            os.close(self._descriptor)
            self._descriptor = None

    def _fail(self, error: Exception) -> None:
        with self._lock:
            self._lost += 1
            first = self._lost == 1
            # The next request opens the file anew, which cuts off what was half written.
            self._close_file()
        if first:
            _log.error("audit_failed", file=str(self._file), reason=str(error))
        self._on_failure()

    def _sync_on(self) -> None:
        while not self._stopped.wait(_SYNC_SECONDS):
            self._follow()
            self._sync()

    def _follow(self) -> None:
        """Leave a file that was renamed, also where no request comes; retention counts on it."""
        try:
            with self._lock:
                # After a failure the next request opens the file, and says what is missing.
                if self._descriptor is not None:
                    self._ready_file()
        except (AuditError, OSError) as error:
            _log.warning("audit_not_followed", file=str(self._file), reason=str(error))

    def _sync(self) -> None:
        """Bring to disk what was written; requests do not wait for it."""
        with self._lock:
            if not self._unsynced or self._descriptor is None:
                return
            self._unsynced = False
            descriptor = os.dup(self._descriptor)
        try:
            os.fdatasync(descriptor)
        except OSError as error:
            _log.error("audit_sync_failed", file=str(self._file), reason=str(error))
        finally:
            os.close(descriptor)

    def _tell_head(self) -> None:
        if self._head is not None:
            _log.info("audit_head", seq=self._head.seq, hash=self._head.hash)

    def _now(self) -> str:
        moment = datetime.fromtimestamp(self._clock(), UTC)
        return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _cut_torn_line(descriptor: int) -> int:
    """Cut off what follows the last end of a line; return how many bytes that were."""
    size = whole = os.fstat(descriptor).st_size
    while whole > 0:
        start = max(0, whole - _BLOCK)
        newline = os.pread(descriptor, whole - start, start).rfind(b"\n")
        if newline >= 0:
            whole = start + newline + 1
            break
        whole = start
    if whole < size:
        os.ftruncate(descriptor, whole)
    return size - whole


def _last_head(file: Path) -> Head | None:
    """Read the head of the last line; None without one, AuditError when it is not as written."""
    with open_log(file) as log:
        if file.suffix != ".gz":
            log.seek(_start_of_last_line(log))
        last = deque(log, maxlen=1)
    if not last:
        return None
    found = decode(last[0])
    if found is None:
        raise AuditError(
            f"{file}: its last line was changed; run `verify-audit`, then move the file away"
        )
    return found[1]


def _start_of_last_line(log: io.BufferedIOBase) -> int:
    """Find the last line from the end, since a log may be long."""
    end = log.seek(0, os.SEEK_END) - 1
    while end > 0:
        start = max(0, end - _BLOCK)
        log.seek(start)
        newline = log.read(end - start).rfind(b"\n")
        if newline >= 0:
            return start + newline + 1
        end = start
    return 0


def _last_head_of_renamed(file: Path) -> Head | None:
    """Read the head of the newest file whose name begins with this one's, as rotation leaves it."""
    renamed = [other for other in file.parent.glob(f"{file.name}[.-]*") if other.is_file()]
    for other in sorted(renamed, key=lambda other: other.stat().st_mtime, reverse=True):
        with contextlib.suppress(AuditError, OSError, EOFError):
            # One that was renamed while it was empty says nothing; the end is in an older one.
            if (head := _last_head(other)) is not None:
                return head
    return None

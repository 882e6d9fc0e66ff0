# Copyright: The modelops.serving contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Obtain files from the first source that has them right: several at once, mirror after mirror."""

from __future__ import annotations

import os
import threading
from collections.abc import Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait

from ._client import run_client
from ._download import Expected, Stopped, Watch, download
from ._errors import ModelError
from ._files import remove_file
from ._http import plain_url
from ._links import check_arrived
from ._manifest import ModelFile
from ._progress import Meter
from ._sources import Source, SourceFile, source_name
from ._verify import file_problems, model_file, model_files

# Another source cannot help against these.
HERE = ("disk_full", "unverified_file")


class Transfer:
    """Fetch into ``folder`` from ``sources``, which are tried in their order.

    ``client`` and ``python`` name the library that fetches from the first one instead of us;
    ``python`` is empty for none. Afterwards ``warnings`` says which source failed and why, and
    ``received`` counts the bytes.
    """

    def __init__(
        self,
        sources: Sequence[Source],
        folder: str,
        meter: Meter,
        client: str = "builtin",
        python: str = "",
    ) -> None:
        self._sources = sources
        self._folder = folder
        self._meter = meter
        self._client = client
        self._python = python
        self._arrived: dict[str, ModelFile] = {}
        self._received = 0
        self.warnings: list[str] = []

    @property
    def received(self) -> int:
        """The bytes of the files, and those that were fetched apart from them."""
        return self._received + sum(source.received for source in self._sources)

    def obtain(self, items: Sequence[SourceFile]) -> dict[str, ModelFile]:
        """Put the right bytes of ``items`` into the folder; return what arrived, by path.

        A source that fails is left for the next one. Raises ``ModelError``: with one source its
        error, with several one that lists each in ``sources``.
        """
        failures: list[tuple[Source, ModelError]] = []
        for source in self._sources:
            left = [item for item in items if item.path not in self._arrived]
            if not left:
                break
            try:
                self._from(source, left)
            except ModelError as error:
                if error.code in HERE or len(self._sources) == 1:
                    raise
                failures.append((source, error))
        if len(failures) == len(self._sources) and failures:
            raise _all_failed(failures)
        self.warnings += [
            f"{_name(source)} failed and was left for the next source: {error.message}"
            for source, error in failures
        ]
        return self._arrived

    def _from(self, source: Source, items: Sequence[SourceFile]) -> None:
        if self._python and source is self._sources[0]:
            self._by_client(source, items)
        else:
            self._by_ourselves(source, items)

    def _by_ourselves(self, source: Source, items: Sequence[SourceFile]) -> None:
        """Fetch ``items``; the first failure ends the others, whose ``.part`` stays."""
        watch = Watch(self._meter, threading.Event())
        source.prepare(items)
        phase = "verifying" if source.local else "fetching"
        self._meter.begin(phase, sum(item.size or 0 for item in items))
        with ThreadPoolExecutor(max_workers=source.streams) as pool:
            jobs = [pool.submit(self._fetch, source, item, watch) for item in items]
            try:
                wait(jobs, return_when=FIRST_EXCEPTION)
            finally:
                watch.stop.set()
                for job in jobs:
                    job.cancel()
        failures = [job.exception() for job in jobs if not job.cancelled()]
        for failure in failures:
            if failure is not None and not isinstance(failure, Stopped):
                raise failure

    def _fetch(self, source: Source, item: SourceFile, watch: Watch) -> None:
        done = download(
            item.path,
            lambda offset: source.open(item.path, offset),
            os.path.join(self._folder, item.path),
            Expected(item.size, item.hash),
            source.backoff(watch.stop.wait),
            watch,
        )
        self._arrived[item.path] = model_file(item, done.size, done.sha256)
        if not source.extracts:
            self._received += done.received

    def _by_client(self, source: Source, items: Sequence[SourceFile]) -> None:
        targets = {item.path: os.path.join(self._folder, item.path) for item in items}
        for target in targets.values():
            remove_file(target)
        self._meter.begin("fetching", None)
        run_client(self._client, self._python, source, self._folder, list(targets))
        self._meter.add(sum(os.path.getsize(t) for t in targets.values() if os.path.isfile(t)))
        check_arrived(self._folder, targets)
        self._meter.begin("verifying", None)
        there = [(item, targets[item.path]) for item in items]
        for problem in file_problems(there, self._meter.add, unproven=True):
            if problem is not None:
                raise problem
        for found in model_files(there, self._meter.add):
            self._arrived[found.path] = found
            self._received += found.size


def _name(source: Source) -> str:
    wanted = source.wanted
    return f"{source_name(source)} {wanted.id} {wanted.revision} at {plain_url(wanted.endpoint)}"


def _all_failed(failures: Sequence[tuple[Source, ModelError]]) -> ModelError:
    code = failures[-1][1].code
    reasons = " ".join(f"{_name(source)}: {error.message}" for source, error in failures)
    return ModelError(
        f"None of {len(failures)} sources has the files of the lock. {reasons}",
        code,
        sources=[
            {
                "source": source_name(source),
                "id": source.wanted.id,
                "revision": source.wanted.revision,
                "endpoint": plain_url(source.wanted.endpoint),
                "code": error.code,
                "msg": error.message,
            }
            for source, error in failures
        ],
    )

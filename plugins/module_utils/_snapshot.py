# Copyright: The modelops.serving contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Bring one revision of a model to a host, verified and sealed, or take it away."""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from typing import Any

from ._approval import (
    Policy,
    approve,
    check_policy,
    check_signature,
)
from ._client import check_client
from ._download import check_room
from ._errors import ModelError
from ._files import (
    list_tree,
    make_folders,
    remove_empty_folders,
    remove_file,
    remove_tree,
    sync_folder,
    sync_tree,
    unseal_folders,
)
from ._manifest import Difference, Manifest, ModelFile, write_manifest
from ._metadata import describe, folder_files
from ._model_files import check_files, check_shards
from ._outcome import Outcome
from ._part import PART
from ._patterns import matches, selected
from ._progress import Meter
from ._proof import read_proof, write_proof
from ._seal import is_protected, protect, seal, unsealed
from ._shared import take_shared
from ._sources import Listing, Source, SourceFile, source_name
from ._store import Place, State, find_damage, load_agreed, load_manifest, remove
from ._transfer import Transfer
from ._verify import agrees, as_listed, check_lock, file_problems, model_files, no_hash

NO_DAMAGE = Difference((), (), ())


@dataclass(frozen=True)
class Choice:
    """Which files make the snapshot, and how sure one wants to be.

    ``floating`` says that the revision may move, so that its source is always asked. ``repair``
    brings back what the lock, or else the last manifest, says and asks the source for no list.
    ``verify`` is ``auto`` or ``full``; ``client`` is ``builtin`` or a key of ``CLIENTS``.
    """

    lock: Manifest | None = None
    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    allow_unverified: tuple[str, ...] = ()
    floating: bool = False
    repair: bool = False
    verify: str = "auto"
    client: str = "builtin"
    client_python: str = ""
    policy: Policy = field(default_factory=Policy)


class Snapshot:
    """One revision in the store, from ``source`` or else from the ``mirrors`` in their order.

    ``meter`` shows how far a run is.
    """

    def __init__(
        self,
        place: Place,
        source: Source,
        choice: Choice,
        mirrors: Sequence[Source] = (),
        meter: Meter | None = None,
    ) -> None:
        self._place = place
        self._source = source
        self._choice = choice
        self._meter = meter or Meter()
        self._sources = (source, *mirrors)
        for each in self._sources:
            each.meter = self._meter
        self._selection = {
            "include": list(choice.include),
            "exclude": list(choice.exclude),
            "subfolder": source.wanted.subfolder,
            "archive_sha256": source.wanted.archive_sha256,
        }
        self._homes: dict[str, str] = {}  # the folder that has the right bytes, by path
        self._python = ""
        if choice.client != "builtin":
            self._python = check_client(choice.client, place.source, choice.client_python)
        if choice.lock is not None:
            check_lock(choice.lock, place)
        elif mirrors:
            raise ModelError(
                "mirrors are given without a lock, so nothing says that they hold the same bytes. "
                "Make a lock with model_lock.",
                "invalid_option",
            )
        check_signature(choice.lock, choice.policy, read_proof(place.proof), self._name)

    def present(self, check_mode: bool = False) -> Outcome:
        """Make the snapshot whole. Raises ``ModelError`` or ``OSError``."""
        self._place.check_free()
        with nullcontext() if check_mode else self._place.locked():
            return self._present(check_mode)

    def _present(self, check_mode: bool) -> Outcome:
        place, outcome = self._place, Outcome(self._place.path)
        state = State(place.state)
        there = os.path.isdir(place.path)
        current = load_manifest(place) if there else None
        damage = NO_DAMAGE
        if there:
            outcome.before = _sizes(place.path)
        if current is not None:
            full = self._choice.verify == "full" or self._choice.repair
            damage = find_damage(place.path, current, state, full, self._meter)
        self._meter.begin("listing", None)
        listing = self._listing(current, state, check_mode)
        if current is not None and not damage and self._is_current(current, listing):
            return self._keep(outcome, current, state, check_mode)
        if damage and not check_mode:
            # From here on nothing at the final path claims to be complete.
            os.replace(place.manifest, place.agreed)
        missing = self._plan(outcome, listing, current, damage, check_mode)
        if not listing.archive:
            self._check(listing, missing)
            outcome.after = {item.path: item.size or 0 for item in listing.files}
        if check_mode:
            outcome.fetched_bytes = sum(item.size or 0 for item in missing)
        else:
            self._replace(outcome, listing, missing, state)
        outcome.changed = True
        return outcome

    def _listing(self, current: Manifest | None, state: State, check_mode: bool) -> Listing:
        """Say which files make the snapshot: the lock, else what is here, else the source."""
        known = self._choice.lock
        if known is None and self._choice.repair:
            known = current or load_agreed(self._place)
            if known is None:
                raise ModelError(
                    f"{self._place.path} has no manifest, and no lock is given, so nothing says "
                    "what to repair. Give the lock, or fetch the model with state present.",
                    "not_found",
                )
        if known is None and not self._choice.floating and state.selection == self._selection:
            known = current
        if known is not None:
            for source in self._sources:
                if (known.source, known.id) == (source_name(source), source.wanted.id):
                    source.commit = known.commit
            return Listing(known.commit, tuple(as_listed(item) for item in known.files))
        listing = self._source.preview() if check_mode else self._source.list()
        if listing.archive:
            return listing
        chosen = tuple(
            item
            for item in listing.files
            if selected(item.path, self._choice.include, self._choice.exclude)
        )
        if not chosen:
            raise ModelError(
                f"{self._name} has no file that subfolder, include and exclude leave over.",
                "model_incomplete",
            )
        return Listing(listing.commit, tuple(sorted(chosen, key=lambda item: item.path)))

    def _is_current(self, current: Manifest, listing: Listing) -> bool:
        """Say whether the manifest on disk is about exactly the listed files."""
        if current.commit != listing.commit and self._choice.lock is None:
            return False
        there = {item.path: item for item in current.files}
        if set(there) != {item.path for item in listing.files}:
            return False
        return all(agrees(there[item.path], item) for item in listing.files)

    def _keep(self, outcome: Outcome, current: Manifest, state: State, check_mode: bool) -> Outcome:
        outcome.manifest = current
        outcome.after = outcome.before
        place, paths = self._place, [item.path for item in current.files]
        known = read_proof(place.proof)
        proof = {**known, **approve(place.path, current, self._choice.policy, known)}
        protected = is_protected(place.path, paths, known.get("seal"))
        wrong = {
            "mode": bool(unsealed(place.path)),
            "verity": not protected,
            "proof": proof != known,
        }
        for reason in (name for name, found in wrong.items() if found):
            outcome.add(".", None, reason)
        if outcome.changed and not check_mode:
            if not protected:
                proof["seal"] = self._protect(outcome, place.path, paths)
            seal(place.path)
            write_proof(place.proof, proof)
        outcome.proof = proof
        if not check_mode:
            state.write(self._place.path, current, self._selection)
            self._clean()
        return outcome

    def _plan(
        self,
        outcome: Outcome,
        listing: Listing,
        current: Manifest | None,
        damage: Difference,
        check_mode: bool,
    ) -> list[SourceFile]:
        """Return the files whose right bytes are nowhere on this host; note what will change."""
        self._homes = {}
        if current is not None:
            wrong = {*damage.missing, *damage.different}
            right = {item.path: item for item in current.files if item.path not in wrong}
            for item in listing.files:
                if (
                    item.path in right
                    and item.hash.kind != "none"
                    and agrees(right[item.path], item)
                ):
                    self._homes[item.path] = self._place.path
        for folder in (self._place.partial, self._place.path):
            self._look_for(listing.files, folder)
        missing = [item for item in listing.files if item.path not in self._homes]
        for item in take_shared(self._place, missing, self._meter, check_mode):
            self._homes[item.path] = self._place.partial
            outcome.share(item.path, item.size or 0)
        missing = [item for item in missing if item.path not in self._homes]
        for item in missing:
            reason = "different" if item.path in damage.different else "new"
            reason = "missing" if item.path in damage.missing else reason
            outcome.add(item.path, item.size, reason)
        if not listing.archive:
            for path in sorted(set(outcome.before) - {item.path for item in listing.files}):
                outcome.add(path, outcome.before[path], "extra")
        return missing

    def _look_for(self, items: Sequence[SourceFile], folder: str) -> None:
        """Take ``folder`` as the home of those ``items`` whose right bytes lie there."""
        names = set(list_tree(folder))
        found = [
            (item, os.path.join(folder, item.path))
            for item in items
            if item.path in names and item.path not in self._homes
        ]
        if found:
            self._meter.begin("verifying", sum(item.size or 0 for item, _path in found))
            for (item, _path), problem in zip(found, file_problems(found, self._meter.add)):
                if problem is None:
                    self._homes[item.path] = folder

    def _check(self, listing: Listing, missing: Sequence[SourceFile]) -> None:
        """Refuse before the first byte what cannot end well."""
        paths = [item.path for item in listing.files]
        check_files(paths, self._name)
        check_policy(paths, self._choice.policy, self._name)
        for item in missing:
            if item.hash.kind == "none" and not matches(item.path, self._choice.allow_unverified):
                raise no_hash(item.path)
        needed = 0
        for item in missing:
            part = os.path.join(self._place.partial, item.path + PART)
            done = os.path.getsize(part) if os.path.isfile(part) else 0
            needed += max((item.size or 0) - done, 0)
        folder = os.path.dirname(self._place.path)
        while not os.path.isdir(folder):
            folder = os.path.dirname(folder)
        check_room(folder, needed)

    def _replace(
        self, outcome: Outcome, listing: Listing, missing: Sequence[SourceFile], state: State
    ) -> None:
        """Build the whole folder beside its place, then let it take the name."""
        place = self._place
        remove_tree(place.old)
        if os.path.isdir(place.partial):
            unseal_folders(place.partial)
        else:
            make_folders(place.partial)
        paths = [item.path for item in listing.files]
        self._prune(paths + [path + PART for path in paths])
        arrived = [*self._fetch(outcome, missing), *self._take_home(listing)]
        self._prune(paths)
        self._meter.begin("sealing", None)
        outcome.manifest = self._describe(listing, arrived)
        proof = outcome.proof = approve(place.partial, outcome.manifest, self._choice.policy, {})
        proof["seal"] = self._protect(outcome, place.partial, paths)
        seal(place.partial)
        sync_tree(place.partial)
        remove_file(place.manifest)
        if os.path.isdir(place.path):
            os.rename(place.path, place.old)
        write_proof(place.proof, proof)
        write_manifest(place.manifest, outcome.manifest)
        os.rename(place.partial, place.path)
        sync_folder(os.path.dirname(place.path))
        self._clean()
        state.write(place.path, outcome.manifest, self._selection)
        outcome.after = _sizes(place.path)

    def _fetch(self, outcome: Outcome, missing: Sequence[SourceFile]) -> list[ModelFile]:
        """Put what is missing into the folder in the making."""
        transfer = Transfer(
            self._sources, self._place.partial, self._meter, self._choice.client, self._python
        )
        arrived = transfer.obtain(missing)
        outcome.fetched_bytes = transfer.received
        outcome.transfer = self._meter.transfer()
        outcome.warnings += transfer.warnings
        return list(arrived.values())

    def _take_home(self, listing: Listing) -> list[ModelFile]:
        """Put what this host has already into the folder in the making."""
        found = []
        for item in listing.files:
            home = self._homes.get(item.path)
            if home is None:
                continue
            target = os.path.join(self._place.partial, item.path)
            if home != self._place.partial:
                os.makedirs(os.path.dirname(target), exist_ok=True)
                remove_file(target)
                os.link(os.path.join(home, item.path), target)
            found.append((item, target))
        return model_files(found)

    def _protect(self, outcome: Outcome, folder: str, paths: Sequence[str]) -> dict[str, Any]:
        """Let the kernel watch the files, or say once that it cannot."""
        record = protect(folder, paths)
        if record["verity"] == "unsupported":
            outcome.warnings.append(
                f"{self._place.path} is sealed without fs-verity ({record['reason']}): the kernel "
                "does not watch its bytes, only the check at each start and the timer do. On ext4 "
                "with its feature verity, or on btrfs, the store has it."
            )
        return record

    def _prune(self, keep: Sequence[str]) -> None:
        """Leave only ``keep`` in the folder in the making."""
        for extra in set(list_tree(self._place.partial)) - set(keep):
            remove_file(os.path.join(self._place.partial, extra))
        remove_empty_folders(self._place.partial)

    def _describe(self, listing: Listing, files: Sequence[ModelFile]) -> Manifest:
        sizes, read = folder_files(self._place.partial)
        check_shards(sizes, read, self._name)
        place = self._place
        return Manifest(
            source=place.source,
            id=place.id,
            revision=place.revision,
            commit=listing.commit,
            files=tuple(sorted(files, key=lambda item: item.path)),
            model=describe(sizes, read),
        )

    def _clean(self) -> None:
        remove_file(self._place.agreed)
        for leftover in (self._place.partial, self._place.archive, self._place.old):
            remove_tree(leftover)

    @property
    def _name(self) -> str:
        return f"{self._place.source} {self._place.id} {self._place.revision}"


def remove_snapshot(place: Place, check_mode: bool = False) -> Outcome:
    """Remove the snapshot, what lies beside it, and the folders that are empty then."""
    outcome = Outcome(place.path)
    if not any(os.path.lexists(path) for path in (place.path, *place.leftovers)):
        return outcome
    place.check_free()
    outcome.before = _sizes(place.path)
    for path, size in outcome.before.items():
        outcome.add(path, size, "extra")
    outcome.changed = True
    if not check_mode:
        with place.locked():
            remove(place)
    return outcome


def _sizes(folder: str) -> dict[str, int]:
    return {path: os.lstat(os.path.join(folder, path)).st_size for path in list_tree(folder)}

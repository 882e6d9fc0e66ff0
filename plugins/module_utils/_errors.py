# Copyright: The modelops.serving contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The one exception of the collection's module code, and the list of its stable codes."""

from __future__ import annotations

from typing import Any

CODES: dict[str, str] = {
    "access_denied": "The server refused access (HTTP 401 or 403).",
    "archive_invalid": "An archive is broken, or holds members that must not be extracted.",
    "client_failed": "The external download client could not run or did not finish.",
    "code_refused": "A file is code, or asks a loader to run code, and is not allowed by name.",
    "content_refused": "The scanner found danger in an allowed file, or could not read it.",
    "disk_full": "The file system has no room for what is missing.",
    "file_error": "The operating system refused to read or write a file.",
    "file_missing": "A file that is needed does not exist at the source.",
    "floating_revision": "The revision names a branch, whose content changes.",
    "hash_mismatch": "The bytes of a file do not have the expected hash.",
    "insufficient_memory": "The model does not fit in the memory that it may use.",
    "invalid_id": "The model's id does not have the form that its source uses.",
    "invalid_lock": "A lock or manifest does not have the right form.",
    "invalid_option": "An option has a value that cannot work.",
    "listing_invalid": "The source answered with a file list that makes no sense or is cut.",
    "lock_mismatch": "The lock belongs to another model or revision.",
    "lock_moved": "The source offers other files than the lock for the same revision.",
    "model_incomplete": "The files are not a whole model.",
    "network_error": "The server could not be reached, broke off, or failed again and again.",
    "not_found": "The source does not know the model, the revision or the file.",
    "process_ended": "The module's process on the host ended without an answer.",
    "revision_not_found": "The source knows the model, but not the revision.",
    "signature_invalid": "A signature is broken, by another key, or about other files.",
    "signature_missing": "A signature is required, and there is none.",
    "size_mismatch": "A file does not have the expected size.",
    "store_conflict": "The place in the store is taken by something else.",
    "task_not_offered": "The model cannot do the task that is declared for it.",
    "tools_failed": "A program of the tools environment did not run to its end.",
    "tools_missing": "A scan or signature is required, and the tools environment is not there.",
    "unknown_source": "The source is none that the collection knows.",
    "unsafe_path": "A path leaves the folder of the model, or a link leads out of it.",
    "unsafe_weights": "A file is a pickle, which runs code when it is loaded.",
    "unverified_file": "No expected hash is known for a file.",
    "weights_invalid": "The header of a weights file contradicts the file.",
}


class ModelError(Exception):
    """A failure that a user can act on.

    ``message`` says what happened, where, and what to do. ``code`` is one of ``CODES`` and never
    changes its meaning. ``details`` are plain values that a module returns beside both.
    """

    def __init__(self, message: str, code: str, **details: Any) -> None:
        super().__init__(message)
        self.message = message
        self.code = code
        self.details = details

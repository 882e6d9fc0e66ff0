# Copyright: The modelops.serving contributors
# SPDX-License-Identifier: Apache-2.0
"""Pages for people: templates, static files and texts, and what makes a reference of a document."""

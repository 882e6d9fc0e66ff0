# Copyright: The modelops.serving contributors
# SPDX-License-Identifier: Apache-2.0
"""Who may call, and how much."""

# Copyright: The modelops.serving contributors
# SPDX-License-Identifier: Apache-2.0
"""How requests reach the engine: in batches, or each in a place of its own."""

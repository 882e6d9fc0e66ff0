# Copyright: The modelops.serving contributors
# SPDX-License-Identifier: Apache-2.0
"""What `make` runs: standard library only, since it works before any virtual environment exists."""

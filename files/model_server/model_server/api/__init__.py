# Copyright: The modelops.serving contributors
# SPDX-License-Identifier: Apache-2.0
"""One blueprint for each surface; views validate, call the runtime and serialise."""

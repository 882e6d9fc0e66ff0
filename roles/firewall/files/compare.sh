#!/bin/sh
# Copyright: The modelops.serving contributors
# SPDX-License-Identifier: Apache-2.0
# Compare the loaded table with what the file says: 0 the same, 1 different.
# The file is loaded into an empty network namespace, so nothing that is recorded can grow stale.
# Usage: compare.sh FILE
set -eu
file=$1
if [ ! -e "$file" ] || ! loaded=$(nft --stateless list table inet modelops 2>/dev/null); then
    exit 1
fi
wanted=$(unshare --net sh -c "nft --file '$file' && nft --stateless list table inet modelops") || exit 2
[ "$loaded" = "$wanted" ]

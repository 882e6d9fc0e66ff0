#!/bin/sh
# Copyright: The modelops.serving contributors
# SPDX-License-Identifier: Apache-2.0
# Compare a loaded table with what FILE says (0 the same, 1 different), or load FILE.
# FILE is loaded into an empty network namespace for that, so nothing that is recorded can grow stale.
# Usage: nftables.sh compare|load FILE [TABLE]
set -eu
verb=$1 file=$2 table=${3:-modelops}
case $verb in
compare)
    if [ ! -e "$file" ] || ! loaded=$(nft --stateless list table inet "$table" 2>/dev/null); then
        exit 1
    fi
    wanted=$(unshare --net sh -c "nft --file '$file' && nft --stateless list table inet $table") || exit 2
    [ "$loaded" = "$wanted" ]
    ;;
load) nft --file "$file" ;;
esac

#!/bin/sh
# Copyright: The modelops.serving contributors
# SPDX-License-Identifier: Apache-2.0
# Load FILE now; after SECONDS go back, unless modelops-firewall-rollback.timer is stopped before.
# Going back also replaces FILE, so that the next boot does not lock out either.
# Usage: try.sh FILE SECONDS
set -eu
file=$1
seconds=$2
before=/run/modelops-firewall-before.nft
{
    echo "table inet modelops"
    echo "delete table inet modelops"
    if nft list table inet modelops >/dev/null 2>&1; then
        nft list table inet modelops
    fi
} >"$before"
systemd-run --quiet --collect --unit=modelops-firewall-rollback --on-active="$seconds" \
    --timer-property=AccuracySec=500ms \
    /bin/sh -c "nft --file $before && cp $before $file && logger -t modelops-firewall 'the rules of before are back'"
nft --file "$file"

#!/bin/sh
# Copyright: The modelops.serving contributors
# SPDX-License-Identifier: Apache-2.0
# After SECONDS bring back what is in force now, unless keep.sh comes first:
# our table, the FILEs of FRONT (nftables, ufw or firewalld), and what FRONT makes of them.
# Usage: arm.sh FOLDER SECONDS FRONT [FILE...]
set -eu
folder=$1 seconds=$2 front=$3
shift 3
# Either of them active: what is in force now must not be taken for what was before.
if systemctl --quiet is-active modelops-firewall-rollback.timer modelops-firewall-rollback.service; then
    echo "the rules of an earlier run are still on trial: run again when their $seconds seconds are over" >&2
    exit 1
fi
rm -rf "$folder/before"
mkdir "$folder/before"
{
    echo "table inet modelops"
    echo "delete table inet modelops"
    nft --numeric list table inet modelops 2>/dev/null || true
} >"$folder/before/firewall.nft"
nft --check --file "$folder/before/firewall.nft"
{
    echo "set -eu"
    echo "rm $folder/on-trial"
    echo "nft --file $folder/before/firewall.nft"
    for file; do
        if [ -e "$file" ]; then
            cp -a --parents "$file" "$folder/before"
            echo "cp -a $folder/before$file $file"
        else
            echo "rm -f $file"
        fi
    done
    case $front in
    ufw) echo "ufw reload" ;;
    firewalld) echo "firewall-cmd --reload" ;;
    esac
    echo "logger -t modelops-firewall 'the rules of before are back'"
} >"$folder/before/back.sh"
: >"$folder/on-trial"
systemd-run --quiet --collect --unit=modelops-firewall-rollback --on-active="$seconds" \
    --timer-property=AccuracySec=500ms /bin/sh "$folder/before/back.sh"

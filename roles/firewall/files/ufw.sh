#!/bin/sh
# Copyright: The modelops.serving contributors
# SPDX-License-Identifier: Apache-2.0
# Compare our rules in ufw with FILE (0 the same, 1 different), or make them what FILE says.
# Ours have the comment 'modelops'. A rule that somebody else has set already is left to them.
# Usage: ufw.sh compare|load FILE, with one rule a line, such as: allow 80/tcp
set -eu
export LC_ALL=C
verb=$1 file=$2
[ -e "$file" ] || exit 1
added=$(ufw show added | sed -n 's/^ufw //p')
ours=$(echo "$added" | sed -n "s/ comment 'modelops'\$//p")
all=$(echo "$added" | sed "s/ comment '.*'\$//")
missing=$(echo "$all" | grep -vxF -f /dev/stdin "$file") || true
stale=$(echo "$ours" | grep -vxF -f "$file") || true
case $verb in
compare) [ -z "$missing$stale" ] ;;
load)
    # What opens comes before what closes. A rule is several words.
    # shellcheck disable=SC2086
    echo "$missing" | while read -r rule; do
        [ -z "$rule" ] || ufw $rule comment modelops </dev/null
    done
    # shellcheck disable=SC2086
    echo "$stale" | while read -r rule; do
        [ -z "$rule" ] || ufw delete $rule </dev/null
    done
    ;;
esac

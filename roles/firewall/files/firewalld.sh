#!/bin/sh
# Copyright: The modelops.serving contributors
# SPDX-License-Identifier: Apache-2.0
# Compare our policy in firewalld with FILE (0 the same, 1 different), or make it what FILE says.
# A new policy comes into force only by a reload, which keeps connections.
# Usage: firewalld.sh compare|load FILE
set -eu
export LC_ALL=C
verb=$1 file=$2
kept=/etc/firewalld/policies/modelops.xml
policy() {
    firewall-cmd "$@" --policy=modelops --list-all | sed 's/ (active)//'
}
case $verb in
compare)
    [ -e "$file" ] && [ -e "$kept" ] || exit 1
    cmp -s "$file" "$kept" && [ "$(policy)" = "$(policy --permanent)" ]
    ;;
load)
    install -D -m 0644 "$file" "$kept"
    firewall-cmd --check-config
    firewall-cmd --reload
    ;;
esac

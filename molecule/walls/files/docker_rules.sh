#!/bin/sh
# Copyright: The modelops.serving contributors
# SPDX-License-Identifier: Apache-2.0
# A stand-in for Docker: a bridge, two "containers" (network namespaces) with a server each, and by hand the rules
# that Docker would make to publish them on the host's ports 9000 and 9001. Docker itself does not run here.
# It counts on net.ipv4.ip_forward, which containers have on.
# Usage: docker_rules.sh up|down
set -eu
table='table ip stand_in_docker'

# As Docker does, so that neither ufw's chain nor firewalld's zones keep the bridge apart.
accept_bridge() { # -I|-D add|remove
    if command -v iptables >/dev/null; then
        iptables "$1" FORWARD --in-interface docker0 --jump ACCEPT
        iptables "$1" FORWARD --out-interface docker0 --jump ACCEPT
    fi
    if systemctl --quiet is-active firewalld; then
        firewall-cmd --quiet --zone=trusted "--$2-interface=docker0"
    fi
}

case $1 in
down)
    accept_bridge -D remove
    nft delete $table
    systemctl stop stand-in-container-1 stand-in-container-2
    ip netns delete container-1
    ip netns delete container-2
    ip link delete docker0
    exit 0
    ;;
esac
ip link add docker0 type bridge
ip address add 10.213.0.1/24 dev docker0
ip link set docker0 up
accept_bridge -I add
for number in 1 2; do
    space=container-$number
    ip netns add "$space"
    ip link add "veth$number" master docker0 type veth peer name eth0 netns "$space"
    ip link set "veth$number" up
    ip -n "$space" link set lo up
    ip -n "$space" address add "10.213.0.$((number + 1))/24" dev eth0
    ip -n "$space" link set eth0 up
    ip -n "$space" route add default via 10.213.0.1
    systemd-run --quiet --collect --unit="stand-in-$space" \
        ip netns exec "$space" python3 -m http.server 80 --directory /usr/share/doc
done
nft --file - <<RULES
$table {
    chain prerouting {
        type nat hook prerouting priority dstnat;
        fib daddr type local tcp dport 9000 dnat to 10.213.0.2:80
        fib daddr type local tcp dport 9001 dnat to 10.213.0.3:80
    }
    chain postrouting {
        type nat hook postrouting priority srcnat;
        ip saddr 10.213.0.0/24 oifname != "docker0" masquerade
    }
    chain forward {
        type filter hook forward priority filter; policy accept;
        ip daddr { 10.213.0.2, 10.213.0.3 } tcp dport 80 accept
    }
}
RULES

#!/bin/sh
# Copyright: The modelops.serving contributors
# SPDX-License-Identifier: Apache-2.0
# Puts a test certificate where certbot would have left one: the files in archive/, links to them in live/.
# Usage: lineage.sh DOMAIN
set -eu
umask 077
archive=/etc/letsencrypt/archive/$1 live=/etc/letsencrypt/live/$1
mkdir -p "$archive" "$live"
cd "$archive"
key() { openssl genpkey -quiet -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out "$1"; }
key ca.key
openssl req -x509 -new -key ca.key -days 90 -subj "/CN=test authority of $1" \
    -addext keyUsage=critical,keyCertSign,cRLSign -out chain1.pem
key privkey1.pem
cat >leaf.ext <<END
subjectAltName=DNS:$1
keyUsage=critical,digitalSignature
extendedKeyUsage=serverAuth
authorityKeyIdentifier=keyid
END
openssl req -new -key privkey1.pem -subj "/CN=$1" |
    openssl x509 -req -CA chain1.pem -CAkey ca.key -days 90 -extfile leaf.ext -out cert1.pem
cat cert1.pem chain1.pem >fullchain1.pem
for name in cert chain fullchain privkey; do
    ln -sf "../../archive/$1/${name}1.pem" "$live/$name.pem"
done

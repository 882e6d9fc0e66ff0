#!/usr/bin/env bash
# Copyright: The modelops.serving contributors
# SPDX-License-Identifier: Apache-2.0
# Sign in, ask, and read an answer while it is made:  URL=https://chat.example.com USER_NAME=support PASSWORD=... ./login_and_chat.sh
set -euo pipefail

ask() {
  curl --silent --show-error --fail-with-body --max-time 120 --header 'Content-Type: application/json' "$@"
}

echo "ready: $(ask "${URL:?}/healthz")"
# The password goes through standard input: a command line can be read by every user of the machine.
answer=$(printf '{"username": "%s", "password": "%s"}' "${USER_NAME:?}" "${PASSWORD:?}" | ask --data @- "$URL/login")
token=$(sed 's/.*"access_token":"\([^"]*\)".*/\1/' <<< "$answer")

question='{"message": "What is the capital of France?", "temperature": 0, "max_tokens": 32}'
echo "answer: $(ask --header "Authorization: Bearer $token" --data "$question" "$URL/chat")"
echo 'stream:'
# --no-buffer: each event is shown when it comes. A browser reads the same stream with fetch, since
# EventSource can neither send a body nor a token.
ask --no-buffer --header "Authorization: Bearer $token" --data "$question" "$URL/chat/stream"

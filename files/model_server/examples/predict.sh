#!/usr/bin/env bash
# Copyright: The modelops.serving contributors
# SPDX-License-Identifier: Apache-2.0
# A task by its name on one text, with curl:  URL=https://gte.example.com API_KEY=... ./predict.sh TASK TEXT
set -euo pipefail

# --fail-with-body: a refusal (4xx, 5xx) ends the script, after the body that says why was printed.
curl --silent --show-error --fail-with-body --max-time 60 \
  --header "Authorization: Bearer ${API_KEY:?}" --header 'Content-Type: application/json' \
  --data "$(printf '{"task_type": "%s", "input_text": "%s"}' "$1" "$2")" "${URL:?}/predict"
echo

#!/usr/bin/env bash
# Usage: hack/verify-generated.bash UPDATE_SCRIPT DIR
# Runs the script, and fails with a diff when it changed anything under DIR. The
# regenerated files stay, ready to be committed.
set -euo pipefail
update=$1 dir=$2
before=$(mktemp -d)
trap 'rm -rf "$before"' EXIT
cp -R "$dir/." "$before/"
"$update"
if ! diff -ruN "$before" "$dir"; then
  echo "$dir was out of date, and is now as $update writes it" >&2
  exit 1
fi

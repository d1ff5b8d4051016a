#!/usr/bin/env bash
# Runs every hack/verify-*.sh, and reports every one that fails.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
failed=()
for script in hack/verify-*.sh; do
  [[ $script == hack/verify-all.sh ]] && continue
  echo "==> $script"
  "$script" || failed+=("$script")
done
if ((${#failed[@]})); then
  printf 'FAILED: %s\n' "${failed[@]}" >&2
  exit 1
fi

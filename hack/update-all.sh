#!/usr/bin/env bash
# Runs every hack/update-*.sh.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
for script in hack/update-*.sh; do
  [[ $script == hack/update-all.sh ]] || "$script"
done

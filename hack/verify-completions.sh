#!/usr/bin/env bash
# Fails when hack/update-completions.sh would change completions.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
exec hack/verify-generated.bash hack/update-completions.sh completions

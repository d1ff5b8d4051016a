#!/usr/bin/env bash
# Fails when hack/update-fleet.sh would change examples.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
exec hack/verify-generated.bash hack/update-fleet.sh examples

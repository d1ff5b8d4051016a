#!/usr/bin/env bash
# Fails when hack/update-codegen.sh would change pkg/apis.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
exec hack/verify-generated.bash hack/update-codegen.sh pkg/apis

#!/usr/bin/env bash
# Writes zz_generated.deepcopy.go for the API types.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
make --no-print-directory -s bin/tools/controller-gen
bin/tools/controller-gen object paths=./pkg/apis/...

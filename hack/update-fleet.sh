#!/usr/bin/env bash
# Writes the example fleet of the demo and the tests.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
go run ./hack/fleet >examples/fleet.yaml

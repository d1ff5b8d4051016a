#!/usr/bin/env bash
# Fails when hack/update-manifests.sh would change pkg/install/manifests/crds.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
exec hack/verify-generated.bash hack/update-manifests.sh pkg/install/manifests/crds

#!/usr/bin/env bash
# Writes the CustomResourceDefinitions that the component's manifests embed.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
make --no-print-directory -s bin/tools/controller-gen
bin/tools/controller-gen crd paths=./pkg/apis/stowage/... output:crd:dir=pkg/install/manifests/crds

#!/usr/bin/env bash
# Fails when a template in krew-manifests/ does not render to a valid manifest.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
make --no-print-directory -s bin/tools/validate-krew-manifest
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
version=v0.0.0 sum=$(printf 'abcdef%058d' 0)
for template in krew-manifests/*.yaml; do
  name=$(basename "$template" .yaml)
  for platform in linux_amd64 linux_arm64 darwin_amd64 darwin_arm64 windows_amd64; do
    echo "$sum  kubectl-${name//-/_}_${version}_$platform.tar.gz"
  done >"$work/checksums.txt"
  hack/render-krew.sh "$template" "$version" "$work/checksums.txt" >"$work/$name.yaml"
  bin/tools/validate-krew-manifest -manifest "$work/$name.yaml" -skip-install
done

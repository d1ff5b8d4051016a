#!/usr/bin/env bash
# Usage: hack/render-krew.sh TEMPLATE VERSION CHECKSUMS
# Writes a krew manifest to stdout: TEMPLATE of krew-manifests/ with the release's
# VERSION (a tag, v1.2.3) and the sums of its archives from CHECKSUMS, the file
# that `make dist` leaves in dist/.
set -euo pipefail
template=$1 version=$2 checksums=$3
manifest=$(sed "s/@VERSION@/$version/g" "$template")
while read -r sum archive; do
  base=${archive%.tar.gz}
  base=${base%.zip}
  platform=$(tr '[:lower:]' '[:upper:]' <<<"${base##*_"$version"_}")
  manifest=${manifest//@SHA256_$platform@/$sum}
done <"$checksums"
if grep -o '@SHA256_[A-Z0-9_]*@' <<<"$manifest" >&2; then
  echo "$checksums: no sum for the above" >&2
  exit 1
fi
printf '%s\n' "$manifest"

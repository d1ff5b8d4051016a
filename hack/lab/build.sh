#!/bin/sh
# Builds the lab's binaries (see test/lab), once a version, and prints the directory they are in.
# The versions stand in hack/tools/lab/go.mod. A second call finds the stamp and does nothing.
set -eu

module=$(cd "$(dirname "$0")/../tools/lab" && pwd)
version=$(awk '$1 == "k8s.io/kubernetes" { print $2 }' "$module/go.mod")
bin=${XDG_CACHE_HOME:-$HOME/.cache}/stowage/$version/bin
stamp=$(cat "$0" "$module/go.mod" "$module/go.sum" | sha256sum | cut -d' ' -f1)

up_to_date() { [ "$(cat "$bin/.stamp" 2>/dev/null)" = "$stamp" ]; }

# build NAME PACKAGE [-X FLAG]...: one static binary in $tmp.
build() {
	name=$1 package=$2
	shift 2
	echo "lab: building $name ($version)" >&2
	(cd "$module" && CGO_ENABLED=0 go build -trimpath -ldflags "-s -w $*" -o "$tmp/$name" "$package")
}

build_all() {
	release=${version#v}
	minor=${release#*.}
	v=k8s.io/component-base/version
	kube="-X $v.gitVersion=$version -X $v.gitMajor=${release%%.*} -X $v.gitMinor=${minor%%.*}"
	kube="$kube -X $v.gitTreeState=clean -X $v.buildDate=2026-01-01T00:00:00Z"
	for name in kube-apiserver kube-controller-manager kube-scheduler kubectl; do
		build $name k8s.io/kubernetes/cmd/$name "$kube"
	done
	for name in kwok kwokctl; do
		build $name sigs.k8s.io/kwok/cmd/$name "$kube"
	done
	build etcd go.etcd.io/etcd/server/v3
	build etcdctl go.etcd.io/etcd/etcdctl/v3
}

if ! up_to_date; then
	mkdir -p "$bin"
	exec 9>"$bin/.lock"
	flock 9 # one build at a time; the others wait here and then find the stamp
	if ! up_to_date; then
		rm -rf "$bin"/.build.* # left by a build that was killed
		tmp=$(mktemp -d "$bin/.build.XXXXXX") # same file system: each mv below is atomic
		trap 'rm -rf "$tmp"' EXIT
		trap 'exit 130' INT TERM HUP
		build_all
		rm -f "$bin/.stamp"
		mv "$tmp"/* "$bin/"
		echo "$stamp" >"$bin/.stamp"
	fi
fi
echo "$bin"

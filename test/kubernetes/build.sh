#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# usage: build.sh NAME DIRECTORY
#
# Builds a program of Kubernetes into the directory, of the version and with the parts that go.mod
# names; the linker tells it that version. Minutes, and 2 GB below Go's cache.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
version=$(sed -n 's|^require k8s.io/kubernetes ||p' "$here/go.mod")
mkdir -p "$2/source"
cd "$2/source"
cp "$here/go.mod" . # which the build completes
CGO_ENABLED=0 go build -mod=mod -trimpath -o "$2/$1" \
	-ldflags "-s -w -X k8s.io/component-base/version.gitVersion=$version" "k8s.io/kubernetes/cmd/$1"
rm -r "$2/source"

#!/bin/sh
# Build the real Loki and logcli that the conformance suites run against, and print their folder.
#
# Loki's own go.mod has `replace` lines, which `go install …@version` refuses: the tool module beside this
# script takes them over. The binaries are kept outside the repository, keyed by go.mod and go.sum, so only an
# absent or outdated pair is built (ten minutes on two cores the first time).
set -eu
here=$(CDPATH= cd -- "$(dirname -- "$0")" && pwd)
if ! command -v go >/dev/null 2>&1; then
    echo "error: no 'go' on PATH: the real Loki is built from its Go module; install Go 1.26.5 or newer" >&2
    exit 3
fi
key=$(cat "$here/go.mod" "$here/go.sum" | cksum | tr ' ' '-')
target="${XDG_CACHE_HOME:-$HOME/.cache}/apimon/realloki/$key"
if [ ! -x "$target/loki" ] || [ ! -x "$target/logcli" ]; then
    echo "building Loki 3.7.6 and logcli into $target (about ten minutes the first time)" >&2
    mkdir -p "$target"
    staging=$(mktemp -d "$target/build.XXXXXX")
    trap 'rm -rf "$staging"' EXIT
    # -mod=readonly: what is built is what go.sum names. CGO is not needed.
    (cd "$here" && CGO_ENABLED=0 go build -mod=readonly -trimpath \
        -ldflags='-s -w -X github.com/grafana/loki/v3/pkg/util/build.Version=3.7.6' \
        -o "$staging/" github.com/grafana/loki/v3/cmd/loki github.com/grafana/loki/v3/cmd/logcli) >&2
    mv "$staging/loki" "$staging/logcli" "$target/"
fi
echo "$target"

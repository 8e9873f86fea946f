#!/usr/bin/env bash
# Builds the linters and formatters that fixtures/tools pins, once for each
# version of its modules and of Go, and prints the directory they are in.
set -euo pipefail

cache=$(realpath -m -- "${BLACKOUT_CACHE:-${XDG_CACHE_HOME:-${HOME:?set BLACKOUT_CACHE to a directory}/.cache}/blackout}")
cd "$(dirname "$0")/.."
modules=(fixtures/tools fixtures/tools/actionlint)

hash=$( (for module in "${modules[@]}"; do cat "$module/go.mod" "$module/go.sum"; done && go version) | sha256sum | cut -c 1-16)
bin=$cache/tools/$hash
if [[ ! -d $bin ]]; then
	mkdir -p "$cache/tools"
	# Two builds at once would only slow each other down.
	exec 9>"$cache/tools/.lock"
	flock 9
fi
if [[ ! -d $bin ]]; then
	# Nobody else is at work here: what has this name is of a killed build.
	rm -rf "$cache"/tools/.new.*
	new=$(mktemp -d "$cache/tools/.new.XXXXXX")
	trap 'rm -rf "$new"' EXIT
	mkdir "$new/bin" "$new/tmp"
	echo "building the pinned lint tools (once; usually 6 min on two cores)" >&2
	for module in "${modules[@]}"; do
		GOWORK=off GOTMPDIR=$new/tmp CGO_ENABLED=0 go -C "$module" build -buildvcs=false -mod=readonly -o "$new/bin/" tool >&2
	done
	mv -T "$new/bin" "$bin"
fi
echo "$bin"

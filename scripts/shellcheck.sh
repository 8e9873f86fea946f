#!/usr/bin/env bash
# Runs shellcheck with the given arguments. It is no Go program, so that
# fixtures/tools cannot pin it: a minimum version is asked for, root on Debian
# or Ubuntu gets it from the distribution, and nobody goes without.
set -euo pipefail

minimum=0.9.0

enough() {
	local version
	version=$(shellcheck --version 2>/dev/null | sed -n 's/^version: //p') || return 1
	[[ -n $version && $(printf '%s\n' "$minimum" "$version" | sort -V | head -n 1) == "$minimum" ]]
}

if ! enough && [[ $(id -u) == 0 && -e /etc/debian_version ]] && command -v apt-get >/dev/null; then
	echo "installing the distribution's shellcheck" >&2
	export DEBIAN_FRONTEND=noninteractive
	{ apt-get update -qq && apt-get install -y -qq --no-install-recommends shellcheck; } >&2 ||
		echo "apt-get could not install shellcheck" >&2
fi
if ! enough; then
	echo "shellcheck $minimum or newer is needed and not there: install your distribution's package (Debian, Ubuntu:" \
		"sudo apt-get install shellcheck; Fedora: sudo dnf install ShellCheck; macOS: brew install shellcheck) and run again" >&2
	exit 1
fi
exec shellcheck "$@"

#!/usr/bin/env bash
# Makes sure that the tests of e2e/report can open a page in a real browser: root
# on Debian or Ubuntu gets chromium from the distribution. Without it those tests
# are skipped, which only "go test -v" would show; so it is said here.
set -euo pipefail

# Run, not only found: where Ubuntu has it as a snap, its package is a stub.
there() { chromium --version >/dev/null 2>&1; }

if ! there && [[ $(id -u) == 0 && -e /etc/debian_version ]] && command -v apt-get >/dev/null; then
	echo "installing the distribution's chromium"
	export DEBIAN_FRONTEND=noninteractive
	{ apt-get update -qq && apt-get install -y -qq --no-install-recommends chromium fonts-dejavu-core; } </dev/null ||
		echo "apt-get could not install chromium"
fi
if ! there; then
	printf '%s\n' \
		"###############################################################" \
		"### REPORT.HTML IS NOT TESTED IN A BROWSER: there is no chromium (package chromium)" \
		"###############################################################"
	exit 1
fi

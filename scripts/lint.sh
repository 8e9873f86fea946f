#!/usr/bin/env bash
# Runs every linter over the repository. One that fails does not keep the others
# from running, and the exit code is zero only if all of them pass.
set -euo pipefail

cd "$(dirname "$0")/.."
bin=$(scripts/tools.sh)
mapfile -t shell < <("$bin/shfmt" -f .ci e2e fixtures scripts)
failed=()

check() {
	local name=$1
	shift
	echo "lint: $name"
	"$@" || failed+=("$name")
}

check shellcheck scripts/shellcheck.sh "${shell[@]}"
check shfmt "$bin/shfmt" -d "${shell[@]}"
# After shellcheck, which it runs on the steps' scripts if it finds it.
check actionlint "$bin/actionlint" .github/workflows/*.yml
check golangci-lint "$bin/golangci-lint" run ./...
# The nested modules are not part of ./..., but formatted alike.
check "golangci-lint fmt" "$bin/golangci-lint" fmt --diff fixtures

if ((${#failed[@]})); then
	printf 'lint: failed: %s\n' "${failed[@]}"
	exit 1
fi
echo "lint: all passed"

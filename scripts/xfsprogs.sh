#!/usr/bin/env bash
# Makes sure that the tests of e2e/power/disk and e2e/doctor can make an xfs:
# root on Debian or Ubuntu gets xfsprogs from the distribution. Without it those
# tests skip xfs, which only "go test -v" would show; so it is said here.
set -euo pipefail

PATH=$PATH:/usr/sbin:/sbin
there() { command -v mkfs.xfs >/dev/null && command -v xfs_repair >/dev/null; }

if ! there && [[ $(id -u) == 0 && -e /etc/debian_version ]] && command -v apt-get >/dev/null; then
	echo "installing the distribution's xfsprogs"
	export DEBIAN_FRONTEND=noninteractive
	{ apt-get update -qq && apt-get install -y -qq --no-install-recommends xfsprogs; } </dev/null ||
		echo "apt-get could not install xfsprogs"
fi
if ! there; then
	printf '%s\n' \
		"###############################################################" \
		"### DISKS ARE NOT TESTED ON XFS: there is no mkfs.xfs or xfs_repair (package xfsprogs)" \
		"###############################################################"
	exit 1
fi

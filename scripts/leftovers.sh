#!/usr/bin/env bash
# Looks for what a run may have left on this machine, and fails if there is
# anything: containers, networks and volumes, mounts and loop devices of the
# workspace, processes. With the argument "engine" a Docker daemon counts too.
# It shares no code with "blackout clean", which it checks.
set -euo pipefail

cache=$(realpath -m -- "${BLACKOUT_CACHE:-${XDG_CACHE_HOME:-${HOME:?set BLACKOUT_CACHE to a directory}/.cache}/blackout}")
found=0

# left says of each line on its standard input that it was left.
left() {
	local line
	while IFS= read -r line; do
		[[ -z $line ]] && continue
		echo "left behind: $1 $line"
		found=1
	done
}

daemons=$(grep -lsx dockerd /proc/[0-9]*/comm || true)
for engine in docker podman; do
	command -v "$engine" >/dev/null || continue
	if ! answer=$("$engine" info 2>&1); then
		if [[ $engine == docker && -n $daemons ]]; then
			left "perhaps something on docker, which runs and does not answer:" <<<"${answer##*$'\n'}"
		fi
		continue
	fi
	for list in "container ls --all" "network ls" "volume ls"; do
		format='{{.Name}}'
		if [[ $list == container* ]]; then
			format='{{.Names}}'
		fi
		read -ra words <<<"$list"
		labelled=$("$engine" "${words[@]}" --filter label=blackout.managed --format "$format")
		named=$("$engine" "${words[@]}" --format "$format" | sed -n '/^blackout-/p')
		left "$engine ${words[0]}" < <(sort -u <<<"$labelled"$'\n'"$named")
	done
done

while read -r _ _ _ _ point _; do
	point=$(printf '%b' "$point") # mountinfo writes a space as \040
	if [[ $point/ == "$cache"/* ]]; then
		left mount <<<"$point"
	fi
done </proc/self/mountinfo

for file in /sys/block/loop*/loop/backing_file; do
	[[ -e $file ]] || continue
	backing=$(<"$file") || continue
	if [[ $backing == "$cache"/* ]]; then
		left "loop device on" <<<"$backing"
	fi
done

for environ in $(grep -lsz '^BLACKOUT_RUN_ID=' /proc/[0-9]*/environ || true); do
	process=${environ%/environ}
	command=$({ tr '\0' ' ' <"$process/cmdline"; } 2>/dev/null) || continue # ended meanwhile
	left "process" <<<"${process#/proc/} $command"
done

if [[ ${1-} == engine ]]; then
	left "Docker daemon, process" < <(tr -dc '0-9\n' <<<"$daemons")
fi

((found == 0)) && echo "nothing left behind"
exit "$found"

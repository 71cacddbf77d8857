# What the scripts of this folder share. Sourced, never run.
# shellcheck shell=bash disable=SC2034 # used by those that source it
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(cd "$here/../.." && pwd)

# What is slow to make and the same for every clone is kept outside the clone.
cache=${LABCTL_CACHE:-${XDG_CACHE_HOME:-${HOME:-/root}/.cache}/labctl}

# Where the Docker engine that these scripts start lives; gone with a reboot.
engine_run=${LABCTL_ENGINE_RUN:-/run/labctl-engine}
engine_socket=$engine_run/docker.sock
engine_pidfile=$engine_run/docker.pid

say() { printf '%s: %s\n' "${0##*/}" "$*" >&2; }
die() {
	say "$*"
	exit 2
}
have() { command -v "$1" >/dev/null 2>&1; }

# need PROGRAM PACKAGE: the program, if need be from the distribution's package.
need() {
	have "$1" && return 0
	have apt-get || die "$1 is missing and there is no apt-get here: install $2 by hand"
	"$here/apt-install" "$2"
	have "$1" || die "$1 is missing although $2 is installed"
}

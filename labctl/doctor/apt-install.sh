#!/usr/bin/env bash
# apt-install.sh PACKAGE...: from the distribution, without questions, without starting services on this
# host. A service of a package that was not there before stays disabled; one that was there is let be.
# "a|b" is the first of the two that the distribution has.
set -euo pipefail

say() { printf 'apt-install: %s\n' "$*" >&2; }
die() {
	say "$*"
	exit 2
}

[ "$#" -gt 0 ] || die "which packages?"
[ "$(id -u)" -eq 0 ] || die "installing packages takes root: $*"
command -v apt-get >/dev/null 2>&1 || die "no apt-get here: install by hand: $*"

# The package database, and only it, knows what is there: lists of packages may be empty as yet.
there() { dpkg-query -W -f '${db:Status-Status}' "$1" 2>/dev/null | grep -qx installed; }
offered() { apt-cache policy "$1" 2>/dev/null | grep -q '^ *Candidate: *[^ (]'; }

# choose A|B: the one that is installed, else the first that the distribution offers, else the last.
choose() {
	local names name
	IFS='|' read -r -a names <<<"$1"
	for name in "${names[@]}"; do if there "$name"; then printf '%s\n' "$name" && return; fi; done
	for name in "${names[@]}"; do if offered "$name"; then printf '%s\n' "$name" && return; fi; done
	printf '%s\n' "${names[-1]}"
}
select_missing() {
	local wanted name
	missing=()
	for wanted in "$@"; do
		name=$(choose "$wanted")
		there "$name" || missing+=("$name")
	done
}

# Debian's own switch for "do not start what you install". A guard that somebody else has put there is
# kept aside and put back. Ours has an owner, the process that installs: when that is gone, killed perhaps,
# the guard stops nothing any more, and whoever installs next takes it away.
guard=/usr/sbin/policy-rc.d
aside=$guard.before-labctl
mark='labctl: nothing is started while packages are installed'
# began PID: when that process began, in the kernel's ticks; a process id alone may be another's by now.
began() { sed 's/^.*) //' "/proc/$1/stat" 2>/dev/null | cut -d' ' -f20; }
restore() { if [ -e "$aside" ]; then mv -f "$aside" "$guard"; else rm -f "$guard"; fi; }
owned() {
	local pid tick
	read -r pid tick < <(sed -n 's/^# owner //p' "$guard")
	[ -n "$tick" ] && [ "$(began "$pid")" = "$tick" ]
}
if [ -e "$guard" ] && grep -qF "$mark" "$guard" && ! owned; then restore; fi

select_missing "$@"
[ "${#missing[@]}" -gt 0 ] || exit 0

if [ -e "$guard" ] && ! grep -qF "$mark" "$guard"; then mv -f "$guard" "$aside"; fi
log=$(mktemp)
trap 'restore; rm -f "$log"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP
cat >"$guard" <<GUARD
#!/bin/sh
# $mark
# owner $$ $(began $$)
[ "\$(sed 's/^.*) //' /proc/$$/stat 2>/dev/null | cut -d' ' -f20)" != $(began $$) ] || exit 101
[ ! -x $aside ] || exec $aside "\$@"
exit 0
GUARD
chmod 755 "$guard"

units() { systemctl list-unit-files --type=service,socket --no-legend 2>/dev/null | awk '{print $1}' | sort; }
booted=
before=
if [ -d /run/systemd/system ] && command -v systemctl >/dev/null 2>&1; then
	booted=1
	before=$(units)
fi

export DEBIAN_FRONTEND=noninteractive
apt=(apt-get -y -q -o DPkg::Lock::Timeout=300)
say "installing ${missing[*]}"
if ! "${apt[@]}" install --no-install-recommends "${missing[@]}" >"$log" 2>&1 </dev/null; then
	# Lists that were never fetched, or are so old that the mirror has newer packages only.
	"${apt[@]}" update >>"$log" 2>&1 </dev/null || true
	select_missing "$@"
	if ! "${apt[@]}" install --no-install-recommends "${missing[@]}" >>"$log" 2>&1 </dev/null; then
		tail -n 20 "$log" >&2
		die "apt-get could not install: ${missing[*]}"
	fi
fi
if [ -n "$booted" ]; then
	comm -13 <(printf '%s\n' "$before") <(units) | while read -r unit; do
		systemctl disable --quiet "$unit" 2>/dev/null || true
	done
fi
say "installed ${missing[*]}"

# shellcheck shell=bash
# What every script needs. It is sourced, and leaves the working directory at the root of the tree.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

# Under sudo or CI, HOME may be missing or another user's; Go and the linter keep their caches there.
if [[ ! -O ${HOME:-} ]]; then
	HOME=$(getent passwd "$EUID" | cut -d: -f6)
	export HOME
fi
PATH=$PATH:/usr/sbin:/sbin
if [[ -x /usr/local/go/bin/go ]]; then
	PATH=/usr/local/go/bin:$PATH # sudo leaves it out
fi
export PATH
export CGO_ENABLED=0
# Go must not ask git for a version, except in scripts/build: git refuses the checkout of another user.
export GOFLAGS="-buildvcs=false -tags=urfave_cli_no_docs"

die() {
	echo "${0##*/}: $*" >&2
	exit 1
}

need_root() {
	((EUID == 0)) || die "needs root: sudo $0"
}

# have_go reports whether a Go that is new enough for go.mod is there.
have_go() {
	local have want
	have=$(cd / && GOTOOLCHAIN=local go env GOVERSION 2>/dev/null) || return 1
	want=$(awk '$1 == "go" { print $2 }' go.mod)
	have=${have#go}
	[[ $(printf '%s\n' "$want" "${have%% *}" | sort -V | head -n 1) == "$want" ]]
}

#!/usr/bin/env bash
# as-root.sh PURPOSE COMMAND...: runs a command as root: as it is when root runs this, else by sudo, which is never let
# ask for a password.
set -euo pipefail
purpose=$1
shift

fail() {
    echo "setup: root is needed to $purpose, and $*" >&2
    exit 1
}

[ "$(id -u)" -eq 0 ] && exec "$@"
command -v sudo >/dev/null || fail "there is no sudo here: run make as root"
sudo -n true 2>/dev/null || fail "sudo wants a password: run \`sudo -v\` first, or make as root"
# sudo drops the environment. Root's bytecode beside a person's sources would be in the person's way.
mapfile -t kept < <(env | grep -E '^(LANECAST_[A-Z_]*|CI|DEBIAN_FRONTEND)=' || true)
exec sudo -n env "PATH=$PATH" PYTHONDONTWRITEBYTECODE=1 "${kept[@]}" "$@"

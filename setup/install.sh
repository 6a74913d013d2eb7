#!/usr/bin/env bash
# Brings a machine to where `make demo` and `make test` can run: Debian packages, .venv, locked dependencies, native core.
# Each step leaves a stamp in .venv and is skipped while what it depends on is older.
set -euo pipefail
cd -P "$(dirname "$0")/.."

PATH="$PATH:/usr/local/sbin:/usr/sbin:/sbin:$HOME/.cargo/bin"
venv=.venv
stamps=$venv/stamps
rust=$(sed -n 's/^rust-version = "\(.*\)"/\1/p' Cargo.toml)

fail() {
    echo "setup: $*" >&2
    exit 1
}

install_packages() {
    command -v dpkg-query >/dev/null || fail "this is not Debian: install what setup/debian-packages.txt names by hand"
    mapfile -t wanted < <(grep -v '^#' setup/debian-packages.txt)
    missing=()
    for package in "${wanted[@]}"; do
        dpkg-query -W -f '${db:Status-Status}\n' "$package" 2>/dev/null | grep -qx installed || missing+=("$package")
    done
    [ ${#missing[@]} -eq 0 ] && return
    export DEBIAN_FRONTEND=noninteractive
    local as_root=(setup/as-root.sh "install the Debian packages ${missing[*]}")
    "${as_root[@]}" true || exit 1
    echo "setup: installing the Debian packages ${missing[*]}"
    "${as_root[@]}" apt-get update -qq || fail "apt-get update failed, so these cannot be installed: ${missing[*]}"
    "${as_root[@]}" apt-get install -y -qq --no-install-recommends -o Dpkg::Options::=--force-confold \
        "${missing[@]}" >/dev/null || fail "apt-get could not install these: ${missing[*]}"
}

check_rust() {
    command -v cargo >/dev/null || fail "Rust is missing: install a toolchain of at least $rust, for instance with rustup"
    local have
    have=$(cargo --version 2>/dev/null | cut -d' ' -f2) || true
    [ -n "$have" ] || fail "cargo does not run: install a Rust toolchain of at least $rust, for instance with rustup"
    [ "$(printf '%s\n' "$rust" "$have" | sort -V | head -n 1)" = "$rust" ] ||
        fail "Rust $have is too old: at least $rust is needed"
}

check_python() {
    command -v python3 >/dev/null || fail "Python is missing: install python3, at least 3.11"
    python3 -c 'import sys; sys.exit(sys.version_info < (3, 11))' ||
        fail "Python $(python3 -c 'import platform; print(platform.python_version())') is too old: at least 3.11 is needed"
}

# up_to_date STAMP FILE...: whether the stamp exists and no file is newer.
up_to_date() {
    local stamp=$1
    shift
    [ -e "$stamp" ] && [ -z "$(find "$@" -newer "$stamp" -print -quit)" ]
}

# A .venv that came with a copied or moved clone would run the other clone's code; one whose Python is gone would run none.
venv_is_ours() {
    $venv/bin/python -c 'import pip' 2>/dev/null && head -n 3 $venv/bin/pip | grep -qF "$PWD/$venv/bin/python"
}

# A stamp is as old as the start of its step: what changes meanwhile is seen by the next run.
install_dependencies() {
    venv_is_ours || python3 -m venv --clear $venv || fail "python3 -m venv failed"
    mkdir -p $stamps
    up_to_date $stamps/dependencies requirements.lock && return
    touch $stamps/started
    echo "setup: installing the locked Python dependencies"
    $venv/bin/python -m pip install --quiet --disable-pip-version-check --no-input \
        --require-hashes -r requirements.lock || fail "pip could not install requirements.lock"
    mv $stamps/started $stamps/dependencies
}

install_project() {
    local sources=(Cargo.lock Cargo.toml pyproject.toml hatch_build.py relay/pyproject.toml relay/core netlab/wire)
    [ -x $venv/bin/lanecast ] && [ -x $venv/bin/lanecast-wire ] && compgen -G "relay/lanecast_relay/_core*.so" >/dev/null &&
        up_to_date $stamps/project "${sources[@]}" $stamps/dependencies && return
    touch $stamps/started
    echo "setup: building the native core and the lab's tool"
    local log=$stamps/build.log
    PATH="$PWD/$venv/bin:$PATH" $venv/bin/python -m pip install --quiet --disable-pip-version-check --no-input \
        --no-deps --no-build-isolation --editable ./relay --editable . >"$log" 2>&1 || {
        cat "$log" >&2
        fail "the build failed; its messages are above"
    }
    mv $stamps/started $stamps/project
}

exec 9<setup/install.sh # two set-ups of one clone, `make demo` beside `make test`, take turns
flock 9
check_rust
install_packages
setup/oracles.sh || fail "programs that check files could not be unpacked"
check_python
install_dependencies
install_project

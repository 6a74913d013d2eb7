#!/usr/bin/env bash
# Brings a machine to where `make demo` and `make test` can run: Debian packages, .venv, locked dependencies, native core.
# Each step leaves a stamp in .venv and is skipped while what it depends on is older.
set -euo pipefail
cd "$(dirname "$0")/.."

PATH="$PATH:/usr/local/sbin:/usr/sbin:/sbin:$HOME/.cargo/bin"
venv=.venv
stamps=$venv/stamps

fail() {
    echo "setup: $*" >&2
    exit 1
}

as_root() {
    if [ "$(id -u)" -eq 0 ]; then
        env DEBIAN_FRONTEND=noninteractive "$@"
    elif command -v sudo >/dev/null; then
        sudo env DEBIAN_FRONTEND=noninteractive "$@"
    else
        fail "these Debian packages are missing and need root or sudo to install: ${missing[*]}"
    fi
}

install_packages() {
    command -v dpkg-query >/dev/null || fail "this is not Debian: install what setup/debian-packages.txt names by hand"
    mapfile -t wanted < <(grep -v '^#' setup/debian-packages.txt)
    missing=()
    for package in "${wanted[@]}"; do
        dpkg-query -W -f '${db:Status-Status}\n' "$package" 2>/dev/null | grep -qx installed || missing+=("$package")
    done
    [ ${#missing[@]} -eq 0 ] && return
    echo "setup: installing ${missing[*]}"
    as_root apt-get update -qq || fail "apt-get update failed, so ${missing[*]} cannot be installed"
    as_root apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null ||
        fail "apt-get could not install ${missing[*]}"
}

check_toolchains() {
    command -v cargo >/dev/null || fail "Rust is missing: install a toolchain of at least 1.85, for instance with rustup"
    command -v python3 >/dev/null || fail "Python is missing: install python3, at least 3.11"
    python3 -c 'import sys; sys.exit(sys.version_info < (3, 11))' ||
        fail "Python $(python3 -c 'import platform; print(platform.python_version())') is too old: at least 3.11 is needed"
}

# newer_than STAMP FILE...: whether the stamp exists and no file is newer.
up_to_date() {
    local stamp=$1
    shift
    [ -e "$stamp" ] && [ -z "$(find "$@" -newer "$stamp" -print -quit)" ]
}

install_dependencies() {
    [ -x $venv/bin/python ] || python3 -m venv $venv || fail "python3 -m venv failed"
    mkdir -p $stamps
    up_to_date $stamps/dependencies requirements.lock && return
    echo "setup: installing locked Python dependencies"
    $venv/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock ||
        fail "pip could not install requirements.lock"
    touch $stamps/dependencies
}

install_project() {
    local sources=(Cargo.lock Cargo.toml pyproject.toml hatch_build.py relay/pyproject.toml relay/core netlab/wire)
    up_to_date $stamps/project "${sources[@]}" $stamps/dependencies && return
    echo "setup: building the native core and the lab's tool"
    local log=$stamps/build.log
    PATH="$PWD/$venv/bin:$PATH" $venv/bin/python -m pip install --quiet --disable-pip-version-check --no-deps \
        --no-build-isolation --editable ./relay --editable . >"$log" 2>&1 || {
        cat "$log" >&2
        fail "the build failed; its messages are above"
    }
    touch $stamps/project
}

install_packages
check_toolchains
install_dependencies
install_project

#!/usr/bin/env bash
# pulumi.sh [--if-possible]: brings the Pulumi command and its Python language host to where the cloud part finds them.
# One on PATH is taken when its version will do; otherwise both are built from their Go modules into build/pulumi/bin,
# which takes six minutes the first time and a second afterwards. With --if-possible, a machine without Go is only told.
set -euo pipefail
cd -P "$(dirname "$0")/.."

PATH="$PATH:/usr/local/go/bin"
here=setup/pulumi
bin=$PWD/build/pulumi/bin
stamp=build/pulumi/built
oldest=3.200.0 # of an installed Pulumi; the Python SDK of requirements.lock speaks to it
oldest_go=$(sed -n 's/^go //p' $here/engine/go.mod)
engine=$(sed -n 's|^require github.com/pulumi/pulumi/pkg/v3 ||p' $here/engine/go.mod)
host=$(sed -n 's|^require github.com/pulumi/pulumi/sdk/v3 ||p' $here/language-host/go.mod)
version=github.com/pulumi/pulumi/sdk/v3/go/common/version.Version # without it the automation API refuses the command

fail() {
    echo "setup: $*" >&2
    exit 1
}

# at_least OLDEST HAVE: whether HAVE is that version or a newer one.
at_least() {
    [ "$(printf '%s\n' "$1" "$2" | sort -V | head -n 1)" = "$1" ]
}

installed() {
    local have program
    for program in pulumi pulumi-language-python pulumi-language-python-exec; do
        command -v $program >/dev/null || return 1
    done
    have=$(PULUMI_SKIP_UPDATE_CHECK=1 pulumi version 2>/dev/null) || return 1
    at_least "$oldest" "${have#v}"
}

built() {
    [ -x "$bin/pulumi" ] && [ -x "$bin/pulumi-language-python" ] && [ -x "$bin/pulumi-language-python-exec" ] &&
        [ -e $stamp ] && [ -z "$(find setup/pulumi.sh $here -newer $stamp -print -quit)" ]
}

check_go() {
    local have
    have=$(go env GOVERSION 2>/dev/null) || have=
    [ -n "$have" ] && at_least "$oldest_go" "${have#go}" && return
    local wanted="install Pulumi of at least $oldest, or Go of at least $oldest_go to build it"
    [ "${1:-}" = --if-possible ] || fail "Pulumi is missing: $wanted"
    echo "setup: Pulumi is missing, so \`lanecast infra\` and the tests of infra/ cannot run: $wanted"
    exit 0
}

# build FOLDER COMMAND VERSION: one command of the module in FOLDER, into $bin.
build() {
    (cd "$here/$1" && nice -n 10 go build -mod=readonly -ldflags "-s -w -X $version=$3" \
        -o "$bin/$(basename "$2")" "$2") || fail "go could not build $2; its messages are above"
}

# The language host starts this script for every program; it comes with the engine's version of the SDK module.
copy_executor() {
    local folder
    folder=$(cd $here/engine && go list -mod=readonly -m -f '{{.Dir}}' github.com/pulumi/pulumi/sdk/v3)
    install -m 755 "$folder/python/cmd/pulumi-language-python-exec" "$bin/"
}

installed && exit 0
built && exit 0
check_go "$@"
mkdir -p "$bin"
exec 9<setup/pulumi.sh # a second one waits, then finds everything built
flock 9
built && exit 0
touch build/pulumi/started
echo "setup: building Pulumi $engine from its Go module: six minutes the first time"
build engine github.com/pulumi/pulumi/pkg/v3/cmd/pulumi "$engine"
echo "setup: building Pulumi's Python language host $host"
build language-host github.com/pulumi/pulumi/sdk/v3/python/cmd/pulumi-language-python "$host"
copy_executor
mv build/pulumi/started $stamp

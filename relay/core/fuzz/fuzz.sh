#!/usr/bin/env bash
# Builds and runs the fuzz targets and the sanitized tests with the ordinary stable toolchain.
#
#   fuzz.sh targets                names of all targets
#   fuzz.sh run TARGET SECONDS     one target
#   fuzz.sh every SECONDS          every target, and a table at the end; FUZZ_JOBS of them at a time
#   fuzz.sh soak SECONDS           the same, then the simulator for as long
#   fuzz.sh repeat TARGET FILE     one input again, as kept from a crash
#   fuzz.sh sanitize               the pure crate's tests under the address sanitizer
#
# Coverage and sanitizers are options that stable compilers have and hide: RUSTC_BOOTSTRAP=1 shows them.
set -euo pipefail
cd -P "$(dirname "$0")/../../.."
root=$PWD
work=$root/build/fuzz
results=$work/results
host=$(rustc -vV | sed -n 's/^host: //p')
binaries=$root/target/fuzz/$host/release
jobs=${FUZZ_JOBS:-$(nproc)}
export RUSTC_BOOTSTRAP=1

fail() {
    echo "fuzz: $*" >&2
    exit 1
}

check_toolchain() {
    compgen -G "$(rustc --print sysroot)/lib/rustlib/$host/lib/librustc-*_rt.asan.a" >/dev/null ||
        fail "this Rust has no address sanitizer for $host: install the toolchain with rustup, which ships it"
    command -v c++ >/dev/null || fail "a C++ compiler is missing, which builds the fuzzer: install g++"
}

build() {
    check_toolchain
    local flags=(-Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4
        -Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table
        -Cllvm-args=-sanitizer-coverage-trace-compares -Zsanitizer=address -Ccodegen-units=1 --cfg fuzzing)
    RUSTFLAGS="${flags[*]}" CARGO_TARGET_DIR=$root/target/fuzz cargo build --quiet --release --locked \
        --manifest-path relay/core/fuzz/Cargo.toml --target "$host"
    "$binaries/seeds" "$work/seeds"
}

# One a protocol, then the others. A new target is a file in src/bin, named here, with what it begins with in seeds.rs.
targets() {
    sed -n 's/^    \([a-z0-9_]*\)::PROTOCOL,$/\1/p' relay/core/pure/src/protocols/mod.rs | tr _ - | sed 's/^/protocol-/'
    printf '%s\n' reframing memory arbiter re-requests journal
}

# run_binary TARGET ARGUMENT...: the fuzzer of a target.
run_binary() {
    local target=$1 binary=$1
    shift
    if [[ $target == protocol-* ]]; then
        binary=protocol
        export LANECAST_FUZZ_PROTOCOL=${target#protocol-}
    fi
    "$binaries/$binary" -timeout=10 -rss_limit_mb=2048 -max_len=2048 "$@"
}

# run TARGET SECONDS: adds a row to the results. Returns whether the target was clean.
run() {
    local target=$1 seconds=$2 corpus=$work/corpus/$1 log=$work/$1.log verdict=clean
    targets | grep -x -- "$target" >/dev/null || fail "no target is called $target; the names are: $(targets | tr '\n' ' ')"
    mkdir -p "$corpus" "$work/crashes" "$results"
    run_binary "$target" -max_total_time="$seconds" -print_final_stats=1 -artifact_prefix="$work/crashes/$target-" \
        "$corpus" "$work/seeds/$target" >"$log" 2>&1 || verdict=FAILED
    local runs edges
    runs=$(sed -n 's/^stat::number_of_executed_units: *//p' "$log")
    edges=$(grep -o 'cov: [0-9]*' "$log" | tail -n 1 | cut -c 6-)
    printf '| %s | %s | %s | %s | %s | %s |\n' "$target" "$seconds" "${runs:-?}" "${edges:-?}" \
        "$(find "$corpus" -type f | wc -l)" "$verdict" >"$results/$target"
    echo "fuzz: $target: ${runs:-?} runs, $verdict" >&2
    [ "$verdict" = clean ] && return
    tail -n 60 "$log" >&2
    local kept
    kept=$(sed -n 's/^Test unit written to //p;s/.*Test unit written to //p' "$log" | tail -n 1)
    echo "fuzz: $target failed (its messages: $log); this repeats it:" >&2
    echo "  bash relay/core/fuzz/fuzz.sh repeat $target ${kept#"$root"/}" >&2
    return 1
}

table() {
    printf '\n%s, revision %s\n\n' "$(date -u '+%Y-%m-%d %H:%M UTC')" "$(git describe --always --dirty 2>/dev/null)"
    printf '| %s | %s | %s | %s | %s | %s |\n' target seconds runs "edges covered" corpus result
    printf '|---|--:|--:|--:|--:|---|\n'
    cat "$results"/*
    if [ -s "$work/simulator.log" ]; then
        printf '\n%s\n' "$(grep -h '^simulator: ' "$work/simulator.log" || echo "simulator: FAILED, see $work/simulator.log")"
    fi
}

every() {
    rm -rf "$results" "$work/simulator.log"
    targets | xargs -P "$jobs" -I TARGET bash "$root/relay/core/fuzz/fuzz.sh" built TARGET "$1"
}

simulator() {
    # Every soak takes seeds that no other took, and says which.
    LANECAST_SIMULATION_S=$1 LANECAST_SIMULATION_FIRST_SEED=${LANECAST_SIMULATION_FIRST_SEED:-$(date +%s)} \
        cargo test --release --locked -p lanecast-relay-core --test simulation -- --nocapture >"$work/simulator.log" 2>&1 &&
        return
    grep -A 12 'panicked' "$work/simulator.log" >&2
    grep -A 1 '^seed ' "$work/simulator.log" >&2
    return 1
}

sanitize() {
    check_toolchain
    # A fifth of the packets: a sanitized run is several times slower.
    export LANECAST_SIMULATION_PACKETS=${LANECAST_SIMULATION_PACKETS:-300000}
    RUSTFLAGS="-Zsanitizer=address" CARGO_PROFILE_RELEASE_LTO=off CARGO_PROFILE_RELEASE_CODEGEN_UNITS=16 \
        CARGO_PROFILE_RELEASE_OPT_LEVEL=1 CARGO_PROFILE_RELEASE_OVERFLOW_CHECKS=true \
        CARGO_TARGET_DIR=$root/target/sanitize cargo test --quiet --release --locked -p lanecast-relay-core \
        --target "$host" --lib --tests
}

command=${1:-}
case $command:$# in
targets:1) targets ;;
run:3) build && run "$2" "$3" && cat "$results/$2" ;;
built:3) run "$2" "$3" ;; # one of `every`, which has built it
every:2 | soak:2)
    build
    status=0
    every "$2" || status=1
    if [ "$command" = soak ]; then
        simulator "$2" || status=1
    fi
    table | tee "$work/table.md"
    exit $status
    ;;
repeat:3) build && run_binary "$2" "$3" ;;
sanitize:1) sanitize ;;
*)
    sed -n '2,/^$/s/^# \{0,1\}//p' "$0" >&2
    exit 2
    ;;
esac

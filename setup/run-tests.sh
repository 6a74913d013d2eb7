#!/usr/bin/env bash
# run-tests.sh WORKERS [PYTEST ARGUMENT]...: the Python tests, in two parts that print a closing line each: those that make
# no network run side by side; then the lab's run one after another, because they watch what is left on the machine and
# how fast packets are.
set -euo pipefail
cd "$(dirname "$0")/.."
workers=$1
shift

NO_TEST=5 # pytest's exit code when it has collected none
codes=()
part() {
    local code=0
    .venv/bin/python -m pytest -ra "$@" || code=$?
    [ $code -eq 2 ] && exit 2 # interrupted
    codes+=($code)
}

# In the order of the files: the longest are not the ones with the most tests.
part --lab=without -n "$workers" --dist loadfile --no-loadscope-reorder "$@"
part --lab=only "$@"

[ "${codes[*]}" = "$NO_TEST $NO_TEST" ] && exit $NO_TEST
for code in "${codes[@]}"; do
    [ "$code" -eq 0 ] || [ "$code" -eq $NO_TEST ] || exit "$code"
done

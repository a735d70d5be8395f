#!/usr/bin/env bash
# Builds the fuzz targets (clang, with address and undefined-behaviour sanitizers) and runs each for a while.
#
#   tests/fuzz/run.sh [SECONDS] [TARGET]...      (default: 10 seconds, all targets)
#
# Inputs begin with the golden captures and the seeds of corpus.py; what is found on the way is kept in build/fuzz/corpus
# for the next run. An input that breaks a promise is left in build/fuzz/findings, and the exit code is 1. To see it again:
# build/fuzz/tests/fuzz/TARGET_fuzz build/fuzz/findings/TARGET/...
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

all=(stream_message pgoutput pgoutput_streaming wal2json row_json resp config channel_template predicate)
seconds=10
if [[ ${1:-} =~ ^[0-9]+$ ]]; then seconds=$1; shift; fi
targets=("${@:-${all[@]}}")
for target in "${targets[@]}"; do
    [[ -e tests/fuzz/${target}_fuzz.cpp ]] || { echo "fuzz: unknown target \"$target\"; known: ${all[*]}" >&2; exit 2; }
done

deploy/install.sh build fuzz
command -v ccache >/dev/null && export CMAKE_CXX_COMPILER_LAUNCHER=ccache
cmake --preset fuzz --log-level=WARNING >/dev/null
cmake --build --preset fuzz --target "${targets[@]/%/_fuzz}" -j "$(nproc)"
tests/fuzz/corpus.py build/fuzz/seeds
mkdir -p build/fuzz/logs

# Large enough for the largest value of the corpus many times over, far below what an announced length could ask for.
fuzz() {  # TARGET SECONDS
    local corpus=build/fuzz/corpus/$1 findings=build/fuzz/findings/$1 dictionary=tests/fuzz/$1.dict
    mkdir -p "$corpus" "$findings"
    rm -f "$findings"/*
    # The quarantine would count as ours.
    ASAN_OPTIONS=quarantine_size_mb=16 UBSAN_OPTIONS=print_stacktrace=1 "build/fuzz/tests/fuzz/$1_fuzz" \
        -max_total_time="$2" -timeout=25 -malloc_limit_mb=40 -rss_limit_mb=512 -print_final_stats=1 \
        -artifact_prefix="$findings/" ${dictionary:+$([[ -e $dictionary ]] && echo "-dict=$dictionary")} \
        "$corpus" "build/fuzz/seeds/$1" >"build/fuzz/logs/$1" 2>&1 || touch "$findings/failed"
}
export -f fuzz
printf '%s\n' "${targets[@]}" | xargs -P "$(nproc)" -I{} bash -c 'fuzz "$1" "$2"' fuzz {} "$seconds"

status=0
printf '%-20s %12s %9s %9s %10s %9s %7s  %s\n' target executions exec/s coverage features 'new units' 'RSS MB' findings
for target in "${targets[@]}"; do
    log=build/fuzz/logs/$target
    stat() { sed -n "s/^stat::$1: *//p" "$log" | tail -1; }
    after() { grep -oE " $1: [0-9]+" "$log" | tail -1 | grep -oE '[0-9]+$' || true; }
    found=$(find "build/fuzz/findings/$target" -type f ! -name failed | wc -l)
    if [[ -e build/fuzz/findings/$target/failed && $found -eq 0 ]]; then found='did not run'; fi
    printf '%-20s %12s %9s %9s %10s %9s %7s  %s\n' "$target" "$(stat number_of_executed_units)" \
        "$(stat average_exec_per_sec)" "$(after cov)" "$(after ft)" "$(stat new_units_added)" "$(stat peak_rss_mb)" "$found"
    [[ $found == 0 ]] && continue
    status=1
    echo "--- $log" >&2
    grep -nE 'ERROR|SUMMARY|runtime error|broken promise|terminate|what\(\)|Test unit written|Base64' "$log" | head -20 >&2 ||
        tail -20 "$log" >&2
done
exit "$status"

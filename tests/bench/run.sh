#!/usr/bin/env bash
# Measures walcast beside pg_recvlogical and LISTEN/NOTIFY and prints a table; options are those of bench.py (--help).
# With --micro first: decoding and encoding alone, in rows and bytes a second; options are those of Google Benchmark, such
# as --benchmark_filter=decode/pgoutput, and --replay FILE for a recording of `walcast tail --record`.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

deploy/install.sh bench
if [[ ${1:-} == --micro ]]; then
    deploy/install.sh build test
    cmake --preset release -DWALCAST_TESTS=ON --log-level=WARNING >/dev/null
    cmake --build --preset release --target micro_bench -j "$(nproc)"
    exec build/release/tests/micro_bench "${@:2}"
fi
if [[ -z ${WALCAST_BIN:-} && ! -x build/release/walcast ]]; then
    deploy/install.sh build
    [[ -e build/release/CMakeCache.txt ]] || cmake --preset release -DWALCAST_TESTS=OFF --log-level=WARNING
    cmake --build --preset release --target walcast -j "$(nproc)"
fi
exec /usr/bin/python3 tests/bench/bench.py "$@"

#!/usr/bin/env bash
# Measures walcast beside pg_recvlogical, a Node program and LISTEN/NOTIFY and prints tables; options are those of bench.py
# (--help). Without any it takes about half an hour, and wants a quiet machine. The Node program needs Node 20 and npm.
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
if [[ -z ${WALCAST_BIN:-} ]]; then
    deploy/install.sh build test
    cmake --preset release -DWALCAST_TESTS=ON --log-level=WARNING >/dev/null
    cmake --build --preset release --target walcast latency_floor -j "$(nproc)"
fi
# The Node program's packages, exactly those of the lock file, outside of the sources.
peer=build/peer
if command -v npm >/dev/null && ! cmp -s tests/bench/peer/package-lock.json $peer/installed.json; then
    mkdir -p $peer
    cp tests/bench/peer/package{,-lock}.json $peer/
    if (cd $peer && npm ci --ignore-scripts --no-audit --no-fund --loglevel=error); then
        cp $peer/package-lock.json $peer/installed.json
    else
        echo "run.sh: npm failed, so the Node program is left out" >&2
    fi
fi
exec /usr/bin/python3 tests/bench/bench.py "$@"

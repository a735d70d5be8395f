#!/usr/bin/env bash
# Measures walcast beside pg_recvlogical and LISTEN/NOTIFY and prints a table; options are those of bench.py (--help).
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

deploy/install.sh bench
if [[ -z ${WALCAST_BIN:-} && ! -x build/release/walcast ]]; then
    deploy/install.sh build
    [[ -e build/release/CMakeCache.txt ]] || cmake --preset release -DWALCAST_TESTS=OFF --log-level=WARNING
    cmake --build --preset release --target walcast -j "$(nproc)"
fi
exec /usr/bin/python3 tests/bench/bench.py "$@"

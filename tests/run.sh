#!/usr/bin/env bash
# Installs what is missing, builds, and runs the tests by ctest. From any directory, as root or not.
#
#   tests/run.sh [PART]... [-- CTEST OPTION...]
#
# Parts: --unit (with the golden captures), --sanitizers (the same under address and undefined-behaviour sanitizers),
# --fuzz (each target for some seconds), --integration, --matrix (the differential test on PostgreSQL 14 to 18;
# WALCAST_DIFF_SECONDS is the time for each), --clients (unmodified clients from npm; they want Node 20 and npm), --image, --bench,
# --all. Without any: --unit --sanitizers --fuzz --integration.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

parts=()
while [[ $# -gt 0 ]]; do
    case $1 in
        --unit | --sanitizers | --fuzz | --integration | --matrix | --clients | --image | --bench) parts+=("${1#--}") ;;
        --all) parts=(unit sanitizers fuzz integration matrix clients image bench) ;;
        --) shift; break ;;
        -h | --help) sed -n '2,/^set/{/^#/s/^# \{0,1\}//p}' "${BASH_SOURCE[0]}"; exit ;;
        *) echo "run.sh: unknown part \"$1\"; see tests/run.sh --help" >&2; exit 2 ;;
    esac
    shift
done
[[ ${#parts[@]} -gt 0 ]] || parts=(unit sanitizers fuzz integration)
ctest_options=("$@")

wants() { [[ " ${parts[*]} " == *" $1 "* ]]; }

# A bare chroot has none of these; servers and tests need them.
export LC_ALL=C.UTF-8
mounted=()
unmount() { for ((i = ${#mounted[@]} - 1; i >= 0; i--)); do umount -l "${mounted[i]}"; done; }  # /proc last: umount reads it.
trap unmount EXIT
if [[ $EUID -eq 0 ]]; then
    if [[ ! -e /proc/self ]]; then mount -t proc proc /proc && mounted+=(/proc); fi
    if [[ ! -e /dev/pts/ptmx ]]; then mkdir -p /dev/pts && mount -t devpts devpts /dev/pts && mounted+=(/dev/pts); fi
fi

purposes=(build test)
for part in fuzz matrix image bench; do
    if wants "$part"; then purposes+=("$part"); fi
done
deploy/install.sh "${purposes[@]}"

command -v ccache >/dev/null && export CMAKE_CXX_COMPILER_LAUNCHER=ccache

build() {
    cmake --preset "$1" -DWALCAST_TESTS=ON --log-level=WARNING
    cmake --build --preset "$1" -j "$(nproc)"
}

failed=()
run_tests() {  # PRESET LABELS [CTEST OPTION]...
    echo "== $1: tests labelled $2"
    ctest --test-dir "build/$1" -L "^($2)\$" --no-tests=error --output-on-failure "${@:3}" "${ctest_options[@]}" ||
        failed+=("$2 ($1)")
}

build release
if wants unit; then run_tests release 'unit|golden' -j "$(nproc)"; fi
if wants sanitizers; then
    build asan
    run_tests asan 'unit|golden' -j "$(nproc)"
fi
if wants fuzz; then run_tests release fuzz --verbose; fi
# They wait more than they work.
if wants integration; then run_tests release integration -j "$(nproc)"; fi
# Long ones show what they do.
if wants matrix; then
    tests/support/get_postgres.sh
    run_tests release matrix --verbose
fi
if wants clients; then
    tests/clients/install.sh
    run_tests release clients -j "$(nproc)"
fi
if wants image; then run_tests release image --verbose; fi
if wants bench; then run_tests release bench --verbose; fi

if [[ ${#failed[@]} -gt 0 ]]; then
    printf 'run.sh: failed: %s\n' "${failed[@]}" >&2
    exit 1
fi

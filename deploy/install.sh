#!/usr/bin/env bash
# Installs the Debian 12 packages that the named purposes need; touches nothing when they are all there.
# No system service is started, enabled or configured. Runs as root or with sudo.
#
#   deploy/install.sh [build|demo|test|fuzz|matrix|bench|image]...      (default: build)
set -euo pipefail

packages_of() {
    case $1 in
        build) echo g++ cmake ninja-build pkg-config libpq-dev libboost1.81-dev libboost-url1.81-dev libfmt-dev \
                    libspdlog-dev libhiredis-dev libssl-dev libcli11-dev libtomlplusplus-dev libxxhash-dev \
                    libsimdjson-dev prometheus-cpp-dev ;;
        demo) echo postgresql-15 postgresql-client-15 redis-server redis-tools ;;
        test) packages_of demo; echo postgresql-15-wal2json libgtest-dev python3 python3-pytest python3-psycopg2 python3-redis python3-yaml strace \
                   libfaketime iproute2 iptables
              # For servers of other versions, as of failover. It brings 400 packages (48 MB); where nodejs is from elsewhere it has
              # one of its own, which Debian's conflicts with.
              command -v npm >/dev/null || echo npm ;;
        fuzz) echo clang libclang-rt-14-dev python3 ;;
        matrix) packages_of test ;;
        bench) packages_of demo; echo libbenchmark-dev python3 python3-psycopg2 python3-redis ;;
        image) packages_of bench; echo buildah debootstrap python3-yaml ;;
        *) echo "install.sh: unknown purpose \"$1\"; known: build demo test fuzz matrix bench image" >&2; return 2 ;;
    esac
}

wanted=()
for purpose in "${@:-build}"; do
    names=$(packages_of "$purpose")
    read -r -d '' -a more <<<"$names" || true
    wanted+=("${more[@]}")
done

installed=$(dpkg-query -W -f '${db:Status-Status} ${Package}\n' "${wanted[@]}" 2>/dev/null | sed -n 's/^installed //p' || true)
missing=()
for package in "${wanted[@]}"; do
    grep -qxF -- "$package" <<<"$installed" || missing+=("$package")
done
[[ ${#missing[@]} -gt 0 ]] || exit 0

if [[ $EUID -eq 0 ]]; then
    as_root=()
elif command -v sudo >/dev/null; then
    as_root=(sudo)
else
    echo "install.sh: needs root or sudo to install: ${missing[*]}" >&2
    exit 1
fi

# Both files matter only while the packages are set up: the first keeps services from starting, the second keeps
# Debian from making a cluster of its own. Whatever was there before stays.
policy=/usr/sbin/policy-rc.d
no_cluster=/etc/postgresql-common/createcluster.d/walcast-install.conf
ours=()
clean_up() { [[ ${#ours[@]} -eq 0 ]] || "${as_root[@]}" rm -f "${ours[@]}"; }
trap clean_up EXIT

if [[ ! -e $policy ]]; then
    ours+=("$policy")
    printf '#!/bin/sh\nexit 101\n' | "${as_root[@]}" tee "$policy" >/dev/null
    "${as_root[@]}" chmod 755 "$policy"
fi
ours+=("$no_cluster")
"${as_root[@]}" mkdir -p "${no_cluster%/*}"
echo 'create_main_cluster = off' | "${as_root[@]}" tee "$no_cluster" >/dev/null

echo "install.sh: installing ${missing[*]}"
apt_get() { "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -q -o Acquire::Retries=3 -o Dpkg::Use-Pty=0 "$@"; }
apt_get update
apt_get install -y --no-install-recommends "${missing[@]}"

# The package enables a Redis on port 6379 for the next boot; nobody here asked for one.
if [[ " ${missing[*]} " == *" redis-server "* ]] && command -v systemctl >/dev/null; then
    "${as_root[@]}" systemctl --quiet disable redis-server.service || true
fi

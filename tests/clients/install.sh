#!/usr/bin/env bash
# Puts the npm packages of the clients' tests into build/clients: exactly those of the lock file, outside of the sources.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

fail() {
    echo "install.sh: $1; the clients' tests need the npm packages of tests/clients/package.json" >&2
    exit 1
}
command -v node >/dev/null || fail "no node"
node -e 'process.exit(Number(process.versions.node.split(".")[0]) >= 20 ? 0 : 1)' || fail "node is $(node --version), and has to be 20 or later"
command -v npm >/dev/null || fail "no npm"

clients=build/clients
cmp -s tests/clients/package-lock.json $clients/installed.json && exit 0
rm -rf $clients
mkdir -p $clients
cp tests/clients/package{,-lock}.json $clients/
# None of them needs its scripts: what they would compile is optional.
(cd $clients && npm ci --ignore-scripts --no-audit --no-fund --loglevel=error) || fail "npm ci failed"
cp $clients/package-lock.json $clients/installed.json

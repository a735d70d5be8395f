#!/usr/bin/env bash
# Unit tests are one program, in which two types of one name are undefined behaviour that no compiler sees: they need names of
# their own, or an anonymous namespace.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

twice=$(find agent decoders sinks -name '*_test.cpp' -print0 |
    xargs -0 awk 'FNR == 1 { hidden = 0 } /^namespace \{/ { hidden = 1 } /^}  \/\/ namespace$/ { hidden = 0 }
        !hidden && /^(struct|class) [A-Z]/ { print $2 }' | sed 's/[:;{].*//' | sort | uniq -d)
[[ -z $twice ]] || { echo "check_names.sh: types of two tests: $twice" >&2; exit 1; }

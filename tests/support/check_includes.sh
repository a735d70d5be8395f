#!/usr/bin/env bash
# Checks by the include lines which folder knows which, and where each library is met (design: docs/architecture.md).
# Without arguments it looks at this repository; a test may give another root.
set -euo pipefail
cd "${1:-$(dirname "${BASH_SOURCE[0]}")/../..}"

failed=0

# The include lines of files, as FILE:LINE:WHAT with WHAT bare of brackets and quotes.
includes() { grep -rnE '^[[:space:]]*#[[:space:]]*include' --include='*.hpp' --include='*.cpp' "$@" |
    sed -E 's/^([^:]+:[0-9]+):[[:space:]]*#[[:space:]]*include[[:space:]]*[<"]([^>"]+)[>"].*/\1:\2/'; }

# WHY, then the offending lines on standard input.
refuse() {
    local why=$1 line
    while IFS= read -r line; do
        echo "$line: $why" >&2
        failed=1
    done
}

# PATTERN may be included only by the files that follow.
only_in() {
    local pattern=$1 allowed
    shift
    allowed=$(IFS='|'; echo "$*")
    refuse "met only in $*" < <(includes decoders sinks agent | grep -E ":($pattern)" |
        grep -vE "^($allowed):" || true)
}

for folder in decoders sinks agent; do
    [[ -n $(includes "$folder") ]] || { echo "$folder: no include lines found" >&2; exit 1; }
done

# The arrows between folders.
refuse "decoders know neither agent nor sinks" < <(includes decoders | grep -E ':(agent|sinks|tests)/' || true)
refuse "sinks do not know the agent" < <(includes sinks | grep -E ':(agent|tests)/' || true)
refuse "of the decoders, sinks know sync_action.hpp and what that includes" < <(includes sinks |
    grep -E ':decoders/' | grep -vE ':decoders/(sync_action|lsn)\.hpp$' || true)
refuse "sync_action.hpp is a plain value" < <(includes decoders/sync_action.hpp decoders/lsn.hpp |
    grep -E ':(decoders|sinks|agent)/' | grep -vE ':decoders/lsn\.hpp$' || true)
refuse "no product code knows the tests" < <(includes agent | grep -E ':(tests|gtest|gmock)/' || true)
refuse "ours are included from the root" < <(grep -rnE '^[[:space:]]*#[[:space:]]*include[[:space:]]*"' \
    --include='*.hpp' --include='*.cpp' decoders sinks agent | grep -vE '"(decoders|sinks|agent)/[^"]+"' || true)

# What decoders are without.
refuse "decoders have no sockets, no clocks of others, no logs" < <(includes decoders |
    grep -E ':(boost/|openssl/|libpq|postgresql/|hiredis|spdlog/|CLI/|toml|sys/socket|netinet/|unistd\.h)' || true)

# Each library in one place.
only_in 'libpq|postgresql/|pg_config' agent/pg_connection.cpp
only_in 'hiredis' sinks/resp.cpp
only_in 'openssl/|boost/asio/ssl' sinks/redis_connection.cpp sinks/redis_tls.cpp sinks/redis_tls.hpp
only_in 'spdlog/' agent/log.cpp
only_in 'CLI/' agent/main.cpp
only_in 'prometheus/' agent/metrics.cpp
only_in 'boost/beast' agent/http/http_client.cpp agent/http/http_server.cpp
only_in 'toml\+\+|toml\.h' agent/config.cpp agent/output_keys.cpp agent/output_keys.hpp agent/rules/rule_keys.cpp agent/rules/rule_keys.hpp
only_in 'xxhash' agent/numbering.cpp
only_in 'simdjson' agent/json_members.hpp agent/explain/found_id.cpp agent/json_document.hpp agent/snapshot/snapshot_json.cpp agent/tail/tail_view.cpp decoders/nested_values.cpp decoders/utf8.cpp decoders/wal2json_frame.cpp

# What decides is free of the loop, of logs and of the wall clock.
pure=(agent/{backoff,batch_builder,catalog,config,config_keys,errors,harmless,metrics,net_effects,numbering,output_check,output_keys,process,readiness,spelling,spool}.{cpp,hpp} agent/rules/*
    agent/delta/{chorus_page,delta,delta_view}.{cpp,hpp} agent/http/{data_query,http_routes,listen_address}.{cpp,hpp} agent/status/status_{facts,view}.{cpp,hpp}
    agent/doctor/{doctor_{facts,finding,identity,mends,rules},secret_names}.{cpp,hpp} agent/doctor/doctor_{coverage,fit,sharing}.cpp
    agent/explain/{explanation,explanation_view,found_id,recorded_changes,verdict}.{cpp,hpp} agent/recording/* agent/tail/tail_view.{cpp,hpp}
    agent/snapshot/{pg_snapshot,recent_transactions}.{cpp,hpp}
    agent/bootstrap/{bootstrap_progress,bootstrap_token,copy_row}.{cpp,hpp})
refuse "pure: no Asio, no log" < <(includes "${pure[@]}" |
    grep -E ':(boost/asio|agent/(log|concurrency|session|pg_connection)\.hpp)' || true)
refuse "pure: no clock" < <(grep -nE '(system|steady)_clock::now|std::time\(' "${pure[@]}" || true)

exit "$failed"

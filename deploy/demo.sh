#!/usr/bin/env bash
# Shows walcast at work: a private Postgres and Redis, changes made by SQL, and what subscribers receive.
# Installs and builds what is missing (Debian 12), leaves nothing running, and no file outside build/.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

if [[ -t 1 ]]; then
    bold=$'\e[1m' blue=$'\e[34m' red=$'\e[31m' plain=$'\e[0m' color=always
else
    bold='' blue='' red='' plain='' color=never
fi
say() { printf '%s\n' "$*"; }
title() { printf '\n%s── %s%s\n' "$bold" "$*" "$plain"; }
fail() {
    printf '%sdemo.sh: %s%s\n' "$red" "$1" "$plain" >&2
    for log in "$work"/*.log; do printf '%s\n' "--- ${log##*/}" "$(tail -n 15 "$log")" >&2; done
    exit 1
}

# ---- install and build

deploy/install.sh build demo
walcast=$PWD/build/release/walcast
command -v ccache >/dev/null && export CMAKE_CXX_COMPILER_LAUNCHER=ccache
[[ -e build/release/CMakeCache.txt ]] || cmake --preset release -DWALCAST_TESTS=OFF --log-level=WARNING
build=(cmake --build --preset release --target walcast -j "$(nproc)")
if [[ -x $walcast ]]; then
    output=$("${build[@]}" 2>&1) || { say "$output"; exit 1; }
else
    say "Building walcast: a few minutes, once."
    "${build[@]}"
fi

# ---- private servers, on Unix sockets in one directory

work=$(mktemp -d /tmp/walcast-demo.XXXXXX)
chmod 755 "$work"
declare -A pid=()
stop() { # NAME SIGNAL
    [[ -n ${pid[$1]:-} ]] || return 0
    kill -"$2" "${pid[$1]}" 2>/dev/null || true
    wait "${pid[$1]}" 2>/dev/null || true
    unset "pid[$1]"
}
clean_up() {
    trap '' INT TERM HUP
    stop agent TERM; stop tail TERM; stop redis TERM; stop postgres INT
    wait
    rm -rf "$work"
}
trap clean_up EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP

# Sessions of their own, so that Ctrl-C reaches this script alone, which then ends them in order.
start() { # NAME COMMAND...
    setsid setpriv --pdeathsig TERM "${@:2}" >>"$work/$1.log" 2>&1 </dev/null &
    pid[$1]=$!
}
wait_for() { # WHAT COMMAND...: until the command succeeds
    local deadline=$((SECONDS + 20))
    until "${@:2}" >/dev/null 2>&1; do
        ((SECONDS < deadline)) || fail "waited in vain for $1"
        sleep 0.02
    done
}

# Postgres refuses to run as root.
as_postgres=()
[[ $EUID -ne 0 ]] || as_postgres=(setpriv --reuid=postgres --regid=postgres --clear-groups)
bin=/usr/lib/postgresql/15/bin
mkdir "$work/pg"
[[ $EUID -ne 0 ]] || chown postgres: "$work/pg"
(cd "$work/pg" && "${as_postgres[@]}" $bin/initdb -D "$work/pg/data" -U postgres -A trust -E UTF8 --locale=C.UTF-8 --no-sync) \
    >"$work/initdb.log" 2>&1 || fail "initdb failed"
start postgres "${as_postgres[@]}" setpriv --pdeathsig INT $bin/postgres -D "$work/pg/data" -c listen_addresses= -c unix_socket_directories="$work/pg" \
    -c wal_level=logical -c fsync=off
start redis redis-server --port 0 --unixsocket "$work/redis.sock" --dir "$work" --save ''

sql() { psql -X -q -v ON_ERROR_STOP=1 -h "$work/pg" -U postgres -d postgres "$@"; }
redis() { redis-cli -s "$work/redis.sock" "$@"; }
wait_for "Postgres" sql -c 'select 1'
wait_for "Redis" redis ping
schema="create table todos (id int primary key, list int, who int, title text);
alter table todos replica identity full;"
sql -c "$schema"

# ---- the agent

cat >"$work/walcast.toml" <<END
[source]
url = "postgres://postgres@/postgres?host=$work/pg"

[redis]
url = "unix://$work/redis.sock"
history = { length = 10000, age = "24h" }

[[rule]]
table = "public.todos"
model = "Todo"
channels = ["list:{list}", "user:{who}"]
END

start_agent() {
    : >"$work/agent.log"
    start agent "$walcast" run --config "$work/walcast.toml"
    wait_for "the agent" grep -q 'streaming' "$work/agent.log"
}

say "A private Postgres and Redis are running. The table, and the rule for it in walcast.toml:"
say
say "$blue$schema$plain"
say
sed -n '/^\[\[rule/,$ p' "$work/walcast.toml"

title "walcast init, then walcast run"
"$walcast" init --config "$work/walcast.toml" >"$work/init.log" 2>&1 || fail "walcast init failed"
cat "$work/init.log"
start_agent
tail -n 1 "$work/agent.log"
start tail "$walcast" tail "unix://$work/redis.sock" --channel 'list:*' --channel 'user:*' --text --color "$color"
subscribed() { (($(redis pubsub numpat) > 0)); }
wait_for "the tail" subscribed
say
say "From here on: each SQL statement, and what ${bold}walcast tail${plain} then receives from Redis."

# ---- changes

seen=0
lines() { wc -l <"$work/tail.log"; }
arrived() { (($(lines) >= seen + $1)); }
change() { # TITLE LINES SQL: runs it, waits for that many lines of the tail and shows them
    title "$1"
    say "$blue$3$plain"
    sql -c "$3" >/dev/null
    wait_for "$2 lines of the tail" arrived "$2"
    sed -n "$((seen + 1)),\$ s/^/  /p" "$work/tail.log"
    seen=$(lines)
}

change "A row goes to the channels that the rule makes of it" 2 \
    "insert into todos values (1, 1, 7, 'Buy milk');"
change "An update" 2 \
    "update todos set title = 'Buy oats' where id = 1;"
change "Bulk SQL is seen like any other: one transaction, one message a channel" 6 \
    "insert into todos select n, 1, 8, 'Shelf ' || n from generate_series(2, 4) n;"
change "What is rolled back is never seen: only the second transaction arrives" 2 \
    "begin; delete from todos; rollback;
begin; update todos set title = 'Buy both' where id = 1; commit;"
change "A row that moves is deleted from the channel it leaves and inserted in the other" 3 \
    "update todos set list = 2 where id = 1;"
change "A delete" 2 \
    "delete from todos where id = 2;"

# ---- history

title "The messages stay in Redis, for subscribers that come back (folded here)"
say "${blue}XREVRANGE walcast:log:list:2 + - COUNT 1$plain"
redis xrevrange walcast:log:list:2 + - count 1 | sed -E 's/^/  /; s/,("lsn"|"sync"|"data")/,\n   \1/g'

# ---- kill -9

title "kill -9 in the middle of 5000 transactions, then a restart"
stop tail INT
log=walcast:log:list:2
before=$(redis xlen $log)
for n in {1..5000}; do
    echo "insert into todos values (100 + $n, 2, 9, 'Task $n');"
done | sql -f - &
writer=$!
some_arrived() { (($(redis xlen $log) > before + 20)); }
wait_for "the first of them" some_arrived
stop agent KILL
wait "$writer"
say "killed:    $(($(redis xlen $log) - before)) of 5000 are in the history"
start_agent
all_arrived() { (($(redis xlen $log) >= before + 5000)); }
wait_for "the rest" all_arrived
say "restarted: $(($(redis xlen $log) - before)) of 5000"

# Each entry is a message; its prevSyncId must be the lastSyncId before it, and no row may come twice.
redis xrange $log - + | grep '^{' >"$work/history"
breaks=$(sed -E 's/.*"prevSyncId":([0-9]+),"lastSyncId":([0-9]+).*/\1 \2/' "$work/history" |
    awk 'NR > 1 && $1 != last { n++ } { last = $2 } END { print n + 0 }')
twice=$(grep -o '"title":"Task [0-9]*"' "$work/history" | sort | uniq -d | wc -l)
say "broken links in the chain of sync ids: $breaks; rows seen twice: $twice"
[[ $breaks == 0 && $twice == 0 && $(redis xlen $log) == $((before + 5000)) ]] || fail "the history is not what it should be"

title "Done; servers and files are gone again"
say "Next: README.md, and your own tables in a walcast.toml (deploy/walcast.toml is a sample)."

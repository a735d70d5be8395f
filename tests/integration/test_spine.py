"""The path of one change: rows in, messages out. Ids, routing and values are written out by hand from design.md 2 and 3."""

import pytest

from support import history
from support.history import Number, action
from support.servers import wait_until
from support.world import Subscriber, World

TODOS = """create table todos (id int primary key, workspace_id int, title text);"""
TODO_RULE = {"table": "public.todos", "model": "Todo", "channels": ["workspace:{workspace_id}"]}
FULL = "alter table todos replica identity full;"


@pytest.fixture
def world(postgres, redis):
    """Call it to get a world with the agent running."""
    worlds = []

    def make(rules=(TODO_RULE,), tables=TODOS, running=True, **options):
        world = World(rules, postgres, redis, tables, **options)
        worlds.append(world.__enter__())
        world.init()
        if running:
            world.agent()
        return world

    yield make
    for one in worlds:
        one.__exit__(None, None, None)


def todo(number, workspace, title):
    return {"id": number, "workspace_id": workspace, "title": title}


def test_the_first_change_after_init_has_id_1_and_every_field_of_a_message(world):
    one = world()
    one.sql("insert into todos values (7, 3, 'Buy milk')")
    one.settle()

    (message,) = one.messages("workspace:3")
    xid, lsn = message.pop("xid"), message.pop("lsn")
    assert message.pop("commitTime").startswith("20")
    assert message == {
        "type": "sync", "epoch": one.position()["epoch"], "prevSyncId": 0, "lastSyncId": 1,
        "sync": [{"syncId": 1, "action": "insert", "modelName": "Todo", "modelId": "7", "data": todo(7, 3, "Buy milk")}]}
    assert one.sql("select xmin::text::int from todos") == [(xid,)]
    assert history.lsn_number(lsn) < one.position_lsn()
    assert one.entries("workspace:3")[0].id == b"1-0"
    one.assert_sound()


def test_the_position_holds_its_fields(world):
    one = world()
    one.sql("insert into todos values (1, 1, 'a')")
    one.settle()

    position = one.position()
    assert {"epoch", "sync_id", "lsn", "owner", "floor", "system_id", "timeline", "slot", "fingerprint"} <= set(position)
    assert (position["sync_id"], position["floor"], position["slot"], position["timeline"]) == ("1", "0", one.slot, "1")
    assert position["system_id"] == one.sql("select system_identifier::text from pg_control_system()")[0][0]
    assert not {"commit_lsn", "xid", "changes", "hash"} & {name for name, value in position.items() if value not in ("", "0")}


def test_a_start_is_no_hole_for_who_listens_to_control(world):
    one = world()
    one.sql("insert into todos values (1, 1, 'a'), (2, 1, 'b')")
    one.sql("truncate todos")
    one.sql("insert into todos values (3, 1, 'c')")
    one.settle()
    with Subscriber(one.redis) as subscriber:
        one.agents[-1].restart()
        one.agents[-1].wait_streaming()
        wait_until(lambda: any(b'"up"' in data for _, data in list(subscriber.received)), what="the agent says that it is up")
        told = [history.parse(data) for channel, data in subscriber.received if channel == "walcast:control"]
    assert [(message["state"], message["prevSyncId"], message["lastSyncId"]) for message in told] == [("down", 3, 4), ("up", 3, 4)]


ROW = {
    "small": ("smallint", "-5", Number("-5")),
    "whole": ("int", "2147483647", Number("2147483647")),
    "exact": ("bigint", "9007199254740991", Number("9007199254740991")),
    "beyond": ("bigint", "9007199254740993", "9007199254740993"),
    "below": ("bigint", "-9223372036854775808", "-9223372036854775808"),
    "price": ("numeric", "12.340", Number("12.340")),
    "digits15": ("numeric", "1234567890.12345", Number("1234567890.12345")),
    "digits16": ("numeric", "12345678901.12345", "12345678901.12345"),
    "tiny": ("numeric", "0.00000000000000000001", None),  # One digit that counts: either form is right.
    "yes": ("bool", "true", True),
    "no": ("bool", "false", False),
    "words": ("text", """E'quote " backslash \\\\ tab \\t line \\n bell \\x07 del \\x7f é 😀 </script> \\u2028'""",
              "quote \" backslash \\ tab \t line \n bell \x07 del \x7f é 😀 </script> \u2028"),
    "empty": ("text", "''", ""),
    "padded": ("char(4)", "'a'", "a   "),
    "named": ("varchar(10)", "'null'", "null"),
    "token": ("uuid", "'A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11'", "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"),
    "at": ("timestamp", "'2024-01-02 03:04:05.120'", "2024-01-02T03:04:05.12"),
    "at_zone": ("timestamptz", "'2024-01-02 05:04:05+02'", "2024-01-02T03:04:05Z"),
    "at_zone_micros": ("timestamptz", "'2024-01-02 03:04:05.123456+00'", "2024-01-02T03:04:05.123456Z"),
    "day": ("date", "'2024-01-02'", "2024-01-02"),
    "doc": ("json", """'{"a": 1.0,   "b":[1, "x"]}'""", {"a": Number("1.0"), "b": [Number("1"), "x"]}),
    "docb": ("jsonb", """'{"bb": 2.50, "a": null}'""", {"a": None, "bb": Number("2.50")}),
    "doc_null": ("jsonb", "'null'", None),
    "nothing": ("text", "null", None),
    "no_number": ("int", "null", None),
    "state": ("mood", "'sad \"quoted\"'", 'sad "quoted"'),
    "list": ("int[]", "'{1,NULL,3}'", [Number("1"), None, Number("3")]),
    "span": ("int4range", "'[2,6)'", "[2,6)"),
    "bytes": ("bytea", "'\\x00ff'", "\\x00ff"),
    'odd "name"': ("text", "'x'", "x"),
}


def quoted(name):
    return '"' + name.replace('"', '""') + '"'


def test_values_are_true_to_their_types(world):
    columns = ", ".join(f"{quoted(name)} {row[0]}" for name, row in ROW.items())
    one = world([{"table": "public.kinds", "model": "Kind", "channels": ["all"]}],
                f"""create type mood as enum ('sad "quoted"', 'ok'); create table kinds (id int primary key, {columns})""")
    one.sql("insert into kinds values (1, %s)" % ", ".join(row[1] for row in ROW.values()))
    one.settle()

    (entry,) = one.entries("all")
    data = history.parse_exactly(entry.message)["sync"][0]["data"]
    assert list(data) == ["id"] + list(ROW), "columns come in the table's order"
    assert data.pop("id") == Number("1")
    assert str(data.pop("tiny")) == "0.00000000000000000001"
    assert data == {name: row[2] for name, row in ROW.items() if name != "tiny"}
    # Embedded as the database wrote it, not parsed and printed again.
    assert b"""{"a": 1.0,   "b":[1, "x"]}""" in entry.message
    assert b"""{"a": null, "bb": 2.50}""" in entry.message
    entry.message.decode("utf-8", errors="strict")


def test_settings_of_database_and_role_do_not_change_values(world):
    one = world([{"table": "public.kinds", "model": "Kind", "channels": ["all"]}],
                """create table kinds (id int primary key, at timestamptz, bytes bytea);
                   do $$ begin
                     execute format('alter database %I set datestyle = ''SQL, DMY''', current_database());
                     execute format('alter database %I set timezone = ''Asia/Tokyo''', current_database());
                     execute format('alter database %I set bytea_output = escape', current_database());
                   end $$""")
    one.sql("set timezone = 'UTC'; insert into kinds values (1, '2024-03-04 05:06:07+00', '\\x00ff')")
    one.settle()

    assert one.actions("all")[0].data == {"id": 1, "at": "2024-03-04T05:06:07Z", "bytes": "\\x00ff"}


def test_ids_count_by_what_the_stream_holds(world):
    tables = TODOS + FULL + "create table unruled (id int primary key); create table unpublished (id int primary key);"
    one = world(tables=tables, running=False)
    one.sql("alter publication walcast add table unruled")
    one.agent()
    one.sql("insert into todos values (1, 1, 'a')")                              # 1
    one.transaction("insert into todos values (2, 1, 'b')",                      # 2
                    "insert into unruled values (1)",                            # 3: published, though nobody wants it
                    "insert into unpublished values (1)",
                    "update unruled set id = 2",                                 # 4 5
                    "insert into todos values (3, null, 'no channel')",          # 6
                    "update todos set title = 'B' where id = 2",                 # 7 8: the update is the second
                    "delete from todos where id = 1")                            # 9
    one.sql("update todos set workspace_id = 2 where id = 2")                    # 10 the delete, 11 the insert
    one.sql("""select pg_logical_emit_message(true, 'walcast', '{"mutationId":"m"}')""")
    one.sql("""select pg_logical_emit_message(false, 'other', 'x')""")
    one.sql("""select pg_logical_emit_message(true, 'walcast:event', '{"channel":"c","name":"n","data":1}')""")   # 12
    one.transaction("insert into todos values (4, 1, 'rolled back')",
                    """select pg_logical_emit_message(false, 'walcast:event', '{"channel":"c"}')""",              # 13
                    """select pg_logical_emit_message(true, 'walcast:event', '{"channel":"c"}')""", end="rollback")
    one.sql("""select pg_logical_emit_message(true, 'walcast:event', 'not JSON')""")                              # 14
    one.sql("truncate unruled, todos")                                           # 15 16
    one.sql("insert into todos values (5, 1, 'last')")                           # 17
    one.settle()

    assert one.actions("workspace:1") == [
        action(1, "insert", "Todo", "1", todo(1, 1, "a")), action(2, "insert", "Todo", "2", todo(2, 1, "b")),
        action(8, "update", "Todo", "2", todo(2, 1, "B")), action(9, "delete", "Todo", "1"), action(10, "delete", "Todo", "2"),
        action(17, "insert", "Todo", "5", todo(5, 1, "last"))]
    assert one.actions("workspace:2") == [action(11, "insert", "Todo", "2", todo(2, 2, "B"))]
    assert one.position()["sync_id"] == "17"
    (reset,) = one.control()
    assert reset["modelName"] == "Todo" and reset["lastSyncId"] in (15, 16)
    assert set(one.histories()) >= {"workspace:1", "workspace:2"}
    one.assert_sound()


def test_history_is_what_subscribers_hear_byte_for_byte(world):
    rule = {"table": "public.todos", "model": "Todo", "channels": ["workspace:{workspace_id}", "title:{title}", "everyone"]}
    one = world([rule], TODOS + FULL)
    with Subscriber(one.redis) as subscriber:
        for number in range(30):
            one.sql("insert into todos values (%s, %s, %s)", [number, number % 3, f"t{number % 5}"])
            one.sql("update todos set workspace_id = (workspace_id + 1) %% 3 where id = %s", [number // 2])
        one.transaction("delete from todos where id < 10", "insert into todos select i, i % 3, 'bulk' from generate_series(100, 500) i")
        one.settle()

        channels = one.assert_sound()
        assert set(channels) == {"everyone", "title:bulk"} | {f"workspace:{i}" for i in range(3)} | {f"title:t{i}" for i in range(5)}
        for name, entries in channels.items():
            assert subscriber.of(name) == [entry.message for entry in entries]
        assert history.order_problems(subscriber.received) == []


def test_a_row_in_several_channels_is_the_same_action_in_each(world):
    one = world([{"table": "public.todos", "model": "Todo", "channels": ["a", "b:{workspace_id}", "a", "c:{title}"]}], TODOS)
    one.sql("insert into todos values (1, 5, null)")
    one.settle()

    expected = [action(1, "insert", "Todo", "1", todo(1, 5, None))]
    assert {name: history.actions(entries) for name, entries in one.histories().items()} == {"a": expected, "b:5": expected}
    assert len(one.entries("a")) == 1, "a channel named twice is told once"


def test_a_run_is_one_message_and_another_set_of_channels_begins_the_next(world):
    one = world()
    one.transaction(*(f"insert into todos values ({number}, {workspace}, '')"
                      for number, workspace in enumerate([1, 1, 1, 2, 1, 2, 2, 1], start=1)))
    one.transaction("insert into todos values (9, 1, '')")
    one.settle()

    ids = {name: [[item["syncId"] for item in message["sync"]] for message in one.messages(name)] for name in one.histories()}
    assert ids == {"workspace:1": [[1, 2, 3], [5], [8], [9]], "workspace:2": [[4], [6, 7]]}
    chain = [(message["prevSyncId"], message["lastSyncId"]) for message in one.messages("workspace:1")]
    assert chain == [(0, 3), (3, 5), (5, 8), (8, 9)]


def test_a_long_run_is_cut_at_256_kib(world):
    one = world()
    one.sql("insert into todos select i, 1, repeat('x', 1000) from generate_series(1, 2000) i")
    one.settle()

    sizes = [len(entry.message) for entry in one.entries("workspace:1")]
    assert max(sizes) < 300 * 1024 and len(sizes) < 30, sizes
    assert [item.sync_id for item in one.actions("workspace:1")] == list(range(1, 2001))
    one.assert_sound()


def test_a_message_never_holds_two_transactions(world):
    one = world(running=False)
    for number in range(50):
        one.sql("insert into todos values (%s, 1, '')", [number])
    one.agent()
    one.settle()

    messages = one.messages("workspace:1")
    assert [message["lastSyncId"] for message in messages] == list(range(1, 51))
    assert len({message["xid"] for message in messages}) == 50


def test_ids_follow_the_commits_not_the_rows(world):
    one = world()
    first, second = one.connect(autocommit=False), one.connect(autocommit=False)
    first.cursor().execute("insert into todos values (1, 1, 'written first')")
    second.cursor().execute("insert into todos values (2, 1, 'committed first')")
    first.cursor().execute("insert into todos values (3, 1, 'written first')")
    second.commit()
    first.commit()
    one.settle()

    assert [(item.sync_id, item.model_id) for item in one.actions("workspace:1")] == [(1, "2"), (2, "1"), (3, "3")]


def test_what_is_rolled_back_is_never_seen(world):
    one = world()
    one.transaction("insert into todos values (1, 1, 'no')", end="rollback")
    one.transaction(
        "insert into todos values (2, 1, 'kept')", "savepoint s", "insert into todos values (3, 1, 'no')",
        "update todos set title = 'no'", "rollback to s", "savepoint t", "insert into todos values (4, 1, 'kept too')",
        "release t", "insert into todos values (5, 1, 'last')")
    one.settle()

    assert [(item.sync_id, item.data["title"]) for item in one.actions("workspace:1")] == [(1, "kept"), (2, "kept too"), (3, "last")]


def test_a_prepared_transaction_comes_at_its_commit(world):
    one = world()
    one.transaction("insert into todos values (1, 1, 'prepared')", end=f"prepare transaction '{one.slot}'")
    one.transaction("insert into todos values (3, 1, 'never')", end=f"prepare transaction '{one.slot}x'")
    one.sql(f"rollback prepared '{one.slot}x'")
    one.sql("insert into todos values (2, 1, 'before')")
    one.sql(f"commit prepared '{one.slot}'")
    one.settle()

    assert [item.data["title"] for item in one.actions("workspace:1")] == ["before", "prepared"]


BIG = "(select string_agg(md5(i::text), '') from generate_series(1, 300) i)"
PAGES = "create table pages (id int primary key, title text, body text); alter table pages alter body set storage external;"
PAGE_RULE = {"table": "public.pages", "model": "Page", "channels": ["pages"]}


def test_an_unchanged_large_value_is_listed_and_absent(world):
    one = world([PAGE_RULE], PAGES)
    one.sql(f"insert into pages values (1, 'a', {BIG})")
    one.sql("update pages set title = 'b'")
    one.sql("update pages set body = null")
    one.settle()

    first, second, third = one.actions("pages")
    assert len(first.data["body"]) == 9600 and first.unchanged == ()
    assert second == action(3, "update", "Page", "1", {"id": 1, "title": "b"}, ["body"])
    assert third == action(5, "update", "Page", "1", {"id": 1, "title": "b", "body": None})
    assert b"unchanged" not in one.entries("pages")[0].message


def test_a_whole_old_row_fills_the_unchanged_value_in(world):
    one = world([PAGE_RULE], PAGES + "alter table pages replica identity full")
    one.sql(f"insert into pages values (1, 'a', {BIG})")
    one.sql("update pages set title = 'b'")
    one.settle()

    _, second = one.actions("pages")
    assert second.unchanged == () and second.data["title"] == "b" and len(second.data["body"]) == 9600


def test_a_row_that_moves_leaves_one_channel_and_enters_the_other(world):
    one = world([{"table": "public.todos", "model": "Todo", "channels": ["workspace:{workspace_id}", "all"]}], TODOS + FULL)
    one.sql("insert into todos values (1, 1, 'a')")
    one.sql("update todos set workspace_id = 2")
    one.sql("update todos set workspace_id = null")
    one.sql("update todos set workspace_id = 1")
    one.settle()

    assert one.actions("workspace:1") == [
        action(1, "insert", "Todo", "1", todo(1, 1, "a")), action(2, "delete", "Todo", "1"), action(7, "insert", "Todo", "1", todo(1, 1, "a"))]
    assert one.actions("workspace:2") == [action(3, "insert", "Todo", "1", todo(1, 2, "a")), action(4, "delete", "Todo", "1")]
    assert [(item.sync_id, item.action) for item in one.actions("all")] == [(1, "insert"), (3, "update"), (5, "update"), (7, "update")]
    one.assert_sound()


@pytest.mark.parametrize("identity", ["default", "full"])
def test_another_key_is_a_delete_of_the_old_one_and_an_insert_of_the_new(world, identity):
    one = world([{"table": "public.todos", "model": "Todo", "channels": ["all"]}], TODOS + f"alter table todos replica identity {identity};")
    one.sql("insert into todos values (1, 1, 'a')")
    one.sql("update todos set id = 2")
    one.sql("delete from todos")
    one.settle()

    assert one.actions("all") == [
        action(1, "insert", "Todo", "1", todo(1, 1, "a")), action(2, "delete", "Todo", "1"),
        action(3, "insert", "Todo", "2", todo(2, 1, "a")), action(4, "delete", "Todo", "2")]


def test_an_update_that_changes_nothing_is_an_update(world):
    one = world(tables=TODOS + FULL)
    one.sql("insert into todos values (1, 1, 'a')")
    one.sql("update todos set title = title")
    one.settle()

    assert [(item.sync_id, item.action) for item in one.actions("workspace:1")] == [(1, "insert"), (3, "update")]


def test_a_key_in_the_identity_routes_deletes_without_full(world):
    one = world(tables="create table todos (workspace_id int, id int, title text, primary key (workspace_id, id))")
    one.sql("insert into todos values (1, 7, 'a')")
    one.sql("update todos set workspace_id = 2")
    one.sql("delete from todos")
    one.settle()

    shapes = {name: [(item.sync_id, item.action) for item in history.actions(entries)] for name, entries in one.histories().items()}
    assert shapes == {"workspace:1": [(1, "insert"), (2, "delete")], "workspace:2": [(3, "insert"), (4, "delete")]}
    ids = [item.model_id for name in ("workspace:1", "workspace:2") for item in one.actions(name)]
    assert ids[0] == ids[1] != ids[2] == ids[3], ids
    assert "1" in ids[0] and "7" in ids[0]


def test_joined_keys_cannot_be_mistaken_for_each_other(world):
    one = world([{"table": "public.pairs", "model": "Pair", "channels": ["all"]}],
                "create table pairs (a text, b text, primary key (a, b))")
    pairs = [(a, b) for a in ("x", "x:", "x,", "x|", "x\\", "x/", "x-", "x y", "", "x%", "x\"", "x_", "x.")
             for b in ("y", ":y", ",y", "|y", "\\y", "/y", "-y", "", "%y", "\"y", "_y", ".y")]
    for pair in pairs:
        one.sql("insert into pairs values (%s, %s)", pair)
    one.settle()

    assert len({item.model_id for item in one.actions("all")}) == len(pairs)


def test_truncate_is_a_reset_of_the_model_on_the_control_channel(world):
    one = world([TODO_RULE, PAGE_RULE], TODOS + PAGES)
    with Subscriber(one.redis) as subscriber:
        one.sql("insert into todos values (1, 1, 'a')")
        one.sql("truncate todos, pages")
        one.sql("insert into todos values (1, 1, 'b')")
        one.settle()

        resets = one.control()
        heard = [history.parse(message) for message in subscriber.of("walcast:control")]
        assert [message for message in heard if message["type"] == "reset"] == resets
    assert sorted(message["modelName"] for message in resets) == ["Page", "Todo"]
    assert [message["lastSyncId"] for message in resets] == [2, 3]
    assert [message["prevSyncId"] for message in resets] == [0, 2]
    assert all(message["epoch"] == one.position()["epoch"] and message["reason"] for message in resets)
    assert [item.sync_id for item in one.actions("workspace:1")] == [1, 4]


def test_two_models_of_one_table_each_have_their_channels(world):
    rules = [TODO_RULE, {"table": "public.todos", "model": "Task", "channels": ["tasks", "workspace:{workspace_id}"]}]
    one = world(rules, TODOS + FULL)
    one.sql("insert into todos values (1, 1, 'a')")
    one.sql("delete from todos")
    one.settle()

    assert [(item.sync_id, item.action, item.model) for item in one.actions("tasks")] == [(1, "insert", "Task"), (2, "delete", "Task")]
    both = [(item.sync_id, item.action, item.model) for item in one.actions("workspace:1")]
    assert sorted(both) == [(1, "insert", "Task"), (1, "insert", "Todo"), (2, "delete", "Task"), (2, "delete", "Todo")]
    # The same lastSyncId never appears in two messages of one channel: one transaction each, so one message each.
    assert [message["lastSyncId"] for message in one.messages("workspace:1")] == [1, 2]
    one.assert_sound()


def test_an_unroutable_delete_is_skipped_when_the_rule_says_so(world):
    one = world([{**TODO_RULE, "unroutable": "skip"}])
    one.sql("insert into todos values (1, 1, 'a'), (2, 1, 'b')")
    one.sql("delete from todos")
    one.sql("insert into todos values (3, 1, 'c')")
    one.settle()

    assert [(item.sync_id, item.action) for item in one.actions("workspace:1")] == [(1, "insert"), (2, "insert"), (5, "insert")]
    warnings = [line for line in one.agents[0].log().splitlines() if "todos" in line and "identity" in line.lower()]
    assert len(warnings) == 1, f"said once a table, not once a row or never: {warnings}"


def test_an_unroutable_delete_resets_the_model_when_the_rule_says_so(world):
    one = world([{**TODO_RULE, "unroutable": "reset"}])
    one.sql("insert into todos values (1, 1, 'a')")
    one.sql("delete from todos")
    one.settle()

    (reset,) = one.control()
    assert (reset["modelName"], reset["lastSyncId"]) == ("Todo", 2)
    assert [item.action for item in one.actions("workspace:1")] == ["insert"]


def test_an_unroutable_delete_stops_the_agent_when_the_rule_says_so(world):
    one = world([{**TODO_RULE, "unroutable": "error"}])
    agent = one.agents[0]
    one.sql("insert into todos values (1, 1, 'a')")
    one.settle()
    one.sql("delete from todos")

    assert agent.wait() == 1
    assert "todos" in agent.log() and "replica identity full" in agent.log().lower()
    assert one.position()["sync_id"] == "1", "the delete is not passed over"
    assert agent.start() is None and agent.wait() == 1, "nor is it after a restart"


def test_a_column_added_while_running_appears(world):
    one = world(tables=TODOS + FULL)
    one.sql("insert into todos values (1, 1, 'a')")
    one.transaction("insert into todos values (2, 1, 'b')", "alter table todos add done bool default false",
                    "insert into todos values (3, 1, 'c', true)", "update todos set title = 'A' where id = 1")
    one.sql("alter table todos rename title to name")
    one.sql("insert into todos values (4, 1, 'd')")
    one.settle()

    assert [item.data for item in one.actions("workspace:1")] == [
        todo(1, 1, "a"), todo(2, 1, "b"), {**todo(3, 1, "c"), "done": True}, {**todo(1, 1, "A"), "done": False},
        {"id": 4, "workspace_id": 1, "name": "d", "done": False}]


def test_no_value_can_reach_the_channel_of_another(world):
    values = ["sp ace", "quote\"", "é😀", "back\\slash", "br{ace}", "*", "line\nbreak", "x" * 300, "a:b", "a", "", "%3A", "{title}"]
    one = world([{"table": "public.todos", "model": "Todo", "channels": ["t:{title}:{workspace_id}"]}])
    for number, value in enumerate(values):
        one.sql("insert into todos values (%s, 1, %s)", [number, value])
    one.sql("insert into todos values (100, 1, 'a:1'), (101, 2, 'a')")
    one.settle()

    channels = {name: [item.data["title"] for item in history.actions(entries)] for name, entries in one.histories().items()}
    assert sorted(channels.values()) == sorted([value] for value in values + ["a:1", "a"])
    assert channels["t:a:1"] == ["a"] and channels["t:é😀:1"] == ["é😀"]


def test_a_channel_s_history_is_trimmed_by_length(world):
    one = world(history={"length": 10, "age": "1h"})
    for number in range(300):
        one.sql("insert into todos values (%s, 1, '')", [number])
    one.settle()

    entries = one.entries("workspace:1")
    assert 10 <= len(entries) <= 250, "Redis trims whole nodes of a stream, 100 entries each"
    assert history.parse(entries[-1].message)["lastSyncId"] == 300
    one.assert_sound(first_prev=None)


def test_another_prefix_holds_everything(world):
    one = world(prefix="other:")
    one.sql("insert into todos values (1, 1, 'a')")
    one.settle()

    assert len(one.entries("workspace:1")) == 1
    assert all(key.startswith(b"other:") for key in one.client.keys())

"""`doctor` says what will go wrong, and its statements mend it; it changes nothing itself."""

import json
import os
import random
import re
import shlex
import socket
import subprocess
import time

import pytest

from support.servers import Postgres, Redis, free_port, postgres_bindir, wait_until
from support.world import World

VERSION = int(os.environ.get("WALCAST_PG", 15))
ORDERS = "create table orders (id int primary key, user_id int not null, status text, note text);"
BY_USER = {"table": "public.orders", "model": "Order", "channels": ["user:{user_id}"]}
BY_ID = {"table": "public.orders", "model": "Order", "channels": ["order:{id}"]}
needs_15 = pytest.mark.skipif(VERSION < 15, reason="column lists and row filters came with PostgreSQL 15")


@pytest.fixture(scope="module")
def postgres():
    with Postgres(postgres_bindir(VERSION), {"max_slot_wal_keep_size": "10GB"}) as server:
        yield server


class Doctor:
    """What one run of it said."""

    def __init__(self, world, config_text=None, expected=None):
        self.world = world
        result = world.walcast("doctor", "--json", config_text=config_text)
        text = world.walcast("doctor", config_text=config_text)
        assert (result.returncode, result.stderr) == (text.returncode, text.stderr)
        self.code = result.returncode
        self.said = json.loads(result.stdout)
        self.findings = self.said["findings"]
        self.text = text.stdout
        assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f-\x9f]", self.text), "steers the terminal"
        for finding in self.findings:
            assert finding["level"] in ("error", "warning", "note") and finding["what"] and finding["place"]
        if self.code != 1:
            assert self.code == (3 if any(finding["level"] != "note" for finding in self.findings) else 0)
        if expected is not None:
            assert self.checks() == expected, self.text

    def checks(self):
        return [finding["check"] for finding in self.findings]

    def only(self, check):
        found = [finding for finding in self.findings if finding["check"] == check]
        assert found, self.text
        return found[0]

    def mend(self, finding=None, alternative=0):
        """Executes what a finding prints; returns its kind."""
        (kind, lines), = (finding or self.findings[0])["mend"][alternative].items()
        for line in lines:
            assert line in self.text
            if kind == "sql":
                self.world.sql(line)
            elif kind == "shell":
                command, *words = line.split()
                assert command == "walcast"
                result = self.world.walcast(*words)
                assert result.returncode == 0, result.stderr
        return kind


def is_mended(world, check, alternative=0):
    """Its finding, and that it is gone once its statement has been executed."""
    doctor = Doctor(world)
    finding = doctor.only(check)
    assert doctor.mend(finding, alternative) != "config"
    again = Doctor(world)
    assert check not in again.checks(), again.text
    return finding


def world_of(rules, postgres, redis, tables, **options):
    return World(rules, postgres, redis, tables, **options).init()


def everything(world):
    """All that doctor might have changed."""
    catalogs = [world.sql(f"select to_jsonb(t) - 'relpages' - 'reltuples' - 'relallvisible' - 'relallfrozen' - 'relfrozenxid' - 'relminmxid' from {name} t order by 1")
                for name in ("pg_class", "pg_index", "pg_publication", "pg_publication_rel", "pg_roles", "pg_attribute")]
    slots = world.sql("select slot_name, confirmed_flush_lsn, restart_lsn, active from pg_replication_slots order by 1")
    keys = {key: world.client.dump(key) for key in world.client.keys("*")}
    return catalogs, slots, keys


# --- a set-up that is sound ---

def test_a_sound_set_up_has_no_findings_and_nothing_is_changed(postgres, redis):
    with world_of([BY_ID], postgres, redis, ORDERS) as world:
        before = everything(world)

        doctor = Doctor(world, expected=[])

        assert doctor.code == 0 and doctor.text == "no findings\n"
        assert doctor.said == {"findings": [], "errors": 0, "warnings": 0, "notes": 0}
        assert everything(world) == before
        agent = world.agent()
        Doctor(world, expected=[])
        assert agent.alive()


def test_a_role_that_may_do_nothing_else_can_run_it(postgres, redis):
    with world_of([BY_ID], postgres, redis, ORDERS) as world:
        world.sql("drop role if exists reader")
        world.sql("create role reader login replication")
        text = world.config(postgres=postgres.url(world.db, "reader"))
        before = everything(world)

        assert Doctor(world, config_text=text, expected=[]).code == 0
        assert everything(world) == before


def test_a_wrong_configuration_ends_with_2(postgres, redis):
    with World([BY_ID], postgres, redis, ORDERS) as world:
        result = world.walcast("doctor", config_text=world.config() + '[[rule]]\ntable = "x"\n')

        assert result.returncode == 2 and "walcast" in result.stderr


# --- replica identity ---

def test_deletes_that_cannot_be_routed(postgres, redis):
    with world_of([BY_USER], postgres, redis, ORDERS) as world:
        doctor = Doctor(world, expected=["delete-unroutable", "update-unroutable"])
        finding = doctor.findings[0]
        assert "a delete of public.orders cannot be routed: user_id is not part of the replica identity" in finding["what"]
        assert re.search(r"\.toml:\d+:\d+$", finding["place"]) and finding["table"] == "public.orders" and finding["columns"] == ["user_id"]
        line = int(finding["place"].split(":")[-2])
        assert "channels" in world.config().splitlines()[line - 1]

        is_mended(world, "delete-unroutable")
        Doctor(world, expected=[])


def test_an_index_is_the_cheaper_mend(postgres, redis):
    with world_of([BY_USER], postgres, redis, ORDERS) as world:
        is_mended(world, "delete-unroutable", alternative=1)

        Doctor(world, expected=[])
        world.agent()
        world.sql("insert into orders values (1, 7); update orders set user_id = 8; delete from orders")
        world.settle()
        assert [action.action for action in world.actions("user:8")] == ["insert", "delete"] and not world.control()


def test_conditions_ids_and_deltas(postgres, redis):
    rules = [{**BY_ID, "where": "user_id > 5"}, {**BY_ID, "model": "ByUser", "channels": ["all"], "id": ["user_id"]},
             {**BY_ID, "model": "Delta", "channels": ["deltas"], "data": "delta"},
             {**BY_ID, "model": "Gone", "channels": ["gone"], "delete_when": "status = 'gone'"}]
    with world_of(rules, postgres, redis, ORDERS) as world:
        Doctor(world, expected=["delete-unroutable", "update-unroutable"] * 2 + ["data-without-old-rows", "large-column"])
        is_mended(world, "large-column")
        Doctor(world, expected=[])


def test_a_large_column_that_a_channel_reads(postgres, redis):
    with world_of([{**BY_USER, "channels": ["status:{status}"]}], postgres, redis, ORDERS) as world:
        finding = is_mended(world, "large-column")
        assert "TOAST" in finding["what"] and finding["columns"] == ["status"]


def test_a_table_without_identity(postgres, redis):
    with world_of([BY_ID], postgres, redis, ORDERS) as world:
        world.sql("alter table orders replica identity nothing")
        with pytest.raises(Exception, match="replica identity"):
            world.sql("insert into orders values (1, 1); update orders set user_id = 2")

        is_mended(world, "no-identity")
        world.sql("insert into orders values (1, 1); update orders set user_id = 2")


def test_partitions_have_identities_of_their_own(postgres, redis):
    tables = """create table parts (id int primary key, user_id int) partition by range (id);
        create table parts_1 partition of parts for values from (0) to (10);
        create table "parts ""2" partition of parts for values from (10) to (20);
        alter table parts replica identity full; alter table parts_1 replica identity full"""
    with world_of([{"table": "public.parts", "channels": ["user:{user_id}"]}], postgres, redis, tables) as world:
        finding = is_mended(world, "partition-identity")
        assert 'public.parts "2' in finding["what"] and "parts_1" not in finding["what"]
        Doctor(world, expected=[])


def test_partitions_that_differ_where_only_the_key_is_needed(postgres, redis):
    tables = """create table parts (id int primary key, user_id int) partition by range (id);
        create table parts_1 partition of parts for values from (0) to (10);
        alter table parts replica identity full"""
    for channel in ("p:{id}", "all"):
        with world_of([{"table": "public.parts", "channels": [channel]}], postgres, redis, tables) as world:
            assert "public.parts_1" in is_mended(world, "partition-identity")["what"]
            Doctor(world, expected=[])


# --- columns ---

def test_every_column_that_is_not_there(postgres, redis):
    rule = {**BY_ID, "channels": ["order:{idd}", "user:{usr_id}"], "exclude": ["nte"], "where": "statuss = 'x'"}
    with world_of([BY_ID], postgres, redis, ORDERS) as world:
        doctor = Doctor(world, config_text=world.config(rules=[rule]))

        assert doctor.checks() == ["rule-does-not-fit"] * 4, doctor.text
        assert "did you mean" in doctor.text


@needs_15
def test_columns_that_the_column_list_leaves_out(postgres, redis):
    with world_of([BY_USER], postgres, redis, ORDERS + "alter table orders replica identity full") as world:
        world.sql("alter table orders replica identity default; alter publication walcast drop table orders; "
                  "alter publication walcast add table orders (id, status)")

        finding = is_mended(world, "column-unpublished")
        assert finding["columns"] == ["user_id"]
        # A list that stays as it is needs an index; FULL, no list.
        is_mended(world, "delete-unroutable", alternative=0)
        Doctor(world, expected=[])
        world.sql("insert into orders values (1, 1); update orders set user_id = 2; delete from orders")


@needs_15
def test_full_identity_takes_the_column_list_away(postgres, redis):
    with world_of([BY_USER], postgres, redis, ORDERS) as world:
        world.sql("alter publication walcast drop table orders; alter publication walcast add table orders (id, user_id)")

        is_mended(world, "delete-unroutable", alternative=1)
        Doctor(world, expected=[])
        world.sql("insert into orders values (1, 1); update orders set user_id = 2; delete from orders")


@needs_15
def test_a_row_filter(postgres, redis):
    with world_of([BY_ID], postgres, redis, ORDERS) as world:
        world.sql("alter publication walcast drop table orders; alter publication walcast add table orders where (id > 5)")

        assert "id > 5" in is_mended(world, "row-filter")["what"]
        Doctor(world, expected=[])


@needs_15
def test_a_row_filter_on_what_the_identity_lacks(postgres, redis):
    with world_of([BY_ID], postgres, redis, ORDERS) as world:
        world.sql("alter publication walcast drop table orders; alter publication walcast add table orders where (user_id > 5 and id > 0)")
        world.sql("insert into orders values (1, 7)")
        with pytest.raises(Exception, match="cannot update table"):
            world.sql("update orders set status = 'x'")

        assert is_mended(world, "no-identity")["columns"] == ["user_id"]
        Doctor(world, expected=["row-filter"])
        world.sql("update orders set status = 'x'; delete from orders")


@needs_15
def test_a_row_filter_and_a_column_list(postgres, redis):
    with world_of([BY_ID], postgres, redis, ORDERS) as world:
        world.sql("alter publication walcast drop table orders; alter publication walcast add table orders (id, user_id) where (id > 0)")

        Doctor(world, expected=["row-filter"])
        world.sql("insert into orders values (1, 7); update orders set status = 'x'")


@needs_15
def test_an_identity_that_the_column_list_leaves_out(postgres, redis):
    with world_of([BY_ID], postgres, redis, ORDERS) as world:
        world.sql("alter publication walcast drop table orders; alter publication walcast add table orders (id, user_id); "
                  "alter table orders replica identity full")

        is_mended(world, "no-identity")
        Doctor(world, expected=[])
        world.sql("insert into orders values (1, 1); update orders set user_id = 2")


def test_generated_columns(postgres, redis):
    tables = "create table sums (id int primary key, a int, b int generated always as (a + 1) stored"
    if VERSION < 18:  # The stream never carries them, even where the publication seems to have them.
        rule = {"table": "public.sums", "channels": ["all"], "operations": ["insert"]}
        with world_of([rule], postgres, redis, tables + ")") as world:
            Doctor(world, expected=[])
            for part in ({"channels": ["b:{b}"]}, {"where": "b > 0"}, {"id": ["b"]}, {"exclude": ["b"]}, {"columns": ["id", "b"]}):
                doctor = Doctor(world, config_text=world.config(rules=[{**rule, **part}]), expected=["column-unpublished"])
                assert doctor.findings[0]["columns"] == ["b"]
        return
    tables += ", c int generated always as (a + 2) virtual)"
    rules = [{"table": "public.sums", "channels": ["a:{b}"], "operations": ["insert"]}]
    with world_of(rules, postgres, redis, tables) as world:
        world.sql("alter publication walcast set (publish_generated_columns = none)")

        is_mended(world, "column-unpublished")
        Doctor(world, expected=[])
        rules[0]["channels"] = ["a:{c}"]
        assert "virtual" in Doctor(world, config_text=world.config(rules=rules)).only("column-unpublished")["what"]
        # FULL would make its updates fail.
        rules[0] = {"table": "public.sums", "channels": ["a:{a}"]}
        assert Doctor(world, config_text=world.config(rules=rules)).findings[0]["mend"] == []


# --- tables ---

def test_tables_that_are_not_published(postgres, redis):
    rules = [BY_ID, {"table": "public.bare", "channels": ["all"], "id": ["a"]}]
    with world_of([BY_ID], postgres, redis, ORDERS + "create table bare (a int not null, b int)") as world:
        world.rules = rules
        is_mended(world, "table-unpublished")
        world.sql("insert into bare values (1, 1); update bare set b = 2")
        Doctor(world, expected=[])


def test_a_rule_that_matches_nothing(postgres, redis):
    with world_of([BY_ID], postgres, redis, ORDERS + "create view seen as select * from orders") as world:
        rules = [BY_ID, {"table": "public.ordrs", "channels": ["all"]}, {"table": "public.seen", "channels": ["all"]}]

        doctor = Doctor(world, config_text=world.config(rules=rules))

        assert doctor.checks() == ["rule-without-table", "table-unpublished"], doctor.text
        assert 'did you mean "public.orders"' in doctor.text and "is a view" in doctor.text


def test_tables_that_no_rule_names(postgres, redis):
    with world_of([BY_ID], postgres, redis, ORDERS + "create table other (id int primary key)") as world:
        world.sql("alter publication walcast add table other")

        assert is_mended(world, "table-without-rule")["table"] == "public.other"
        Doctor(world, expected=[])


def test_a_publication_for_all_tables(postgres, redis):
    with World([BY_ID], postgres, redis, ORDERS + "create table other (id int primary key)") as world:
        world.sql("create publication walcast for all tables with (publish_via_partition_root = true)")
        world.init()

        is_mended(world, "table-without-rule")
        Doctor(world, expected=[])
        world.agent()
        world.sql("insert into orders values (1, 1)")
        world.settle()


@needs_15
def test_a_publication_for_all_tables_of_a_schema(postgres, redis):
    with World([BY_ID], postgres, redis, ORDERS + "create table other (id int primary key)") as world:
        world.sql("create publication walcast for tables in schema public")
        world.init()

        is_mended(world, "table-without-rule")
        Doctor(world, expected=[])


def test_partitions_and_their_root(postgres, redis):
    tables = """create table parts (id int primary key) partition by range (id);
        create table parts_1 partition of parts for values from (0) to (10)"""
    rule = {"table": "public.parts", "channels": ["all"]}
    with world_of([rule], postgres, redis, tables) as world:
        world.sql("alter publication walcast set (publish_via_partition_root = false)")
        is_mended(world, "table-unpublished")
        Doctor(world, expected=[])
        by_leaf = Doctor(world, config_text=world.config(rules=[{**rule, "table": "public.parts_1"}])).only("table-unpublished")
        assert by_leaf["mend"] == [{"config": ['table = "public.parts"']}]


def test_operations_that_are_not_published(postgres, redis):
    with world_of([BY_ID], postgres, redis, ORDERS) as world:
        world.sql("alter publication walcast set (publish = 'insert, update')")
        is_mended(world, "operation-unpublished")
        Doctor(world, expected=[])


def test_two_tables_under_one_name_and_one_twice(postgres, redis):
    tables = ORDERS + "create table other (id int primary key)"
    rules = [BY_ID, {"table": "public.other", "model": "Order", "channels": ["{id}:x", "order:{id}"]}]
    with world_of(rules, postgres, redis, tables) as world:
        assert Doctor(world, expected=["model-of-two-tables"]).findings[0]["level"] == "error"
        rules = [BY_ID, {**BY_ID, "exclude": ["note"]}, {"table": "public.other", "channels": ["order:{id}"]}]
        assert Doctor(world, config_text=world.config(rules=rules)).checks() == ["model-twice"]


def test_columns_that_look_secret(postgres, redis):
    tables = "create table users (id int primary key, password_hash text, api_token text, token_expires_at timestamptz)"
    rule = {"table": "public.users", "channels": ["user:{id}"]}
    with world_of([rule], postgres, redis, tables) as world:
        finding = Doctor(world, expected=["secret-column"]).findings[0]
        assert finding["columns"] == ["password_hash", "api_token"]
        line, = finding["mend"][0]["config"]
        assert Doctor(world, config_text=world.config() + line + "\n").code == 0


HOSTILE = 'Or"d\'er\\s; drop table x --\n\x1b[2Jé'


def test_hostile_names(postgres, redis):
    quoted = '"' + HOSTILE.replace('"', '""') + '"'
    other = '"sch\n""ema"."t\x07"'
    tables = f'create table {quoted} (id int primary key, "us\ter""\x1b" int not null, note text); create schema "sch\n""ema"; create table {other} (id int primary key)'
    rules = [{"table": "public.Or*", "model": "M", "channels": ["all"], "where": '"us\ter""\x1b" > 5'}]
    with world_of(rules, postgres, redis, tables, publication='My "pub"\\, x\'y\n') as world:
        world.sql(f'alter publication "My ""pub""\\, x\'y\n" add table {other}')
        is_mended(world, "table-without-rule")
        is_mended(world, "delete-unroutable", alternative=1)
        Doctor(world, expected=[])
        is_full = f"alter table {quoted} replica identity default"
        world.sql(is_full)
        is_mended(world, "delete-unroutable")
        Doctor(world, expected=[])


def test_wal2json_sends_every_table(redis):
    with Postgres(settings={"max_slot_wal_keep_size": "10GB", "output_plugin_libraries": "wal2json,pgoutput"}) as server:
        with world_of([BY_ID], server, redis, ORDERS + "create table other (a int)", plugin="wal2json") as world:
            Doctor(world, expected=[])
            rules = [BY_USER, {"table": "public.other", "channels": ["all"], "id": ["a"]}]
            world.rules = rules
            Doctor(world, expected=["delete-unroutable", "update-unroutable", "no-identity"])
            is_mended(world, "no-identity")
            is_mended(world, "update-unroutable")
            Doctor(world, expected=[])


# --- the servers ---

def test_before_init(postgres, redis):
    with World([BY_ID], postgres, redis, ORDERS) as world:
        doctor = Doctor(world, expected=["publication", "slot"])

        assert doctor.code == 3
        doctor.mend()
        Doctor(world, expected=[])


def test_slots_that_cannot_be_used(postgres, redis):
    with world_of([BY_ID], postgres, redis, ORDERS) as world:
        world.sql(f"select pg_drop_replication_slot('{world.slot}')")
        world.sql(f"select pg_create_logical_replication_slot('{world.slot}', 'pgoutput', false, true)")
        assert "two_phase" in is_mended(world, "slot")["what"]
        # Made anew: what came between is lost to clients.
        assert Doctor(world, expected=["position"]).findings[0]["level"] == "warning"


def test_a_slot_that_something_else_reads(postgres, redis):
    with world_of([BY_ID], postgres, redis, ORDERS) as world:
        reader = subprocess.Popen(
            [postgres_bindir() / "pg_recvlogical", "-d", f"host={postgres.directory} port={postgres.port} user=postgres dbname={world.db}",
             "-S", world.slot, "--start", "-f", "/dev/null", "-o", "proto_version=1", "-o", "publication_names=walcast"],
            stderr=subprocess.DEVNULL)
        try:
            wait_until(lambda: postgres.slot(world.slot)["active"], what="pg_recvlogical reads")
            assert "pg_recvlogical" in Doctor(world, expected=["slot"]).findings[0]["what"]
        finally:
            reader.kill()
            reader.wait()


def test_a_role_without_replication(postgres, redis):
    with world_of([BY_ID], postgres, redis, ORDERS) as world:
        world.sql('drop role if exists "Re""ader"')
        world.sql('create role "Re""ader" login')
        text = world.config(postgres=f"host=127.0.0.1 port={postgres.port} user='Re\"ader' dbname={world.db}")

        doctor = Doctor(world, config_text=text, expected=["role-without-replication"])
        doctor.mend()
        Doctor(world, config_text=text, expected=[])


def test_a_postgres_that_is_not_prepared(redis):
    with Postgres(postgres_bindir(VERSION), {"wal_level": "replica"}) as server:
        with World([BY_ID], server, redis, ORDERS) as world:
            world.sql("create publication walcast for table orders with (publish_via_partition_root = true)")
            doctor = Doctor(world)
            assert {"wal-level", "wal-without-limit", "slot"} <= set(doctor.checks()), doctor.text
            for statement in doctor.only("wal-without-limit")["mend"][0]["sql"]:
                world.sql(statement)
            assert "wal-without-limit" not in Doctor(world).checks()


def test_each_side_is_checked_without_the_other(postgres, redis):
    with world_of([BY_USER], postgres, redis, ORDERS) as world:
        nowhere = free_port()
        without_redis = Doctor(world, config_text=world.config(redis=f"redis://127.0.0.1:{nowhere}"))
        assert without_redis.code == 1
        assert without_redis.checks() == ["delete-unroutable", "update-unroutable", "redis"], without_redis.text
        without_postgres = Doctor(world, config_text=world.config(postgres=f"postgres://postgres@127.0.0.1:{nowhere}/x"))
        assert without_postgres.code == 1 and without_postgres.checks() == ["postgres"], without_postgres.text


@pytest.mark.parametrize("names, is_found", [("*", True), ("ANY 1 (other, \"Walcast\")", True), ("other, walcast2", False), ("", False)])
def test_a_server_that_takes_walcast_for_a_standby(postgres, redis, names, is_found):
    with world_of([BY_ID], postgres, redis, ORDERS) as world:
        try:
            postgres.execute("alter system set synchronous_standby_names = %s", [names])
            postgres.execute("select pg_reload_conf()")
            wait_until(lambda: postgres.execute("show synchronous_standby_names")[0][0] == names)
            assert ("synchronous-standby" in Doctor(world).checks()) == is_found
        finally:
            postgres.execute("alter system reset synchronous_standby_names")
            postgres.execute("select pg_reload_conf()")


def test_a_postgres_that_says_nothing_is_not_waited_for_long(postgres, redis):
    with world_of([BY_ID], postgres, redis, ORDERS) as world, socket.create_server(("127.0.0.1", 0)) as silent:
        text = world.config(postgres=f"postgres://postgres@127.0.0.1:{silent.getsockname()[1]}/x")
        started = time.monotonic()

        result = world.walcast("doctor", config_text=text)

        assert result.returncode == 1 and "no answer" in result.stdout
        assert time.monotonic() - started < 30


def test_a_redis_that_is_not_prepared(postgres):
    with Redis({"appendonly": "no"}) as redis, world_of([BY_ID], postgres, redis, ORDERS) as world:
        world.client.config_set("maxmemory-policy", "allkeys-lru")
        doctor = Doctor(world, expected=["eviction", "no-append-only-file"])
        for finding in doctor.findings:
            for line in finding["mend"][0]["shell"]:
                if "REWRITE" not in line:
                    world.client.execute_command(*line.split()[1:])
        Doctor(world, expected=[])
        world.client.execute_command("ACL", "SETUSER", "poor", "on", ">secret", "~*", "&*", "+@all", "-publish")
        text = world.config(redis=f"redis://poor:secret@127.0.0.1:{redis.port}")
        assert "publish" in Doctor(world, config_text=text, expected=["redis-permissions"]).text.lower()


def test_a_redis_user_that_may_not_publish_on_the_channels(postgres):
    with Redis() as redis, world_of([{**BY_ID, "channels": ["order:{id}", "all"]}], postgres, redis, ORDERS) as world:
        world.client.execute_command("ACL", "SETUSER", "walcast", "on", ">secret", "~walcast:*", "&walcast:*", "+@all")
        text = world.config(redis=f"redis://walcast:secret@127.0.0.1:{redis.port}")

        finding = Doctor(world, config_text=text, expected=["redis-permissions"]).findings[0]
        line, = finding["mend"][0]["shell"]
        assert "'&order:*' '&all'" in line
        world.client.execute_command(*shlex.split(line)[1:])
        Doctor(world, config_text=text, expected=[])


def test_positions_of_others(postgres, redis):
    with world_of([BY_ID], postgres, redis, ORDERS) as world:
        world.client.hset("walcast:position", "slot", "another")
        assert "two agents" in Doctor(world, expected=["position"]).text
        world.client.hset("walcast:position", mapping={"slot": world.slot, "system_id": "1"})
        assert "another one" in Doctor(world, expected=["position"]).text
        world.client.delete("walcast:position")
        assert "no position" in Doctor(world, expected=["position"]).text
        world.client.set("walcast:position", "x")
        Doctor(world, expected=["position"])


# --- doctor and the agent agree ---

LARGE = "repeat(md5(random()::text), 200)"


@pytest.mark.limit(300)
def test_doctor_finds_what_the_agent_then_cannot_route(postgres, redis):
    seed = int(os.environ.get("SEED", random.randrange(1 << 30)))
    print("SEED", seed)
    chance = random.Random(seed)
    count = 40
    tables, rules = [], []
    for n in range(count):
        identity = chance.choice(["default", "full", "index"])
        tables.append(f"""create table t{n} (id int primary key, a int not null, b int, c text not null, d int not null);
            alter table t{n} alter c set storage external; create unique index t{n}_i on t{n} (id, a);
            alter table t{n} replica identity {identity.replace('index', f'using index t{n}_i')};""")
        rule = {"table": f"public.t{n}", "unroutable": "skip",
                "channels": chance.choice([["all"], ["x:{id}"], ["x:{a}"], ["x:{b}"], ["x:{c}"], ["x:{a}", "y:{d}"], ["x:{id}:{a}"]])}
        for key in ("where", "delete_when"):
            if chance.random() < 0.4:
                rule[key] = chance.choice(["a > 5", "b is null", "d = 3", "id < 3", "c like 'x%'"])
        if rule.get("where") == rule.get("delete_when"):
            rule.pop("delete_when", None)  # No row would ever be there.
        if chance.random() < 0.2:
            rule["id"] = [chance.choice(["a", "d", "id"])]
        if chance.random() < 0.3:
            rule["operations"] = chance.choice([["insert"], ["insert", "update"], ["insert", "delete"]])
        rules.append(rule)
    with world_of(rules, postgres, redis, "".join(tables)) as world:
        doctor = Doctor(world)
        expected = {finding["table"] for finding in doctor.findings if finding["check"] in ("delete-unroutable", "update-unroutable", "large-column")}
        for table in [f"public.t{n}" for n in range(count)]:
            checks = {finding["check"] for finding in doctor.findings if finding["table"] == table}
            assert not checks - {"delete-unroutable", "update-unroutable", "large-column"}, (table, checks)
        agent = world.agent()
        for n in range(count):
            # Rows of every kind, twice, with an id on either side; moved across each condition and back.
            kinds = [(a, b, c, d) for a in (1, 9) for b in ("null", "1") for c in ("'x'", f"'x' || {LARGE}", LARGE) for d in (3, 4)]
            rows = ", ".join(f"({id}, {a}, {b}, {c}, {d})" for k, (a, b, c, d) in enumerate(kinds) for id in (-1 - k, 10 + k))
            world.sql(f"insert into t{n} values {rows}")
            for change in ("a = 10 - a", "b = case when b is null then 1 end", "d = 7 - d", "c = 'x' || c", "c = substr(c, 2)", "id = id + 1000", "id = 1005 - id"):
                world.sql(f"update t{n} set {change}")
            world.sql(f"delete from t{n}")
        world.settle(60)
        found = set(re.findall(r"table=\"?(public\.t\d+)", "\n".join(line for line in agent.log().splitlines() if "rout" in line)))
        assert found == expected, (f"SEED={seed}", [(rules[int(name[8:])], name in found) for name in found ^ expected], [finding["what"] for finding in doctor.findings if finding["table"] in found ^ expected])

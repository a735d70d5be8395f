"""What Laravel Chorus' client asks of its server, as walcast answers it: the schema, first loads, and what has changed since."""

import json
import os
import random
import re

import pytest

from support.bootstraps import ask, port_of
from support.servers import wait_until
from support.world import Subscriber, World

SEED = int(os.environ.get("WALCAST_SEED") or random.SystemRandom().randrange(10**6))
ROUNDS = int(os.environ.get("WALCAST_ROUNDS", 60))
HTTP = {"listen": "127.0.0.1:0"}
TOKEN = "Squirrel-s3cr3t-0123"
PRIVATE = "laravel_database_private-"
CHORUS = {"envelope": "chorus", "models": ["todos", "lists", "bodies"]}
TABLES = """
create table todos (id int primary key, owner text, title text, body text, secret text); alter table todos replica identity full;
create table lists (id text primary key, owner text); alter table lists replica identity full;
create table notes (id int primary key, owner text);
create table bodies (id int primary key, title text, body text);
"""
RULES = [
    {"table": "public.todos", "model": "todos", "channels": ["chorus.user.{owner}"], "exclude": ["secret"], "rename": {"owner": "user_id"}},
    {"table": "public.lists", "model": "lists", "channels": ["chorus.user.{owner}"]},
    {"table": "public.notes", "model": "notes", "channels": ["chorus.user.{owner}"]},
    {"table": "public.bodies", "model": "bodies", "channels": ["chorus.user.a"]},
]
UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-7000-[89ab][0-9a-f]{3}-[0-9a-f]{12}")


def world_of(postgres, redis, *outputs, **options):
    return World(RULES, postgres, redis, TABLES, http={**HTTP, **options.pop("http", {})}, outputs=list(outputs) or [CHORUS], **options)


@pytest.fixture
def world(postgres, redis):
    with world_of(postgres, redis) as world:
        world.init()
        yield world


class Pages:
    def __init__(self, agent):
        self.port = port_of(agent)

    def ask(self, path, *query, **parameters):
        status, text = ask(self.port, path, query, **parameters)
        return status, json.loads(text) if text[:1] == b"{" else text.decode()

    def schema(self):
        status, said = self.ask("/chorus/schema")
        assert status == 200, said
        return said

    def sync(self, table, *query, channel="chorus.user.a", **parameters):
        channels = [channel] if isinstance(channel, str) else channel
        return self.ask(f"/chorus/sync/{table}", *(("channel", name) for name in channels), *query, **parameters)

    def records(self, table, *query, **parameters):
        status, said = self.sync(table, ("initial", "true"), *query, **parameters)
        assert status == 200 and set(said) == {"latest_harmonic_id", "records"}, said
        assert UUID.fullmatch(said["latest_harmonic_id"])
        return said["latest_harmonic_id"], said["records"]

    def changes(self, table, after, *query, **parameters):
        status, said = self.sync(table, ("after", after), *query, **parameters)
        assert status == 200 and set(said) == {"latest_harmonic_id", "harmonics"}, said
        return said["latest_harmonic_id"], said["harmonics"]

    def refused(self, table, *query, **parameters):
        status, said = self.sync(table, *query, **parameters)
        assert (status, said["status"]) == (409, "not provable"), said
        assert "database_version" in said["then"] and said["detail"]
        return said["reason"]


def sync_id_of(harmonic):
    groups = harmonic.split("-")
    return ((int(groups[3], 16) & 0x3FFF) << 48 | int(groups[4], 16)) >> 8


def live(subscriber, user="a"):
    """The harmonics that a client of this user has heard."""
    found = [json.loads(data)["data"] for name, data in list(subscriber.received) if name == f"{PRIVATE}chorus.user.{user}"]
    return [one for one in found if "rejected" not in one]


def net(harmonics, table):
    """What is left of them: of each record the last, with everything that does not tell of time."""
    latest = {}
    for one in harmonics:
        if one["table_name"] == table:
            latest.pop(one["record_id"], None)
            latest[one["record_id"]] = {**one, "id": sync_id_of(one["id"]), "operation": one["operation"].replace("create", "update")}
    return list(latest.values())


def work(world, chooser, rounds):
    users = ["a", "b", None]
    for number in range(rounds):
        statements = []
        for _ in range(chooser.choice([1, 1, 2, 5])):
            key, user, what = chooser.randrange(12), chooser.choice(users), chooser.random()
            owner = f"'{user}'" if user else "null"
            if what < 0.35:
                statements.append(f"insert into todos values ({key}, {owner}, 'é \"{number}\"', null, 's') on conflict (id) do update set title = excluded.title")
            elif what < 0.5:
                statements.append(f"update todos set title = 'round {number}' where id = {key}")
            elif what < 0.65:
                statements.append(f"update todos set owner = {owner} where id = {key}")
            elif what < 0.75:
                statements.append(f"delete from todos where id = {key}")
            elif what < 0.8:
                statements.append(f"update todos set id = id + 12 where id = {key} and not exists (select 1 from todos t where t.id = {key + 12})")
            elif what < 0.9:
                statements.append(f"insert into lists values ('l\\,{key}', {owner}) on conflict (id) do update set owner = excluded.owner")
            else:
                statements.append(f"delete from lists where id = 'l\\,{key}'")
        if chooser.random() < 0.1:
            statements.append("select pg_logical_emit_message(true, 'walcast:event', '{\"channel\": \"chorus.user.a\", \"name\": \"x\"}')")
        world.transaction(*statements, end=chooser.choice(["commit"] * 9 + ["rollback"]))


def test_the_schema_has_the_tables_of_the_output_as_they_are_published(world):
    pages = Pages(world.agent())
    said = pages.schema()
    assert said["schema"] == {"todos": "id, user_id, title, body", "lists": "id, owner", "bodies": "id, title, body"}
    assert set(said) == {"schema", "schema_version", "database_version", "latest_harmonic_id", "generated_at"}
    assert isinstance(said["schema_version"], int) and said["database_version"].startswith(world.position()["epoch"] + "-")
    assert sync_id_of(said["latest_harmonic_id"]) == int(world.position()["sync_id"])

    # Another epoch, another reset, another schema: the client deletes its database. Nothing else does that.
    work(world, random.Random(1), 5)
    world.settle()
    again = pages.schema()
    assert [again[name] for name in ("schema", "schema_version", "database_version")] == [
        said[name] for name in ("schema", "schema_version", "database_version")]
    world.sql("truncate todos")
    world.settle()
    truncated = pages.schema()
    assert truncated["database_version"] not in (said["database_version"], None)
    world.sql("alter table lists add column place int")
    altered = wait_until(lambda: (now := pages.schema())["schema"] != said["schema"] and now, 20, "the schema is read again", every=0.2)
    assert altered["schema"]["lists"] == "id, owner, place" and altered["schema_version"] != said["schema_version"]
    world.client.flushall()
    world.sql("insert into lists values ('l', 'a')")

    def has_other_epoch():
        status, now = pages.ask("/chorus/schema")
        assert status in (200, 503), now
        return status == 200 and now["database_version"].split("-")[0] != said["database_version"].split("-")[0]
    wait_until(has_other_epoch, 30, "another epoch", every=0.1)


def says_enough(heard):
    """With deletes of both tables, whose ids are of two types."""
    return len(heard) > 20 and len({type(one["record_id"]) for one in heard if one["operation"] == "delete"}) == 2


def test_a_page_is_what_is_left_of_the_live_harmonics(world):
    print(f"WALCAST_SEED={SEED}")
    pages = Pages(world.agent())
    chooser = random.Random(SEED)
    with Subscriber(world.redis) as subscriber:
        first, _ = pages.records("todos")
        while not says_enough(live(subscriber)):
            work(world, chooser, ROUNDS)
            world.settle()
        world.sql("insert into todos values (100, 'a', 'the end')")
        world.settle()
        wait_until(lambda: any(one["record_id"] == 100 for one in live(subscriber)), 20, "all is heard")
        heard = live(subscriber)
        # All that comes sorts above a page.
        latest, _ = pages.changes("todos", heard[-1]["id"])
        world.sql("insert into todos values (100, 'a', 'later') on conflict (id) do update set title = excluded.title")
        world.settle()
        wait_until(lambda: len(live(subscriber)) > len(heard), 20, "it is heard")
        heard = live(subscriber)
        assert heard[-1]["id"] > latest > heard[-2]["id"]
    assert [one["id"] for one in heard] == sorted({one["id"] for one in heard})
    for after in [first, *chooser.sample([one["id"] for one in heard], 8), heard[-1]["id"]]:
        for table in ("todos", "lists"):
            latest, page = pages.changes(table, after)
            wanted = net([one for one in heard if sync_id_of(one["id"]) > sync_id_of(after)], table)
            assert [{**one, "id": sync_id_of(one["id"])} for one in page] == wanted, (table, after)
            ids = [after, *(one["id"] for one in page), latest]
            assert ids == sorted(ids) and len(set(ids[:-1])) == len(ids) - 1, ids
            # No later than what it stands for.
            by_place = {sync_id_of(one["id"]): one["id"] for one in heard}
            assert all(one["id"] <= by_place[sync_id_of(one["id"])] for one in page)
            assert sync_id_of(latest) == int(world.position()["sync_id"]) and latest >= heard[-1]["id"]
    world.sql("insert into todos values (101, 'a', 'later')")
    world.settle()
    with_later, page = pages.changes("todos", latest)
    assert [one["record_id"] for one in page] == [101] and latest < page[0]["id"] < with_later
    # Of several channels what their clients together would have.
    _, page = pages.changes("todos", first, channel=["chorus.user.a", "chorus.user.b"])
    rows = {one["record_id"]: one for one in page}
    assert len(rows) == len(page)
    for key, owner in world.sql("select id, owner from todos where owner is not null"):
        assert (rows[key]["operation"], json.loads(rows[key]["data"])["user_id"]) == ("update", owner)


def test_a_first_load_has_the_rows_as_live_ones_and_an_id_below_what_comes(world):
    agent = world.agent()
    pages = Pages(agent)
    with Subscriber(world.redis) as subscriber:
        work(world, random.Random(2), 30)
        world.sql("insert into todos values (100, 'a', 'the end', repeat('x', 5000))")
        world.settle()
        wait_until(lambda: any(one["record_id"] == 100 for one in live(subscriber)), 20, "all is heard")
        rows = {one["record_id"]: one["data"] for one in net(live(subscriber), "todos") if one["operation"] != "delete"}
        latest, records = pages.records("todos")
        # Byte for byte but for the quotes around.
        _, text = ask(pages.port, "/chorus/sync/todos", [("channel", "chorus.user.a"), ("initial", "true")])
        assert b",".join(data.encode() for _, data in sorted(rows.items())) in text
        assert {one["id"]: one for one in records} == {key: json.loads(data) for key, data in rows.items()}
        assert sync_id_of(latest) == int(world.position()["sync_id"])
        world.sql("insert into todos values (101, 'a', 'later')")
        world.settle()
        wait_until(lambda: live(subscriber)[-1]["record_id"] == 101, 20, "it is heard")
        assert live(subscriber)[-1]["id"] > latest
    assert [one["record_id"] for one in pages.changes("todos", latest)[1]] == [101]
    assert pages.records("todos", channel="nobody")[1] == []
    assert len(pages.records("todos", channel=["chorus.user.a", "chorus.user.b"])[1]) == world.sql("select count(owner) from todos")[0][0]

    world.sql("insert into todos select i, 'many', repeat('y', 2000) from generate_series(1000, 20000) i")
    world.settle(60)
    assert len(pages.records("todos", channel="chorus.user.many")[1]) == 19001
    assert agent.rss_max() < 64 << 20


def test_all_pages_of_a_mount_can_have_one_id(world):
    pages = Pages(world.agent())
    world.sql("insert into lists values ('l1', 'a')")
    world.settle()
    until = pages.schema()["latest_harmonic_id"]
    world.sql("insert into todos values (1, 'a', 'x')")
    world.settle()
    later = pages.schema()["latest_harmonic_id"]
    world.sql("insert into lists values ('l2', 'a')")
    world.settle()
    # What came after it comes again.
    assert pages.records("lists", ("until", until)) == (until, [{"id": "l1", "owner": "a"}, {"id": "l2", "owner": "a"}])
    assert pages.records("todos", ("until", until))[0] == until
    latest, page = pages.changes("todos", until, ("until", later))
    assert latest == later and [one["record_id"] for one in page] == [1]
    assert pages.changes("lists", until, ("until", later)) == (later, [])
    assert [one["record_id"] for one in pages.changes("lists", later)[1]] == ["l2"]
    # A cursor that is further already stays.
    assert pages.changes("lists", later, ("until", until)) == (later, [])


def test_what_cannot_be_proved_is_refused_and_says_what_to_do(world):
    pages = Pages(world.agent())
    for number in range(3):
        world.sql(f"insert into todos values ({number}, 'a', 'x')")
        world.settle()
    first = pages.changes("todos", pages.records("todos")[0])[0]
    for number in range(3, 6):
        world.sql(f"insert into todos values ({number}, 'a', 'x')")
    world.settle()
    assert pages.refused("todos") == "no_cursor"
    assert pages.refused("todos", ("after", "01930000-0000-7abc-8000-000000001041")) == "no_cursor"
    # A reset of this table, not of another one.
    before = pages.changes("todos", first)[0]
    world.sql("truncate notes")
    world.settle()
    pages.changes("todos", before)
    world.sql("truncate todos")
    world.settle()
    assert pages.refused("todos", ("after", before)) == "reset"
    after_it, _ = pages.records("todos")
    pages.changes("todos", after_it)
    # A row whose large column an update left alone.
    world.sql("insert into bodies values (10, 'x', (select string_agg(md5(i::text), '') from generate_series(1, 1000) i))")
    world.sql("update bodies set title = 'y' where id = 10")
    world.settle()
    assert pages.refused("bodies", ("after", after_it)) == "incomplete"
    assert [row["title"] for row in pages.records("bodies")[1]] == ["y"]
    world.sql("delete from bodies")
    world.settle()
    assert [one["operation"] for one in pages.changes("bodies", after_it)[1]] == ["delete"]
    # History that is gone.
    world.client.xtrim("walcast:log:chorus.user.a", maxlen=1, approximate=False)
    assert pages.refused("todos", ("after", after_it)) == "trimmed"
    # An id that Redis does not have.
    ahead = after_it[:24] + f"{0xFFFFFFFFFFFF:012x}"
    assert pages.refused("todos", ("after", ahead)) == "went_back"
    # Another epoch.
    end, _ = pages.changes("todos", pages.records("todos")[0])
    epoch = world.position()["epoch"]
    world.client.flushall()
    world.sql("insert into todos values (20, 'a', 'x')")
    wait_until(lambda: world.client.hget("walcast:position", "epoch") not in (None, epoch.encode()), 30, "a new epoch")
    world.settle()
    assert pages.refused("todos", ("after", end)) in ("trimmed", "reset")


def test_a_page_is_bounded(world):
    agent = world.agent()
    pages = Pages(agent)
    cursor, _ = pages.records("todos")
    world.sql("insert into todos select i, 'a', repeat('\"x', 10000) from generate_series(1, 100) i")
    world.settle(60)
    latest, page = pages.changes("todos", cursor)
    assert len(page) == 100
    world.sql("insert into todos select i, 'a', repeat('\"x', 10000) from generate_series(101, 300) i")
    world.settle(60)
    assert pages.refused("todos", ("after", cursor)) == "too_large"
    cursor = pages.schema()["latest_harmonic_id"]
    world.sql("delete from todos")
    world.settle(60)
    assert len(pages.changes("todos", cursor)[1]) == 300
    assert agent.rss_max() < 64 << 20, agent.rss_max()


def test_what_is_wrong_is_said(postgres, redis):
    with world_of(postgres, redis) as world:
        agent = world.init().agent()
        pages = Pages(agent)
        for status, table, query, what in [
                (400, "todo", [("initial", "true")], "did you mean todos?"), (400, "notes", [("initial", "true")], "there is no table notes"),
                (400, "todos", [("initial", "yes")], "initial"), (400, "todos", [("initial", "true"), ("limit", "5")], '"limit"'),
                (400, "todos", [("initial", "true"), ("until", "1")], "until"), (400, "%zz", [("initial", "true")], "%25")]:
            found, said = pages.sync(table, *query)
            assert found == status and what in said["error"], (table, query, said)
        assert pages.ask("/chorus/sync/todos", ("initial", "true"))[0] == 400
        assert pages.ask("/chorus/sync/")[0] == 404
        assert pages.ask("/chorus/schema", headers={"Host": "evil.example"})[0] == 403
        standby = world.agent(streaming=False)
        standby.wait_log("standby|waiting|wait")
        assert Pages(standby).ask("/chorus/schema")[0] == 503

        world.client.execute_command("CLIENT", "PAUSE", "6000", "ALL")
        status, said = pages.ask("/chorus/schema")
        assert status == 503 and "redis" in said["error"], said


def test_it_is_for_who_has_an_output_and_the_token(postgres, redis):
    with world_of(postgres, redis, {"envelope": "native"}, http={"token": TOKEN}) as world:
        pages = Pages(world.init().agent())
        assert pages.ask("/chorus/schema")[0] == 401
        status, said = pages.ask("/chorus/schema", headers={"Authorization": f"Bearer {TOKEN}"})
        assert status == 404 and '[[output]] with envelope = "chorus"' in said["error"]

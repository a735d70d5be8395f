"""What a client asks for over HTTP, or by `walcast delta`: all that was published above an id, or that nobody can tell."""

import collections
import http.client
import json
import os
import random
import shutil
import socket
import subprocess
import threading
import time
import urllib.parse

import pytest

from support import history
from support.servers import REPOSITORY, walcast, wait_until
from support.world import REDIS_PASSWORD, Subscriber, World

TODOS = """create table todos (id int primary key, ws int, title text); alter table todos replica identity full;
           create table notes (id int primary key, ws int); alter table notes replica identity full"""
RULES = [{"table": "public.todos", "model": "Todo", "channels": ["ws:{ws}"]},
         {"table": "public.notes", "model": "Note", "channels": ["ws:{ws}", "notes"]}]
ANY_PORT = {"listen": "127.0.0.1:0"}
TOKEN = "Squirrel-s3cr3t-0123"
CONTROL = "walcast:control"

Answer = collections.namedtuple("Answer", "status said text headers")


class Client:
    """Asks an agent's HTTP server."""

    def __init__(self, agent):
        self.agent = agent
        self.port = int(agent.wait_log(r"http listening on=[0-9.]+:(\d+)").group(1))

    def ask(self, path, headers=None, timeout=60, **parameters):
        pairs = [(name, one) for name, value in parameters.items() for one in (value if isinstance(value, list) else [value])]
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout)
        try:
            connection.request("GET", f"{path}?{urllib.parse.urlencode(pairs)}" if pairs else path, headers=headers or {})
            response = connection.getresponse()
            text = response.read()
        finally:
            connection.close()
        is_json = response.headers["Content-Type"] == "application/json"
        return Answer(response.status, json.loads(text) if is_json else None, text, response.headers)

    def delta(self, channels, epoch, after, **parameters):
        return self.ask("/delta", channel=channels, epoch=epoch, after=after, **parameters)

    def pages(self, channels, epoch, after=0, between=lambda: None, **parameters):
        """(channel, message's bytes) of all pages; fails where one is not provable."""
        found = []
        for _ in range(10_000):
            page = self.delta(channels, epoch, after, **parameters)
            assert page.status == 200 and page.said["status"] == "complete", page.text[:500]
            found += messages_of(page)
            after = page.said["next"]
            if not page.said["more"]:
                return found, page.said
            between()
        raise AssertionError("it never ends")

    def live(self):
        return self.ask("/livez").text == b"ok\n"


def messages_of(page):
    """The messages' own bytes, which no parser has touched."""
    rest = page.text[page.text.index(b'"messages":[') + 12:]
    found = []
    for item in page.said["messages"]:
        head = json.dumps({"channel": item["channel"]}, separators=(",", ":"), ensure_ascii=False)[:-1].encode() + b',"message":'
        assert rest.startswith(head), rest[:200]
        _, size = json.JSONDecoder().raw_decode(rest[len(head):].decode())
        message = rest[len(head):].decode()[:size].encode()
        found.append((item["channel"], message))
        rest = rest[len(head) + len(message) + 1:].lstrip(b",")
    assert rest == b"]}\n"
    return found


@pytest.fixture
def world(postgres, redis):
    with World(RULES, postgres, redis, TODOS, http=ANY_PORT) as world:
        world.init()
        yield world


def in_order(world, channels, after=0):
    """What the histories have, in the order of ids over all of them."""
    found = []
    for place, channel in enumerate(channels + [CONTROL]):
        entries = world.entries(channel) if channel != CONTROL else history.read_stream(world.client, CONTROL)
        for entry in entries:
            last = history.parse(entry.message)["lastSyncId"]
            if last > after:
                found.append((last, place, channel, entry.message))
    return [(channel, message) for _, _, channel, message in sorted(found)]


def fill(world, rounds, seed=1):
    dice = random.Random(seed)
    for number in range(rounds):
        world.transaction(
            f"insert into todos values ({number}, {dice.randrange(3)}, 'x')",
            f"insert into notes values ({number}, {dice.randrange(3)})",
            f"update todos set ws = {dice.randrange(3)} where id = {dice.randrange(number + 1)}")
        if number % 20 == 19:
            world.sql("truncate notes" if number % 40 == 19 else "delete from notes where id % 2 = 0")
    world.settle()


def test_pages_have_what_the_histories_have_byte_for_byte(world):
    client = Client(world.agent())
    fill(world, 60)
    position = world.position()
    wanted = in_order(world, ["ws:1", "notes"])
    assert len(wanted) > 100 and any(channel == CONTROL for channel, _ in wanted)
    for limit in (1, 7, 1000):
        found, last = client.pages(["ws:1", "notes"], position["epoch"], limit=limit)
        assert found == wanted, limit
        assert (last["epoch"], last["lastSyncId"]) == (position["epoch"], int(position["sync_id"]))
    middle = history.parse(wanted[len(wanted) // 2][1])["lastSyncId"]
    assert client.pages(["ws:1", "notes"], position["epoch"], middle)[0] == in_order(world, ["ws:1", "notes"], middle)
    # A known id for each channel.
    last_note = history.parse(world.entries("notes")[-1].message)["lastSyncId"]
    found, _ = client.pages(["ws:1", "notes"], position["epoch"], f"0,{last_note},{position['sync_id']}")
    assert found == [pair for pair in in_order(world, ["ws:1"]) if pair[0] != CONTROL]
    # A channel that never was has nothing, provably.
    assert client.pages(["nobody"], position["epoch"], position["sync_id"])[0] == []


def test_a_history_that_grows_between_pages_has_no_hole(world):
    client = Client(world.agent())
    fill(world, 20)
    epoch = world.position()["epoch"]
    numbers = iter(range(1000, 1030))

    def grow():
        number = next(numbers, None)
        if number is not None:
            world.transaction(f"insert into notes values ({number}, 1)", f"insert into todos values ({number}, 2, 'y')")
            world.settle()  # Else the reader may have caught up before it has grown.

    found, _ = client.pages(["ws:2", "notes"], epoch, between=grow, limit=3)
    assert next(numbers, None) is None
    world.settle()
    later, _ = client.pages(["ws:2", "notes"], epoch, history.parse(found[-1][1])["lastSyncId"])
    assert found + later == in_order(world, ["ws:2", "notes"])


def test_what_is_trimmed_between_pages_is_not_provable(world):
    client = Client(world.agent())
    fill(world, 20)
    epoch = world.position()["epoch"]
    page = client.delta(["ws:0", "ws:1"], epoch, 0, limit=5)
    assert page.said["more"]
    # All but the last message of one of them: what the next page would have to begin with is gone.
    world.client.xtrim("walcast:log:ws:1", maxlen=1, approximate=False)
    refused = client.delta(["ws:0", "ws:1"], epoch, page.said["next"], limit=5)
    assert (refused.status, refused.said["status"], refused.said["reason"]) == (409, "not provable", "trimmed")
    assert (refused.said["epoch"], refused.said["lastSyncId"]) == (epoch, int(world.position()["sync_id"]))
    assert "ws:1" in refused.said["detail"]
    # The other one by itself still is.
    assert client.delta(["ws:0"], epoch, page.said["next"].split(",")[0]).status == 200
    # And from the known id that the message follows on.
    last = history.parse(world.entries("ws:1")[-1].message)
    assert client.delta(["ws:1"], epoch, last["prevSyncId"]).status == 200
    assert client.delta(["ws:1"], epoch, last["prevSyncId"] - 1).status == 409


def test_a_history_removed_by_age_is_not_provable_below_the_floor(postgres, redis):
    with World(RULES, postgres, redis, TODOS, http=ANY_PORT, history={"length": 1000, "age": "1s"}, heartbeat="1s") as world:
        client = Client(world.init().agent())
        world.sql("insert into todos values (1, 1, 'x')")
        world.settle()
        epoch, known = world.position()["epoch"], int(world.position()["sync_id"])
        assert client.delta(["ws:1"], epoch, 0).status == 200

        def is_removed():
            world.sql("select pg_logical_emit_message(true, 'walcast:event', '{\"channel\": \"tick\", \"name\": \"tick\"}')")
            return not world.client.exists("walcast:log:ws:1")
        wait_until(is_removed, 30, "the history is removed", every=0.2)
        assert client.delta(["ws:1"], epoch, 0).said["reason"] == "trimmed"
        assert client.delta(["ws:1"], epoch, known - 1).said["reason"] == "trimmed"
        assert client.pages(["ws:1"], epoch, int(world.position()["sync_id"]))[0] == []


def test_another_epoch_an_emptied_redis_and_an_id_from_the_future(world):
    agent = world.agent()
    client = Client(agent)
    fill(world, 3)
    epoch, known = world.position()["epoch"], int(world.position()["sync_id"])
    other = client.delta(["ws:1"], "another", 0)
    assert (other.status, other.said["reason"], other.said["epoch"], other.said["lastSyncId"]) == (409, "epoch_changed", epoch, known)
    future = client.delta(["ws:1"], epoch, known + 1000)
    assert (future.status, future.said["reason"], future.said["lastSyncId"]) == (409, "went_back", known)

    world.client.flushall()
    statuses = set()

    def has_new_epoch():
        answer = client.delta(["ws:1"], epoch, known)
        statuses.add(answer.status)
        assert answer.status in (409, 503), answer.text
        world.sql("insert into todos values (100, 1, 'x') on conflict (id) do update set title = todos.title || 'x'")
        return answer.status == 409 and answer.said["reason"] == "epoch_changed" and answer.said
    said = wait_until(has_new_epoch, 30, "a new epoch", every=0.1)
    assert said["epoch"] != epoch and said["epoch"] == world.position()["epoch"]
    world.settle()
    # From where the new epoch began on, all of it.
    floor = int(world.position()["floor"])
    found, _ = client.pages(["ws:1"], said["epoch"], floor)
    assert found == in_order(world, ["ws:1"], floor)
    # Below it nothing is provable.
    assert client.delta(["ws:1"], said["epoch"], floor - 1).status == 409


def test_position_says_where_redis_is(world):
    client = Client(world.agent())
    fill(world, 2)
    position = world.position()
    answer = client.ask("/position")
    assert answer.status == 200
    lsn = history.lsn_number(answer.said.pop("lsn"))  # An idle position moves on.
    assert history.lsn_number(position["lsn"]) <= lsn <= world.position_lsn()
    assert answer.said == {"epoch": position["epoch"], "lastSyncId": int(position["sync_id"]), "floor": int(position["floor"])}


def test_requests_that_mean_nothing_are_refused_with_what_would_do(world):
    client = Client(world.agent())
    for path, parameters in (("/delta", {}), ("/delta", {"channel": "a", "epoch": "e"}), ("/delta", {"channel": "a", "epoch": "e", "after": "x"}),
                             ("/delta", {"channel": "a", "epoch": "e", "after": 1, "limit": 0}), ("/receipt", {}),
                             ("/receipt", {"mutationId": "m", "wait": 31}), ("/position", {"x": 1})):
        answer = client.ask(path, **parameters)
        assert answer.status == 400 and answer.said["error"], (path, parameters, answer.text)


def test_pages_of_large_messages_are_bounded(world):
    agent = world.agent()
    client = Client(agent)
    world.sql("insert into todos select i, 1, repeat('abcdefgh', 5000) from generate_series(1, 400) i")
    world.settle()
    epoch, after, count, sizes = world.position()["epoch"], 0, 0, []
    while True:
        page = client.delta(["ws:1"], epoch, after)
        assert page.status == 200
        count += sum(len(item["message"]["sync"]) for item in page.said["messages"])
        sizes.append(len(page.text))
        after = page.said["next"]
        if not page.said["more"]:
            break
    assert count == 400 and len(sizes) >= 20
    assert max(sizes) < 600 * 1024, max(sizes)  # A quarter of a megabyte, and a message as large.
    assert agent.rss_max() < 64 << 20


def test_greedy_clients_are_bounded_and_the_agent_works_on(world):
    agent = world.agent()
    client = Client(agent)
    world.sql("insert into todos select i, 1, repeat('abcdefgh', 5000) from generate_series(1, 50) i")
    world.settle()
    target = f"/delta?channel=ws:1&epoch={world.position()['epoch']}&after=0"
    sockets = []
    try:
        for _ in range(100):
            one = socket.create_connection(("127.0.0.1", client.port), timeout=20)
            one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            one.sendall(f"GET {target} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode() * 60)  # And nobody reads.
            sockets.append(one)
        world.sql("insert into todos values (1000, 2, 'x')")
        world.settle(60)
        assert [action.model_id for action in world.actions("ws:2")] == ["1000"]
        wait_until(client.live, 30, "live")
        assert agent.rss_max() < 96 << 20, agent.rss_max()
    finally:
        for one in sockets:
            one.close()
    wait_until(lambda: client.delta(["ws:1"], world.position()["epoch"], 0).status == 200, 30, "answers again")


def test_while_redis_is_away_it_says_so_at_once_and_after():
    with World(RULES, tables=TODOS, http=ANY_PORT) as world:
        client = Client(world.init().agent())
        fill(world, 2)
        epoch = world.position()["epoch"]
        asks = [lambda: client.delta(["ws:1"], epoch, 0), lambda: client.ask("/position"),
                lambda: client.ask("/receipt", mutationId="m"), lambda: client.ask("/receipt", mutationId="m", wait=30)]
        assert [ask().status for ask in asks[:3]] == [200, 200, 404]
        waiting = Waiting(client, "m9")
        wait_until(lambda: world.client.pubsub_channels("walcast:receipt:m9"), 20, "subscribed")
        world.redis.stop()
        begin = time.monotonic()
        for ask in asks:
            answer = ask()
            assert (answer.status, answer.headers["Retry-After"]) == (503, "1") and "redis" in answer.said["error"], answer.text
            assert REDIS_PASSWORD not in answer.said["error"]
        assert time.monotonic() - begin < 20 and client.live()
        world.redis.start()
        annotate(world, "m9", "insert into todos values (2000, 1, 'x')")
        assert waiting.result().status == 200 and waiting.seconds < 29
        assert wait_until(lambda: (answer := client.delta(["ws:1"], epoch, 0)).status == 200 and answer, 30, "Redis is back").said["messages"]
        # Lost between two questions it is not seen at all.
        world.client.execute_command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
        assert client.delta(["ws:1"], epoch, 0).status == 200

        # Frozen, each has its time, whoever is before it.
        world.redis.pause()
        try:
            begin, answers = time.monotonic(), []
            threads = [threading.Thread(target=lambda: answers.append(client.delta(["ws:1"], epoch, 0))) for _ in range(30)]
            for thread in threads:
                thread.start()
            assert client.live()
            for thread in threads:
                thread.join(60)
            assert [answer.status for answer in answers] == [503] * 30
            assert time.monotonic() - begin < 30
        finally:
            world.redis.resume()
        wait_until(lambda: client.delta(["ws:1"], epoch, 0).status == 200, 30, "Redis goes on")
        assert client.agent.log().count("http") < 5, "clients do not fill the log"


# --- receipts ---

def annotate(world, mutation_id, *statements):
    world.transaction("select pg_logical_emit_message(true, 'walcast', '" + json.dumps({"mutationId": mutation_id}) + "')", *statements)


def reject(world, mutation_id):
    content = json.dumps({"mutationId": mutation_id, "rejected": True, "reason": "no", "channel": "ws:1"})
    # An xid, as walcast.reject has it: so the server writes it out at the end and not when it happens to.
    world.transaction("select pg_current_xact_id()", f"select pg_logical_emit_message(false, 'walcast:event', '{content}')", end="rollback")


class Waiting(threading.Thread):
    def __init__(self, client, mutation_id, wait=30):
        super().__init__(daemon=True)
        self.client, self.mutation_id, self.wait, self.answer, self.seconds = client, mutation_id, wait, None, None
        self.start()

    def run(self):
        begin = time.monotonic()
        self.answer = self.client.ask("/receipt", mutationId=self.mutation_id, wait=self.wait)
        self.seconds = time.monotonic() - begin

    def result(self):
        self.join(60)
        return self.answer


def test_receipts_are_read_and_waited_for(world):
    client = Client(world.agent())
    none = client.ask("/receipt", mutationId="m/1 ü")
    assert (none.status, none.said) == (404, {"error": "no receipt", "mutationId": "m/1 ü", "waited": 0})
    waiting = [Waiting(client, "m/1 ü") for _ in range(3)]
    wait_until(lambda: len(world.client.pubsub_channels("walcast:receipt:*")) == 1, 20, "subscribed")
    annotate(world, "m/1 ü", "insert into todos values (1, 1, 'x')")
    for one in waiting:
        assert one.result().status == 200 and one.seconds < 20, one.answer
        assert one.answer.text.rstrip(b"\n") == world.client.get("walcast:receipt:m/1 ü")
    assert waiting[0].answer.said["status"] == "committed"
    assert waiting[0].answer.said["lastSyncId"] == int(world.position()["sync_id"])
    assert client.ask("/receipt", mutationId="m/1 ü").said == waiting[0].answer.said
    wait_until(lambda: not world.client.pubsub_channels("walcast:receipt:*"), 20, "unsubscribed")

    rejected = Waiting(client, "m2")
    reject(world, "m2")
    assert (rejected.result().status, rejected.answer.said["status"], rejected.answer.said["reason"]) == (200, "rejected", "no")
    begin = time.monotonic()
    late = client.ask("/receipt", mutationId="m3", wait=1)
    assert (late.status, late.said["waited"]) == (404, 1) and time.monotonic() - begin >= 0.9


def test_many_wait_on_one_connection_and_seldom_ask(world):
    client = Client(world.agent())
    client.ask("/receipt", mutationId="none")
    names = [f"m{number}" for number in range(150)]
    connections = world.client.info("clients")["connected_clients"]
    waiting = [Waiting(client, name) for name in names]
    wait_until(lambda: len(world.client.pubsub_channels("walcast:receipt:*")) == 150, 30, "all have subscribed")
    calls, begin = world.client.info("commandstats")["cmdstat_mget"]["calls"], time.monotonic()
    assert world.client.info("clients")["connected_clients"] <= connections + 1
    time.sleep(3)  # They only wait.
    asked = world.client.info("commandstats")["cmdstat_mget"]["calls"] - calls
    assert asked <= 2 * (time.monotonic() - begin) + 20, f"{asked} questions"
    assert client.live()
    for name in names:
        annotate(world, name, f"insert into todos values ({name[1:]}, 1, 'x')")
    for name, one in zip(names, waiting):
        assert one.result().status == 200 and one.answer.said["mutationId"] == name, (name, one.answer)


def test_too_many_are_told_so_and_others_find_a_place(world):
    client = Client(world.agent())
    waiting = [Waiting(client, f"m{number}") for number in range(192)]
    wait_until(lambda: len(world.client.pubsub_channels("walcast:receipt:*")) == 192, 25, "all have a place")
    refused = client.ask("/receipt", mutationId="more", wait=30)
    assert refused.status == 503 and "too many" in refused.said["error"]
    assert client.live() and client.ask("/receipt", mutationId="more").status == 404
    for number in range(192):
        annotate(world, f"m{number}")
    assert {one.result().status for one in waiting} == {200}
    assert client.ask("/receipt", mutationId="more", wait=1).status == 404


def test_who_has_gone_keeps_nobody_waiting(world):
    client = Client(world.agent())
    client.ask("/receipt", mutationId="none")
    gone = []
    for number in range(192):
        one = socket.create_connection(("127.0.0.1", client.port))
        one.sendall(b"GET /receipt?mutationId=g%d&wait=30 HTTP/1.1\r\nHost: localhost\r\n\r\n" % number)
        gone.append(one)
    wait_until(lambda: client.ask("/receipt", mutationId="more", wait=30).status == 503 if len(world.client.pubsub_channels("walcast:receipt:*")) == 192 else False,
               25, "all places are taken")
    since = time.monotonic()
    for one in gone[1:]:
        one.close()
    wait_until(lambda: world.client.pubsub_channels("walcast:receipt:*") == [b"walcast:receipt:g0"], 15, "their places are free")
    assert client.ask("/receipt", mutationId="more", wait=1).status == 404
    assert time.monotonic() - since < 25
    # Who has sent its next request is there.
    gone[0].sendall(b"GET /livez HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
    annotate(world, "g0")
    text = b"".join(iter(lambda: gone[0].recv(4096), b""))
    assert b'"mutationId":"g0"' in text and text.count(b"HTTP/1.1 200") == 2
    gone[0].close()


def test_receipts_come_without_permission_to_subscribe_and_after_a_loss():
    with World(RULES, tables=TODOS, http=ANY_PORT) as world:
        world.client.execute_command("ACL", "SETUSER", "walcast", "on", ">" + REDIS_PASSWORD, "~*", "&*", "+@all", "-subscribe")
        world.options["redis"] = world.redis.url(user="walcast", password=REDIS_PASSWORD)
        client = Client(world.init().agent())
        one = Waiting(client, "m1")
        annotate(world, "m1", "insert into todos values (1, 1, 'x')")
        assert one.result().status == 200 and one.seconds < 20
        world.client.execute_command("ACL", "SETUSER", "walcast", "+subscribe")
        two = Waiting(client, "m2")
        wait_until(lambda: world.client.pubsub_channels("walcast:receipt:m2"), 20, "subscribed")
        for kind in ("pubsub", "normal"):
            world.client.execute_command("CLIENT", "KILL", "TYPE", kind, "SKIPME", "yes")
        annotate(world, "m2", "insert into todos values (2, 1, 'x')")
        assert two.result().status == 200 and two.seconds < 25


# --- who may ask ---

def test_only_who_asks_for_this_machine_or_has_the_token_is_answered(world):
    agent = world.agent()
    client = Client(agent)
    for path in ("/delta?channel=a&epoch=e&after=0", "/position", "/receipt?mutationId=m"):
        assert client.ask(path, headers={"Host": f"localhost:{client.port}"}).status != 403
        for host in ("evil.example", f"evil.example:{client.port}", "localhost.evil.example", ""):
            assert client.ask(path, headers={"Host": host}).status == 403, (path, host)
    assert client.ask("/livez", headers={"Host": "evil.example"}).status == 200
    agent.stop()

    world.options["http"] = {"listen": "0.0.0.0:0", "token": TOKEN}
    client = Client(world.agent())
    for path in ("/delta?channel=a&epoch=e&after=0", "/position", "/receipt?mutationId=m"):
        assert client.ask(path).status == 401
        assert client.ask(path, headers={"Authorization": "Bearer " + TOKEN[:-1]}).status == 401
        assert client.ask(path, headers={"Authorization": "Bearer " + TOKEN, "Host": "walcast.example"}).status in (200, 404, 409)


def test_a_history_that_somebody_deletes_is_said_to_be_gone(world):
    client = Client(world.agent())
    fill(world, 20)
    position = world.position()
    epoch, last = position["epoch"], int(position["sync_id"])
    assert client.delta("ws:1", epoch, last - 1).status == 200
    world.client.delete("walcast:log:ws:1")
    refused = client.delta("ws:1", epoch, last - 1)
    assert (refused.status, refused.said["reason"]) == (409, "trimmed") and "is gone" in refused.said["detail"]
    assert client.delta("ws:1", epoch, last).status == 200  # It lacks nothing,
    assert client.delta("ws:unknown", epoch, last - 1).status == 200  # nor does a channel that never was.


# --- the command ---

def test_the_command_says_the_same(world):
    world.agent()
    fill(world, 400)
    position = world.position()
    result = world.walcast("delta", "ws:1", "notes", "--epoch", position["epoch"], "--after", 0)
    assert (result.returncode, result.stderr) == (0, "")
    *lines, last = [json.loads(line) for line in result.stdout.splitlines()]
    wanted = in_order(world, ["ws:1", "notes"])
    assert len(wanted) > 600  # More than a page.
    assert lines == [{"channel": channel, "message": json.loads(message)} for channel, message in wanted]
    assert last == {"status": "complete", "epoch": position["epoch"], "lastSyncId": int(position["sync_id"]), "more": False,
                    "next": ",".join([position["sync_id"]] * 3), "messages": []}

    text = world.walcast("delta", "ws:1", "--epoch", position["epoch"], "--after", 0, "--text")
    assert text.returncode == 0 and text.stderr == f"complete up to {position['sync_id']} in epoch {position['epoch']}\n"
    assert "insert Todo" in text.stdout and "\x1b" not in text.stdout
    # Redis alone, without a configuration.
    alone = walcast("delta", "ws:1", "--redis", world.redis.url(), "--epoch", position["epoch"], "--after", position["sync_id"])
    assert alone.returncode == 0 and len(alone.stdout.splitlines()) == 1

    other = world.walcast("delta", "ws:1", "--epoch", "another", "--after", 0)
    assert (other.returncode, json.loads(other.stdout)["reason"]) == (3, "epoch_changed")
    shown = world.walcast("delta", "ws:1", "--epoch", "another", "--after", 0, "--text")
    assert shown.returncode == 3 and shown.stdout == "" and "not provable: the epoch is" in shown.stderr
    assert world.walcast("delta", "ws:1", "--epoch", "e", "--after", "x").returncode == 2
    assert world.walcast("delta", "--epoch", "e", "--after", "1").returncode == 2
    for channels, says in ((["ws:1", "ws:1"], "is given twice"), (["walcast:control"], "control is always read")):
        wrong = world.walcast("delta", *channels, "--epoch", "e", "--after", "1")
        assert wrong.returncode == 2 and says in wrong.stderr
    world.client.delete("walcast:position")
    gone = world.walcast("delta", "ws:1", "--epoch", "e", "--after", "1")
    assert gone.returncode == 1 and "there is no walcast:position" in gone.stderr


# --- the reader ---

@pytest.mark.skipif(not shutil.which("node"), reason="no node")
def test_the_example_reader_follows_a_real_agent(world):
    seed = int(os.environ.get("WALCAST_SEED", random.randrange(1 << 30)))
    print(f"WALCAST_SEED={seed}")
    dice = random.Random(seed)
    client = Client(world.agent())
    channels = ["ws:0", "ws:1", "ws:2"]
    options = {"channels": channels, "url": f"http://127.0.0.1:{client.port}/delta", "epoch": world.position()["epoch"]}
    reader = subprocess.Popen(["node", REPOSITORY / "tests/clients/reader_process.mjs", json.dumps(options)], stdin=subprocess.PIPE,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        with Subscriber(world.redis) as subscriber:
            assert reader.stdout.readline() == "ready\n"
            sent = 0

            def pass_on():
                """Some are lost, some come twice, some too late."""
                nonlocal sent
                received = [one for one in subscriber.received[sent:] if one[0] in channels + [CONTROL]]
                sent = len(subscriber.received)
                dice.shuffle(received) if dice.random() < 0.3 else None
                for channel, data in received:
                    for _ in range(dice.choice([0, 1, 1, 1, 2])):
                        reader.stdin.write(json.dumps({"channel": channel, "message": json.loads(data)}) + "\n")
                reader.stdin.flush()
            for number in range(120):
                world.transaction(
                    f"insert into todos values ({number}, {dice.randrange(3)}, 'x')",
                    f"update todos set ws = {dice.randrange(3)}, title = title || 'y' where id = {dice.randrange(number + 1)}",
                    f"delete from todos where id = {dice.randrange(3 * number + 1)}",
                    f"select pg_logical_emit_message(true, 'walcast:event', '{{\"channel\": \"ws:1\", \"name\": \"ping\"}}')")
                if number % 10 == 9:
                    pass_on()
            world.settle()
            pass_on()
        out, errors = reader.communicate(timeout=60)
    finally:
        reader.kill()
        reader.wait()
    assert reader.returncode == 0, errors
    said = json.loads(out)
    rows = {f"ws:{ws} {number}": {"id": number, "ws": ws, "title": title} for number, ws, title in world.sql("select id, ws, title from todos")}
    assert said["rows"] == rows
    assert len(said["ids"]) == len(set(said["ids"])), "something was applied twice"
    assert sum(isinstance(one, str) for one in said["ids"]) == 120 and said["bootstraps"] == 1 and said["deltas"] > 2

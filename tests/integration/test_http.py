"""Liveness, readiness and metrics over HTTP tell the truth, and no client can disturb the agent."""

import http.client
import json
import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import time

import pytest
import yaml

from support.servers import REPOSITORY, free_port, wait_until
from support.world import World

TODOS = "create table todos (id int primary key, title text); alter table todos replica identity full"
RULE = {"table": "public.todos", "model": "Todo", "channels": ["todos"]}
ANY_PORT = {"listen": "127.0.0.1:0"}
TOKEN = "Squirrel-s3cr3t-0123"
LINE = re.compile(r'([a-z_]+)(?:\{([a-z]+)="([^"\\]*)"\})? (\S+)')


class Http:
    """An agent's HTTP server, as a client sees it."""

    def __init__(self, agent):
        self.agent = agent
        self.port = int(agent.wait_log(r"http listening on=127\.0\.0\.1:(\d+)").group(1))

    def connect(self, timeout=20):
        return socket.create_connection(("127.0.0.1", self.port), timeout=timeout)

    def ask(self, path, method="GET", headers=None):
        """Status, headers and text."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        try:
            connection.request(method, path, headers=headers or {})
            response = connection.getresponse()
            return response.status, response.headers, response.read().decode()
        finally:
            connection.close()

    def live(self):
        status, _, text = self.ask("/livez")
        return (status, text) == (200, "ok\n")

    def ready(self):
        """What /readyz says; its code and `ready` agree."""
        status, headers, text = self.ask("/readyz")
        said = json.loads(text)
        assert headers["Content-Type"] == "application/json"
        assert (status == 200) == said["ready"] == ("reason" not in said), text
        return said

    def wait_ready(self, timeout=30):
        wait_until(lambda: self.ready()["ready"], timeout, lambda: f"ready: {self.ready()}\n{self.agent.log()[-3000:]}", every=0.05)
        return self

    def metrics(self, **parameters):
        """By name, or by name and label's value. Fails where Prometheus could not read it."""
        status, headers, text = self.ask("/metrics", **parameters)
        assert status == 200 and headers["Content-Type"].startswith("text/plain; version=0.0.4")
        return parse(text)


def parse(text):
    assert text.endswith("\n")
    types, found, helped = {}, {}, set()
    for line in text.splitlines():
        if line.startswith("# HELP "):
            name = line.split()[2]
            assert name not in helped, f"{name} is there twice"
            helped.add(name)
        elif line.startswith("# TYPE "):
            _, _, name, kind = line.split()
            assert name in helped and kind in ("counter", "gauge", "histogram")
            types[name] = kind
        else:
            match = LINE.fullmatch(line)
            assert match, f"no sample: {line}"
            name, label, value, number = match.groups()
            family = re.sub("_(bucket|sum|count)$", "", name) if types.get(name) is None else name
            assert family in types, line
            assert name.endswith("_total") == (types[family] == "counter"), line
            key = (name, value) if label else name
            assert key not in found, f"{key} is there twice"
            found[key] = float(number)
    return found


@pytest.fixture
def world(postgres, redis):
    with World([RULE], postgres, redis, TODOS, http=ANY_PORT) as world:
        world.init()
        yield world


def test_paths_and_methods(world):
    http_of = Http(world.agent())
    assert http_of.live()
    status, headers, text = http_of.ask("/livez", "HEAD")
    assert (status, headers["Content-Length"], text) == (200, "3", "")
    assert http_of.ask("/livez?verbose=1")[0] == 200
    assert [http_of.ask(path)[0] for path in ("/", "/livez/", "/metrics/x", "/%2e%2e/etc/passwd")] == [404] * 4
    status, headers, _ = http_of.ask("/metrics", "POST")
    assert (status, headers["Allow"]) == (405, "GET, HEAD")
    # One connection, many requests, also several at once.
    with http_of.connect() as client:
        client.sendall(b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n" * 3 + b"GET /livez HTTP/1.0\r\n\r\n")
        received = read_all(client)
    assert received.count(b"HTTP/1.1 200 OK\r\n") == 4 and received.endswith(b"Connection: close\r\n\r\nok\n")


def read_all(client):
    received = b""
    while True:
        piece = client.recv(65536)
        if not piece:
            return received
        received += piece


def test_metrics_count_what_happened(world):
    agent = world.agent()
    http_of = Http(agent)
    before = http_of.metrics()
    world.sql("insert into todos select i, 'x' from generate_series(1, 7) i")
    world.transaction("update todos set title = 'y' where id <= 3", "delete from todos where id = 7", "delete from todos where id = 6")
    world.transaction("insert into todos values (100, 'rolled back')", end="rollback")
    world.sql("truncate todos")
    world.settle()
    after = http_of.metrics()

    def grown(name, label=None):
        key = (name, label) if label else name
        return after[key] - before[key]
    changes = {action: grown("walcast_changes_total", action) for action in ("insert", "update", "delete", "truncate")}
    assert changes == {"insert": 7, "update": 3, "delete": 2, "truncate": 1}
    assert grown("walcast_transactions_total") >= 3
    assert grown("walcast_sync_actions_total") == 12  # The truncate is a reset.
    histories = sum(len(entries) for entries in world.histories().values())
    assert grown("walcast_messages_total") >= histories > 0
    assert grown("walcast_batches_total") > 0 and grown("walcast_batch_bytes_sum") > 0
    assert grown("walcast_batch_seconds_count") == grown("walcast_batches_total")
    assert grown("walcast_commit_to_published_seconds_count") >= 1
    assert after["walcast_sync_id"] == int(world.position()["sync_id"])
    assert after["walcast_accepted_lsn"] <= world.position_lsn()
    assert after["walcast_confirmed_lsn"] <= after["walcast_accepted_lsn"] <= after["walcast_received_lsn"]
    assert (after["walcast_state", "active"], after["walcast_state", "standby"]) == (1, 0)
    assert (after["walcast_rules"], after["walcast_sessions_total"], after["walcast_epochs_total"]) == (1, 1, 0)
    assert 0 < after["process_resident_memory_bytes"] < 64 << 20
    # Connections beside the stream come and go meanwhile.
    assert after["process_open_fds"] == pytest.approx(len(os.listdir(f"/proc/{agent.pid}/fd")), abs=8)
    assert after["process_open_fds"] < after["process_max_fds"] and after["process_cpu_seconds_total"] > 0


def test_troubles_are_counted(world):
    agent = world.agent()
    http_of = Http(agent)
    world.postgres.execute("select pg_terminate_backend(active_pid, 5000) from pg_replication_slots where slot_name = %s", [world.slot])
    wait_until(lambda: http_of.metrics()["walcast_sessions_total"] == 2, 20, "a second session")
    assert http_of.metrics()["walcast_sessions_ended_total", "postgres"] >= 1

    world.client.execute_command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
    wait_until(lambda: http_of.metrics()["walcast_redis_losses_total"] >= 1, 20, "a loss of Redis")
    wait_until(lambda: http_of.metrics()["walcast_redis_connected"] == 1, 20, "Redis back")

    configuration = agent.config_path.read_text()
    agent.config_path.write_text(configuration + "\n[[rule]]\ntable = 'public.more'\nchannels = ['more']\n")
    os.kill(agent.pid, signal.SIGHUP)
    wait_until(lambda: http_of.metrics()["walcast_rules"] == 2, 20, "two rules")
    agent.config_path.write_text("[[rule]]\n")
    os.kill(agent.pid, signal.SIGHUP)
    wait_until(lambda: http_of.metrics()["walcast_reloads_total", "failed"] == 1, 20, "a reload that failed")
    assert http_of.metrics()["walcast_reloads_total", "done"] == 1


def test_ready_when_a_heartbeat_came_through_and_not_without_redis():
    with World([RULE], tables=TODOS, http=ANY_PORT, heartbeat="1s") as world:
        http_of = Http(world.init().agent()).wait_ready()
        assert http_of.metrics()["walcast_heartbeats_returned_total"] >= 1
        assert http_of.ready()["heartbeatAge"] < 20

        world.redis.stop()
        wait_until(lambda: not http_of.ready()["ready"], 20, "not ready without Redis")
        said = http_of.ready()
        assert (said["state"], said["redis"], said["postgres"]) == ("active", "not connected", "connected"), said
        assert http_of.live()
        world.redis.start()
        http_of.wait_ready()

        # Frozen, and its connection open: only the heartbeat tells.
        world.redis.pause()
        try:
            wait_until(lambda: not http_of.ready()["ready"], 30, "not ready with a frozen Redis")
            assert http_of.ready()["redis"] == "connected" and "heartbeat" in http_of.ready()["reason"]
            assert http_of.live()
        finally:
            world.redis.resume()
        http_of.wait_ready()


def test_not_ready_while_postgres_stands_still_and_live_all_the_time():
    with World([RULE], tables=TODOS, http=ANY_PORT, heartbeat="1s") as world:
        http_of = Http(world.init().agent()).wait_ready()
        walsenders = world.postgres.walsender_pids()
        for pid in walsenders:
            os.kill(pid, signal.SIGSTOP)
        try:
            wait_until(lambda: not http_of.ready()["ready"], 30, "not ready with a frozen Postgres")
            assert http_of.live()
        finally:
            for pid in walsenders:
                os.kill(pid, signal.SIGCONT)
        http_of.wait_ready()
        world.connection.close()
        world.postgres.stop()
        wait_until(lambda: http_of.ready()["postgres"] == "not connected", 20, "not ready without Postgres")
        assert not http_of.ready()["ready"] and http_of.live()
        world.postgres.start()
        http_of.wait_ready()


def test_a_standby_is_live_and_not_ready_until_it_takes_over(world):
    world.options["heartbeat"] = "1s"
    active = Http(world.agent()).wait_ready()
    standby = Http(world.agent(streaming=False))
    wait_until(lambda: standby.ready()["state"] == "standby", 20, "a standby")
    said = standby.ready()
    assert (said["ready"], said["reason"]) == (False, "another agent has the slot") and standby.live()
    assert standby.metrics()["walcast_state", "standby"] == 1
    active.wait_ready()
    active.agent.kill9()
    standby.wait_ready()
    assert standby.ready()["state"] == "active"


def test_an_address_in_use_is_waited_for(world):
    port = free_port()
    world.options["http"] = {"listen": f"127.0.0.1:{port}"}
    first = world.agent()
    assert Http(first).port == port
    second = world.agent(streaming=False)
    second.wait_log(rf'http not listening on=127\.0\.0\.1:{port} error="Address already in use" retry_in=10000ms')
    first.stop()
    assert Http(second).live()
    assert second.log().count("http not listening") == 1


def test_a_token_guards_what_is_reached_from_elsewhere(world):
    world.options["http"] = {"listen": "0.0.0.0:0", "token": TOKEN}
    agent = world.agent()
    port = int(agent.wait_log(r"http listening on=0\.0\.0\.0:(\d+)").group(1))
    agent.wait_log("http on=0.0.0.0:0 is reached from elsewhere, and is not encrypted")
    http_of = Http.__new__(Http)
    http_of.agent, http_of.port = agent, port
    assert http_of.live() and http_of.ready()["state"] == "active"
    status, headers, _ = http_of.ask("/metrics")
    assert (status, headers["WWW-Authenticate"]) == (401, "Bearer")
    assert http_of.ask("/metrics", headers={"Authorization": "Bearer " + TOKEN[:-1] + "x"})[0] == 401
    assert http_of.metrics(headers={"Authorization": "Bearer " + TOKEN})
    assert TOKEN not in agent.log()

    del world.options["http"]["token"]
    result = world.walcast("run")
    assert result.returncode == 2 and "needs a token" in result.stderr


def test_a_unix_socket_is_made_and_taken_from_the_dead(world, tmp_path):
    path = tmp_path / "http"
    world.options["http"] = {"listen": f"unix:{path}"}

    def live():
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(str(path))
            client.sendall(b"GET /livez HTTP/1.0\r\n\r\n")
            return read_all(client).endswith(b"ok\n")
    agent = world.agent()
    agent.wait_log("http listening on=unix:")
    assert live()
    agent.kill9()
    assert path.exists()
    agent.start()
    agent.wait_log("http listening on=unix:")
    assert live()
    assert agent.stop() == 0
    assert not path.exists()

    path.write_text("somebody's file")
    agent.start()
    agent.wait_log("http not listening on=unix:")
    assert path.read_text() == "somebody's file"


@pytest.mark.parametrize("request_bytes, code", [
    (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(range(256)), b"400"),  # Somebody speaks TLS.
    (b"GET\r\n\r\n", b"400"),
    (b"GET /livez HTTP/9.9\r\n\r\n", b"400"),
    (b"\r\n\r\n\r\n\r\n/livez", b"400"),
    (b"GET /livez HTTP/1.1\r\nContent-Length: -1\r\n\r\n", b"400"),
    (b"GET /livez HTTP/1.1\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n", b"400"),
    (b"GET /livez HTTP/1.1\r\nContent-Length: 99999999999\r\n\r\n", b"413"),
    (b"POST /livez HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nFFFFFFFF\r\n", b"413"),
    (b"GET /livez HTTP/1.1\r\nX: " + b"x" * 20000 + b"\r\n\r\n", b"431"),
    (b"GET /" + b"x" * 20000 + b" HTTP/1.1\r\n\r\n", b"431"),
    (b"GET /livez HTTP/1.1\r\n" + b"X: y\r\n" * 5000 + b"\r\n", b"431"),
], ids=["tls", "no target", "version", "no line", "length", "smuggling", "large", "chunk", "header", "target", "headers"])
def test_what_is_no_request_is_refused(still_agent, request_bytes, code):
    with still_agent.connect() as client:
        client.sendall(request_bytes)
        received = read_all(client)
    assert received.startswith(b"HTTP/1.1 " + code + b" "), received[:200]
    assert still_agent.live()


@pytest.fixture(scope="module")
def still_agent(postgres):
    """One agent for many bad clients, with a Redis that no other test empties."""
    with World([RULE], postgres, None, TODOS, http=ANY_PORT) as world:
        yield Http(world.init().agent())


def test_slow_clients_are_cut_off(still_agent):
    begin = time.monotonic()
    with still_agent.connect() as silent, still_agent.connect() as slow:
        slow.settimeout(0.2)
        is_cut = False
        slow.sendall(b"GET /livez HTTP/1.1\r\nX: ")
        while not is_cut and time.monotonic() - begin < 60:
            try:
                slow.sendall(b"x")
                is_cut = slow.recv(1) == b""
            except TimeoutError:
                pass
            except OSError:
                is_cut = True
        assert is_cut and time.monotonic() - begin > 4
        assert silent.recv(1) == b"", "one that says nothing"
    assert still_agent.live()


def test_many_connections_are_bounded_and_the_agent_works_on(world):
    http_of = Http(world.agent())
    pid = http_of.agent.pid
    before = len(os.listdir(f"/proc/{pid}/fd"))
    clients = []
    try:
        for number in range(400):
            clients.append(http_of.connect())
            if number % 3 == 0:
                clients[-1].sendall(b"GET /metrics HTTP/1.1\r\n")
            if number % 100 == 99:
                assert http_of.live(), "there is always a place"
                assert len(os.listdir(f"/proc/{pid}/fd")) <= before + 257
                world.sql("insert into todos values (%s, 'x')", [number])
                world.settle()
        assert [action.model_id for action in world.actions("todos")] == ["99", "199", "299", "399"]
        # Requests whose answers nobody reads.
        for client in clients[-20:]:
            try:
                client.sendall(b"GET /metrics HTTP/1.1\r\n\r\n" * 300)
            except OSError:
                pass
        assert http_of.live()
        assert http_of.metrics()["process_resident_memory_bytes"] < 64 << 20
    finally:
        for client in clients:
            client.close()
    begin = time.monotonic()
    assert http_of.agent.stop() == 0
    assert time.monotonic() - begin < 10


def test_the_alert_rules_name_metrics_that_are_there(still_agent):
    path = REPOSITORY / "deploy/alerts.yaml"
    rules = [rule for group in yaml.safe_load(path.read_text())["groups"] for rule in group["rules"]]
    assert len({rule["alert"] for rule in rules}) == len(rules) > 5
    _, _, text = still_agent.ask("/metrics")
    known = set(re.findall(r"^# TYPE (\S+)", text, re.M)) | {
        # Not known before a heartbeat, or without a limit for WAL.
        "walcast_heartbeat_age_seconds", "walcast_slot_retained_bytes", "walcast_slot_safe_bytes"}
    for rule in rules:
        used = set(re.findall(r"\b(?:walcast|process)_[a-z_]+", rule["expr"]))
        used = {re.sub("_(bucket|sum|count)$", "", name) for name in used}
        assert used and used <= known, f"{rule['alert']}: {used - known}"
        assert rule["annotations"]["summary"] and rule["labels"]["severity"] in ("page", "ticket")
    documented = (REPOSITORY / "docs/operating.md").read_text()
    assert all(f"`{name}`" in documented for name in known if name.startswith("walcast_")), \
        [name for name in known if f"`{name}`" not in documented]
    promtool = shutil.which("promtool")
    if promtool:
        subprocess.run([promtool, "check", "rules", path], check=True)


def test_docs_name_every_error_of_the_log():
    """docs/operating.md says what each error wants done."""
    documented = " ".join((REPOSITORY / "docs/operating.md").read_text().split())
    for source in pathlib.Path(REPOSITORY / "agent").rglob("*.cpp"):
        for text in re.findall(r'log_?\.error\(\s*"([^"]+)"', source.read_text()):
            for words in re.split(r"\w+=\{\}|\{\}", text):
                words = words.strip(" ;:,")
                assert len(words) < 10 or words in documented, f"{source.name}: {text}"

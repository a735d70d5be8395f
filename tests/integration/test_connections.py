"""Connections as real installations have them: TLS either way, client certificates, ACL users, sockets, Sentinel, several hosts."""

import os
import pathlib
import re
import shlex
import shutil
import socket
import subprocess
import tempfile
import threading

import pytest

from support import history
from support.certificates import Authority
from support.fakes import FakeServer
from support.oracle import Table
from support.sentinel import Sentinel, sentinel_url
from support.servers import REPOSITORY, Agent, Postgres, Redis, config, free_port, wait_until
from support.world import POSTGRES_PASSWORD, REDIS_PASSWORD, World, assert_no_password

TODOS = "create table todos (id int primary key, title text)"
RULES = [{"table": "public.todos", "model": "Todo", "channels": ["all"]}]
SENTINEL_PASSWORD = "Hare-s3cr3t"
def has_ipv6():
    try:
        with socket.create_server(("::1", 0), family=socket.AF_INET6):
            return True
    except OSError:
        return False


HAS_IPV6 = has_ipv6()

HBA = """
local all all trust
local replication all trust
hostssl all with_certificate all cert
hostssl all app all scram-sha-256
host all unencrypted all scram-sha-256
hostssl all postgres all trust
"""


@pytest.fixture(scope="module")
def directory():
    path = pathlib.Path(tempfile.mkdtemp(prefix="walcast-certificates-"))
    path.chmod(0o755)  # The server of Postgres runs as another user.
    yield path
    shutil.rmtree(path)


@pytest.fixture(scope="module")
def authority(directory):
    return Authority(directory)


@pytest.fixture(scope="module")
def other_authority(directory):
    return Authority(directory, "other")


@pytest.fixture(scope="module")
def server_certificate(authority):
    return authority.issue("server")


@pytest.fixture(scope="module")
def client_certificate(authority):
    return authority.issue("client", "with_certificate", names=())


@pytest.fixture(scope="module")
def postgres(authority):
    own = authority.issue("postgres", owner="postgres" if os.geteuid() == 0 else None)
    addresses = "127.0.0.1,::1" if HAS_IPV6 else "127.0.0.1"
    with Postgres(settings={"ssl": "on", "ssl_cert_file": own.cert, "ssl_key_file": own.key, "ssl_ca_file": authority.cert,
                            "listen_addresses": addresses}, hba=HBA) as server:
        server.execute("create role with_certificate superuser login")
        for role in ("app", "unencrypted"):
            server.execute(f"create role {role} superuser login password '{POSTGRES_PASSWORD}'")
        yield server


def tls_settings(authority, certificate, port):
    return {"tls-port": port, "tls-cert-file": certificate.cert, "tls-key-file": certificate.key, "tls-ca-cert-file": authority.cert,
            "tls-auth-clients": "no"}


@pytest.fixture(scope="module")
def redis(authority, server_certificate):
    with Redis({"requirepass": REDIS_PASSWORD, **tls_settings(authority, server_certificate, free_port())}) as server:
        yield server


@pytest.fixture
def world(postgres, redis):
    with World(RULES, postgres, redis, TODOS) as world:
        yield world


def goes_through(world, env=None, **options):
    """init, doctor and run with this configuration, and a row all the way."""
    text = world.config(**options)
    result = world.walcast("init", config_text=text, env=env)
    assert result.returncode == 0, result.stderr
    result = world.walcast("doctor", config_text=text, env=env)
    assert result.returncode == 0, result.stdout + result.stderr
    agent = world.agent(config_text=text, env=env)
    world.sql("insert into todos values (1, 'a')")
    world.settle()
    assert [(item.sync_id, item.data) for item in world.actions("all")] == [(1, {"id": 1, "title": "a"})]
    return agent


def is_refused(world, *patterns, env=None, **options):
    """doctor reaches the other server, and says all of this about the one that refuses."""
    result = world.walcast("doctor", config_text=world.config(**options), env=env)
    assert result.returncode == 1, result.stdout + result.stderr
    for pattern in patterns:
        assert re.search(pattern, result.stdout), f"no {pattern!r} in:\n{result.stdout}"
    assert SENTINEL_PASSWORD not in result.stdout


def tail_shows(*arguments, pattern, act=lambda: None):
    with Agent(None, command=("tail", *map(str, arguments))) as tail:
        act()
        wait_until(lambda: re.search(pattern, tail.output()), 30, lambda: f"{pattern} in:\n{tail.output()}\n{tail.log()}")
        said = tail.output() + tail.log() + pathlib.Path(f"/proc/{tail.pid}/cmdline").read_text()
        assert_no_password(said)
        assert SENTINEL_PASSWORD not in said


# --- Postgres ---

class Standby(Postgres):
    """A physical standby of `primary`, by pg_basebackup: while that is small."""

    def __init__(self, primary):
        self._primary = primary
        super().__init__(primary.bindir, primary.settings)

    def _make_data(self):
        self._run("pg_basebackup", "-h", self._primary.directory, "-p", self._primary.port, "-U", "postgres", "-D", self.data, "-R",
                  "-X", "stream", "-c", "fast", "--no-sync")

    def start(self, timeout=90):  # It makes up for what was written meanwhile.
        super().start(timeout)


def test_a_first_host_that_is_a_standby_is_passed_over(world):
    with Standby(world.postgres) as standby:
        assert standby.execute("select pg_is_in_recovery()") == [(True,)]
        url = f"postgres://postgres@127.0.0.1:{standby.port},127.0.0.1:{world.postgres.port}/{world.db}"
        goes_through(world, postgres=f"{url}?target_session_attrs=read-write")
        assert world.sql("select count(*) from pg_stat_replication where application_name = 'walcast'") == [(1,)]


def postgres_url(world, user="app", password=POSTGRES_PASSWORD, host="localhost", **parameters):
    credentials = f"{user}:{password}" if password else user
    query = "&".join(f"{name}={value}" for name, value in parameters.items())
    return f"postgres://{credentials}@{host}:{world.postgres.port}/{world.db}" + (f"?{query}" if query else "")


def test_postgres_over_tls_with_scram(world, authority):
    url = postgres_url(world, sslmode="verify-full", sslrootcert=authority.cert, channel_binding="require")
    goes_through(world, postgres=url)
    connections = world.postgres.execute("select ssl, version from pg_stat_ssl join pg_stat_activity using (pid) where usename = 'app'")
    assert connections and all(is_tls for is_tls, _ in connections), connections

    def insert():
        wait_until(lambda: world.sql("select count(*) from pg_replication_slots where temporary and active")[0][0], 30, "it streams")
        world.sql("insert into todos values (2, 'b')")

    tail_shows(url, pattern='"title":"b"', act=insert)


def test_postgres_by_a_client_certificate(world, authority, client_certificate):
    url = postgres_url(world, "with_certificate", None, sslmode="verify-full", sslrootcert=authority.cert)
    is_refused(world, "client certificate", postgres=url)
    goes_through(world, postgres=f"{url}&sslcert={client_certificate.cert}&sslkey={client_certificate.key}")


def test_what_postgres_or_libpq_refuse_is_named(world, authority, other_authority):
    right = {"sslmode": "verify-full", "sslrootcert": authority.cert}
    is_refused(world, "certificate verify failed", postgres=postgres_url(world, **{**right, "sslrootcert": other_authority.cert}))
    is_refused(world, "does not match host name", postgres=postgres_url(world, host="127.0.0.1", **right))
    is_refused(world, "password authentication failed", postgres=postgres_url(world, password="Wrong", **right))
    is_refused(world, "no password", postgres=postgres_url(world, password=None, **right))
    is_refused(world, "(?i)channel binding", postgres=postgres_url(world, "unencrypted", sslmode="disable", channel_binding="require"))
    is_refused(world, "no encryption", postgres=postgres_url(world, sslmode="disable"))


@pytest.mark.parametrize("by", ["passfile", "PGPASSFILE"])
def test_a_password_from_a_file(world, authority, tmp_path, by):
    file = tmp_path / "pgpass"
    file.write_text(f"localhost:{world.postgres.port}:*:app:{POSTGRES_PASSWORD}\n")
    file.chmod(0o600)
    url = postgres_url(world, password=None, sslmode="verify-full", sslrootcert=authority.cert)
    if by == "passfile":
        goes_through(world, postgres=f"{url}&passfile={file}")
    else:
        goes_through(world, postgres=url, env={"PGPASSFILE": str(file)})


def test_postgres_by_its_socket(world):
    goes_through(world, postgres=f"postgres://postgres@/{world.db}?host={world.postgres.directory}&port={world.postgres.port}")


def test_a_first_host_that_is_dead_is_passed_over(world):
    goes_through(world, postgres=f"postgres://app:{POSTGRES_PASSWORD}@127.0.0.1:{free_port()},localhost:{world.postgres.port}/{world.db}")


# --- Redis: TLS ---

def redis_url(redis, host="localhost", password=REDIS_PASSWORD, **parameters):
    query = "&".join(f"{name}={value}" for name, value in parameters.items())
    return f"rediss://:{password}@{host}:{redis.settings['tls-port']}/0" + (f"?{query}" if query else "")


@pytest.fixture(scope="module")
def doctor_of_no_tls(postgres, redis):
    """Starts before the other tests, since it waits for 15 seconds."""
    with Agent(config(postgres, f"rediss://:{REDIS_PASSWORD}@localhost:{redis.port}", RULES), command=("doctor",)) as doctor:
        yield doctor


def test_redis_over_tls(world, authority, doctor_of_no_tls):
    url = redis_url(world.redis, sslrootcert=authority.cert)
    goes_through(world, redis=url)
    # Much at once, written while answers are read.
    world.sql("insert into todos select i, repeat('x', 500) from generate_series(2, 20000) i")
    world.settle(60)
    world.assert_sound()
    assert [item.sync_id for item in world.actions("all")] == list(range(1, 20001))
    tail_shows(url, "--channel", "all", "--from", "0", pattern='"title":"a"')
    result = world.walcast("explain", "--sync-id", "1", config_text=world.config(redis=url))
    assert result.returncode == 0 and "todos" in result.stdout.lower(), result.stdout + result.stderr


def test_a_redis_certificate_that_does_not_verify_is_named(world, directory, authority, other_authority):
    (directory / "not.pem").write_text("not a certificate")
    redis = world.redis
    for url, *patterns in (
            [redis_url(redis), "certificate verify failed: .*self-signed|local issuer", r"\?sslrootcert="],
            [redis_url(redis, sslrootcert=other_authority.cert), "certificate verify failed: ", "other.crt is not its authority"],
            [redis_url(redis, "127.0.0.1", sslrootcert=authority.cert), "certificate verify failed: IP address mismatch", "not for 127.0.0.1"],
            [redis_url(redis, socket.gethostname(), sslrootcert=authority.cert), "certificate verify failed: hostname mismatch|host not found|refused"],
            [redis_url(redis, sslrootcert="/nowhere/ca.crt"), "sslrootcert /nowhere/ca.crt: No such file"],
            [redis_url(redis, sslrootcert=directory / "not.pem"), "sslrootcert .*not.pem: not a certificate"],
            [f"redis://:{REDIS_PASSWORD}@localhost:{redis.settings['tls-port']}", "rediss://"]):
        is_refused(world, *patterns, redis=url)


def test_a_server_that_answers_tls_with_something_else_is_named(world):
    def serve(connection):
        connection.recv(1000)
        connection.sendall(b"-ERR unknown command\r\n")

    with FakeServer(serve) as fake:
        is_refused(world, "TLS.*redis://", redis=f"rediss://localhost:{fake.port}")


def test_an_expired_redis_certificate_is_named_and_its_renewal_found(world, authority, server_certificate):
    def use(certificate):
        world.client.execute_command("CONFIG", "SET", "tls-cert-file", str(certificate.cert), "tls-key-file", str(certificate.key))

    world.init()
    use(authority.issue("expired", days=-1))
    try:
        agent = world.agent(streaming=False, config_text=world.config(redis=redis_url(world.redis, sslrootcert=authority.cert)))
        agent.wait_log("certificate verify failed: certificate has expired.*renew.*retry_in")
    finally:
        use(server_certificate)
    agent.wait_streaming(30)


def test_a_redis_that_demands_client_certificates(world, authority, other_authority, client_certificate, directory):
    url = redis_url(world.redis, sslrootcert=authority.cert)
    stranger = other_authority.issue("stranger", "stranger", names=())
    locked = directory / "locked.key"
    subprocess.run(["openssl", "ec", "-in", client_certificate.key, "-out", locked, "-aes256", "-passout", "pass:x"], check=True, capture_output=True)
    world.client.config_set("tls-auth-clients", "yes")
    try:
        is_refused(world, "client certificate|sslcert", redis=url)
        is_refused(world, "unknown ca|alert|closed|reset", redis=f"{url}&sslcert={stranger.cert}&sslkey={stranger.key}")
        is_refused(world, f"sslkey {stranger.key}: not the key", redis=f"{url}&sslcert={client_certificate.cert}&sslkey={stranger.key}")
        is_refused(world, f"sslkey {locked}: .*passphrase", redis=f"{url}&sslcert={client_certificate.cert}&sslkey={locked}")
        is_refused(world, "sslcert /nowhere: No such file", redis=f"{url}&sslcert=/nowhere&sslkey={stranger.key}")
        goes_through(world, redis=f"{url}&sslcert={client_certificate.cert}&sslkey={client_certificate.key}")
    finally:
        world.client.config_set("tls-auth-clients", "no")


# --- Redis: users, sockets, addresses ---

def documented_acl():
    """The words after ACL SETUSER in docs/configuration.md."""
    text = (REPOSITORY / "docs/configuration.md").read_text()
    words = shlex.split(re.search(r"^ACL SETUSER ((?:.*\\\n)*.*)$", text, re.MULTILINE).group(1).replace("\\\n", " "))
    assert words[0] == "walcast"
    return words[1:]


def test_an_acl_user_with_what_the_docs_say(postgres):
    with Redis({"requirepass": REDIS_PASSWORD}) as redis, \
            Redis({"masterauth": REDIS_PASSWORD, "replicaof": ("127.0.0.1", redis.port)}) as replica, \
            World(RULES, postgres, redis, TODOS, wait_replicas=1) as world:
        words = [">" + REDIS_PASSWORD if word.startswith(">") else word for word in documented_acl()]
        world.client.execute_command("ACL", "SETUSER", "walcast", *words)
        Watched.is_linked(replica)
        url = redis.url(user="walcast")

        agent = goes_through(world, redis=url)
        world.sql("truncate todos")
        wait_until(world.control, 20, "a reset of the model")
        agent.stop()
        world.client.hset("walcast:position", "system_id", "1")  # Whatever an epoch's change needs.
        world.agent(config_text=world.config(redis=url)).wait_log("new epoch")
        refused = world.client.execute_command("ACL", "LOG")
        assert not refused, f"was refused something: {refused}"


def test_wait_without_permission_is_named_at_the_start(postgres):
    with Redis({"requirepass": REDIS_PASSWORD}) as redis, World(RULES, postgres, redis, TODOS, wait_replicas=1) as world:
        world.client.execute_command("ACL", "SETUSER", "app", "on", ">" + REDIS_PASSWORD, "~*", "&*", "+@all", "-wait")
        text = world.config(redis=redis.url(user="app"))
        world.init()
        doctor = world.walcast("doctor", config_text=text)
        assert doctor.returncode == 3 and re.search("NOPERM.*WAIT.*wait_replicas", doctor.stdout), doctor.stdout
        assert re.search("connected replicas: 0, fewer than wait_replicas = 1", doctor.stdout)

        agent = world.agent(streaming=False, config_text=text)
        agent.wait_log("sink lost.*NOPERM.*WAIT.*wait_replicas")
        world.client.execute_command("ACL", "SETUSER", "app", "+wait")
        agent.wait_streaming(30)


def test_a_redis_user_without_a_password(world):
    world.client.execute_command("ACL", "SETUSER", "open", "on", "nopass", "~*", "&*", "+@all")
    goes_through(world, redis=f"redis://open@127.0.0.1:{world.redis.port}")
    world.client.execute_command("ACL", "DELUSER", "open")


def test_redis_by_its_socket(world):
    url = f"unix://:{REDIS_PASSWORD}@{world.redis.directory}/socket"
    goes_through(world, redis=url)
    tail_shows(url, "--channel", "all", "--from", "0", pattern='"title":"a"')
    is_refused(world, "no such socket", redis="unix:///nowhere/socket")


def test_hosts_that_are_not_found_are_named(world):
    is_refused(world, "host not found: check the name", redis=f"redis://:{REDIS_PASSWORD}@nowhere.invalid:1/0")
    is_refused(world, "no Sentinel says where.*nowhere.invalid.*host not found", redis=sentinel_url([1]).replace("127.0.0.1", "nowhere.invalid"))
    is_refused(world, "nowhere.invalid", postgres=f"postgres://app:{POSTGRES_PASSWORD}@nowhere.invalid/x")


@pytest.mark.skipif(not HAS_IPV6, reason="no IPv6 here")
def test_ipv6_literals(world):
    world.client.config_set("bind", "127.0.0.1 ::1")
    goes_through(world, redis=f"redis://:{REDIS_PASSWORD}@[::1]:{world.redis.port}",
                 postgres=f"postgres://postgres@[::1]:{world.postgres.port}/{world.db}")
    is_refused(world, r"redis://\[::1\]:1: connection refused", redis=f"redis://:{REDIS_PASSWORD}@[::1]:1")


# --- Redis: Sentinel ---

class Watched:
    """A master and its replica under Sentinels."""

    def __init__(self, count=3):
        settings = {"requirepass": REDIS_PASSWORD, "masterauth": REDIS_PASSWORD, "repl-diskless-sync-delay": 0}
        self.master = Redis(settings)
        self.replica = Redis({**settings, "replicaof": ("127.0.0.1", self.master.port)})
        self.is_linked(self.replica)
        self.sentinels = [Sentinel(self.master, count, SENTINEL_PASSWORD, REDIS_PASSWORD) for _ in range(count)]

    def __enter__(self):
        for sentinel in self.sentinels:
            wait_until(lambda: sentinel.others() == (1, len(self.sentinels) - 1), 60, "the Sentinels know each other", every=0.1)
        return self

    def __exit__(self, *_):
        for server in self.sentinels + [self.replica, self.master]:
            server.close()

    @staticmethod
    def is_linked(replica):
        wait_until(lambda: replica.client().info("replication")["master_link_status"] == "up", 60, "the replica is linked", every=0.05)

    def follow(self, replica, master):
        replica.client().execute_command("REPLICAOF", "127.0.0.1", master.port)
        self.is_linked(replica)

    def url(self, *first_ports, **parameters):
        ports = [*first_ports, *(sentinel.port for sentinel in self.sentinels)]
        return sentinel_url(ports, password=REDIS_PASSWORD, **{"sentinel_password": SENTINEL_PASSWORD, **parameters})

    def await_failover(self):
        """After the master's end: until the Sentinels have made the replica the next one."""
        wait_until(lambda: all(sentinel.master()[1] == self.replica.port for sentinel in self.sentinels), 110,
                   lambda: "a failover\n" + self.sentinels[0].log()[-3000:], every=0.1)


@pytest.fixture(scope="module")
def black_hole():
    """A port of a host that is gone: its packets are dropped, since nobody takes the connections that wait there already."""
    with socket.create_server(("127.0.0.1", 0), backlog=0) as full:
        waiting = []
        while True:
            one = socket.socket()
            one.settimeout(0.3)
            waiting.append(one)
            try:
                one.connect(full.getsockname())
            except TimeoutError:
                break
        yield full.getsockname()[1]
        for one in waiting:
            one.close()


@pytest.fixture(scope="module")
def watched():
    with Watched() as watched:
        yield watched


def test_the_master_that_a_sentinel_names(postgres, watched):
    with World(RULES, postgres, watched.master, TODOS) as world:
        words = [">" + REDIS_PASSWORD if word.startswith(">") else word for word in documented_acl()]
        world.client.execute_command("ACL", "SETUSER", "walcast", *words)
        url = watched.url(user="walcast")
        is_refused(world, r"ROLE: NOPERM.*\+role", redis=url)
        world.client.execute_command("ACL", "SETUSER", "walcast", "+role", "+subscribe", "+psubscribe")
        agent = goes_through(world, redis=url)
        tail_shows(url, "--channel", "all", "--from", "0", pattern='"title":"a"')
        assert SENTINEL_PASSWORD not in agent.log()


def test_sentinels_that_do_not_help_are_passed_over_and_named(postgres, watched, black_hole):
    with World(RULES, postgres, watched.master, TODOS) as world:
        dead, tried = free_port(), watched.sentinels[0].port
        world.init()
        world.agent(config_text=world.config(redis=watched.url(dead, black_hole)))
        is_refused(world, f"no Sentinel says where \"mymaster\" is; .*{dead}: connection refused.*; .*{black_hole}: .*timed out",
                   redis=sentinel_url([dead, black_hole], password=REDIS_PASSWORD))
        is_refused(world, 'watches no master "another"', redis=watched.url(master="another"))
        is_refused(world, "NOAUTH.*sentinel_password", redis=sentinel_url([tried], password=REDIS_PASSWORD))
        is_refused(world, "WRONGPASS", redis=watched.url(sentinel_password="Wrong-Hare"))


@pytest.mark.skipif(not os.environ.get("WALCAST_LONG"), reason="takes the fifteen seconds of an attempt")
def test_a_sentinel_that_says_nothing_is_asked_last_the_next_time(postgres, watched):
    with World(RULES, postgres, watched.master, TODOS) as world, socket.create_server(("127.0.0.1", 0)) as silent:
        world.init()
        agent = world.agent(streaming=False, config_text=world.config(redis=watched.url(silent.getsockname()[1])))
        agent.wait_log("no answer in time", 60)
        agent.wait_streaming(60)
        assert agent.log().count("no answer in time") == 1


def test_a_sentinel_that_names_a_replica_is_not_believed(postgres, watched):
    with Sentinel(watched.replica, 1, name="former") as behind, World(RULES, postgres, watched.master, TODOS) as world:
        is_refused(world, f"{watched.replica.port} is not a master", redis=sentinel_url([behind.port], password=REDIS_PASSWORD, master="former"))


def test_tls_to_sentinel_and_to_the_master_that_it_names(postgres, authority):
    certificate = authority.issue("cache", "cache", ["IP:127.0.0.1"])  # Sentinels name a master by its address.
    settings = tls_settings(authority, certificate, free_port())
    with Redis({"requirepass": REDIS_PASSWORD, **settings}) as master, \
            Sentinel(master, 1, master_password=REDIS_PASSWORD, tls=settings) as sentinel, World(RULES, postgres, master, TODOS) as world:
        url = sentinel_url([sentinel.port], password=REDIS_PASSWORD, scheme="rediss-sentinel")
        is_refused(world, "certificate verify failed", redis=url)
        goes_through(world, redis=f"{url}&sslrootcert={authority.cert}")


@pytest.mark.limit(300)
def test_after_a_failover_the_agent_goes_on_with_the_next_master(postgres):
    with Watched() as watched, World(RULES, postgres, watched.master, TODOS, record=True, wait_replicas=1) as world:
        world.options["redis"] = watched.url()
        epoch = world.init().position()["epoch"]
        agent = world.agent()
        with Writer(world) as writer:
            wait_until(lambda: writer.count > 50, 60, "some rows")
            watched.master.kill()
            watched.await_failover()
            world.client = watched.replica.client()
            agent.wait_log("(sink back|streaming)(.|\n)*fewer replicas", 60)
            before = writer.count
            wait_until(lambda: writer.count > before + 50, 60, "more rows")
            watched.master.start()
            watched.follow(watched.master, watched.replica)
        world.settle(60)
        agent.wait_log("replicas have everything again", 60)
        is_the_database_s_record(world)
        assert world.position()["epoch"] == epoch
        assert SENTINEL_PASSWORD not in agent.log()


@pytest.mark.limit(300)
@pytest.mark.parametrize("wait_replicas", [0, 1])
def test_a_failover_to_a_replica_that_lacks_the_tail(postgres, wait_replicas):
    with Watched() as watched, World(RULES, postgres, watched.master, TODOS, record=True, wait_replicas=wait_replicas) as world:
        world.options["redis"] = watched.url()
        epoch = world.init().position()["epoch"]
        agent = world.agent()
        world.sql("insert into todos values (-1, 'both have it')")
        world.settle()
        watched.replica.stop()
        with Writer(world) as writer:
            wait_until(lambda: writer.count > 50, 60, "rows that the replica lacks")
        world.settle()
        published = world.position_lsn()
        if wait_replicas:
            agent.wait_log("fewer replicas.*nothing is confirmed", 30)
        else:
            wait_until(lambda: world.confirmed() >= published, 60, "Postgres may forget them")
        watched.master.kill()
        assert not wait_replicas or world.confirmed() < published
        watched.replica.start()
        watched.await_failover()
        world.client = watched.replica.client()
        agent.wait_log("session ended(.|\n)*streaming", 90)
        world.settle(60)
        if wait_replicas:
            assert world.position()["epoch"] == epoch
            is_the_database_s_record(world)
        else:
            # What is lost is said.
            assert world.position()["epoch"] != epoch
            assert [message["type"] for message in world.messages("all")][0] == "reset"
            world.sql("insert into todos values (-2, 'after')")
            world.settle()
            assert [item.data["id"] for item in world.actions("all")] == [-2]


class Writer(threading.Thread):
    """Commits rows one by one."""

    def __init__(self, world):
        super().__init__(daemon=True)
        self.count = 0
        self._cursor = world.connect().cursor()
        self._ends = threading.Event()

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self._ends.set()
        self.join(30)

    def run(self):
        while not self._ends.wait(0.002):
            self._cursor.execute("insert into todos values (%s, 'x')", [self.count])
            self.count += 1


def is_the_database_s_record(world):
    channels = world.histories()
    oracle = world.oracle([Table("public.todos", rules=[("Todo", ["all"])])])
    found = history.problems(channels, world.position()["epoch"]) + history.differences(channels, oracle.expected)
    assert not found, "\n".join(found[:10])


def test_a_redis_without_tls_is_named(doctor_of_no_tls):
    assert doctor_of_no_tls.wait(60) == 1
    assert re.search("no answer in time: does it speak TLS", doctor_of_no_tls.output())
    assert_no_password(doctor_of_no_tls.output() + doctor_of_no_tls.log())

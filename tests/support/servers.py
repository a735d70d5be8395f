"""Real servers for tests, benchmarks and demos: Postgres, Redis and the walcast agent.

Each lives in a directory of its own under /tmp, listens on a private Unix socket and on a free port of
127.0.0.1, and is ended by its pid: on stop, at exit of the program, and by the kernel when the program is killed.

    with Postgres() as postgres, Redis() as redis, Agent(config(postgres, redis, rules)) as agent:
        ...

The kernel ties a child to the *thread* that started it: start servers in a thread that outlives them.
"""

import atexit
import ctypes
import fcntl
import json
import os
import pathlib
import pwd
import random
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import time

import psycopg2
import psycopg2.extras
import redis as redis_client

REPOSITORY = pathlib.Path(__file__).resolve().parents[2]

_prctl = ctypes.CDLL(None, use_errno=True).prctl
_PR_SET_PDEATHSIG = 1
_alive = []  # Whatever atexit has to end.


def wait_until(condition, timeout=10.0, what="condition", every=0.01):
    """Returns the first true value of condition(), or fails once the time is over."""
    deadline = time.monotonic() + timeout
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise TimeoutError(f"waited {timeout} s in vain: {what() if callable(what) else what}")
        time.sleep(every)


_port_locks = []  # Held while this program runs, so that other tests beside it take other ports.


def free_port():
    """A port that nobody has, below those of outgoing connections."""
    directory = pathlib.Path(tempfile.gettempdir()) / f"walcast-ports-{os.getuid()}"
    directory.mkdir(exist_ok=True)
    while True:
        port = random.SystemRandom().randrange(15000, 30000)
        lock = open(directory / str(port), "a")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            with socket.socket() as probe:
                probe.bind(("127.0.0.1", port))
        except OSError:
            lock.close()
            continue
        _port_locks.append(lock)
        return port


def _dies_with_us(death_signal):
    # Runs after the change of user, which would clear the death signal.
    return lambda: _prctl(_PR_SET_PDEATHSIG, death_signal, 0, 0, 0)


def _children(pid):
    try:
        return [int(child) for child in pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except FileNotFoundError:
        return []


def _is_running(pid):
    try:
        return pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] not in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return False


class Server:
    """A process with a private directory and a log file in it."""

    user = None
    death_signal = signal.SIGKILL
    restores_signals = True  # False: what Python ignores stays ignored, SIGXFSZ among it.

    def __init__(self, name):
        self.directory = pathlib.Path(tempfile.mkdtemp(prefix=f"walcast-{name}-"))
        self.log_path = self.directory / "log"
        self.process = None
        _alive.append(self)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def _spawn(self, arguments, env=None, stdout=None, stdin=subprocess.DEVNULL):
        # Sessions of their own: Ctrl-C in a terminal is for the test, which then ends its servers in order.
        with open(self.log_path, "ab") as log:
            self.process = subprocess.Popen(
                arguments, env=env, stdin=stdin, stdout=stdout or log, stderr=log, cwd=self.directory,
                preexec_fn=_dies_with_us(self.death_signal), start_new_session=True,
                restore_signals=self.restores_signals, **self._identity())

    def _identity(self):
        if not self.user:
            return {}
        entry = pwd.getpwnam(self.user)
        return {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": []}

    @property
    def pid(self):
        return self.process.pid if self.process else None

    def alive(self):
        return self.process is not None and self.process.poll() is None

    def log(self):
        return self.log_path.read_text(errors="replace") if self.log_path.exists() else ""

    def pause(self):
        """Freezes the process, and returns once it stands still."""
        os.kill(self.pid, signal.SIGSTOP)
        stat = pathlib.Path(f"/proc/{self.pid}/stat")
        wait_until(lambda: stat.read_text().rsplit(")", 1)[1].split()[0] == "T", what="process stopped")

    def resume(self):
        os.kill(self.pid, signal.SIGCONT)

    def kill(self):
        if self.alive():
            self.process.kill()
        if self.process:
            self.process.wait()

    def close(self):
        """Ends the process at once and removes the directory. May be called twice."""
        self.kill()
        shutil.rmtree(self.directory, ignore_errors=True)
        if self in _alive:
            _alive.remove(self)


@atexit.register
def _close_all():
    for server in list(reversed(_alive)):
        server.close()


def postgres_bindir(major=15):
    """Where the server of that version lives: Debian's 15, the others where get_postgres.sh puts them."""
    if int(major) == 15:
        return pathlib.Path("/usr/lib/postgresql/15/bin")
    bindir = REPOSITORY / f"build/postgres/{int(major)}/bin"
    if not bindir.exists():
        subprocess.run([REPOSITORY / "tests/support/get_postgres.sh", str(major)], check=True)
    return bindir


class Postgres(Server):
    """A cluster made by initdb, trusting local connections unless `hba` says otherwise."""

    death_signal = signal.SIGQUIT  # The postmaster then ends its children; after a SIGKILL they would linger a while.
    stop_signals = {"smart": signal.SIGTERM, "fast": signal.SIGINT, "immediate": signal.SIGQUIT}

    def __init__(self, version_bindir=postgres_bindir(), settings=None, hba=None, started=True, address="127.0.0.1"):
        super().__init__("postgres")
        self.address = address
        self.bindir = pathlib.Path(version_bindir)
        self.data = self.directory / "data"
        self.port = free_port()
        self.settings = {
            "wal_level": "logical", "fsync": "off", "synchronous_commit": "on", "max_wal_senders": 20,
            "max_replication_slots": 20, "max_connections": 60, "max_prepared_transactions": 10,
            "log_line_prefix": "%m [%p] %a ", "timezone": "UTC", **(settings or {})}
        if os.geteuid() == 0:
            names = {entry.pw_name for entry in pwd.getpwall()}
            self.user = "postgres" if "postgres" in names else "nobody"
            shutil.chown(self.directory, self.user)
        self._make_data()
        if hba:
            (self.data / "pg_hba.conf").write_text(hba)
        if started:
            self.start()

    def _make_data(self):
        self._run("initdb", "-D", self.data, "-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C.UTF-8", "--no-sync")

    def _run(self, program, *arguments):
        subprocess.run([self.bindir / program, *map(str, arguments)], check=True, stdout=subprocess.DEVNULL, cwd=self.directory,
                       **self._identity())

    def start(self, timeout=30):
        for attempts_left in (2, 1, 0):
            self._spawn([self.bindir / "postgres", "-D", self.data] + self._options())
            try:
                return wait_until(self._accepts, timeout, lambda: f"Postgres accepts connections\n{self.log()[-2000:]}")
            except ChildProcessError:
                # Somebody else may have taken the port between our probe and our use of it.
                if not attempts_left or "could not bind" not in self.log():
                    raise
                self.port = free_port()
                self.log_path.unlink()

    def _options(self):
        settings = {"listen_addresses": self.address, "port": self.port, "unix_socket_directories": self.directory,
                    "logging_collector": "off", **self.settings}
        if "output_plugin_libraries" in settings and not self.knows("output_plugin_libraries"):
            del settings["output_plugin_libraries"]  # Minor releases before August 2026 load any.
        return [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]

    def knows(self, setting):
        described = subprocess.run([self.bindir / "postgres", "--describe-config"], check=True, capture_output=True, text=True,
                                   cwd=self.directory, **self._identity()).stdout
        return any(line.split("\t")[0] == setting for line in described.splitlines())

    def _accepts(self):
        if not self.alive():
            raise ChildProcessError(f"Postgres did not start:\n{self.log()[-3000:]}")
        try:
            psycopg2.connect(self._socket_dsn("postgres")).close()
            return True
        except psycopg2.OperationalError:
            return False

    def _socket_dsn(self, db):
        return f"host={self.directory} port={self.port} user=postgres dbname={db}"

    def stop(self, mode="fast", timeout=60):
        """As `pg_ctl stop -m MODE`. Returns the seconds it took."""
        begin = time.monotonic()
        self.process.send_signal(self.stop_signals[mode])
        self.process.wait(timeout)
        return time.monotonic() - begin

    def kill(self):
        """Ends everything at once, as a loss of power would (but for what the kernel still holds)."""
        if not self.alive():
            return
        self.pause()  # It must not fork while we look.
        family = [self.pid] + _children(self.pid)
        for pid in reversed(family):
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        self.process.wait()
        wait_until(lambda: not any(map(_is_running, family)), what="Postgres is gone")

    def restart(self, mode="fast"):
        self.stop(mode)
        self.start()

    def close(self):
        if self.alive():
            # An immediate stop removes its shared memory; SIGKILL would leave it.
            try:
                self.stop("immediate", timeout=10)
            except subprocess.TimeoutExpired:
                pass
        super().close()

    def url(self, db="postgres", user="postgres", password=None):
        credentials = f"{user}:{password}" if password else user
        return f"postgres://{credentials}@{self.address}:{self.port}/{db}"

    def connect(self, db="postgres", autocommit=True, **parameters):
        connection = psycopg2.connect(self._socket_dsn(db), **parameters)
        connection.autocommit = autocommit
        return connection

    def execute(self, sql, parameters=None, db="postgres"):
        """Runs it in a connection of its own; returns the rows, if any."""
        connection = self.connect(db)
        try:
            cursor = connection.cursor()
            cursor.execute(sql, parameters)
            return cursor.fetchall() if cursor.description else []
        finally:
            connection.close()

    def walsender_pids(self):
        return [pid for (pid,) in self.execute("select pid from pg_stat_replication order by pid")]

    def slot(self, name):
        """The row of pg_replication_slots, or None."""
        connection = self.connect()
        try:
            cursor = connection.cursor(cursor_factory=psycopg2.extras.RealDictCursor)
            cursor.execute("select * from pg_replication_slots where slot_name = %s", [name])
            row = cursor.fetchone()
            return dict(row) if row else None
        finally:
            connection.close()


class Redis(Server):
    """`settings` as in redis.conf; those of several words are tuples."""

    def __init__(self, settings=None, started=True, address="127.0.0.1"):
        super().__init__("redis")
        self.address = address
        self.port = free_port()
        self.settings = {"appendonly": "yes", "appendfsync": "everysec", "save": "", **(settings or {})}
        if started:
            self.start()

    def start(self, timeout=20):
        options = {"bind": self.address, "port": self.port, "dir": self.directory, "protected-mode": "no",
                   "unixsocket": self.directory / "socket", **self.settings}
        words = {name: value if isinstance(value, tuple) else (value,) for name, value in options.items()}
        self._spawn(["redis-server"] + [str(word) for name, values in words.items() for word in (f"--{name}", *values)])
        self._wait_until_it_answers(timeout)

    def _wait_until_it_answers(self, timeout):
        wait_until(self._answers, timeout, lambda: f"Redis answers\n{self.log()[-2000:]}")

    def _answers(self):
        if not self.alive():
            raise ChildProcessError(f"Redis did not start:\n{self.log()[-3000:]}")
        try:
            # Our own socket: nobody else's server could answer there.
            path = str(self.directory / "socket")
            client = redis_client.Redis(unix_socket_path=path, password=self.settings.get("requirepass"))
            return client.ping()
        except (redis_client.ConnectionError, FileNotFoundError):
            return False

    def stop(self):
        """As SIGTERM: it writes its append-only file, then ends."""
        self.process.terminate()
        self.process.wait(30)

    def restart(self):
        self.stop()
        self.start()

    def url(self, password=None, user="", db=0):
        password = password or self.settings.get("requirepass")
        credentials = f"{user}:{password}@" if password else ""
        return f"redis://{credentials}{self.address}:{self.port}/{db}"

    def client(self, **parameters):
        parameters.setdefault("password", self.settings.get("requirepass"))
        if self.address != "127.0.0.1":  # Of another network: its socket is ours, too.
            parameters.setdefault("unix_socket_path", str(self.directory / "socket"))
        return redis_client.Redis(port=self.port, decode_responses=False, **parameters)


def walcast_binary():
    return os.environ.get("WALCAST_BIN") or str(REPOSITORY / "build/release/walcast")


def walcast(*arguments, timeout=30, env=None, stdin=subprocess.DEVNULL):
    """Runs a command of walcast to its end; gives returncode, stdout and stderr as text."""
    return subprocess.run(
        [walcast_binary(), *map(str, arguments)], capture_output=True, text=True, timeout=timeout, stdin=stdin,
        env={**os.environ, **(env or {})}, preexec_fn=_dies_with_us(signal.SIGKILL))


class Agent(Server):
    """`walcast run` (or another command that stays) with its stderr, and its stdout, in files."""

    def __init__(self, configuration, binary=None, command=("run",), env=None, started=True):
        """`configuration` is a path, or the text of one; None leaves --config away."""
        super().__init__("agent")
        self.binary = binary or walcast_binary()
        self.command = list(command)
        self.env = {**os.environ, **(env or {})}
        self.output_path = self.directory / "out"
        self._rss_max = 0
        self._marked = 0
        if isinstance(configuration, str):
            path = self.directory / "walcast.toml"
            path.write_text(configuration)
            configuration = path
        self.config_path = configuration
        if started:
            self.start()

    def start(self):
        assert not self.alive(), "already running"
        self._marked = self.log_path.stat().st_size if self.log_path.exists() else 0
        options = ["--config", str(self.config_path)] if self.config_path else []
        with open(self.output_path, "ab") as output:
            self._spawn([self.binary, *self.command, *options], env=self.env, stdout=output)

    def kill9(self):
        self.kill()

    def stop(self, timeout=20):
        """SIGTERM; returns the exit code."""
        self.process.terminate()
        return self.wait(timeout)

    def restart(self):
        self.stop()
        self.start()

    def wait(self, timeout=20):
        """Waits for its end; returns the exit code."""
        try:
            return self.process.wait(timeout)
        except subprocess.TimeoutExpired:
            raise TimeoutError(f"walcast is still running after {timeout} s:\n{self.log()[-3000:]}") from None

    def mark_log(self):
        """What was said until now counts as said before the start."""
        self._marked = self.log_path.stat().st_size

    def log_since_start(self):
        return self.log()[self._marked:] if self._marked else self.log()

    def wait_log(self, pattern, timeout=15, since_start=True):
        """Returns the match of the regular expression in the log; fails at once when the process has ended without it."""
        def found():
            ended = not self.alive()  # Before the log is read: its last words may come just then.
            text = self.log_since_start() if since_start else self.log()
            match = re.search(pattern, text, re.MULTILINE)
            if not match and ended:
                raise ChildProcessError(f"walcast ended with {self.process.poll()} before {pattern!r}:\n{self.log()[-3000:]}")
            return match
        return wait_until(found, timeout, lambda: f"log has {pattern!r}\n{self.log()[-3000:]}")

    def wait_streaming(self, timeout=15):
        self.wait_log(r"streaming .*slot=", timeout)
        return self

    def output(self):
        return self.output_path.read_text(errors="replace")

    def rss_max(self):
        """The largest resident size so far, in bytes (VmHWM); the last one seen when the process has ended."""
        try:
            status = pathlib.Path(f"/proc/{self.pid}/status").read_text()
        except (FileNotFoundError, ProcessLookupError):
            status = ""
        match = re.search(r"VmHWM:\s*(\d+) kB", status)
        if match:
            self._rss_max = int(match.group(1)) * 1024
        return self._rss_max


def config(postgres, redis, rules, **overrides):
    """A configuration file's text.

    `postgres` and `redis` are servers or URLs. A rule is a dict of its keys. Overrides:
    db, slot, publication, plugin, format_version, streaming, spool, origin, bad_rows, heartbeat, prefix, channel_prefix,
    wait_replicas, confirm_delay, history (a dict of length and age), values (a dict of numbers and bytea), http (a dict of
    listen and token; nothing listens unless told, since many agents run at once), outbox (a dict of table and columns),
    outputs (a list of dicts).
    """
    source = {"url": postgres if isinstance(postgres, str) else postgres.url(overrides.pop("db", "postgres"))}
    for key, default in (("slot", "walcast"), ("publication", "walcast"), ("plugin", None), ("format_version", None),
                         ("streaming", None), ("spool", None), ("origin", None), ("bad_rows", None), ("heartbeat", None)):
        value = overrides.pop(key, default)
        if value is not None:
            source[key] = value
    target = {"url": redis if isinstance(redis, str) else redis.url(), "prefix": overrides.pop("prefix", "walcast:"),
              "history": overrides.pop("history", {"length": 100000, "age": "24h"})}
    for key in ("channel_prefix", "wait_replicas", "confirm_delay"):
        if key in overrides:
            target[key] = overrides.pop(key)
    values = overrides.pop("values", None)
    http = overrides.pop("http", {"listen": ""})
    outbox = overrides.pop("outbox", None)
    outputs = overrides.pop("outputs", [])
    assert not overrides, f"unknown overrides: {overrides}"
    sections = [_table("[source]", source), _table("[redis]", target), _table("[http]", http)]
    sections += [_table("[[rule]]", rule) for rule in rules]
    sections += [_table("[[output]]", output) for output in outputs]
    sections += [_table("[values]", values)] if values else []
    sections += [_table("[outbox]", outbox)] if outbox else []
    return "\n".join(sections)


def _table(header, values):
    return "\n".join([header] + [f"{key} = {_toml(value)}" for key, value in values.items()]) + "\n"


def _toml(value):
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{_toml(key)} = {_toml(item)}" for key, item in value.items()) + " }"
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(map(_toml, value)) + "]"
    # Strings, numbers and booleans are the same in both, but for DEL and what JSON would write as surrogate pairs.
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")

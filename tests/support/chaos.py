"""Servers, agents and the network between them under a schedule of faults that a seed gives; see integration/test_chaos.py."""

import collections
import contextlib
import datetime
import heapq
import itertools
import os
import re
import signal
import time

import psycopg2
import redis as redis_client

from support import network
from support.fakes import Proxy
from support.writers import RULES

AGENTS = ("agent1", "agent2")
ACTORS = (*AGENTS, "active", "active")  # The one that has the slot when it happens; more happens to it.
SERVERS = ("postgres", "redis")
HOSTS = (*SERVERS, *AGENTS, "reader")


# --- the schedule ---

Fault = collections.namedtuple("Fault", "at kind place seconds")

FAULTS = {  # kind: (weight, places, longest)
    "kill agent": (6, ACTORS, 2), "stop agent": (4, ACTORS, 2), "freeze agent": (10, ACTORS, 6), "reload agent": (3, AGENTS, 0),
    "kill redis": (4, ("redis",), 2), "freeze redis": (4, ("redis",), 3), "kill clients": (4, ("redis",), 0),
    "flush scripts": (2, ("redis",), 0), "rewrite redis": (1, ("redis",), 0),
    "flush redis": (0, ("redis",), 0), "snapshot redis": (0, ("redis",), 0),
    "stop postgres at once": (2, ("postgres",), 1), "crash postgres": (2, ("postgres",), 1), "stop postgres": (2, ("postgres",), 1),
    "end walsender": (5, ("postgres",), 0), "freeze walsender": (4, ("postgres",), 5),
}
PAIRS = tuple(pair for one, other in [*itertools.product(ACTORS, SERVERS), ("reader", "redis")] for pair in ((one, other), (other, one)))
NETWORK_FAULTS = {
    "unplug": (4, (*HOSTS, "active"), 5), "take down": (3, (*HOSTS, "active"), 5), "slow": (4, HOSTS, 3),
    "drop": (6, PAIRS, 5), "lose": (6, PAIRS, 4), "partition": (8, PAIRS, 6), "reset": (4, PAIRS, 1),
    "kill unheard": (6, ("active",), 4),
}
PROXY_FAULTS = {"hold": (12, tuple(itertools.product(ACTORS, SERVERS)), 5)}


def make_schedule(rng, seconds, faults):
    """Faults of several at a time, but one of each place and kind of thing."""
    found, busy_until = [], collections.defaultdict(float)
    at = 0.3
    while at < seconds:
        kind = rng.choices(list(faults), [weight for weight, _, _ in faults.values()])[0]
        _, places, longest = faults[kind]
        place = rng.choice(places)
        # Most are short: what is delicate happens within milliseconds. Some outlast every timeout of the servers.
        length = 0 if not longest else round(rng.choice([0.05, 0.3, 1, 1]) * longest * rng.random(), 2)
        # One fault of the network does not keep another from the same place.
        thing = (kind, place) if kind in NETWORK_FAULTS or kind in PROXY_FAULTS else place
        if at >= busy_until[thing]:
            busy_until[thing] = at + length + 0.2
            found.append(Fault(round(at, 2), kind, place, length))
        at += rng.choice([0, 0.1, 0.3, 0.5, 1, 1.5]) * rng.random()
    return found


def show(fault):
    place = fault.place if isinstance(fault.place, str) else " ".join(fault.place)
    return f"{fault.at:g} {fault.kind}{'' if place in fault.kind else ' ' + place}" + (f" for {fault.seconds:g}" if fault.seconds else "")


# --- where it happens ---

class Proxies:
    """For want of a network: what Postgres and Redis say to an agent can be held back."""

    def __init__(self):
        self._proxies = {}

    def connect(self, world):
        for agent in AGENTS:
            self._proxies[agent, "postgres"] = Proxy(world.postgres.port)
            self._proxies[agent, "redis"] = Proxy(world.redis.port)

    def close(self):
        for proxy in self._proxies.values():
            proxy.close()

    def inside(self, _):
        return contextlib.nullcontext()

    def enter(self, _):
        pass

    def address(self, _):
        return "127.0.0.1"

    def urls(self, world, agent):
        """Another way for each agent."""
        def through(name, url, port):
            return url.replace(f":{port}/", f":{self._proxies[agent, name].port}/")
        return {"postgres": through("postgres", world.url(), world.postgres.port),
                "redis": through("redis", world.redis.url(), world.redis.port)}

    def hold(self, agent, name):
        proxy = self._proxies[agent, name]
        proxy.hold()
        return proxy.release


class Net(network.Network):
    def connect(self, world):
        pass

    def urls(self, world, agent):
        return {}


def _send(pids, number):
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)


def _freeze(pids):
    _send(pids, signal.SIGSTOP)
    return lambda: _send(pids, signal.SIGCONT)


class SystemUnderChaos:
    """The servers, and what can be done to them. A fault returns what ends it: a function that is called until it is true."""

    def __init__(self, world, net):
        self.world, self.net = world, net
        self.agents = {}
        self.expected_down = set()
        self.losses = []  # When Redis lost something, in UTC.
        self.counts = collections.Counter()

    def start_agents(self):
        for name in AGENTS:
            with self.net.inside(name):
                self.agents[name] = self.world.agent(streaming=False, config_text=self.config(name, RULES))

    def config(self, name, rules):
        return self.world.config(rules=rules, **self.net.urls(self.world, name))

    def start(self, name):
        self.expected_down.discard(name)
        if not self.agents[name].alive():
            with self.net.inside(name):
                self.agents[name].start()
        return True

    def active(self):
        """Who said last that it streams."""
        def said(name):
            found = re.findall(r"^(\S+) info streaming ", self.agents[name].log(), re.MULTILINE)
            return found[-1] if found else ""
        return max(AGENTS, key=said)

    def look_after_agents(self):
        """As systemd does. Only who was fenced ends by itself."""
        for name, agent in self.agents.items():
            if name in self.expected_down or agent.alive():
                continue
            last = agent.log()[-500:]
            assert agent.process.returncode == 1 and "fenced" in last, f"{name} ended with {agent.process.returncode}:\n{agent.log()[-4000:]}"
            self.counts["fenced"] += 1
            self.start(name)

    def begin(self, fault):
        self.counts[fault.kind] += 1
        active = self.active()
        places = [active if place == "active" else place for place in ([fault.place] if isinstance(fault.place, str) else fault.place)]
        act = getattr(self, fault.kind.replace(" ", "_"), None)
        if act:
            return act(places[0]) if places[0] in AGENTS else act()
        if fault.kind == "lose":
            return self.net.drop(*places, probability=0.3)
        return getattr(self.net, fault.kind.replace(" ", "_"))(*places)

    # Agents.

    def kill_agent(self, name):
        self.expected_down.add(name)
        self.agents[name].kill9()
        return lambda: self.start(name)

    def kill_unheard(self, name):
        """Its last batches stay in the network, and come to Redis when the other agent has long taken over."""
        heal = self.net.drop(name, "redis")
        time.sleep(0.1)
        start = self.kill_agent(name)
        return lambda: heal() or start()

    def stop_agent(self, name):
        agent = self.agents[name]
        if not agent.alive() or name in self.expected_down:  # Told twice it would end at once.
            return None
        self.expected_down.add(name)
        process = agent.process
        process.terminate()
        began = time.monotonic()

        def has_ended():
            if process.poll() is None:
                # Ours is 8 s; it may be frozen meanwhile.
                assert time.monotonic() - began < 30, f"{name} does not stop:\n{agent.log()[-3000:]}"
                return False
            # Before it listens to signals they have their usual effect; it may be killed meanwhile; who is fenced says so.
            # Frozen meanwhile, it wakes up when its time to stop is over.
            assert process.returncode in (0, -signal.SIGTERM, -signal.SIGKILL) or re.search("fenced|could not stop in time", agent.log()), agent.log()[-3000:]
            return self.start(name)
        return has_ended

    def freeze_agent(self, name):
        agent = self.agents[name]
        if not agent.alive():
            return None
        return _freeze([agent.pid])

    def reload_agent(self, name):
        """The same rules in another order."""
        agent = self.agents[name]
        if not agent.alive() or "walcast version" not in agent.log_since_start():
            return
        new = agent.config_path.with_suffix(".new")
        self.counts["reloads"] += 1
        new.write_text(self.config(name, RULES[::-1] if self.counts["reloads"] % 2 else RULES))
        os.replace(new, agent.config_path)
        os.kill(agent.pid, signal.SIGHUP)

    # Redis.

    def kill_redis(self):
        self.losses.append(datetime.datetime.utcnow())
        self.world.redis.kill()

        def start():
            with self.net.inside("redis"):
                self.world.redis.start()
            return True
        return start

    def freeze_redis(self):
        return _freeze([self.world.redis.pid])

    def _ask_redis(self, command):
        with contextlib.suppress(redis_client.RedisError):  # It may just be coming back.
            command(self.world.client)

    def kill_clients(self):
        # The readers' and the agents', not the test's own, which come by the socket.
        self._ask_redis(lambda client: [client.client_kill_filter(_id=one["id"]) for one in client.client_list()
                                        if self.net.address("agent1").rsplit(".", 1)[0] in one["addr"]])

    def flush_scripts(self):
        self._ask_redis(lambda client: client.script_flush())

    def rewrite_redis(self):
        self._ask_redis(lambda client: client.bgrewriteaof())

    def snapshot_redis(self):
        self._ask_redis(lambda client: client.bgsave())

    def flush_redis(self):
        self.losses.append(datetime.datetime.utcnow())
        self._ask_redis(lambda client: client.flushall())

    # Postgres.

    def _restart_postgres(self, stop):
        postgres = self.world.postgres
        process = postgres.process
        stop()

        def start():
            if process.poll() is None:
                return False
            if not postgres.alive():  # It may have been stopped in two ways, and started after the first.
                with self.net.inside("postgres"):
                    postgres.start()
            return True
        return start

    def stop_postgres(self):
        return self._restart_postgres(lambda: self.world.postgres.process.send_signal(signal.SIGINT))

    def stop_postgres_at_once(self):
        return self._restart_postgres(lambda: self.world.postgres.stop("immediate"))

    def crash_postgres(self):
        return self._restart_postgres(self.world.postgres.kill)

    def _walsenders(self):
        try:
            found = self.world.postgres.execute("select pid from pg_stat_replication")
        except psycopg2.OperationalError:
            found = []  # It is still stopping.
        return [pid for (pid,) in found]

    def end_walsender(self):
        _send(self._walsenders(), signal.SIGTERM)  # As pg_terminate_backend does.

    def freeze_walsender(self):
        return _freeze(self._walsenders())


def run_schedule(system, schedule, seconds):
    """Begins and ends each fault at its time, or as soon after it as the one before allows; ends all of them."""
    began = time.monotonic()
    numbers = itertools.count()
    due = [(fault.at, next(numbers), fault, None) for fault in schedule] + [(seconds, next(numbers), None, lambda: True)]
    heapq.heapify(due)
    while due:
        system.look_after_agents()
        now = time.monotonic() - began
        if now < due[0][0]:
            time.sleep(min(0.05, due[0][0] - now))
            continue
        _, _, fault, end = heapq.heappop(due)
        if end is None:
            print(f"{datetime.datetime.utcnow():%H:%M:%S.%f} {show(fault)}", flush=True)
            end = system.begin(fault)
            if end:
                # All ends with the schedule, so that what comes then can be timed.
                heapq.heappush(due, (min(fault.at + fault.seconds, seconds), next(numbers), fault, end))
        elif end() is False:
            assert now < seconds + 100, f"{show(fault)} does not end"
            heapq.heappush(due, (now + 0.1, next(numbers), fault, end))

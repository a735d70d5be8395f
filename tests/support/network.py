"""A network for the servers of a test, with faults: each host is a network namespace with a cable to one switch.

    with Network("postgres", "redis", "agent") as network:
        with network.inside("redis"):
            redis = Redis(address=network.address("redis"))
        heal = network.drop("agent", "redis")
        ...
        heal()

The namespaces bear no names: they are gone with the last process in them, however the test ends. The host's own
interfaces and filters are left alone. Unix sockets are not of any network, so a test reaches its servers at any time.
"""

import contextlib
import ctypes
import os
import subprocess

_libc = ctypes.CDLL(None, use_errno=True)
_CLONE_NEWNET = 0x40000000


def _call(function, *arguments):
    if function(*arguments) != 0:
        raise OSError(ctypes.get_errno(), f"{function.__name__}: {os.strerror(ctypes.get_errno())}")


def _open_namespace():
    return os.open("/proc/thread-self/ns/net", os.O_RDONLY)


@contextlib.contextmanager
def _back_afterwards():
    """The calling thread may change its namespace; what it starts is in it, too."""
    before = _open_namespace()
    try:
        yield
    finally:
        _call(_libc.setns, before, _CLONE_NEWNET)
        os.close(before)


def _run(*words):
    result = subprocess.run(list(map(str, words)), capture_output=True, text=True)
    if result.returncode != 0:
        raise OSError(f"{' '.join(map(str, words))}: {result.stderr.strip()}")


def reason_against():
    """Why there can be no such network here; None when there can."""
    if os.geteuid() != 0:
        return "network namespaces need root"
    try:
        with Network("probe") as network, network.inside("probe"):
            _run("iptables", "-w", "-A", "INPUT", "-m", "statistic", "--mode", "random", "--probability", "0.5", "-j", "DROP")
            _run("iptables", "-w", "-A", "INPUT", "-p", "tcp", "-j", "REJECT", "--reject-with", "tcp-reset")
            _run("tc", "qdisc", "add", "dev", "eth0", "root", "tbf", "rate", "1mbit", "burst", "5kb", "limit", "100kb")
    except OSError as error:
        return str(error)
    return None


class Network:
    """Each fault returns the function that heals it. Faults of one kind and place may overlap, but for `slow`."""

    def __init__(self, *hosts):
        self._namespaces = {}
        self._numbers = {name: number for number, name in enumerate(hosts, 1)}
        try:
            for name in ("switch",) + hosts:
                with _back_afterwards():
                    _call(_libc.unshare, _CLONE_NEWNET)
                    self._namespaces[name] = _open_namespace()
            with self.inside("switch"):
                _run("ip", "link", "add", "switch", "up", "type", "bridge")
            for name, number in self._numbers.items():
                self._connect(name, number)
        except BaseException:
            self.close()
            raise

    def _connect(self, name, number):
        with self.inside("switch"):
            _run("ip", "link", "add", f"port{number}", "up", "master", "switch", "type", "veth",
                 "peer", "name", "eth0", "netns", f"/proc/{os.getpid()}/fd/{self._namespaces[name]}")
        with self.inside(name):
            _run("ip", "link", "set", "lo", "up")
            _run("ip", "link", "set", "eth0", "up")
            _run("ip", "address", "add", f"{self.address(name)}/24", "dev", "eth0")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        for namespace in self._namespaces.values():
            os.close(namespace)
        self._namespaces = {}

    def address(self, host):
        return f"10.77.0.{self._numbers[host]}"

    @contextlib.contextmanager
    def inside(self, host):
        """The calling thread is on this host, and so is what it starts. The rest of the program stays where it is."""
        with _back_afterwards():
            _call(_libc.setns, self._namespaces[host], _CLONE_NEWNET)
            yield

    def enter(self, host):
        """The calling thread moves there for good."""
        _call(_libc.setns, self._namespaces[host], _CLONE_NEWNET)

    # Faults.

    def _on(self, host, *words):
        with self.inside(host):
            _run(*words)

    def unplug(self, host):
        """The cable is out: the host keeps its address and its routes, and what it sends is lost."""
        port = f"port{self._numbers[host]}"
        self._on("switch", "ip", "link", "set", port, "down")
        return lambda: self._on("switch", "ip", "link", "set", port, "up")

    def take_down(self, host):
        """The interface is down: connecting fails at once."""
        self._on(host, "ip", "link", "set", "eth0", "down")
        return lambda: self._on(host, "ip", "link", "set", "eth0", "up")

    def drop(self, source, target, probability=1.0):
        """What one sends to the other is lost, or some of it; the other direction is not touched."""
        chance = () if probability == 1 else ("-m", "statistic", "--mode", "random", "--probability", probability)
        return self._filter(target, "-s", self.address(source), *chance, "-j", "DROP")

    def partition(self, one, other):
        """Neither hears the other, and nobody is told."""
        heals = [self.drop(one, other), self.drop(other, one)]
        return lambda: [heal() for heal in heals]

    def reset(self, source, target):
        """As a firewall that has forgotten its connections: whatever one sends is answered by a reset."""
        return self._filter(target, "-s", self.address(source), "-p", "tcp", "-j", "REJECT", "--reject-with", "tcp-reset")

    def _filter(self, host, *rule):
        self._on(host, "iptables", "-w", "-I", "INPUT", *rule)
        return lambda: self._on(host, "iptables", "-w", "-D", "INPUT", *rule)

    def slow(self, host, rate="400kbit"):
        """What the host sends waits in a long queue."""
        self._on(host, "tc", "qdisc", "add", "dev", "eth0", "root", "tbf", "rate", rate, "burst", "5kb", "limit", "100kb")
        return lambda: self._on(host, "tc", "qdisc", "del", "dev", "eth0", "root")

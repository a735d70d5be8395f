"""The tools of test_chaos: each fault of the network does what it says."""

import socket
import threading
import time

import pytest

from support import network
from support.servers import wait_until


@pytest.fixture
def pair():
    """Two hosts, and a connection from one to the other."""
    if why_not := network.reason_against():
        pytest.skip(why_not)
    with network.Network("one", "two") as net:
        with net.inside("one"):
            listener = socket.create_server((net.address("one"), 5000))
        with net.inside("two"):
            client = socket.create_connection((net.address("one"), 5000), timeout=5)
        server, _ = listener.accept()
        server.settimeout(5)
        with listener, client, server:
            yield net, client, server


def passes(sender, receiver, seconds=0.3):
    sender.sendall(b"x")
    receiver.settimeout(seconds)
    try:
        return receiver.recv(100) != b""
    except TimeoutError:
        return False


@pytest.mark.parametrize("fault,from_two,from_one", [
    (lambda net: net.unplug("one"), False, False), (lambda net: net.take_down("two"), False, False),
    (lambda net: net.partition("one", "two"), False, False),
    # Without acknowledgements the first bytes still come.
    (lambda net: net.drop("two", "one"), False, True), (lambda net: net.drop("one", "two"), True, False)])
def test_a_fault_of_the_network_keeps_back_what_it_says_until_it_is_healed(pair, fault, from_two, from_one):
    net, client, server = pair
    assert passes(client, server) and passes(server, client)
    heal = fault(net)
    assert passes(client, server) == from_two
    assert passes(server, client) == from_one
    heal()
    wait_until(lambda: passes(client, server) and passes(server, client), 20, "both directions")


def test_a_reset_ends_a_connection_and_a_slow_cable_is_slow(pair):
    net, client, server = pair
    heal = net.slow("two")
    began = time.monotonic()
    thread = threading.Thread(target=client.sendall, args=[bytes(50_000)])
    thread.start()
    left = 50_000
    while left:
        left -= len(server.recv(left))
    thread.join()
    assert time.monotonic() - began > 0.5
    heal()

    heal = net.reset("two", "one")
    client.sendall(b"x")
    with pytest.raises(ConnectionResetError):
        client.recv(1)
    heal()

"""Redis Sentinels, who watch a master and make a replica the next one."""

from support.servers import Redis


class Sentinel(Redis):
    """Watches `master`, whose failover needs a majority of `count`. With `tls`, settings of Redis, by that alone."""

    def __init__(self, master, count=3, password=None, master_password=None, name="mymaster", tls=None):
        super().__init__(started=False)
        self.settings = {"requirepass": password} if password else {}
        port = tls["tls-port"] if tls else master.port
        lines = [f"sentinel monitor {name} 127.0.0.1 {port} {count // 2 + 1}",
                 f"sentinel down-after-milliseconds {name} 1000", f"sentinel failover-timeout {name} 6000",
                 f"tls-port {self.port}" if tls else f"port {self.port}", "bind 127.0.0.1", f"dir {self.directory}", "protected-mode no",
                 f"unixsocket {self.directory / 'socket'}"]
        if tls:
            lines += [f"{key} {value}" for key, value in tls.items() if key != "tls-port"] + ["port 0", "tls-replication yes"]
        if master_password:
            lines.append(f"sentinel auth-pass {name} {master_password}")
        if password:
            lines += [f"requirepass {password}", f"sentinel sentinel-pass {password}"]
        self._name = name
        self._config = self.directory / "sentinel.conf"
        self._config.write_text("\n".join(lines) + "\n")
        self.start()

    def start(self, timeout=20):
        self._spawn(["redis-server", str(self._config), "--sentinel"])
        self._wait_until_it_answers(timeout)

    def master(self):
        """Where it says that the master is: (host, port)."""
        host, port = self.client().execute_command("SENTINEL", "get-master-addr-by-name", self._name)
        return host.decode(), int(port)

    def others(self):
        """How many replicas, and how many other Sentinels, it knows."""
        found = self.client().sentinel_master(self._name)
        return int(found["num-slaves"]), int(found["num-other-sentinels"])


def sentinel_url(sentinels, user="", password=None, scheme="redis-sentinel", db=0, **parameters):
    credentials = f"{user}:{password}@" if password else ""
    hosts = ",".join(f"127.0.0.1:{port}" for port in sentinels)
    query = "&".join(f"{name}={value}" for name, value in {"master": "mymaster", **parameters}.items())
    return f"{scheme}://{credentials}{hosts}/{db}?{query}"

"""Runs the walcast of a container against servers outside of it: stream.py DIRECTORY COMMAND-THAT-RUNS-INSIDE...

DIRECTORY/etc is the container's /etc/walcast; the container shares our network.
"""

import json
import os
import pathlib
import signal
import subprocess
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2]))

from tests.support.servers import Postgres, Redis, config, wait_until  # noqa: E402


def descendants(pid):
    children = pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [found for child in map(int, children) for found in [child, *descendants(child)]]


def main():
    directory, inside = pathlib.Path(sys.argv[1]), sys.argv[2:]
    rules = [{"table": "public.todos", "model": "Todo", "channels": ["workspace:{workspace_id}"]}]
    with Postgres() as postgres, Redis() as redis:
        postgres.execute("create table todos (id bigint primary key, workspace_id bigint, title text)")
        (directory / "etc").mkdir(mode=0o755)
        path = directory / "etc/walcast.toml"
        path.write_text(config(postgres, redis, rules))
        path.chmod(0o644)

        subprocess.run(inside + ["walcast", "init"], check=True, timeout=60)
        log = (directory / "agent.log").open("wb")
        # As the image's own entry point and command would start it.
        agent = subprocess.Popen(inside + ["walcast", "run"], stdout=log, stderr=log, stdin=subprocess.DEVNULL)
        try:
            def said(what):
                text = (directory / "agent.log").read_text()
                assert agent.poll() is None, f"the agent ended:\n{text}"
                return what in text
            wait_until(lambda: said("streaming"), 30, "the agent streams")
            postgres.execute("insert into todos values (1, 5, 'Buy oat milk')")
            client = redis.client()
            wait_until(lambda: client.xlen("walcast:log:workspace:5"), 15, "the message is in the history")
            [(_, fields)] = client.xrange("walcast:log:workspace:5")
            message = json.loads(fields[b"m"])
            assert message["sync"][0]["data"] == {"id": 1, "workspace_id": 5, "title": "Buy oat milk"}, message
            print(fields[b"m"].decode())
        finally:
            for pid in reversed([agent.pid, *descendants(agent.pid)]):
                try:
                    os.kill(pid, signal.SIGTERM)
                except ProcessLookupError:
                    pass
            try:
                agent.wait(15)
            except subprocess.TimeoutExpired:
                agent.kill()
                raise


if __name__ == "__main__":
    main()

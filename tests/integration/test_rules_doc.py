"""Every example of docs/rules.md, as it stands there, against a real agent.

An example is three fenced blocks: `toml` (rules, perhaps keys of [redis]), `sql`, and what comes of it: `json`, a line
`channel action` for each action of each channel by id, or `text`, what the agent says as it ends. Statements before the
first that writes a row make the tables; each of the others is a transaction.

    WALCAST_ACCEPT=1 /usr/bin/python3 -m pytest tests/integration/test_rules_doc.py      # writes the results anew: read them
"""

import json
import os
import re

import pytest

from support import history
from support.servers import REPOSITORY
from support.world import World

PAGE = REPOSITORY / "docs/rules.md"
BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
# `sh` and `ebnf` are no examples.
BLOCKS = [(match[1], match[2], match.start(2)) for match in BLOCK.finditer(PAGE.read_text()) if match[1] not in ("sh", "ebnf")]
EXAMPLES = [tuple(BLOCKS[at:at + 3]) for at in range(0, len(BLOCKS), 3)]


def heading_of(example):
    return re.findall(r"^#+ (.*)$", PAGE.read_text()[:example[0][2]], re.MULTILINE)[-1]


def test_each_block_is_part_of_an_example():
    kinds = [kind for kind, _, _ in BLOCKS]
    assert len(kinds) >= 3 * 10 and len(kinds) % 3 == 0
    for at in range(0, len(kinds), 3):
        assert kinds[at:at + 2] == ["toml", "sql"] and kinds[at + 2] in ("json", "text"), (kinds[at:at + 3], BLOCKS[at][1])
    assert PAGE.read_text().count("```") == 2 * len(BLOCK.findall(PAGE.read_text()))


def statements(text):
    found = [part.strip() for part in re.split(r";\s*(?:--[^\n]*)?(?:\n|$)", text) if part.strip()]
    first = next(at for at, part in enumerate(found) if not re.match(r"create|alter", part))
    return found[:first], found[first:]


def configuration(world, block):
    head, rules = block[:block.index("[[rule]]")], block[block.index("[[rule]]"):]
    keys = head.replace("[redis]\n", "")
    assert keys == head or head.startswith("[redis]\n")
    return world.config(rules=[]).replace("[redis]\n", "[redis]\n" + keys) + "\n" + rules


def results(world):
    lines = []
    for channel in world.histories():
        for message in world.messages(channel):
            lines += [(item["syncId"], item["action"] != "delete", channel, item) for item in message["sync"]]
    for message in world.control():
        told = {name: message[name] for name in ("type", "lastSyncId", "modelName", "reason") if name in message}
        lines.append((message["lastSyncId"], True, "~walcast:control", told))
    for _, _, channel, item in sorted(lines, key=lambda line: (*line[:3], line[3].get("modelName", ""))):
        yield f"{channel.lstrip('~')} {json.dumps(item, ensure_ascii=False, separators=(',', ':'))}"


@pytest.mark.parametrize("example", EXAMPLES, ids=[heading_of(example).replace(" ", "-") for example in EXAMPLES])
def test_an_example_is_true(example, postgres, redis):
    (_, rules, _), (_, sql, _), (kind, wanted, _) = example
    tables, writes = statements(sql)
    with World([{"table": "public.nothing", "channels": ["none"]}], postgres, redis, "; ".join(tables + ["create table nothing (id int primary key)"])) as world:
        text = configuration(world, rules)
        names = [f"{schema}.{name}" for schema, name in world.sql(
            "select schemaname, tablename from pg_tables where schemaname not in ('pg_catalog', 'information_schema')")]
        # As the page says: a rule that is refused is refused by `init` too, where it need not see a row.
        init = world.walcast("init", config_text=text)
        if kind == "text":
            said = init.stderr
            if init.returncode == 0:
                agent = world.agent(streaming=False, config_text=text)
                for write in writes:
                    world.sql(write)
                assert agent.wait() in (1, 2)
                said = agent.log()
            for line in wanted.splitlines():
                assert line in said, said
            return
        assert init.returncode == 0, (init.stderr, names)
        world.agent(config_text=text)
        for write in writes:
            world.sql(write)
        world.settle()
        found = list(results(world))
        world.assert_sound()
        if os.environ.get("WALCAST_ACCEPT"):
            PAGE.write_text(PAGE.read_text().replace(f"{sql}```\n\n```json\n{wanted}```", f"{sql}```\n\n```json\n" + "\n".join(found) + "\n```"))
            return
        read = [line.split(" ", 1) for line in wanted.splitlines()]
        assert [(name, history.parse_exactly(item)) for name, item in read] == [
            (name, history.parse_exactly(item)) for name, item in (line.split(" ", 1) for line in found)]

"""deploy/examples/walcast-reader.mjs: its property test finds nothing in it, and finds what is broken on purpose."""

import os
import shutil
import subprocess

import pytest

from support.servers import REPOSITORY

READER = REPOSITORY / "deploy/examples/walcast-reader.mjs"
PROPERTIES = REPOSITORY / "tests/clients/walcast_reader.test.mjs"
NODE = shutil.which("node")
ROUNDS = int(os.environ.get("WALCAST_ROUNDS", "5000" if os.environ.get("WALCAST_LONG") else "100"))

# What is wrong, and where.
FAULTS = {
    "holes are not seen": ("|| message.prevSyncId > known)", ")"),
    "epochs are not compared": ("message.epoch !== this.#epoch || message.prevSyncId", "message.prevSyncId"),
    "messages are taken twice": ("if (message.lastSyncId <= known) return;", ""),
    "actions are taken twice": ("action.syncId <= known || ", ""),
    "rows are not known to have actions": ("|| this.#hasRow(action)", ""),
    "rows of a model are not known to be newer": ("this.#models[modelName] ?? this.#base", "this.#base"),
    "no delta after a bootstrap": ("if (this.#to.delta) this.#needs(DELTA);", ""),
    "old rows of a model": ("lastSyncId < Math.max(id, ...Object.values(this.#known))", "false"),
    "resets of models do nothing": ("this.#resets.set(message.modelName, message.lastSyncId);", ";"),
    "not provable is taken for complete":
        ("if (page.status !== 'complete' || page.epoch !== this.#epoch) return this.#needs(BOOTSTRAP);",
         "page = { more: false, messages: [], lastSyncId: 0, ...page };"),
    "only one page": ("page.more;) {", "page.more && page.next === after;) {"),
    "two at work": ("return this.#running ??= this.#work();", "return this.#work();"),
    "ends before it begins": ("await null;", ""),
    "an overflow is forgotten": ("      this.#drop(this.#buffer);\n      this.#needs(DELTA);", "      this.#buffer = [];"),
    "a failure is forgotten": ("? BOOTSTRAP : need);", "? BOOTSTRAP : NOTHING);"),
    "a history that lacks what was heard": ("page.lastSyncId < this.#dropped", "false"),
    "a failed handler is forgotten": ("{ isHandlers: true }", "{}"),
    "resets are not stored": ("resets: [...this.#resets]", "resets: []"),
    "one known id for all channels": ("this.#to.shared ? '' : channel", "''"),
    "ids of others are taken for known": ("this.#know([channel], message.lastSyncId);", "this.#know(this.#channels, message.lastSyncId);"),
}

pytestmark = pytest.mark.skipif(not NODE, reason="no node")


def check(reader, rounds, seed=None):
    env = {**os.environ, "WALCAST_READER": str(reader), "WALCAST_ROUNDS": str(rounds)}
    if seed is not None:
        env["WALCAST_SEED"] = str(seed)
    return subprocess.run([NODE, "--test", "--test-reporter=tap", PROPERTIES], env=env, capture_output=True, text=True, timeout=500)


@pytest.mark.limit(3000 if os.environ.get("WALCAST_LONG") else 300)
def test_it_converges_whatever_the_network_does():
    result = check(READER, ROUNDS)
    print(result.stdout)
    assert result.returncode == 0, result.stdout + result.stderr


@pytest.mark.limit(600)
@pytest.mark.parametrize("fault", FAULTS)
def test_the_properties_find(fault, tmp_path):
    right, wrong = FAULTS[fault]
    source = READER.read_text()
    assert source.count(right) == 1, f"{right} is not there once"
    broken = tmp_path / "broken.mjs"
    broken.write_text(source.replace(right, wrong))
    # Ends with the first round that fails; the same ones each time, since not every seed finds every fault.
    result = check(broken, 600, seed=1)
    assert result.returncode != 0 and "not ok" in result.stdout, result.stdout + result.stderr


def test_it_stays_small():
    assert len(READER.read_text().splitlines()) < 200

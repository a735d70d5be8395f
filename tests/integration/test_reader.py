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
    "rows of a model are not known to be newer": ("this.#models.get(modelName) ?? this.#base", "this.#base"),
    "no delta after a bootstrap": ("if (this.#to.delta) this.#needs(DELTA);", ""),
    "old rows of a model": ("base.lastSyncId < Math.max(id, ...this.#known.values())", "false"),
    "resets of models do nothing": ("this.#resets.set(message.modelName, message.lastSyncId);", ";"),
    "not provable is taken for complete":
        ("if (page.status !== 'complete' || page.epoch !== this.#epoch) return this.#needs(BOOTSTRAP);",
         "page = { more: false, messages: [], lastSyncId: 0, ...page };"),
    "only one page": ("page.more;) {", "page.more; page.more = false) {"),
    "two at work": ("return this.#running ??= this.#work();", "return this.#work();"),
    "ends before it begins": ("await null;", ""),
    "an overflow is forgotten":
        ("this.#buffer.length > this.#to.bufferMax) this.#drop(this.#buffer), this.#needs(DELTA);",
         "this.#buffer.length > this.#to.bufferMax) this.#buffer = [];"),
    "a failure is forgotten": ("this.#base ? need : BOOTSTRAP", "this.#base ? NOTHING : BOOTSTRAP"),
    "a history that lacks what was heard": ("page.lastSyncId < this.#dropped.get(this.#epoch)", "false"),
    "what was dropped before the rows does not count":
        ("this.#epoch = epoch, this.#base = null;", "this.#epoch = epoch, this.#base = null, this.#dropped.clear();"),
    "a failed handler is forgotten": ("this.#base = null;  // Who knows what it has done.", ""),
    "actions are not awaited": ("if (pending?.then) await pending;", ""),
    "only promises are awaited": ("pending?.then)", "pending instanceof Promise)"),
    "events are not awaited": ("await this.#to.event(", "this.#to.event("),
    "rows are not awaited": ("await this.#to.replace(rows, { epoch,", "this.#to.replace(rows, { epoch,"),
    "rows of models are not awaited": ("await this.#to.replace(rows, { model,", "this.#to.replace(rows, { model,"),
    "a position before the rows":
        ("this.#epoch = epoch, this.#base = null;", "this.#epoch = epoch, this.#base = base, this.#know(this.#channels, base.lastSyncId);"),
    "a position before a model's rows":
        ("await this.#to.replace(rows, { model,", "this.#models.set(model, base), this.#resets.delete(model), await this.#to.replace(rows, { model,"),
    "no position within a message": ("this.#know([channel], action.syncId - 1);", ""),
    "the position is ahead": ("action.syncId - 1)", "action.syncId)"),
    "a failing `failed` ends it": ("try { await failed(error); } catch (another) { console.error(another); }", "await failed(error);"),
    "what is no message is taken": ("if (isText(type) && isText(epoch) && isId(prevSyncId) && isId(lastSyncId)", "if (message"),
    "an id is anything": ("Number.isSafeInteger(id) && id >= 0", "true"),
    "what is no message is forgotten": ("if (!parsed || this", "if (this"),
    "other channels are taken": ("!this.#running || !this.#channels.includes(channel)", "!this.#running"),
    "other positions are taken": ("isId(position?.known?.[channel])", "position"),
    "a delta may have anything": ("if (!parsed) throw", "if (!parsed) continue; if (false) throw"),
    "a delta that cannot be read is asked for for ever": ("attempt > 4", "false"),
    "a delta up to anything": ("if (!isId(page.lastSyncId)) throw", "if (false) throw"),
    "rows of anything": ("if (isText(epoch) && isId(lastSyncId) && visible.flat().every(isId)) return", "return"),
    "names are looked up in objects":
        ("this.#models.get(modelName) ?? this.#base", "{ ...Object.fromEntries(this.#models) }[modelName] ?? this.#base"),
    "resets are not stored": ("resets: [...this.#resets]", "resets: []"),
    "one known id for all channels": ("this.#to.shared ? this.#channels : channels", "this.#channels"),
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
    result = check(broken, 1, seed=1)
    if result.returncode == 0:
        result = check(broken, 600, seed=1)
    assert result.returncode != 0 and "not ok" in result.stdout, result.stdout + result.stderr


def test_it_stays_small():
    assert len(READER.read_text().splitlines()) < 200

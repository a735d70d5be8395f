// deploy/examples/walcast-reader.mjs against a model of walcast and of a bad network, in virtual time: the state always converges,
// and no action is applied twice or left out, which a sum would show. Seed: WALCAST_SEED; WALCAST_ROUNDS; WALCAST_READER: another file.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer } from 'node:http';
import { test } from 'node:test';
import { setImmediate as turn } from 'node:timers/promises';

const { WalcastReader, httpDelta } = await import(process.env.WALCAST_READER ?? '../../deploy/examples/walcast-reader.mjs');
const SEED = Number(process.env.WALCAST_SEED ?? Math.floor(Math.random() * 2 ** 31));
const ROUNDS = Number(process.env.WALCAST_ROUNDS ?? 200);
const CONTROL = 'walcast:control';
const PLAIN = ['a', 'b', 'c', 'Todo', 'User'], HOSTILE = ['__proto__', 'constructor', 'toString', '__proto__', 'hasOwnProperty'];

console.error = () => {};  // Where a `failed` fails, too.

class Random {  // mulberry32
  constructor(seed) { this.state = seed >>> 0; }
  next() {
    this.state = (this.state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(this.state ^ (this.state >>> 15), this.state | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  }
  below(n) { return Math.floor(this.next() * n); }
  chance(p) { return this.next() < p; }
  of(list) { return list[this.below(list.length)]; }
}

class Time {
  constructor() { this.now = 0; this.queue = []; this.count = 0; }
  at(delay, run) {
    this.queue.push({ time: this.now + delay, order: this.count++, run });
  }
  sleep(delay) { return new Promise((done) => this.at(delay, done)); }
  async run(until = Infinity) {
    for (;;) {
      await turn();
      this.queue.sort((a, b) => a.time - b.time || a.order - b.order);
      if (!this.queue.length || this.queue[0].time > until) break;
      assert.ok(this.count < 50_000, 'it does not come to rest');
      this.now = this.queue[0].time;
      while (this.queue[0]?.time === this.now) this.queue.shift().run();  // What comes at once is not waited for in between.
    }
    if (until !== Infinity) this.now = until;
  }
}

// What Redis holds, and beside it the rows as they are in Postgres. Rows are sums: a change adds to one.
class Walcast {
  constructor(random, names, shared) {
    const channels = names.slice(0, 1 + random.below(3));
    Object.assign(this, { random, channels, models: names.slice(3), shared, id: 10, begin: 10, epoch: 'e0', floor: 0, epochs: 0, isStale: false });
    this.logs = new Map([...channels, CONTROL].map((name) => [name, []]));
    this.rows = new Map();  // "scope model id" to a sum
    this.events = [];       // { channels, id, epoch }
    this.lost = [];         // Runs that Redis had and has no more,
    this.lostPosition = 0;  // and where it was.
    this.publish = () => {};
    this.keep();
  }
  scope(channel) { return this.shared ? '' : channel; }

  // What Redis may fall back to, or a slow replica of the database still show.
  keep() {
    const logs = new Map([...this.logs].map(([name, entries]) => [name, [...entries]]));
    this.kept = { epoch: this.epoch, position: this.position ?? 0, floor: this.floor, logs, rows: new Map(this.rows), id: this.id };
    this.since = [];
  }

  send(name, last, rest, isKept = true) {
    const entries = this.logs.get(name);
    const prevSyncId = entries.length ? entries.at(-1).lastSyncId : this.floor;
    const message = { type: 'sync', epoch: this.epoch, prevSyncId, lastSyncId: last, ...rest };
    if (isKept) entries.push(message);
    this.publish(name, JSON.stringify(message));
  }

  // A run is { channels, items }, cut anywhere into messages.
  write(run) {
    this.since.push(run);
    for (let items = run.items; items.length;) {
      const part = run.rest ? items : items.slice(0, 1 + this.random.below(items.length));
      items = items.slice(part.length);
      const last = part.at(-1).syncId;
      this.position = last;
      for (const channel of run.channels) this.send(channel, last, run.rest ?? { sync: part });
    }
  }
  resend() {
    const { lost, lostPosition } = this;
    this.lost = [];
    this.lostPosition = 0;
    for (const run of lost) this.write(run);
    this.position = Math.max(this.position ?? 0, lostPosition);
  }

  someChannels() {
    const first = this.random.below(this.channels.length);
    const count = this.random.chance(0.3) ? 2 : 1;
    return this.channels.slice(first, first + count);
  }
  commit(channels = this.someChannels()) {
    this.resend();
    const items = [];
    for (let left = 1 + this.random.below(4); left > 0; left--) {
      const modelName = this.random.of(this.models), modelId = String(this.random.below(5)), inc = 1 + this.random.below(1000);
      const action = this.random.of(['insert', 'update', 'update', 'delete']);
      this.id += 1 + this.random.below(3);
      items.push({ syncId: this.id, action, modelName, modelId, ...(action === 'delete' ? {} : { data: { inc } }) });
      for (const scope of new Set(channels.map((channel) => this.scope(channel)))) change(this.rows, scope, items.at(-1));
    }
    this.write({ channels, items });
  }
  emit() {
    this.resend();
    this.id += 1;
    const channels = this.someChannels();
    this.events.push({ channels, id: this.id, epoch: this.epoch });
    this.write({ channels, items: [{ syncId: this.id }], rest: { type: 'event', name: 'ping', data: this.id } });
  }
  truncate() {
    this.resend();
    this.id += 1;
    const modelName = this.random.of(this.models);
    removeModel(this.rows, modelName);
    this.write({ channels: [CONTROL], items: [{ syncId: this.id }], rest: { type: 'reset', modelName, reason: 'truncate' } });
  }
  progress() {
    this.resend();
    this.id += this.random.below(2);
    this.position = this.id;
    this.send(this.random.of(this.channels), this.id, { sync: [] }, false);
  }
  agentUp() { this.send(CONTROL, this.position ?? 0, { type: 'agent', prevSyncId: this.position ?? 0, state: 'up' }, false); }

  trim() {
    const entries = this.logs.get(this.random.of([...this.channels, CONTROL]));
    entries.splice(0, this.random.below(entries.length));  // The last one stays.
  }
  removeAged() {
    const entries = this.logs.get(this.random.of(this.channels));
    if (!entries.length) return;
    this.floor = Math.max(this.floor, entries.at(-1).lastSyncId);
    entries.length = 0;
  }
  // Some changes are never told.
  changeEpoch() {
    this.lost = [];
    this.lostPosition = 0;
    for (const [key, sum] of this.rows) if (this.random.chance(0.3)) this.rows.set(key, sum + 7);
    this.epoch = `e${++this.epochs}`;
    if (this.random.chance(0.5)) this.id += this.random.below(100);
    this.position = this.floor = this.begin = this.id;
    for (const [name, entries] of this.logs) {
      const message = { type: 'reset', epoch: this.epoch, prevSyncId: this.id, lastSyncId: this.id, reason: 'gap' };
      entries.splice(0, entries.length, message);
      this.publish(name, JSON.stringify(message));
    }
    this.keep();
  }
  // The same ids come again, cut otherwise.
  goBack() {
    if (this.kept.epoch !== this.epoch) return;
    const lost = this.since;
    this.lostPosition = Math.max(this.lostPosition, this.position ?? 0);
    this.position = this.kept.position;
    this.floor = this.kept.floor;
    for (const [name, entries] of this.kept.logs) this.logs.set(name, [...entries]);
    this.since = [];
    this.lost = [...lost, ...this.lost];
  }

  // As agent/delta/delta.cpp.
  delta({ channels, epoch, after }) {
    const position = this.position ?? 0;
    const no = { status: 'not provable', epoch: this.epoch, lastSyncId: position };
    const names = [...channels, CONTROL];
    const known = after.split(',').map(Number);
    assert.equal(known.length, names.length);
    if (epoch !== this.epoch || Math.max(...known) > position) return no;
    const above = names.map((name, i) => this.logs.get(name).filter((message) => message.lastSyncId > known[i]));
    for (const [i, messages] of above.entries())
      if (messages.length ? messages[0].prevSyncId > known[i] : known[i] < this.floor) return no;
    const all = above.flatMap((messages, i) => messages.map((message) => ({ i, channel: names[i], message })));
    all.sort((a, b) => a.message.lastSyncId - b.message.lastSyncId || a.i - b.i);
    const page = all.slice(0, 1 + this.random.below(this.random.of([3, 50])));
    const next = names.map((name, i) => all.slice(page.length).find((one) => one.i === i)?.message.lastSyncId - 1 || position);
    const messages = structuredClone(page.map(({ channel, message }) => ({ channel, message })));
    return { status: 'complete', epoch, lastSyncId: Math.min(...next), more: page.length < all.length, next: next.join(), messages };
  }

  bootstrap({ model }) {
    this.resend();  // It waits until the stream has passed its marker.
    const old = this.isStale && this.kept.epoch === this.epoch && this.random.chance(0.2) && this.kept;
    const { rows, id } = old || this;
    const wanted = [...rows].filter(([key]) => !model || key.split(' ')[1] === model);
    // All above it are visible, too: those that a standby still held up when the number was looked for.
    const lastSyncId = this.random.chance(0.2) ? Math.max(this.begin, id - this.random.below(6)) : id;
    const middle = lastSyncId + this.random.below(id - lastSyncId + 1);
    const visible = [[lastSyncId + 1, middle], [middle + 1, id]].filter(([from, to]) => from <= to);
    return { epoch: this.epoch, lastSyncId, visible, rows: wanted };
  }
}

function change(rows, scope, { action, modelName, modelId, data }) {
  const key = `${scope} ${modelName} ${modelId}`;
  if (action === 'delete') rows.delete(key);
  else rows.set(key, (rows.get(key) ?? 0) + data.inc);
}

function removeModel(rows, model) {
  for (const key of rows.keys()) if (key.split(' ')[1] === model) rows.delete(key);
}

// What no reader can go by, though some of it looks like a message that follows on all.
function garbage(random, { epoch, id }) {
  const action = { syncId: id + 1, action: 'update', modelName: 'Todo', modelId: '1', data: { inc: 1 } };
  const message = { type: 'sync', epoch, prevSyncId: 0, lastSyncId: id + 1, sync: [action] };
  return random.of([
    'not json', '', 'null', '7', '{}', '[]', JSON.stringify(message).slice(0, -2), null, undefined, { epoch }, { ...message, lastSyncId: undefined },
    { ...message, prevSyncId: undefined }, { ...message, lastSyncId: String(id + 1) }, { ...message, lastSyncId: NaN }, { ...message, lastSyncId: -1 },
    { ...message, lastSyncId: 1e300 }, { ...message, sync: 5 }, { ...message, sync: [null] }, { ...message, sync: undefined }, { ...message, epoch: 7 },
    { ...message, type: undefined }, { ...message, sync: [{ ...action, syncId: id + 2 }] }, { ...message, sync: [{ ...action, modelId: 1 }] }]);
}

// One reader with its rows, which may be stopped and go on in another one.
class Client {
  constructor(world, from) {
    const { random, time, walcast, shared } = world;
    Object.assign(this, { rows: new Map(from?.rows), last: new Map(from?.last), events: from?.events ?? [], begin: from?.begin, isOver: false });
    const asked = (ask) => async (request) => {
      await time.sleep(random.below(30));
      if (world.failuresLeft-- > 0 || random.chance(world.failures)) throw new Error('the request was lost');
      const answer = ask(request);
      await time.sleep(random.below(30));
      if (random.chance(world.failures)) throw random.of([new Error('the answer was lost'), undefined, null]);
      if (world.hasGarbage && random.chance(world.failures)) {
        world.counts.garbage += 1;
        const spoiled = { channel: random.of([...walcast.channels, 'other']), message: garbage(random, walcast) };
        return random.of([null, {}, { ...answer, lastSyncId: '7' }, { ...answer, lastSyncId: undefined },
          answer.messages ? { ...answer, messages: [spoiled, ...answer.messages] } : { ...answer, visible: [[1, 'x']] }]);
      }
      return answer;
    };
    const mayFail = () => { if (random.chance(world.failures / 10)) throw new Error('the handler fails'); };
    // What it does is done at once, as in a transaction, but perhaps only after a while; what comes meanwhile must wait.
    const handler = (work) => (...given) => {
      assert.ok(!this.isBusy || this.isOver, 'two handlers at once');
      if (random.chance(0.02)) this.reader.catchUp();
      if (!world.isAsync || random.chance(0.3)) return work(...given);
      this.isBusy = true;
      const done = (async () => {
        await time.sleep(random.below(random.of([1, 10, 50])));
        this.isBusy = false;
        if (!this.isOver) work(...given);
      })();
      world.counts.async += 1;
      return random.chance(0.5) ? done : { then: (...both) => done.then(...both) };
    };
    const inOrder = (channel, id) => {
      const scope = walcast.scope(channel);
      assert.ok(!this.isOver, 'a reader that was replaced goes on');
      assert.ok([...walcast.channels, CONTROL].includes(channel), 'a message of a channel that was not asked for');
      assert.ok(id > (this.last.get(scope) ?? -1), `${id} on ${channel} after ${this.last.get(scope)}`);
      this.last.set(scope, id);
    };
    this.reader = new WalcastReader({
      channels: walcast.channels, shared, position: from?.position, bufferMax: world.bufferMax,
      bootstrap: asked((request) => walcast.bootstrap(request)),
      delta: world.hasDelta ? asked((request) => walcast.delta(request)) : undefined,
      replace: handler((rows, { model, epoch, lastSyncId }) => {
        if (this.isOver) return;
        world.counts[model ? 'models' : 'bootstraps'] += 1;
        mayFail();
        if (model) removeModel(this.rows, model);
        else [this.rows, this.last, this.events, this.begin] = [new Map(), new Map(), [], { epoch, lastSyncId }];
        for (const [key, sum] of rows) this.rows.set(key, sum);
        mayFail();
      }),
      apply: handler((action, { channel }) => {
        if (this.isOver) return;
        inOrder(channel, action.syncId);
        mayFail();
        change(this.rows, walcast.scope(channel), action);
        world.counts.actions += 1;
        mayFail();
      }),
      event: handler((message, { channel }) => {
        if (this.isOver) return;
        inOrder(channel, message.lastSyncId);
        assert.equal(message.data, message.lastSyncId);
        this.events.push(`${walcast.scope(channel)} ${message.lastSyncId}`);
      }),
      failed: (error) => {
        world.counts.failures += 1;
        if (error && (error.code === 'ERR_ASSERTION' || !/lost|handler|too old|cannot be read|a bootstrap at|null/.test(error.message))) world.fail(error);
        if (random.chance(world.failures)) throw new Error('failed fails');
        if (random.chance(world.failures)) return Promise.reject(new Error('failed fails'));
      },
      wait: (attempt) => time.sleep(1 + random.below(20 * (attempt + 1))),
    });
  }
}

class World {
  constructor(seed, counts) {
    const random = this.random = new Random(seed);
    this.time = new Time();
    this.counts = counts;
    this.shared = random.chance(0.3);
    this.hasDelta = random.chance(0.8);
    this.failures = random.of([0, 0, 0.02, 0.2]);
    this.failuresLeft = 0;
    this.bufferMax = random.of([3, 30, 10_000]);
    this.walcast = new Walcast(random, random.chance(0.7) ? PLAIN : HOSTILE, this.shared);
    this.isAsync = random.chance(0.5);
    this.hasGarbage = random.chance(0.5);
    this.walcast.isStale = true;
    // Per channel: lost, doubled, late. Where channels share one connection: in order, and lost only with it.
    this.loss = random.of([0, 0.02, 0.3]);
    this.lateness = random.of([0, 5, 100]);
    this.isConnected = true;
    this.walcast.publish = (channel, text) => this.carry(channel, text);
    this.client = new Client(this);
    this.hasResets = random.chance(0.7);
    this.failure = null;
  }
  fail(error) { this.failure ??= error; }

  carry(channel, text) {
    const isSpoiled = this.hasGarbage && this.random.chance(this.loss / 4);
    const told = isSpoiled ? text.slice(0, this.random.below(text.length)) : text;
    const deliver = () => this.client.reader.receive(channel, told);
    if (this.shared) {
      const connection = this.connection;
      if (this.isConnected) this.time.at(3, () => { if (connection === this.connection) deliver(); });
      if (this.isConnected && this.random.chance(this.loss)) this.time.at(3, () => { if (connection === this.connection) deliver(); });
      return;
    }
    while (!this.random.chance(this.loss)) {
      this.time.at(this.random.below(this.lateness + 1), deliver);
      if (!this.random.chance(this.loss / 2)) break;
    }
  }
  reconnect() {
    this.isConnected = false;
    this.time.at(this.random.below(100), () => {
      this.isConnected = true;
      this.connection = {};
      this.client.reader.catchUp();
    });
  }
  restart() {
    const { client } = this;
    client.isOver = true;
    const position = client.reader.position;
    this.client = new Client(this, position ? { ...client, position: JSON.parse(JSON.stringify(position)) } : undefined);
    this.client.reader.catchUp();
  }

  step() {
    const { walcast, random } = this;
    const chosen = random.below(1000);
    if (chosen < 600) walcast.commit();
    else if (chosen < 700) walcast.emit();
    else if (chosen < 760) walcast.progress();
    else if (chosen < 790 && this.hasResets) walcast.truncate();
    else if (chosen < 830) walcast.trim();
    else if (chosen < 850) walcast.removeAged();
    else if (chosen < 865) walcast.changeEpoch();
    else if (chosen < 885) walcast.goBack();
    else if (chosen < 925) walcast.keep();
    else if (chosen < 935) walcast.agentUp();
    else if (chosen < 955) this.reconnect();
    else if (chosen < 965) this.restart();
    else if (chosen < 980) this.client.reader.catchUp();
    else if (chosen < 990 && this.hasGarbage) this.tellGarbage();
    else if (chosen >= 990) this.tellOthers();
  }
  tellGarbage() {
    this.counts.garbage += 1;
    this.client.reader.receive(this.random.of([...this.walcast.channels, CONTROL]), garbage(this.random, this.walcast));
  }
  tellOthers() {
    const { epoch, id } = this.walcast;
    const sync = [{ syncId: id + 5, action: 'insert', modelName: 'Todo', modelId: '1', data: { inc: 1 } }];
    this.client.reader.receive(this.random.of(['other', 'valueOf']), { type: 'sync', epoch, prevSyncId: 0, lastSyncId: id + 5, sync });
  }

  async run() {
    const { walcast, time, random } = this;
    for (let left = random.below(10); left > 0; left--) walcast.commit();
    this.client.reader.catchUp();
    for (let left = 50 + random.below(150); left > 0 && !this.failure; left--) {
      this.step();
      await time.run(time.now + random.below(random.of([2, 10, 60])));
    }
    // In the end all is well, and somebody says so, or each channel hears something (but none says that a reset was lost).
    const isTold = this.shared || !this.hasDelta || this.hasResets || random.chance(0.3);
    if (!isTold && random.chance(0.7)) {
      this.client.reader.catchUp();
      await time.run();
      walcast.changeEpoch();
    }
    Object.assign(this, { failures: 0, failuresLeft: random.below(3), loss: 0, lateness: 0, isConnected: true });
    walcast.isStale = this.hasDelta;  // What old rows lack is in the delta.
    walcast.resend();
    if (!isTold) for (const channel of walcast.channels) walcast.commit([channel]);
    else if (this.hasGarbage && random.chance(0.3)) this.tellGarbage();  // It makes the reader ask, too.
    else if (random.chance(0.5) || !this.hasDelta) this.client.reader.catchUp();
    else { walcast.id += 1; walcast.position = walcast.id; walcast.agentUp(); }
    await time.run();
    for (let left = random.below(4); left > 0; left--) walcast.commit();
    await time.run();
    if (this.failure) throw this.failure;
    this.check();
  }

  check() {
    const { walcast, client } = this;
    assert.deepEqual([...client.rows].sort(), [...walcast.rows].sort(), 'the rows');
    const expected = walcast.events.filter(({ id, epoch }) => epoch === client.begin.epoch && id > client.begin.lastSyncId)
      .flatMap(({ channels, id }) => [...new Set(channels.map((channel) => `${walcast.scope(channel)} ${id}`))]);
    // Without deltas, those of the time of a bootstrap cannot be had.
    const heard = this.hasDelta ? expected : expected.filter((event) => client.events.includes(event));
    assert.deepEqual([...client.events].sort(), heard.sort(), 'the events');
    assert.equal(client.begin.epoch, walcast.epoch);
  }
}

test(`whatever the network does, the state converges (seed ${SEED}, ${ROUNDS} rounds)`, async () => {
  const counts = { actions: 0, bootstraps: 0, models: 0, failures: 0, async: 0, garbage: 0 };
  for (let round = 0; round < ROUNDS; round++) {
    const seed = SEED + round;
    try {
      await new World(seed, counts).run();
    } catch (error) {
      error.message = `WALCAST_SEED=${seed} WALCAST_ROUNDS=1: ${error.message}`;
      throw error;
    }
  }
  console.log(`seed ${SEED}: ${ROUNDS} rounds, ${JSON.stringify(counts)}`);
  if (ROUNDS >= 100) assert.ok(counts.actions > 10 * ROUNDS && counts.models > ROUNDS / 5 && counts.bootstraps > ROUNDS
    && counts.async > ROUNDS && counts.garbage > ROUNDS / 2, JSON.stringify(counts));
});

test('a quiet network needs one bootstrap', async () => {
  let bootstraps = 0, sum = 0;
  const reader = new WalcastReader({
    channels: ['a'], bootstrap: async () => (bootstraps++, { epoch: 'e', lastSyncId: 5, rows: [] }), replace: () => { sum = 0; },
    delta: async () => ({ status: 'complete', epoch: 'e', lastSyncId: 5, more: false, next: '5,5', messages: [] }),
    apply: (action) => { sum += action.data.inc; } });
  reader.receive('a', '{"epoch":"e","prevSyncId":0,"lastSyncId":4}');  // Before it was asked to begin.
  await reader.catchUp();
  for (const id of [6, 7, 8])
    reader.receive('a', { type: 'sync', epoch: 'e', prevSyncId: id - 1, lastSyncId: id, sync: [{ syncId: id, modelName: 'T', modelId: '1', action: 'update', data: { inc: id } }] });
  await reader.catchUp();
  assert.deepEqual([bootstraps, sum, reader.position.known.a], [1, 21, 8]);
});

test('httpDelta asks, and tells what is provable from what failed', async () => {
  const answers = [new Response('{"status":"complete"}'), new Response('{"status":"not provable"}', { status: 409 }), new Response('away', { status: 503 })];
  const asked = [];
  const delta = httpDelta('http://h/delta', { token: 't', fetch: async (url, options) => (asked.push([url, options]), answers.shift()) });
  const request = { channels: ['team:a%3Ab', 'c d'], epoch: 'e', after: '1,2,3' };
  assert.equal((await delta(request)).status, 'complete');
  assert.equal((await delta(request)).status, 'not provable');
  await assert.rejects(delta(request), /503 away/);
  const [url, { headers, signal }] = asked[0];
  assert.equal(url, 'http://h/delta?channel=team%3Aa%253Ab&channel=c+d&epoch=e&after=1%2C2%2C3');
  assert.deepEqual([headers, signal.aborted], [{ authorization: 'Bearer t' }, false]);
});

for (const isBegun of [false, true]) test(`httpDelta does not wait for ever ${isBegun ? 'for the rest of an answer' : 'for an answer'}`, { timeout: 15_000 }, async (t) => {
  const server = createServer((_, answer) => { if (isBegun) answer.writeHead(200).write('{'); }).listen(0, '127.0.0.1');
  t.after(() => { server.close(); server.closeAllConnections(); });
  await once(server, 'listening');
  const delta = httpDelta(`http://127.0.0.1:${server.address().port}/delta`, { timeout: 200 });
  await assert.rejects(delta({ channels: ['a'], epoch: 'e', after: '1,1' }), { name: 'TimeoutError' });
});

// A reader at id 5 of a Postgres that says nothing of itself.
function quiet(options = {}) {
  const log = [];
  const reader = new WalcastReader({
    channels: ['a'], wait: async () => {}, failed: (error) => log.push(error.message),
    bootstrap: async ({ model }) => ({ epoch: 'e', lastSyncId: model ? 50 : 5, rows: [] }), replace: (_, { model }) => { log.push(model ? `replace ${model}` : 'replace'); },
    delta: async () => ({ status: 'complete', epoch: 'e', lastSyncId: 5, more: false, next: '5,5', messages: [] }),
    apply: ({ syncId, modelName }) => { log.push(`${syncId} ${modelName}`); }, ...options });
  return { reader, log };
}
function message(prevSyncId, ids, modelName = 'T') {
  const sync = ids.map((syncId) => ({ syncId, modelName, modelId: '1', action: 'update' }));
  return { type: 'sync', epoch: 'e', prevSyncId, lastSyncId: ids.at(-1), sync };
}

test('the position is what has been applied, also between the actions of a message', async () => {
  const positions = [];
  let store;
  const note = async () => { await turn(); positions.push(store.reader.position?.known.a); };
  store = quiet({ replace: note, apply: note });
  await store.reader.catchUp();
  store.reader.receive('a', message(5, [6, 8, 8, 10]));
  await store.reader.catchUp();
  assert.deepEqual([positions, store.reader.position.known.a], [[undefined, 5, 7, 7, 9], 10]);
  let resets;
  store = quiet({ replace: async (_, { model }) => { await turn(); if (model) ({ resets } = store.reader.position); } });
  await store.reader.catchUp();
  store.reader.receive('walcast:control', { type: 'reset', epoch: 'e', prevSyncId: 0, lastSyncId: 20, modelName: 'T' });
  await store.reader.catchUp();
  assert.deepEqual([resets, store.reader.position.resets], [[['T', 20]], []]);
});

test('a position that lacks a channel, or is none, begins with a bootstrap', async () => {
  const { reader } = quiet();
  await reader.catchUp();
  const { position } = reader;
  for (const [given, channels, bootstraps] of [[position, ['a'], 0], [position, ['a', 'b'], 1], [position, ['constructor'], 1], [{}, ['a'], 1],
    [{ ...position, known: JSON.parse('{"a":null,"walcast:control":null}') }, ['a'], 1]]) {
    const next = quiet({ position: given, channels });
    await next.reader.catchUp();
    assert.equal(next.log.length, bootstraps, JSON.stringify([given, channels]));
  }
});

test('what is no message is told, and leads to a delta', async () => {
  let asked = 0;
  const { reader, log } = quiet({ delta: async () => (asked++, { status: 'complete', epoch: 'e', lastSyncId: 5, more: false, next: '5,5', messages: [] }) });
  await reader.catchUp();
  const { position } = reader, random = new Random(SEED);
  for (let count = 1; count < 100; count++) {
    reader.receive('a', garbage(random, { epoch: 'e', id: 5 }));
    for (let turns = 0; turns < 50 && asked === count; turns++) await turn();
    assert.deepEqual([asked, log.length, log.at(-1)], [count + 1, count + 1, 'a message on a that cannot be read']);
    assert.deepEqual(reader.position, position);
  }
});

test('models may be called as they like', async () => {
  const { reader, log } = quiet();
  await reader.catchUp();
  reader.receive('a', message(5, [6], 'constructor'));
  reader.receive('a', message(6, [7], '__proto__'));
  reader.receive('walcast:control', { type: 'reset', epoch: 'e', prevSyncId: 0, lastSyncId: 8, modelName: '__proto__' });
  reader.receive('a', message(7, [9], '__proto__'));
  reader.receive('a', message(9, [51], '__proto__'));
  await reader.catchUp();
  assert.deepEqual(log, ['replace', '6 constructor', '7 __proto__', 'replace __proto__', '51 __proto__']);
  const next = quiet({ position: JSON.parse(JSON.stringify(reader.position)) });
  next.reader.receive('a', message(51, [52], 'toString'));
  await next.reader.catchUp();
  assert.deepEqual(next.log, ['52 toString']);
});

test('a delta that stays unreadable ends in a bootstrap', async () => {
  let isBroken = true, left = 20;
  const answer = { status: 'complete', epoch: 'e', lastSyncId: 5, more: false, next: '5,5', messages: [] };
  const { reader, log } = quiet({
    replace: () => { log.push('replace'); isBroken = log.length < 2; },
    delta: async () => (isBroken && left-- > 0 ? { ...answer, messages: [{ channel: 'a', message: { epoch: 'e' } }] } : answer) });
  await reader.catchUp();
  assert.deepEqual(log, ['replace', ...Array(6).fill('a delta that cannot be read, on a'), 'replace']);
});

for (const place of ['bootstrap', 'delta']) test(`a history that lacks what was heard during a ${place} is asked for again`, async () => {
  const page = (lastSyncId, messages) => ({ status: 'complete', epoch: 'e', lastSyncId, more: false, next: '', messages });
  const applied = [], failed = [];
  let asked = 0;
  const hear = (where) => {
    if (where === place) for (const [channel, id] of [['a', 6], ['b', 7], ['c', 8]]) reader.receive(channel, message(0, [id]));  // More than it keeps.
  };
  const reader = new WalcastReader({
    channels: ['a', 'b', 'c'], shared: true, bufferMax: 1, wait: async () => {}, failed: (error) => failed.push(error.message),
    bootstrap: async () => (hear('bootstrap'), { epoch: 'e', lastSyncId: 5, rows: [] }), replace: () => {}, apply: ({ syncId }) => applied.push(syncId),
    delta: async () => {
      asked += 1;
      if (asked === 1) hear('delta');
      return asked < 3 ? page(5, []) : page(7, [{ channel: 'a', message: message(0, [6]) }, { channel: 'b', message: message(0, [7]) }]);
    } });
  await reader.catchUp();
  assert.deepEqual([applied, asked, failed], [[6, 7, 8], 3, Array(2).fill('the history at 5: too old')]);
});

// What Loco Sync's client does with what its network adapter hands it, where that is not on npm: rows in memory and, written after
// them and asynchronously, on disk. Each follows its own rules about ids, as in the real one; where these make the two differ, or an
// action is skipped that was never applied, this one throws.
import { Violation, isObject, require, same } from './violation.mjs';

const isSyncId = (value) => Number.isSafeInteger(value) && value >= 0;
const keyOf = ({ modelName, modelId }) => `${modelName} ${modelId}`;
const nextTurn = () => new Promise((resolve) => setImmediate(resolve));

// `models`: {Todo: ["id", "title", ...]}, the fields of each whole row.
function checkAction(models, action) {
  require(isObject(action), 'action', 'not an object', action);
  require(isSyncId(action.syncId) && action.syncId > 0, 'syncId', 'not a whole number above 0 and below 2^53', action);
  require(['insert', 'update', 'delete'].includes(action.action), 'action', `${action.action} crashes the storage adapter`, action);
  require(typeof action.modelName === 'string', 'modelName', 'not a string', action);
  require(typeof action.modelId === 'string', 'modelId', 'not a string', action);
  if (action.action === 'delete') {
    require(!Object.hasOwn(action, 'data'), 'delete', 'with data', action);
    return;
  }
  require(isObject(action.data), 'data', 'not a row', action);
  require(action.data.id === action.modelId, 'id', 'data.id is not modelId, type and all: the row could never be deleted', action);
  require(action.dataKind === undefined, 'partial row', `${action.dataKind} replaces the row`, action);
  for (const field of models[action.modelName] ?? []) {
    require(Object.hasOwn(action.data, field), 'partial row', `${field} would be gone`, action);
  }
}

// IndexedDB: rows are put and deleted blindly; a message is ignored only where it ends below the last one.
class Disk {
  constructor(models) {
    this.models = models;
    this.rows = new Map();
    this.metadata = null;
  }

  async saveBootstrap(rows, firstSyncId) {
    await nextTurn();
    for (const [modelName, list] of Object.entries(rows)) {
      for (const data of list) this.rows.set(keyOf({ modelName, modelId: data.id }), data);
    }
    this.metadata = { firstSyncId, lastSyncId: firstSyncId };
  }

  async apply(lastSyncId, sync) {
    await nextTurn();
    if (this.metadata.lastSyncId > lastSyncId) return;
    for (const action of sync) {
      if (!Object.hasOwn(this.models, action.modelName)) continue;
      if (action.action === 'delete') this.rows.delete(keyOf(action));
      else this.rows.set(keyOf(action), action.data);
    }
    this.metadata.lastSyncId = lastSyncId;
  }
}

// A message is ignored whole where it does not end above the last one, and in it the actions that are not above that.
class Memory {
  constructor(models) {
    this.models = models;
    this.rows = new Map();
    this.lastSyncId = 0;
    this.firstSyncId = 0; // What the bootstrap holds.
    this.applied = new Set();
    this.pending = []; // Writes: {id, changes, lastSyncId}, the last null until the server has answered.
  }

  apply(lastSyncId, sync) {
    if (lastSyncId <= this.lastSyncId) {
      for (const action of sync) this.#skip(action);
      return;
    }
    let below = 0;
    for (const action of sync) {
      require(action.syncId >= below, 'order', `follows ${below}: an older row would overwrite a newer one`, action);
      below = action.syncId;
      if (action.syncId <= this.lastSyncId) {
        this.#skip(action);
        continue;
      }
      this.applied.add(this.#name(action));
      if (!Object.hasOwn(this.models, action.modelName)) continue;
      if (action.action === 'delete') this.rows.delete(keyOf(action));
      else this.rows.set(keyOf(action), action.data);
    }
    this.lastSyncId = lastSyncId;
    this.pending = this.pending.filter((write) => write.lastSyncId === null || write.lastSyncId > lastSyncId);
  }

  // An insert in one channel may be an update in another: both are puts of the same row.
  #name(action) {
    return `${action.syncId} ${keyOf(action)} ${action.action === 'delete' ? 'delete' : 'put'}`;
  }

  #skip(action) {
    const known = action.syncId <= this.firstSyncId || this.applied.has(this.#name(action));
    require(known, 'lost', `not above ${this.lastSyncId}, and never applied`, action);
  }

  // As the user sees them: with the writes that are not settled yet on top.
  optimistic() {
    const rows = new Map(this.rows);
    for (const write of this.pending) {
      if (write.lastSyncId !== null && write.lastSyncId <= this.lastSyncId) continue;
      for (const change of write.changes) {
        const key = keyOf(change);
        if (change.action === 'create') rows.set(key, change.data);
        else if (change.action === 'delete') rows.delete(key);
        else if (rows.has(key)) rows.set(key, { ...rows.get(key), ...change.data });
      }
    }
    return rows;
  }
}

// `network`: bootstrap(), initSync(listener), deltaSync(from, to), sendTransaction(args), as in Loco's NetworkAdapter.
export class LocoConsumer {
  constructor(models, network) {
    this.models = models;
    this.network = network;
    this.memory = new Memory(models);
    this.disk = new Disk(models);
    this.counts = { sync: 0, progress: 0, actions: 0, deltas: 0 };
    this.caughtUp = false;
    this.lastSyncId = 0; // Of the last handshake, not of the last live message.
    this.future = [];
    this.clearsFuture = false; // From the moment the delta is put together until it is on disk.
    this.writes = 0;
    this.messageEnds = new Map(); // Where each mutation's messages ended.
  }

  async start() {
    const answer = await this.network.bootstrap({ type: 'eager', models: Object.keys(this.models) });
    require(answer.ok === true, 'bootstrap', 'failed: the client stays in status failed, and never tries again', answer);
    const { bootstrap, firstSyncId } = answer.value;
    require(isSyncId(firstSyncId), 'bootstrap', 'firstSyncId is no sync id', firstSyncId);
    for (const [modelName, rows] of Object.entries(bootstrap)) {
      for (const data of rows) checkAction(this.models, { syncId: 1, action: 'insert', modelName, modelId: data.id, data });
      for (const data of rows) this.memory.rows.set(keyOf({ modelName, modelId: data.id }), data);
    }
    this.memory.firstSyncId = firstSyncId;
    await this.disk.saveBootstrap(bootstrap, firstSyncId);
    this.lastSyncId = firstSyncId;
    await this.network.initSync((message) => this.#listen(message));
  }

  async #listen(message) {
    require(isObject(message), 'message', 'not an object', message);
    if (message.type === 'disconnected') {
      this.caughtUp = false;
      this.future = [];
      return;
    }
    require(isSyncId(message.lastSyncId), 'lastSyncId', 'not a sync id', message);
    if (message.type === 'handshake') return this.#catchUp(this.lastSyncId, message.lastSyncId);
    require(message.type === 'sync', 'type', `${message.type} is ignored: what it says would be lost`, message);
    require(Array.isArray(message.sync), 'sync', 'not an array', message);
    message.sync.forEach((action) => checkAction(this.models, action));
    this.counts[message.sync.length > 0 ? 'sync' : 'progress'] += 1;
    this.counts.actions += message.sync.length;
    const end = message.sync.at(-1)?.syncId ?? 0;
    require(end <= message.lastSyncId, 'lastSyncId', 'below its last action: the next message would be skipped', message);
    if (message.mutationId !== undefined) {
      this.messageEnds.set(message.mutationId, Math.max(message.lastSyncId, this.messageEnds.get(message.mutationId) ?? 0));
    }
    if (this.caughtUp) return this.#apply(message.lastSyncId, message.sync);
    require(!this.clearsFuture, 'lost', 'came while the delta was being written, and is dropped: await the listener', message);
    this.future.push(...message.sync);
  }

  async #catchUp(from, to) {
    this.counts.deltas += 1;
    const answer = await this.network.deltaSync(from, to);
    require(answer.ok === true, 'delta', `${answer.error}: a client that shows nothing new any more, or asks without a pause`, answer);
    const { sync } = answer.value;
    for (const action of sync) {
      checkAction(this.models, action);
      require(action.syncId > from && action.syncId <= to, 'delta', `outside of (${from}, ${to}]`, action);
    }
    this.clearsFuture = true;
    await this.#apply(to, sync.concat(this.future));
    this.clearsFuture = false;
    this.future = [];
    this.lastSyncId = to;
    this.caughtUp = true;
  }

  async #apply(lastSyncId, sync) {
    this.memory.apply(lastSyncId, sync);
    const rows = new Map(this.memory.rows);
    const seen = this.memory.lastSyncId;
    await this.disk.apply(lastSyncId, sync);
    if (this.memory.lastSyncId === seen) this.#compare(rows);
  }

  #compare(rows) {
    const differs = [...new Set([...rows.keys(), ...this.disk.rows.keys()])].find((key) => !same(rows.get(key), this.disk.rows.get(key)));
    if (differs === undefined) return;
    throw new Violation('disk', `${differs} differs from memory`, [rows.get(differs), this.disk.rows.get(differs)]);
  }

  // Runs a write of the user's: shown at once, settled when a message reaches the lastSyncId of its answer. True when accepted.
  async mutate(args, changes) {
    const write = { id: ++this.writes, changes, lastSyncId: null };
    this.memory.pending.push(write);
    const answer = await this.network.sendTransaction(args);
    if (!answer.ok) {
      require(answer.error === 'server', 'write', `${answer.error} is sent again`, answer);
      this.memory.pending = this.memory.pending.filter((other) => other !== write);
      return false;
    }
    require(isSyncId(answer.value.lastSyncId), 'write', 'lastSyncId is no sync id: pending for ever', answer);
    write.lastSyncId = answer.value.lastSyncId;
    const ended = this.messageEnds.get(args.mutationId) ?? 0;
    require(ended <= write.lastSyncId, 'write', `settled at ${write.lastSyncId}, but its messages go on to ${ended}`, answer);
    if (write.lastSyncId <= this.memory.lastSyncId) this.memory.pending = this.memory.pending.filter((other) => other !== write);
    return true;
  }

  rows(map = this.memory.rows) {
    const found = Object.fromEntries(Object.keys(this.models).map((name) => [name, []]));
    for (const [key, data] of map) found[key.slice(0, key.indexOf(' '))].push(data);
    return found;
  }
}

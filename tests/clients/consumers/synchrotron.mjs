// What Synchrotron's core does with the sync-log batches of a push transport, where that is not on npm: both kinds of rows are kept
// by id, an action waits for its patches, and what is ready is applied in the order of its hybrid clock, whatever came first. Where
// the real one would lose or spoil something, this one throws. Actions are applied by their patches; real ones run their code.
import { isObject, require, same } from './violation.mjs';

export const CORRECTION = '_InternalCorrectionApply';
const ROLLBACK = 'RollbackAction';
const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/;
const isTime = (value) => typeof value === 'string' && !Number.isNaN(Date.parse(value));
const keyOf = (table, id) => `${table} ${id}`;

// The order of application: (clock_time_ms, clock_counter, client_id, id).
export function compareClocks(a, b) {
  for (const field of ['clock_time_ms', 'clock_counter', 'client_id', 'id']) {
    if (a[field] !== b[field]) return a[field] < b[field] ? -1 : 1;
  }
  return 0;
}

function checkAction(action, tags) {
  require(isObject(action), 'action', 'not an object', action);
  require(UUID.test(action.id), 'action', 'id is no UUID', action);
  require(tags.has(action._tag), '_tag', `Missing action creator: ${action._tag} aborts the whole sync`, action);
  const ingest = action.server_ingest_id;
  require(ingest === null || Number.isSafeInteger(ingest), 'server_ingest_id', 'neither number nor null', action);
  require(action.user_id === null || typeof action.user_id === 'string', 'user_id', 'neither string nor null', action);
  require(typeof action.client_id === 'string', 'client_id', 'not a string', action);
  require(typeof action.transaction_id === 'number', 'transaction_id', 'not a number', action);
  const { clock } = action;
  require(isObject(clock) && Number.isSafeInteger(clock.timestamp) && isObject(clock.vector), 'clock', 'no hybrid clock', action);
  require(action.clock_time_ms === clock.timestamp, 'clock', 'clock_time_ms is another', action);
  require(action.clock_counter === (clock.vector[action.client_id] ?? 0), 'clock', 'clock_counter is not of the vector', action);
  require(isObject(action.args) && typeof action.args.timestamp === 'number', 'args', 'without a timestamp', action);
  require(isTime(action.created_at) && isTime(action.server_ingested_at), 'times', 'not date-times', action);
  require(action.synced === 1 || action.synced === true, 'synced', 'not 1: it would be sent back to the server', action);
}

function checkPatch(patch) {
  require(isObject(patch), 'patch', 'not an object', patch);
  require(UUID.test(patch.id) && UUID.test(patch.action_record_id), 'patch', 'ids are no UUIDs', patch);
  for (const field of ['table_name', 'row_id', 'audience_key']) {
    require(typeof patch[field] === 'string', 'patch', `${field} is not a string`, patch);
  }
  require(Number.isSafeInteger(patch.sequence), 'patch', 'sequence is no number', patch);
  const { forward_patches: forward, reverse_patches: reverse, operation } = patch;
  require(isObject(forward) && isObject(reverse), 'patch', 'patches are not objects', patch);
  for (const patches of [forward, reverse]) {
    require(!Object.hasOwn(patches, 'audience_key'), 'patch', 'audience_key within a patch', patch);
    require((patches.id ?? patch.row_id) === patch.row_id, 'patch', 'another id within a patch', patch);
  }
  const [forwards, backwards] = [Object.keys(forward).sort(), Object.keys(reverse).sort()];
  if (operation === 'INSERT') require(backwards.length === 0 && forwards.length > 0, 'patch', 'an insert is {row} and {}', patch);
  else if (operation === 'DELETE') require(forwards.length === 0 && backwards.length > 0, 'patch', 'a delete is {} and {row}', patch);
  else {
    require(operation === 'UPDATE', 'patch', `operation ${operation}`, patch);
    require(same(forwards, backwards), 'patch', 'what an update changes it must be able to undo', patch);
  }
}

export class SynchrotronConsumer {
  // `tags`: the actions that the application knows. `audiences`: what this client may see, all when null.
  constructor({ tags = [], audiences = null } = {}) {
    this.tags = new Set([...tags, CORRECTION, ROLLBACK]);
    this.audiences = audiences && new Set(audiences);
    this.actions = new Map();
    this.patches = new Map();
    this.ofAction = new Map(); // Patches by action id.
    this.applied = []; // Actions, in clock order.
    this.isApplied = new Set();
    this.tables = new Map();
    this.cursor = 0; // last_seen_server_ingest_id: asked after by the next fetch.
    this.isBootstrapped = () => false;
    this.counts = { batches: 0, repeated: 0, replays: 0, wakeups: 0 };
  }

  // FetchBootstrapSnapshot: rows, and which actions are in them.
  bootstrap(tables, serverIngestId, isBootstrapped) {
    for (const [table, rows] of Object.entries(tables)) for (const row of rows) this.tables.set(keyOf(table, row.id), row);
    this.cursor = serverIngestId;
    this.isBootstrapped = isBootstrapped;
  }

  // True when the client would now ask the server for actions above its cursor.
  ingest(event) {
    require(isObject(event), 'event', 'not an object', event);
    if (event._tag === 'Wakeup') {
      this.counts.wakeups += 1;
      return true;
    }
    require(event._tag === 'Batch', 'event', `${event._tag} is no event of a transport`, event);
    require(Array.isArray(event.actions) && Array.isArray(event.modifiedRows), 'event', 'without its lists', event);
    this.counts.batches += 1;
    event.actions.forEach((action) => this.#keepAction(action));
    event.modifiedRows.forEach((patch) => this.#keepPatch(patch));
    if (event.caughtUp !== false) this.#apply();
    return event.caughtUp !== false;
  }

  #keepAction(action) {
    checkAction(action, this.tags);
    const known = this.actions.get(action.id);
    if (known) {
      // On conflict only what the server adds is taken over. Times are compared as such, +00:00 or Z.
      const { server_ingest_id: ingest, server_ingested_at: at, user_id: user, created_at: made } = action;
      const isSame = same({ ...known, server_ingest_id: ingest, server_ingested_at: at, user_id: user, created_at: made }, action);
      require(isSame && Date.parse(known.created_at) === Date.parse(made), 'idempotent',
        'the same id with another content: it would be ignored', [known, action]);
      known.server_ingest_id ??= ingest;
      this.counts.repeated += 1;
    } else {
      this.actions.set(action.id, { ...action });
    }
    this.cursor = Math.max(this.cursor, action.server_ingest_id ?? 0);
  }

  #keepPatch(patch) {
    checkPatch(patch);
    require(!this.audiences || this.audiences.has(patch.audience_key), 'audience', `${patch.audience_key} is not this client's`, patch);
    const known = this.patches.get(patch.id);
    if (known) {
      require(same(known, patch), 'idempotent', 'the same id with another content: it would be ignored', patch);
      return;
    }
    require(!this.isApplied.has(patch.action_record_id), 'late patch', 'its action is applied already, without it', patch);
    this.patches.set(patch.id, patch);
    const list = this.ofAction.get(patch.action_record_id) ?? [];
    require(list.every((other) => other.sequence !== patch.sequence), 'sequence', 'twice in one action', patch);
    list.push(patch);
    list.sort((a, b) => a.sequence - b.sequence);
    this.ofAction.set(patch.action_record_id, list);
  }

  held() {
    return [...this.actions.values()].filter((action) => !this.isApplied.has(action.id) && !this.isBootstrapped(action));
  }

  #apply() {
    const ready = this.held().filter((action) => this.ofAction.has(action.id)).sort(compareClocks);
    if (ready.length === 0) return;
    // Whatever comes after the first of them is rolled back and replayed.
    const undone = [];
    while (this.applied.length > 0 && compareClocks(this.applied.at(-1), ready[0]) > 0) {
      const action = this.applied.pop();
      undone.push(action);
      [...this.ofAction.get(action.id)].reverse().forEach((patch) => this.#backward(patch));
    }
    if (undone.length > 0) this.counts.replays += 1;
    for (const action of [...ready, ...undone].sort(compareClocks)) {
      for (const patch of this.ofAction.get(action.id)) this.#forward(patch, action);
      this.applied.push(action);
      this.isApplied.add(action.id);
    }
  }

  #forward(patch, action) {
    const key = keyOf(patch.table_name, patch.row_id);
    const row = this.tables.get(key);
    if (patch.operation === 'DELETE') {
      this.tables.delete(key);
    } else if (patch.operation === 'INSERT') {
      require(!row || same(row, { id: patch.row_id, ...patch.forward_patches }), 'clock', 'an insert of a row that is there is ignored', [patch, action]);
      this.tables.set(key, row ?? { id: patch.row_id, ...patch.forward_patches });
    } else {
      require(row, 'clock', 'an update of a row that is not there changes nothing: it is lost', [patch, action]);
      this.tables.set(key, { ...row, ...patch.forward_patches });
    }
  }

  #backward(patch) {
    const key = keyOf(patch.table_name, patch.row_id);
    if (patch.operation === 'INSERT') this.tables.delete(key);
    else if (patch.operation === 'DELETE') this.tables.set(key, { id: patch.row_id, ...patch.reverse_patches });
    else if (this.tables.has(key)) this.tables.set(key, { ...this.tables.get(key), ...patch.reverse_patches });
  }

  rows(table) {
    return [...this.tables].filter(([key]) => key.startsWith(`${table} `)).map(([, row]) => row);
  }
}

// What Laravel Chorus' browser core does with the harmonics it is sent, where that is not on npm: one table of rows by key, one
// cursor for all tables, pending writes in shadow rows. Where the real client would silently lose or spoil something, this one throws.
import { Violation, isObject, require, same } from './violation.mjs';

const UUID_V7 = /^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/;
const CREATED_AT = /^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d$/;

export class ChorusConsumer {
  // `schema` as GET /api/schema gives it: {table: "id, title, done"}, the primary key first.
  constructor(schema, { onRejected = () => {} } = {}) {
    this.fields = {};
    this.tables = {};
    for (const [table, fields] of Object.entries(schema)) {
      this.fields[table] = fields.split(',').map((field) => field.trim());
      this.tables[table] = new Map(); // As in Dexie, the keys 7 and "7" are two.
    }
    this.cursor = null; // chorus_latest_harmonic_id: of all tables, compared as a string.
    this.shadows = new Map(); // `${table} ${key}` to {row, status}: the delta that goes with a shadow row.
    this.onRejected = onRejected;
    this.counts = { applied: 0, repeated: 0, rejected: 0 };
    this.last = null;
  }

  // A live event of the name harmonic.created, as the transport hands it over.
  processHarmonic(harmonic) {
    require(isObject(harmonic), 'harmonic', 'not an object', harmonic);
    const { id, operation } = harmonic;
    require(typeof id === 'string' && UUID_V7.test(id), 'id', 'not shaped like a UUIDv7', harmonic);
    if (id === this.cursor) {
      // Harmless twice (put), but two changes of one id are one too few after the next catch-up.
      require(same(harmonic, this.last), 'order', 'two harmonics have one id', harmonic);
      this.counts.repeated += 1;
      return;
    }
    require(this.cursor === null || id > this.cursor, 'order', `below the cursor ${this.cursor}: it would overwrite newer rows`, harmonic);
    require(CREATED_AT.test(harmonic.created_at), 'created_at', 'not Y-m-d H:i:s', harmonic);
    if (harmonic.rejected) this.#reject(harmonic);
    else this.#apply(harmonic, this.#parse(harmonic, operation));
    this.cursor = id;
    this.last = harmonic;
  }

  #table(name, evidence) {
    require(Object.hasOwn(this.tables, name ?? ''), 'table_name', `no table ${name}`, evidence);
    return this.tables[name];
  }

  #parse(harmonic, operation) {
    require(['create', 'update', 'delete'].includes(operation), 'operation', `${operation} is ignored`, harmonic);
    require(typeof harmonic.data === 'string', 'data', 'not a JSON text: the event is parked', harmonic);
    try {
      return JSON.parse(harmonic.data);
    } catch (error) {
      throw new Violation('data', `${error.message}: the event is parked`, harmonic);
    }
  }

  #apply(harmonic, data) {
    const { table_name: name, record_id: key, operation } = harmonic;
    const rows = this.#table(name, harmonic);
    if (operation === 'delete') {
      this.#checkKey(rows, key, harmonic);
      rows.delete(key);
    } else {
      this.#put(name, key, data, harmonic);
    }
    this.#confirm(name, key, harmonic);
    this.counts.applied += 1;
  }

  #put(name, key, data, evidence) {
    require(isObject(data), 'data', 'not a row', evidence);
    const [primary] = this.fields[name];
    require(data[primary] === key, 'record_id', `is not the ${primary} of data, type and all`, evidence);
    for (const field of this.fields[name]) {
      require(Object.hasOwn(data, field), 'partial row', `${field} would be gone`, evidence);
    }
    this.#checkKey(this.tables[name], key, evidence);
    this.tables[name].set(key, data);
  }

  #checkKey(rows, key, evidence) {
    require(['string', 'number'].includes(typeof key), 'record_id', 'no key', evidence);
    const other = typeof key === 'string' ? Number(key) : String(key);
    require(!rows.has(other) || String(other) !== String(key), 'record_id', 'of another type than the stored key', evidence);
  }

  // The pending write that a harmonic of its record confirms. After the reply has made it `synced` nobody looks for it any more,
  // and its shadow hides the row for ever.
  #confirm(name, key, evidence) {
    const shadow = this.shadows.get(`${name} ${key}`);
    if (!shadow) return;
    require(shadow.status !== 'synced', 'shadow', 'the reply came before the harmonic: the shadow row stays', evidence);
    if (shadow.status === 'pending') this.shadows.delete(`${name} ${key}`);
  }

  #reject(harmonic) {
    const { table_name: name, record_id: key, rejected_reason: reason } = harmonic;
    require(harmonic.rejected === true, 'rejected', 'not a boolean', harmonic);
    this.#table(name, harmonic);
    require(['string', 'number'].includes(typeof key), 'rejected', 'without a record_id the delta stays pending', harmonic);
    require(typeof reason === 'string', 'rejected', 'without a reason', harmonic);
    const shadow = this.shadows.get(`${name} ${key}`);
    if (shadow?.status === 'pending') shadow.status = `rejected:${reason}`;
    this.counts.rejected += 1;
    this.onRejected(harmonic);
  }

  // What initializeTables does with the answer to GET /api/sync/{table}; `initial` says which question it was.
  applyPage(name, page, initial) {
    const rows = this.#table(name, page);
    const { latest_harmonic_id: latest, records, harmonics } = page;
    require(latest === null || (typeof latest === 'string' && UUID_V7.test(latest)), 'page', 'latest_harmonic_id is no id', page);
    require(this.cursor === null || latest === null || latest >= this.cursor, 'page', 'ends below the cursor', page);
    if (initial) {
      require(Array.isArray(records), 'page', 'without records', page);
      for (const record of records) this.#put(name, record[this.fields[name][0]], record, record);
      return latest;
    }
    require(Array.isArray(harmonics), 'page', 'without harmonics', page);
    const seen = new Set();
    let below = this.cursor;
    for (const harmonic of harmonics) {
      require(harmonic.table_name === name, 'page', `of another table than ${name}`, harmonic);
      // Creates go in first whatever their place, and one of a row that is there makes the client drop its database.
      require(harmonic.operation !== 'create', 'page', 'a create', harmonic);
      require(!seen.has(harmonic.record_id), 'page', 'a record twice: deletes are applied after all updates', harmonic);
      require(below === null || harmonic.id > below, 'page', 'out of order', harmonic);
      require(latest !== null && harmonic.id <= latest, 'page', 'above latest_harmonic_id', page);
      seen.add(harmonic.record_id);
      below = harmonic.id;
      const data = this.#parse(harmonic, harmonic.operation);
      if (harmonic.operation === 'delete') {
        this.#checkKey(rows, harmonic.record_id, harmonic);
        rows.delete(harmonic.record_id);
      } else {
        this.#put(name, harmonic.record_id, data, harmonic);
      }
    }
    return latest;
  }

  // Mounts the provider: every table's page, by `fetchPage(table, after)` (`after` null: the initial one), then the cursor.
  async initialize(fetchPage) {
    let highest = this.cursor;
    for (const name of Object.keys(this.tables)) {
      const initial = this.tables[name].size === 0;
      const latest = this.applyPage(name, await fetchPage(name, initial ? null : this.cursor), initial);
      if (latest !== null && (highest === null || latest > highest)) highest = latest;
    }
    this.cursor = highest;
    this.last = null;
  }

  // A write of the user's, shown at once from its shadow row.
  write(name, key, row) {
    this.#table(name);
    this.shadows.set(`${name} ${key}`, { row, status: 'pending' });
  }

  // The HTTP reply to a write: executeActionWithCallback marks the delta, executeActionWithContext leaves it pending.
  replied(name, key) {
    const shadow = this.shadows.get(`${name} ${key}`);
    if (shadow?.status === 'pending') shadow.status = 'synced';
  }

  rows() {
    return Object.fromEntries(Object.entries(this.tables).map(([name, rows]) => [name, [...rows.values()]]));
  }
}

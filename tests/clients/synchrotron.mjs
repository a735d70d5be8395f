// Synchrotron consumers, each with a push transport that hears the batches of its audiences: several in one program. With `gathers` the
// transport lets a client apply what it has stored only when nothing more has come for a moment: each time it looks at the whole log.
import { SynchrotronConsumer } from './consumers/synchrotron.mjs';
import { Feed } from './feed.mjs';
import { fetchJson, serve } from './rpc.mjs';

const clients = new Map();

class Client {
  constructor({ url, prefix, audiences, channels, application, tags, bootstraps, gathers }) {
    Object.assign(this, { url, prefix, audiences, channels, application, tags, bootstraps, gathers });
    this.counts = { connections: 0, heard: 0 };
  }

  // Subscribed first; then all that the server has, since its numbers do not come in order; then what was heard meanwhile.
  async connect() {
    this.counts.connections += 1;
    const early = [];
    let take = (text) => early.push(text);
    const hear = (_, text) => take(text);
    this.feed = new Feed({ url: this.url, prefix: this.prefix, names: this.channels, hear, lost: () => this.drop() });
    await this.feed.start();
    // Nobody can fetch corrections: begin anew.
    if (this.bootstraps || !this.sync) this.sync = new SynchrotronConsumer({ tags: this.tags, audiences: this.audiences });
    await (this.bootstraps ? this.bootstrap() : this.fetch());
    take = (text) => this.hear(JSON.parse(text));
    early.forEach((text) => take(text));
  }

  // FetchRemoteActions.
  async fetch() {
    const batch = await fetchJson(`${this.application}/actions?${this.audiences.map((audience) => `audience=${audience}`).join('&')}`);
    this.sync.ingest({ _tag: 'Batch', caughtUp: true, ...batch });
  }

  // FetchBootstrapSnapshot.
  async bootstrap() {
    const { tables, syncId } = await fetchJson(`${this.application}/snapshot?${this.audiences.map((audience) => `audience=${audience}`).join('&')}`);
    this.sync.bootstrap(tables, 0, ({ clock_counter: counter }) => counter <= syncId);
  }

  hear(event) {
    this.counts.heard += 1;
    clearTimeout(this.waiting);
    const isBatch = event._tag === 'Batch';
    const asks = this.sync.ingest(this.gathers && isBatch ? { ...event, caughtUp: false } : event);
    if (!isBatch && asks) return this.fetch();
    if (this.gathers) this.waiting = setTimeout(() => this.sync.ingest({ _tag: 'Batch', actions: [], modifiedRows: [] }), 50);
  }

  async drop() {
    clearTimeout(this.waiting);
    this.feed.close();
    await this.connect();
  }
}

serve({
  open: async ({ name, ...options }) => {
    const client = new Client(options);
    clients.set(name, client);
    await client.connect();
  },

  state: ({ name, table }) => {
    const { sync, counts } = clients.get(name);
    return { rows: sync.rows(table), held: sync.held().length, cursor: sync.cursor, counts: { ...sync.counts, ...counts } };
  },

  drop: ({ name }) => clients.get(name).drop(),

  close: ({ name }) => {
    clients.get(name).feed.close();
    clients.delete(name);
  },
});

// Synchrotron consumers, each with a push transport that hears the batches of its audiences: several in one program.
import { SynchrotronConsumer } from './consumers/synchrotron.mjs';
import { Feed } from './feed.mjs';
import { fetchJson, serve } from './rpc.mjs';

const clients = new Map();

class Client {
  constructor({ url, prefix, audiences, channels, application, tags, bootstraps }) {
    Object.assign(this, { url, prefix, audiences, channels, application, tags, bootstraps });
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
    const asks = this.sync.ingest(event);
    if (event._tag !== 'Batch' && asks) return this.fetch();
  }

  async drop() {
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

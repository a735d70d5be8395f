// Loco consumers, each with a network adapter that reads channels and histories as docs/protocol.md says: several in one program.
import { LocoConsumer } from './consumers/loco.mjs';
import { Feed } from './feed.mjs';
import { fetchJson, serve } from './rpc.mjs';

const MODELS = { Todo: ['id', 'list_id', 'assignee', 'title', 'done', 'position', 'body'], Entry: ['id', 'list_id', 'amount'] };
const clients = new Map();

// What is known cannot be brought up to date: everything has to be fetched afresh.
class Stale extends Error {}

class Network {
  constructor({ url, prefix = 'walcast:', channels, application }) {
    Object.assign(this, { url, prefix, channels, application });
    this.control = `${prefix}control`;
    this.chain = Promise.resolve();
    this.counts = { connections: 0, holes: 0, forwarded: 0, dropped: 0 };
  }

  async bootstrap() {
    const answer = await fetchJson(`${this.application}/bootstrap?${this.channels.map((channel) => `channel=${channel}`).join('&')}`);
    this.epoch = answer.epoch;
    return { ok: true, value: { bootstrap: answer.rows, firstSyncId: answer.lastSyncId, syncGroups: this.channels } };
  }

  async initSync(listener) {
    this.listener = listener;
    await this.connect();
  }

  // Subscribed first; then the head, up to which the client fetches; then what is above it.
  async connect() {
    this.counts.connections += 1;
    const early = [];
    let take = (name, text) => early.push([name, text]);
    const names = [...this.channels, this.control];
    const lost = () => this.#run(() => this.reconnect());
    const feed = new Feed({ url: this.url, prefix: this.prefix, names, hear: (name, text) => take(name, text), lost });
    this.feed = feed;
    const { epoch, syncId } = await feed.start();
    if (epoch !== this.epoch) throw new Stale(`epoch ${epoch}`);
    this.head = syncId;
    this.known = new Map(names.map((name) => [name, syncId]));
    await this.listener({ type: 'handshake', lastSyncId: syncId, syncGroups: this.channels });
    // The client drops what comes while it writes the delta, so one thing is handed over after the other.
    take = (name, text) => this.#run(() => feed === this.feed && this.#forward(name, JSON.parse(text)));
    for (const [name, text] of early) take(name, text);
  }

  async #forward(name, message) {
    if (message.epoch !== this.epoch) throw new Stale(`epoch ${message.epoch}`);
    if (message.lastSyncId <= this.head) {
      this.counts.dropped += 1;
      return;
    }
    if (message.type === 'reset') throw new Stale(`reset: ${message.reason}`);
    if (message.prevSyncId > this.known.get(name)) {
      this.counts.holes += 1;
      console.error(`a hole in ${name} above ${this.known.get(name)}: ${JSON.stringify(message).slice(0, 300)}`);
      return this.reconnect();
    }
    this.known.set(name, Math.max(this.known.get(name), message.lastSyncId));
    if (message.type !== 'sync') return; // Not for this client.
    this.counts.forwarded += 1;
    await this.listener(message);
  }

  // One after the other; the first error is the client's.
  #run(act) {
    this.chain = this.chain.then(() => this.isClosed || act()).catch((error) => this.failed(error));
    return this.chain;
  }

  async deltaSync(from, to) {
    const read = this.feed.commands.multi().hmget(`${this.prefix}position`, 'epoch', 'floor');
    const names = [...this.channels, this.control];
    for (const name of names) read.xrange(name === this.control ? name : `${this.prefix}log:${name}`, `(${from}-0`, '+');
    const [[, [epoch, floor]], ...logs] = await read.exec();
    if (epoch !== this.epoch) throw new Stale(`epoch ${epoch}`);
    const found = new Map();
    for (const [i, [error, entries]] of logs.entries()) {
      if (error) throw error;
      const messages = entries.map(([, [, text]]) => JSON.parse(text));
      const begins = messages.length > 0 ? messages[0].prevSyncId : Number(floor);
      if (begins > from) throw new Stale(`${names[i]} begins at ${begins}, ${from} is known`);
      if (messages.some(({ type }) => type === 'reset')) throw new Stale('reset');
      for (const action of messages.flatMap(({ sync = [] }) => sync)) {
        if (action.syncId > from && action.syncId <= to) found.set(`${action.syncId} ${action.modelName} ${action.modelId}`, action);
      }
    }
    return { ok: true, value: { sync: [...found.values()].sort((a, b) => a.syncId - b.syncId) } };
  }

  async sendTransaction(args) {
    return fetchJson(`${this.application}/write`, args);
  }

  // The connection is cut, and made again.
  drop() {
    return this.#run(() => this.reconnect());
  }

  async reconnect() {
    if (!this.feed) return; // It is not connected yet.
    this.feed.close();
    await this.listener({ type: 'disconnected' });
    await this.connect();
  }

  close() {
    this.isClosed = true;
    this.feed?.close();
  }
}

// An application that wipes its database and begins anew whenever its adapter says so.
class Client {
  constructor(options) {
    this.options = options;
    this.stale = [];
  }

  async start() {
    this.network?.close();
    const network = new Network(this.options);
    network.failed = (error) => network.isClosed || this.restart(error);
    this.network = network;
    this.loco = new LocoConsumer(MODELS, network);
    try {
      await this.loco.start();
    } catch (error) {
      await this.restart(error);
    }
  }

  async restart(error) {
    const isAway = /Connection is closed|ECONNREFUSED|Stream isn't writeable/.test(error.message);
    if (!(error instanceof Stale || isAway)) throw error;
    this.stale.push(error.message);
    console.error(`${this.options.name} begins anew: ${error.message}`);
    await new Promise((resolve) => setTimeout(resolve, isAway ? 100 : 0));
    await this.start();
  }
}

serve({
  open: async ({ name, ...options }) => {
    const client = new Client({ name, ...options });
    clients.set(name, client);
    await client.start();
  },

  // `args` go to the application's endpoint; `changes` are shown until they are settled.
  write: ({ name, args, changes }) => clients.get(name).loco.mutate(args, changes),

  state: ({ name }) => {
    const { loco, network, stale } = clients.get(name);
    const { memory, disk } = loco;
    return {
      rows: loco.rows(), disk: loco.rows(disk.rows), optimistic: loco.rows(memory.optimistic()), lastSyncId: memory.lastSyncId,
      pending: memory.pending.length, counts: { ...loco.counts, ...network.counts }, stale,
    };
  },

  drop: ({ name }) => clients.get(name).network.drop(),

  close: ({ name }) => {
    clients.get(name).network.close();
    clients.delete(name);
  },
});

// A reader of walcast's channels for Node and browsers, as docs/protocol.md asks of one: complete, in order, each action once. No dependencies.
//
//   const reader = new WalcastReader({
//     channels: ['workspace:1'],
//     bootstrap: async ({ model }) => ({ epoch, lastSyncId, visible, rows }), // rows and the id they belong to; with `model` only its rows
//     delta: httpDelta('http://localhost:7654/delta'),          // optional; without it every hole is a bootstrap, which has no events
//     replace: async (rows, { model }) => { ... },              // forget what you have (of that model), take these instead
//     apply: async (action, { channel, message }) => { ... },   // insert and update: put; delete: remove
//     event: async (message, { channel }) => { ... },           // optional
//   });
//   socket.onopen = async () => { await subscribed(); reader.catchUp(); };   // at each connection, once the server confirms
//   socket.onmessage = ({ data }) => { const { channel, message } = JSON.parse(data); reader.receive(channel, message); };
//   setInterval(() => reader.catchUp(), 60_000);                // finds what was lost before a silence
//
// Subscribe to `control` (walcast:control), too: resets of models come on it. Messages of other channels than its own pass the reader by. Keep
// rows by channel, since a row that leaves one channel for another is a delete there and an insert here; or, where all channels come through one
// connection in the order in which Redis sent them, say `shared: true`: one known id and one set of rows for all.
// Handlers (`replace`, `apply`, `event`) may be async: one has ended before the next is called, so none may wait for `catchUp`. One that throws or
// rejects, and anything else that leaves the state in doubt, ends in a bootstrap. What failed, and messages that cannot be read, are told to `failed`
// (else to the console), and asked for again. `bootstrap` and `delta` have to end: set a time limit. `reader.position`, what has been applied (null
// while all rows are being replaced), can be stored beside the rows, and given to the next reader as `position`. docs/protocol.md says the rest.

const BOOTSTRAP = 2, DELTA = 1, NOTHING = 0;

export class WalcastReader {
  #to; #channels; #known = new Map(); #epoch = null; #base = null; #models = new Map();  // The bootstrap of all, and those of single models since.
  #buffer = []; #need = NOTHING; #resets = new Map(); #running = null; #dropped = new Map();

  constructor({ control = 'walcast:control', shared = false, bufferMax = 10_000, position = null, event = () => {}, failed = console.warn,
    wait = (attempt) => new Promise((done) => setTimeout(done, Math.random() * Math.min(30_000, 500 * 2 ** attempt))), ...rest }) {
    const tell = async (error) => { try { await failed(error); } catch (another) { console.error(another); } };
    this.#to = { shared, bufferMax, event, tell, wait, ...rest };
    this.#channels = [...rest.channels, control];
    if (!this.#channels.every((channel) => isId(position?.known?.[channel]))) return;  // None, or it lacks the rows of some.
    const { epoch, known, base, models, resets } = structuredClone(position);
    this.#epoch = epoch, this.#base = base, this.#models = new Map(models), this.#resets = new Map(resets);
    for (const channel of this.#channels) this.#know([channel], known[channel]);
  }

  // Call it once subscriptions are confirmed, at each connection, and now and then. Ends when all that was published is applied.
  catchUp() {
    this.#needs(DELTA);
    return this.#run();
  }

  // A message as it came, as text or parsed.
  receive(channel, message) {
    if (!this.#base && !this.#running || !this.#channels.includes(channel)) return;  // Before the first catchUp; or not ours.
    const parsed = read(message);
    if (parsed) this.#buffer.push([channel, parsed]);
    else this.#to.tell(unusable(`a message on ${channel} that cannot be read`, message));
    if (!parsed || this.#buffer.length > this.#to.bufferMax) this.#drop(this.#buffer), this.#needs(DELTA);
    this.#run();
  }

  // What the rows reflect; null while that is not known.
  get position() {
    return this.#base && structuredClone(
      { epoch: this.#epoch, known: Object.fromEntries(this.#known), base: this.#base, models: [...this.#models], resets: [...this.#resets] });
  }

  #needs(what) { this.#need = Math.max(this.#need, what); }
  #know(channels, id) {
    for (const channel of this.#to.shared ? this.#channels : channels) this.#known.set(channel, Math.max(this.#known.get(channel) ?? 0, id));
  }

  // The delta will have them; one that ends below comes from a Redis that lost them, and is asked for again.
  #drop(messages) {
    for (const [, { epoch, lastSyncId }] of messages.splice(0)) this.#dropped.set(epoch, Math.max(this.#dropped.get(epoch) ?? 0, lastSyncId));
  }

  // One at a time: whatever comes meanwhile waits in the buffer.
  #run() { return this.#running ??= this.#work(); }

  async #work() {
    await null;  // So that `#running` is set before it is cleared.
    let attempt = 0, bootstraps = 0;  // Without success since.
    while (this.#need || this.#resets.size || this.#buffer.length) {
      let need = this.#need === DELTA && !(this.#base && this.#to.delta) ? BOOTSTRAP : this.#need;
      if (this.#resets.size && need !== BOOTSTRAP) need = NOTHING;
      if (need) this.#need = NOTHING;
      try {
        if (need === BOOTSTRAP && bootstraps++) await this.#to.wait(bootstraps);
        if (need === BOOTSTRAP) await this.#bootstrap();
        else if (this.#resets.size) await this.#refetchModel();
        else if (need === DELTA) await this.#delta();
        else await this.#take(...this.#buffer.shift(), DELTA), bootstraps = 0;
        attempt = 0;
      } catch (error) {
        if (error?.isUnusable && attempt > 4) this.#base = null, this.#dropped.clear();  // It will not get better.
        this.#needs(this.#base ? need : BOOTSTRAP);
        this.#to.tell(error);
        await this.#to.wait(attempt++);
      }
    }
    this.#running = null;
  }

  async #bootstrap() {
    this.#drop(this.#buffer);  // What was published before the rows are read is in them, or comes with the delta.
    const { epoch, rows, ...base } = await this.#fetch({});
    this.#epoch = epoch, this.#base = null;
    await this.#to.replace(rows, { epoch, lastSyncId: base.lastSyncId });
    this.#base = base;
    for (const map of [this.#known, this.#models, this.#resets]) map.clear();
    this.#know(this.#channels, base.lastSyncId);
    if (this.#to.delta) this.#needs(DELTA);
  }

  // Nothing is applied meanwhile, so the rows must be at least as new as all that was.
  async #refetchModel() {
    const [model, id] = this.#resets.entries().next().value;
    const { epoch, rows, ...base } = await this.#fetch({ model });
    if (epoch !== this.#epoch) return this.#needs(BOOTSTRAP);
    if (base.lastSyncId < Math.max(id, ...this.#known.values())) throw unusable(`rows of ${model} at ${base.lastSyncId}: too old`);
    await this.#to.replace(rows, { model, epoch, lastSyncId: base.lastSyncId });
    this.#models.set(model, base);
    this.#resets.delete(model);
  }

  async #fetch(request) {
    const { epoch, lastSyncId, visible = [], rows } = await this.#to.bootstrap(request);
    if (isText(epoch) && isId(lastSyncId) && visible.flat().every(isId)) return { epoch, lastSyncId, visible, rows };
    throw unusable(`a bootstrap at ${epoch} ${lastSyncId} ${visible}`);
  }

  async #delta() {
    for (let page = { more: true, next: this.#channels.map((channel) => this.#known.get(channel)).join() }; page.more;) {
      page = await this.#to.delta({ channels: this.#channels.slice(0, -1), epoch: this.#epoch, after: page.next });
      if (page.status !== 'complete' || page.epoch !== this.#epoch) return this.#needs(BOOTSTRAP);
      if (!isId(page.lastSyncId)) throw unusable('a delta that cannot be read', page);
      for (const { channel, message } of page.messages) {
        const parsed = this.#channels.includes(channel) && read(message);
        if (!parsed) throw unusable(`a delta that cannot be read, on ${channel}`, message);
        await this.#take(channel, parsed, BOOTSTRAP);
        while (this.#resets.size && this.#need !== BOOTSTRAP) await this.#refetchModel();
        if (this.#need === BOOTSTRAP) return;
      }
      if (!page.more && page.lastSyncId < this.#dropped.get(this.#epoch)) throw unusable(`the history at ${page.lastSyncId}: too old`);
      if (!page.more) this.#know(this.#channels, page.lastSyncId);
    }
  }

  // `remedy` is what helps where the message does not follow on what is known. The message itself is in what the remedy brings.
  async #take(channel, message, remedy) {
    const known = this.#known.get(channel);
    if (message.epoch !== this.#epoch || message.prevSyncId > known) return this.#drop([[channel, message]]), this.#needs(remedy);
    if (message.lastSyncId <= known) return;
    if (message.type === 'reset') {
      if (message.modelName === undefined) return this.#needs(BOOTSTRAP);
      if (!this.#hasRow({ ...message, syncId: message.lastSyncId })) this.#resets.set(message.modelName, message.lastSyncId);
    }
    try {
      for (const action of message.type === 'sync' ? message.sync : []) {
        if (action.syncId <= known || this.#hasRow(action)) continue;
        this.#know([channel], action.syncId - 1);  // Two actions may have one id.
        const pending = this.#to.apply(action, { channel, message });
        if (pending?.then) await pending;
      }
      if (message.type === 'event') await this.#to.event(message, { channel });
    } catch (error) {
      this.#base = null;  // Who knows what it has done.
      throw error;
    }
    this.#know([channel], message.lastSyncId);
  }

  // Whether the rows that were fetched have it already.
  #hasRow({ modelName, syncId }) {
    const { lastSyncId, visible } = this.#models.get(modelName) ?? this.#base;
    return syncId <= lastSyncId || visible.some(([from, to]) => from <= syncId && syncId <= to);
  }
}

const unusable = (what, cause) => Object.assign(new Error(what, { cause }), { isUnusable: true });
const isId = (id) => Number.isSafeInteger(id) && id >= 0;
const isText = (text) => typeof text === 'string';

// The message, or nothing where it is not what the reader goes by: an id that is none would hide every hole after it.
function read(given) {
  try {
    const message = isText(given) ? JSON.parse(given) : given;
    const { type, epoch, prevSyncId, lastSyncId, sync } = message;
    const isAction = ({ syncId, modelName, modelId }) => isId(syncId) && syncId <= lastSyncId && isText(modelName) && isText(modelId);
    if (isText(type) && isText(epoch) && isId(prevSyncId) && isId(lastSyncId) && (type !== 'sync' || sync.every(isAction))) return message;
  } catch {}
}

// Deltas of walcast's own HTTP server, or of a relay that passes them on.
export function httpDelta(url, { token, timeout = 30_000, fetch = globalThis.fetch } = {}) {
  return async ({ channels, epoch, after }) => {
    const query = new URLSearchParams([...channels.map((channel) => ['channel', channel]), ['epoch', epoch], ['after', after]]);
    const headers = token ? { authorization: `Bearer ${token}` } : {};
    const response = await fetch(`${url}?${query}`, { headers, signal: AbortSignal.timeout(timeout) });
    if (response.status !== 200 && response.status !== 409) throw new Error(`delta: ${response.status} ${await response.text()}`);
    return response.json();
  };
}

// A reader of walcast's channels for Node and browsers: complete, in order, each action once. No dependencies; the transport
// (WebSocket, SSE, Redis) is yours. It does what docs/protocol.md asks of a subscriber.
//
//   const reader = new WalcastReader({
//     channels: ['workspace:1'],
//     bootstrap: async ({ model }) => ({ epoch, lastSyncId, visible, rows }), // rows and the id they belong to; with `model` only its rows
//     delta: httpDelta('http://localhost:7654/delta'),          // optional; without it every hole is a bootstrap, which has no events
//     replace: (rows, { model }) => { ... },                    // forget what you have (of that model), take these instead
//     apply: (action, { channel, message }) => { ... },         // insert and update: put; delete: remove
//     event: (message, { channel }) => { ... },                 // optional
//   });
//   socket.onopen = async () => { await subscribed(); reader.catchUp(); };   // at each connection, once the server confirms
//   socket.onmessage = ({ data }) => { const { channel, message } = JSON.parse(data); reader.receive(channel, message); };
//   setInterval(() => reader.catchUp(), 60_000);                // finds what was lost before a silence
//
// Subscribe to `control` (walcast:control), too: resets of models come on it. Keep rows by channel, since a row that leaves
// one channel for another is a delete there and an insert here; or, where all channels come through one connection in the order
// in which Redis sent them, say `shared: true`: one known id and one set of rows for all. A handler that throws, and anything else
// that leaves the state in doubt, ends in a bootstrap; failures of `bootstrap` and `delta` are told to `failed` and tried again.
// `reader.position` can be stored beside the rows, and given to the next reader as `position`. docs/protocol.md says the rest.

const BOOTSTRAP = 2, DELTA = 1, NOTHING = 0;

export class WalcastReader {
  #to; #channels; #known = {}; #epoch = null; #base = null; #models = {};  // The bootstrap of all, and those of single models since.
  #buffer = []; #need = NOTHING; #resets = new Map(); #running = null; #dropped = 0;

  constructor({ control = 'walcast:control', shared = false, bufferMax = 10_000, position = null, event = () => {}, failed = () => {},
    wait = (attempt) => new Promise((done) => setTimeout(done, Math.random() * Math.min(30_000, 500 * 2 ** attempt))), ...rest }) {
    this.#to = { shared, bufferMax, event, failed, wait, ...rest };
    this.#channels = [...rest.channels, control];
    if (!position) return;
    const { epoch, known, base, models, resets } = structuredClone(position);
    this.#epoch = epoch, this.#known = known, this.#base = base, this.#models = models, this.#resets = new Map(resets);
  }

  // Call it once subscriptions are confirmed, at each connection, and now and then. Ends when all that was published is applied.
  catchUp() {
    this.#needs(DELTA);
    return this.#run();
  }

  // A message as it came, as text or parsed.
  receive(channel, message) {
    if (this.#epoch === null && !this.#running) return;  // Before the first catchUp.
    this.#buffer.push([channel, typeof message === 'string' ? JSON.parse(message) : message]);
    if (this.#buffer.length > this.#to.bufferMax) {
      this.#drop(this.#buffer);
      this.#needs(DELTA);
    }
    this.#run();
  }

  // What the rows reflect between two messages; null while that is not known.
  get position() {
    return this.#epoch && structuredClone(
      { epoch: this.#epoch, known: this.#known, base: this.#base, models: this.#models, resets: [...this.#resets] });
  }

  #scope(channel) { return this.#to.shared ? '' : channel; }

  #knownOf(channel) { return this.#known[this.#scope(channel)] ?? 0; }

  #know(channels, id) {
    for (const channel of channels) this.#known[this.#scope(channel)] = Math.max(this.#knownOf(channel), id);
  }

  #needs(what) { this.#need = Math.max(this.#need, what === DELTA && (this.#epoch === null || !this.#to.delta) ? BOOTSTRAP : what); }

  // The delta will have them; one that ends below comes from a Redis that lost them, and is asked for again.
  #drop(messages) {
    for (const [, { epoch, lastSyncId }] of messages.splice(0)) if (epoch === this.#epoch) this.#dropped = Math.max(this.#dropped, lastSyncId);
  }

  // One at a time: whatever comes meanwhile waits in the buffer.
  #run() {
    return this.#running ??= this.#work();
  }

  async #work() {
    await null;  // So that `#running` is set before it is cleared.
    let attempt = 0, bootstraps = 0;  // Without success since.
    while (this.#need || this.#resets.size || this.#buffer.length) {
      const need = this.#resets.size && this.#need !== BOOTSTRAP ? NOTHING : this.#need;
      if (need) this.#need = NOTHING;
      try {
        if (need === BOOTSTRAP && bootstraps++) await this.#to.wait(bootstraps);
        if (need === BOOTSTRAP) await this.#bootstrap();
        else if (this.#resets.size) await this.#refetchModel();
        else if (need === DELTA) await this.#delta();
        else bootstraps = this.#take(...this.#buffer.shift(), DELTA) ?? 0;
        attempt = 0;
      } catch (error) {
        const isGivenUp = error.isTooOld && attempt > 4;
        if (error.isHandlers) this.#epoch = null;
        if (isGivenUp) this.#dropped = 0;
        this.#needs(error.isHandlers || isGivenUp ? BOOTSTRAP : need);
        this.#to.failed(error);
        await this.#to.wait(attempt++);
      }
    }
    this.#running = null;
  }

  async #bootstrap() {
    this.#drop(this.#buffer);  // What was published before the rows are read is in them, or comes with the delta.
    const { epoch, lastSyncId, visible = [], rows } = await this.#to.bootstrap({});
    if (epoch !== this.#epoch) this.#dropped = 0;
    this.#epoch = epoch;
    this.#known = {};
    this.#know(this.#channels, lastSyncId);
    this.#base = { lastSyncId, visible };
    this.#models = {};
    this.#resets.clear();
    if (this.#to.delta) this.#needs(DELTA);
    this.#handle(() => this.#to.replace(rows, { epoch, lastSyncId }));
  }

  // Nothing is applied meanwhile, so the rows must be at least as new as all that was.
  async #refetchModel() {
    const [model, id] = this.#resets.entries().next().value;
    const { epoch, lastSyncId, visible = [], rows } = await this.#to.bootstrap({ model });
    if (epoch !== this.#epoch) return this.#needs(BOOTSTRAP);
    if (lastSyncId < Math.max(id, ...Object.values(this.#known))) throw tooOld(`rows of ${model}`, lastSyncId);
    this.#models[model] = { lastSyncId, visible };
    this.#resets.delete(model);
    this.#handle(() => this.#to.replace(rows, { model, epoch, lastSyncId }));
  }

  async #delta() {
    const after = this.#channels.map((channel) => this.#knownOf(channel)).join();
    for (let page = { more: true, next: after }; page.more;) {
      page = await this.#to.delta({ channels: this.#channels.slice(0, -1), epoch: this.#epoch, after: page.next });
      if (page.status !== 'complete' || page.epoch !== this.#epoch) return this.#needs(BOOTSTRAP);
      for (const { channel, message } of page.messages) {
        this.#take(channel, message, BOOTSTRAP);
        while (this.#resets.size && this.#need !== BOOTSTRAP) await this.#refetchModel();
        if (this.#need === BOOTSTRAP) return;
      }
      if (!page.more && page.lastSyncId < this.#dropped) throw tooOld('the history', page.lastSyncId);
      if (!page.more) this.#know(this.#channels, page.lastSyncId);
    }
  }

  // `remedy` is what helps where the message does not follow on what is known. The message itself is in what the remedy brings.
  #take(channel, message, remedy) {
    const known = this.#knownOf(channel);
    if (message.epoch !== this.#epoch || message.prevSyncId > known) {
      this.#drop([[channel, message]]);
      return this.#needs(remedy);
    }
    if (message.lastSyncId <= known) return;
    if (message.type === 'reset') {
      if (message.modelName === undefined) return this.#needs(BOOTSTRAP);
      if (!this.#hasRow({ ...message, syncId: message.lastSyncId })) this.#resets.set(message.modelName, message.lastSyncId);
    }
    for (const action of message.sync ?? []) {
      if (action.syncId <= known || this.#hasRow(action)) continue;
      this.#handle(() => this.#to.apply(action, { channel, message }));
    }
    if (message.type === 'event') this.#handle(() => this.#to.event(message, { channel }));
    this.#know([channel], message.lastSyncId);
  }

  // Whether the rows that were fetched have it already.
  #hasRow({ modelName, syncId }) {
    const { lastSyncId, visible } = this.#models[modelName] ?? this.#base;
    return syncId <= lastSyncId || visible.some(([from, to]) => from <= syncId && syncId <= to);
  }

  #handle(call) {
    try {
      call();
    } catch (error) {
      throw Object.assign(new Error('a handler failed', { cause: error }), { isHandlers: true });
    }
  }
}

function tooOld(what, id) {
  return Object.assign(new Error(`${what} at ${id}: too old`), { isTooOld: true });
}

// Deltas of walcast's own HTTP server, or of a relay that passes them on.
export function httpDelta(url, { token, fetch = globalThis.fetch } = {}) {
  return async ({ channels, epoch, after }) => {
    const query = new URLSearchParams([...channels.map((channel) => ['channel', channel]), ['epoch', epoch], ['after', after]]);
    const response = await fetch(`${url}?${query}`, { headers: token ? { authorization: `Bearer ${token}` } : {} });
    if (response.status !== 200 && response.status !== 409) throw new Error(`delta: ${response.status} ${await response.text()}`);
    return response.json();
  };
}

// Unmodified `@ably-labs/models` with `ably`, over the relay: several models, each with its own connection, in one program.
import { AblyRelay } from './ably_relay.mjs';
import { require } from './packages.mjs';
import { fetchJson, serve } from './rpc.mjs';

const Ably = require('ably');
const ModelsClient = require('@ably-labs/models').default;

const [EVENTS_KEPT, TIMEOUT] = [50, 60000];
let relay;
let port;
const models = new Map();

// Rows by id, and a ledger's sum: a merge that does not tolerate a change twice, nor one left out. It passes over what the state that
// `sync` gave has seen above its id, unless there is no such thing.
function merge(state, event, faults) {
  const [model, action] = event.name.split('.');
  const next = { ...state };
  if (event.confirmed) {
    const id = Number(event.sequenceId);
    if (!(id > state.last)) faults.push(`${event.sequenceId} was merged after ${state.last}`);
    if (!event.mutationId) faults.push(`${event.sequenceId} has no mutation id`);
    next.last = id;
    if (state.visible.some(([first, last]) => first <= id && id <= last)) return next; // The bootstrap has it.
    next.mutations = [...state.mutations.slice(-EVENTS_KEPT), event.mutationId];
  }
  if (model === 'Entry') {
    if (action !== 'insert') faults.push(`${event.name}: entries are only inserted`);
    next.total = state.total + event.data.amount;
    next.entries = state.entries + 1;
    return next;
  }
  next.rows = { ...state.rows };
  if (action === 'delete') delete next.rows[event.data.id];
  else if (action === 'insert' || action === 'update') next.rows[event.data.id] = event.data;
  else if (action === 'changed') next.rows[event.data.id] = { ...state.rows[event.data.id], ...event.data.changes };
  else faults.push(`no such event: ${event.name}`);
  return next;
}

function stateOf({ lastSyncId, visible = [], rows: { Todo = [], Entry = [] } }) {
  const total = Entry.reduce((sum, { amount }) => sum + amount, 0);
  return { last: lastSyncId, visible, mutations: [], total, entries: Entry.length, rows: Object.fromEntries(Todo.map((row) => [row.id, row])) };
}

async function open({ name, channel, application }) {
  const ably = new Ably.Realtime({
    token: 'x', realtimeHost: '127.0.0.1', restHost: '127.0.0.1', port, tls: false, useBinaryProtocol: false, fallbackHosts: [],
    disconnectedRetryTimeout: 100, suspendedRetryTimeout: 200, logLevel: 1,
  });
  const client = new ModelsClient({ ably, logLevel: 'error', optimisticEventOptions: { timeout: TIMEOUT } });
  const one = { ably, channel, application, faults: [], syncs: 0 };
  one.model = client.models.get({
    channelName: channel,
    sync: async () => {
      one.syncs += 1;
      const answer = await fetchJson(`${application}/bootstrap?channel=${channel}`);
      return { sequenceId: String(answer.lastSyncId), data: stateOf(answer) };
    },
    merge: (state, event) => merge(state, event, one.faults),
  });
  models.set(name, one);
  await one.model.sync();
}

serve({
  relay: async ({ url, prefix, channels, before }) => {
    relay = new AblyRelay({ url, prefix, channels, nameOf: (channel) => before + channel });
    port = await relay.start();
  },

  open,

  // What the SDK says of a write: `confirmed` settles when its mutation id comes back.
  write: async ({ name, mutationId, event, data }) => {
    const one = models.get(name);
    const [confirmation] = await one.model.optimistic({ mutationId, name: event, data });
    one.writes ??= new Map();
    one.writes.set(mutationId, 'pending');
    confirmation.then(
      () => one.writes.set(mutationId, 'confirmed'),
      (error) => one.writes.set(mutationId, `rejected: ${error.message ?? error}`),
    );
  },

  state: ({ name }) => {
    const { model, faults, syncs, writes = new Map() } = models.get(name);
    const { confirmed, optimistic } = model.data;
    return { state: model.state, confirmed, optimistic, faults, syncs, writes: Object.fromEntries(writes) };
  },

  drop: () => relay.drop(),
  // Whoever was there has to be opened anew.
  forget: async () => {
    for (const { ably } of models.values()) ably.close();
    await relay.forget();
    for (const [name, { channel, application }] of [...models]) await open({ name, channel, application });
  },
  counts: () => relay.counts,
});

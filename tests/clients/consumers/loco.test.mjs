import assert from 'node:assert/strict';
import { test } from 'node:test';

import { LocoConsumer } from './loco.mjs';

const row = (id, fields = {}) => ({ id, title: 'Buy milk', done: false, ...fields });
const put = (syncId, id, fields, action = 'update') => ({ syncId, action, modelName: 'Todo', modelId: id, data: row(id, fields) });
const del = (syncId, id) => ({ syncId, action: 'delete', modelName: 'Todo', modelId: id });
const message = (...sync) => ({ type: 'sync', lastSyncId: sync.at(-1).syncId, sync });
const progress = (lastSyncId) => ({ type: 'sync', lastSyncId, sync: [] });
const handshake = (lastSyncId) => ({ type: 'handshake', lastSyncId, syncGroups: [] });
const breaks = (rule, promise) => assert.rejects(promise, { name: 'Violation', rule });

// A network whose log is what the test puts into it.
function network({ rows = [], firstSyncId = 1 } = {}) {
  const made = { log: [], asked: [] };
  return Object.assign(made, {
    bootstrap: async () => ({ ok: true, value: { bootstrap: { Todo: rows }, firstSyncId, syncGroups: [] } }),
    initSync: async (listener) => (made.send = listener),
    deltaSync: async (from, to) => {
      made.asked.push([from, to]);
      return { ok: true, value: { sync: made.log.filter(({ syncId }) => syncId > from && syncId <= to) } };
    },
    sendTransaction: async () => ({ ok: true, value: { lastSyncId: 3 } }),
  });
}

async function client(options) {
  const net = network(options);
  const loco = new LocoConsumer({ Todo: ['id', 'title', 'done'] }, net);
  await loco.start();
  return [loco, net];
}

async function running(options) {
  const [loco, net] = await client(options);
  await net.send(handshake(1));
  return [loco, net];
}

test('bootstrap, delta, buffered and live messages end in the same rows in memory and on disk', async () => {
  const [loco, net] = await client({ rows: [row('a'), row('b')] });
  net.log = [put(2, 'a', { done: true }), del(3, 'b')];

  await net.send(message(put(4, 'c', {}, 'insert')));
  await net.send(handshake(3));
  await net.send(message(put(5, 'a', { title: 'x' }), del(6, 'c')));
  await net.send(progress(9));

  assert.deepEqual(loco.rows(), { Todo: [row('a', { title: 'x' })] });
  assert.deepEqual(loco.rows(loco.disk.rows), loco.rows());
  assert.equal(loco.memory.lastSyncId, 9);
});

test('after a reconnect it asks from the last handshake, and takes what it knows again', async () => {
  const [loco, net] = await running();
  net.log = [put(2, 'a'), put(3, 'a', { done: true }), put(4, 'a', { title: 'x' })];
  await net.send(message(net.log[0]));
  await net.send(message(net.log[1]));

  await net.send({ type: 'disconnected' });
  await net.send(handshake(4));

  assert.deepEqual(net.asked, [[1, 1], [1, 4]]);
  assert.deepEqual(loco.rows(), { Todo: [row('a', { title: 'x' })] });
  assert.deepEqual(loco.rows(loco.disk.rows), loco.rows());
});

test('ignores what it has seen', async () => {
  const [loco, net] = await running();
  await net.send(message(put(2, 'a')));
  await net.send(message(put(2, 'a')));
  await net.send(message(put(2, 'a'), put(3, 'a', { done: true })));
  assert.deepEqual(loco.rows(), { Todo: [row('a', { done: true })] });
});

test('skips models that it does not know', async () => {
  const [loco, net] = await running();
  await net.send(message({ ...put(2, 'a'), modelName: 'Other' }));
  assert.deepEqual(loco.rows(), { Todo: [] });
});

for (const [rule, what, sent] of [
  ['lost', 'a message of another channel that comes too late', [message(put(4, 'a'), put(6, 'b')), message(put(5, 'c'))]],
  ['lost', 'the same lastSyncId in two messages', [{ ...message(put(4, 'a')), lastSyncId: 5 }, message(put(5, 'b'))]],
  ['lost', 'a message that begins below what is known', [message(put(4, 'a')), message(put(3, 'b'), put(5, 'c'))]],
  ['lastSyncId', 'a lastSyncId below the last action', [{ ...message(put(4, 'a')), lastSyncId: 3 }]],
  ['lastSyncId', 'a lastSyncId that is a string', [{ ...message(put(4, 'a')), lastSyncId: '4' }]],
  ['order', 'ids that run backwards', [message(put(5, 'a'), put(4, 'a'), put(6, 'a'))]],
  ['partial row', 'a row with a field less', [message({ ...put(4, 'a'), data: { id: 'a', title: 'x' } })]],
  ['partial row', 'a delta', [message({ ...put(4, 'a'), dataKind: 'delta' })]],
  ['id', 'a numeric id with a text modelId', [message({ ...put(4, '7'), data: row(7) })]],
  ['modelId', 'a numeric modelId', [message({ ...put(4, 7), data: row(7) })]],
  ['action', 'an unknown action', [message({ ...del(4, 'a'), action: 'truncate' })]],
  ['delete', 'a delete with data', [message({ ...del(4, 'a'), data: row('a') })]],
  ['data', 'an insert without data', [message({ ...del(4, 'a'), action: 'insert' })]],
  ['syncId', 'an id above 2^53', [{ ...message(put(2 ** 53, 'a')), lastSyncId: 4 }]],
  ['syncId', 'an id that is an LSN', [{ ...message(put('0/16B3748', 'a')), lastSyncId: 4 }]],
  ['type', 'a reset', [{ type: 'reset', lastSyncId: 4, reason: 'truncate' }]],
  ['type', 'an event', [{ type: 'event', lastSyncId: 4, name: 'x' }]],
]) {
  test(`throws on ${what}`, async () => {
    const [, net] = await running();
    await breaks(rule, (async () => {
      for (const one of sent) await net.send(one);
    })());
  });
}

test('throws on a live message in the moment in which the delta is written', async () => {
  const [, net] = await client();
  net.log = [put(2, 'a')];
  const handshaken = net.send(handshake(2));
  await Promise.resolve();
  await Promise.resolve();
  await breaks('lost', net.send(message(put(3, 'b'))));
  await handshaken;
});

test('throws where the relay forwards what the delta holds', async () => {
  const [, net] = await client();
  net.log = [put(2, 'a'), put(3, 'a', { done: true })];
  await net.send(message(put(2, 'a')));
  await breaks('order', net.send(handshake(3)));
});

test('throws on a delta that goes beyond what was asked for', async () => {
  const [, net] = await client();
  net.deltaSync = async () => ({ ok: true, value: { sync: [put(5, 'a')] } });
  await breaks('delta', net.send(handshake(3)));
});

test('throws on a delta that fails', async () => {
  const [, net] = await client();
  net.deltaSync = async () => ({ ok: false, error: 'server' });
  await breaks('delta', net.send(handshake(3)));
});

test('throws on a bootstrap without a position', async () => {
  await breaks('bootstrap', client({ firstSyncId: '0/16B3748' }));
});

test('a write is shown at once and settled by any message at or above its lastSyncId', async () => {
  const [loco, net] = await running();
  assert.equal(await loco.mutate({}, [{ action: 'create', modelName: 'Todo', modelId: 'a', data: row('a') }]), true);
  assert.deepEqual(loco.rows(loco.memory.optimistic()), { Todo: [row('a')] });
  assert.equal(loco.memory.pending.length, 1);

  await net.send(progress(3));

  assert.equal(loco.memory.pending.length, 0);
  assert.deepEqual(loco.rows(loco.memory.optimistic()), { Todo: [] });
});

test('a write whose messages came before its answer is settled by it', async () => {
  const [loco, net] = await running();
  await net.send(message(put(3, 'a')));
  await loco.mutate({}, []);
  assert.equal(loco.memory.pending.length, 0);
});

test('a rejected write is rolled back', async () => {
  const [loco, net] = await running();
  net.sendTransaction = async () => ({ ok: false, error: 'server' });
  assert.equal(await loco.mutate({}, [{ action: 'create', modelName: 'Todo', modelId: 'a', data: row('a') }]), false);
  assert.deepEqual(loco.rows(loco.memory.optimistic()), { Todo: [] });
});

test('throws on an answer that is below the messages of its write', async () => {
  const [loco, net] = await running();
  await net.send({ ...message(put(4, 'a')), mutationId: 'm-1' });
  await breaks('write', loco.mutate({ mutationId: 'm-1' }, []));
});

test('throws on an answer without a lastSyncId', async () => {
  const [loco, net] = await running();
  net.sendTransaction = async () => ({ ok: true, value: {} });
  await breaks('write', loco.mutate({}, []));
});

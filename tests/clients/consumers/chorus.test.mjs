import assert from 'node:assert/strict';
import { test } from 'node:test';

import { ChorusConsumer } from './chorus.mjs';

const idOf = (syncId) => `01930000-0000-7000-8000-${String(syncId).padStart(12, '0')}`;
const row = (fields) => ({ id: 't1', title: 'Buy milk', done: false, ...fields });

function harmonic(syncId, operation, data, fields = {}) {
  return {
    id: idOf(syncId), table_name: 'todos', record_id: data.id, operation, data: JSON.stringify(data), user_id: null,
    created_at: '2026-01-01 10:00:00', ...fields,
  };
}
const rejection = (syncId, fields) => harmonic(syncId, 'create', { id: 't9' }, { rejected: true, rejected_reason: 'no title', ...fields });
const consumer = (options) => new ChorusConsumer({ todos: 'id, title, done' }, options);
const breaks = (rule, act) => assert.throws(act, { name: 'Violation', rule });

test('puts, puts and deletes', () => {
  const chorus = consumer();

  chorus.processHarmonic(harmonic(1, 'create', row()));
  chorus.processHarmonic(harmonic(2, 'update', row({ title: 'Buy oat milk' })));
  chorus.processHarmonic(harmonic(5, 'create', row({ id: 't2' })));
  chorus.processHarmonic(harmonic(6, 'delete', { id: 't2' }));

  assert.deepEqual(chorus.rows(), { todos: [row({ title: 'Buy oat milk' })] });
  assert.equal(chorus.cursor, idOf(6));
});

test('takes the last harmonic twice', () => {
  const chorus = consumer();
  chorus.processHarmonic(harmonic(1, 'create', row()));
  chorus.processHarmonic(harmonic(1, 'create', row()));
  assert.equal(chorus.counts.repeated, 1);
});

for (const [rule, what, event] of [
  ['id', 'an id that is no UUIDv7', harmonic(2, 'update', row(), { id: '1042' })],
  ['id', 'a UUIDv4', harmonic(2, 'update', row(), { id: '01930000-0000-4000-8000-000000000002' })],
  ['order', 'an older harmonic', harmonic(0, 'update', row())],
  ['order', 'another harmonic of the same id', harmonic(1, 'update', row({ done: true }))],
  ['data', 'data that is an object', harmonic(2, 'update', row(), { data: row() })],
  ['data', 'a delete without data', harmonic(2, 'delete', row(), { data: undefined })],
  ['data', 'data that is no JSON', harmonic(2, 'update', row(), { data: "{'id':1}" })],
  ['data', 'data that is no row', harmonic(2, 'update', row(), { data: '[]' })],
  ['partial row', 'a row with a field less', harmonic(2, 'update', { id: 't1', title: 'x' })],
  ['record_id', 'a record_id of another type than in data', harmonic(2, 'update', row({ id: 7 }), { record_id: '7' })],
  ['record_id', 'a delete by a key of another type', harmonic(2, 'delete', { id: '7' })],
  ['record_id', 'a delete without a key', harmonic(2, 'delete', {}, { record_id: null })],
  ['operation', 'an operation that the client ignores', harmonic(2, 'truncate', row())],
  ['table_name', 'a table that is not in the schema', harmonic(2, 'update', row(), { table_name: 'secrets' })],
  ['table_name', 'a table of every object', harmonic(2, 'update', row(), { table_name: 'constructor' })],
  ['created_at', 'a time that is no Y-m-d H:i:s', harmonic(2, 'update', row(), { created_at: '2026-01-01T10:00:00Z' })],
  ['table_name', 'a rejection without a table', rejection(2, { table_name: null })],
  ['rejected', 'a rejection without a record', rejection(2, { record_id: null })],
  ['rejected', 'a rejection without a reason', rejection(2, { rejected_reason: undefined })],
  ['order', 'a rejection below the cursor', rejection(0)],
]) {
  test(`throws on ${what}`, () => {
    const chorus = consumer();
    chorus.processHarmonic(harmonic(1, 'create', row({ id: 7 })));
    breaks(rule, () => chorus.processHarmonic(event));
  });
}

test('a harmonic confirms the pending write of its record', () => {
  const chorus = consumer();
  chorus.write('todos', 't1', row());
  chorus.processHarmonic(harmonic(1, 'create', row()));
  chorus.replied('todos', 't1');
  assert.equal(chorus.shadows.size, 0);
});

test('throws where the reply comes first, since the shadow stays', () => {
  const chorus = consumer();
  chorus.write('todos', 't1', row());
  chorus.replied('todos', 't1');
  breaks('shadow', () => chorus.processHarmonic(harmonic(1, 'create', row())));
});

test('a rejection marks the pending write, moves the cursor and is told once', () => {
  const told = [];
  const chorus = consumer({ onRejected: (event) => told.push(event.rejected_reason) });
  chorus.write('todos', 't9', row({ id: 't9' }));

  chorus.processHarmonic(rejection(3));
  chorus.processHarmonic(rejection(3));

  assert.equal(chorus.shadows.get('todos t9').status, 'rejected:no title');
  assert.equal(chorus.cursor, idOf(3));
  assert.deepEqual(told, ['no title']);
  assert.deepEqual(chorus.rows(), { todos: [] });
});

test('a page of net effects brings it up to date', async () => {
  const chorus = consumer();
  await chorus.initialize(() => ({ latest_harmonic_id: idOf(4), records: [row(), row({ id: 't2' })] }));
  await chorus.initialize((table, after) => {
    assert.equal(after, idOf(4));
    return { latest_harmonic_id: idOf(9), harmonics: [harmonic(6, 'delete', { id: 't2' }), harmonic(8, 'update', row({ done: true }))] };
  });
  assert.deepEqual(chorus.rows(), { todos: [row({ done: true })] });
  assert.equal(chorus.cursor, idOf(9));
});

for (const [what, harmonics, latest] of [
  ['a create', [harmonic(6, 'create', row())], 9],
  ['a record twice', [harmonic(6, 'update', row()), harmonic(7, 'delete', { id: 't1' })], 9],
  ['harmonics out of order', [harmonic(7, 'update', row()), harmonic(6, 'update', row({ id: 't2' }))], 9],
  ['what is known already', [harmonic(4, 'update', row())], 9],
  ['an end below its harmonics', [harmonic(6, 'update', row())], 5],
  ['an end below the cursor', [], 3],
]) {
  test(`throws on a page with ${what}`, () => {
    const chorus = consumer();
    chorus.processHarmonic(harmonic(4, 'create', row()));
    breaks('page', () => chorus.applyPage('todos', { latest_harmonic_id: idOf(latest), harmonics }, false));
  });
}

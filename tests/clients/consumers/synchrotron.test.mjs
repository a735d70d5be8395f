import assert from 'node:assert/strict';
import { test } from 'node:test';

import { CORRECTION, SynchrotronConsumer, compareClocks } from './synchrotron.mjs';

const uuid = (kind, number) => `00000000-0000-7000-${kind}-${String(number).padStart(12, '0')}`;

function action(number, fields = {}) {
  const time = fields.clock_time_ms ?? 1000 + number;
  return {
    id: uuid('8000', number), server_ingest_id: number, _tag: 'create-note', user_id: 'u1', client_id: 'laptop', transaction_id: number,
    clock: { timestamp: time, vector: { laptop: number } }, clock_time_ms: time, clock_counter: number, args: { timestamp: time },
    created_at: '2026-01-01T10:00:05.000Z', server_ingested_at: '2026-11-21T04:10:24.984+00:00', synced: 1, ...fields,
  };
}

function patch(number, operation, forward, reverse, fields = {}) {
  return {
    id: uuid('9000', number), table_name: 'notes', row_id: 'n1', action_record_id: uuid('8000', number), audience_key: 'user:u1', operation,
    forward_patches: forward, reverse_patches: reverse, sequence: 0, ...fields,
  };
}

const insert = (number) => patch(number, 'INSERT', { id: 'n1', title: 'Hi', done: false }, {});
const update = (number, title, before) => patch(number, 'UPDATE', { title }, { title: before });
const remove = (number, row) => patch(number, 'DELETE', {}, row);
const batch = (actions, modifiedRows, fields = {}) => ({ _tag: 'Batch', caughtUp: true, actions, modifiedRows, ...fields });
const consumer = () => new SynchrotronConsumer({ tags: ['create-note'], audiences: ['user:u1'] });
const breaks = (rule, act) => assert.throws(act, { name: 'Violation', rule });

test('applies in the order of the clocks, whatever comes first', () => {
  const sync = consumer();
  sync.ingest(batch([action(1)], [insert(1)]));
  sync.ingest(batch([action(3)], [update(3, 'third', 'second')]));
  sync.ingest(batch([action(2)], [update(2, 'second', 'Hi')]));
  assert.deepEqual(sync.rows('notes'), [{ id: 'n1', title: 'third', done: false }]);
  assert.equal(sync.counts.replays, 1);
  assert.equal(sync.cursor, 3);
});

test('what is rolled back comes back, deletes too', () => {
  const sync = consumer();
  sync.ingest(batch([action(1)], [insert(1)]));
  sync.ingest(batch([action(5)], [remove(5, { id: 'n1', title: 'Hi', done: false })]));
  sync.ingest(batch([action(3)], [update(3, 'third', 'Hi')]));
  assert.deepEqual(sync.rows('notes'), []);
});

test('takes everything twice, and any part of it later', () => {
  const sync = consumer();
  for (let turn = 0; turn < 2; turn += 1) sync.ingest(batch([action(1), action(2)], [insert(1), update(2, 'x', 'Hi')]));
  assert.deepEqual(sync.rows('notes'), [{ id: 'n1', title: 'x', done: false }]);
});

test('holds an action until its patches come', () => {
  const sync = consumer();
  sync.ingest(batch([action(1)], []));
  assert.equal(sync.held().length, 1);
  sync.ingest(batch([], [insert(1)]));
  assert.equal(sync.held().length, 0);
  assert.equal(sync.rows('notes').length, 1);
});

test('applies nothing while a transport is catching up', () => {
  const sync = consumer();
  assert.equal(sync.ingest(batch([action(1)], [insert(1)], { caughtUp: false })), false);
  assert.deepEqual(sync.rows('notes'), []);
  assert.equal(sync.ingest({ _tag: 'Wakeup' }), true);
  sync.ingest(batch([], []));
  assert.equal(sync.rows('notes').length, 1);
});

test('a correction leaves the cursor alone', () => {
  const sync = consumer();
  const clock = { _tag: CORRECTION, client_id: 'agent:wal', clock: { timestamp: 1001, vector: { 'agent:wal': 1 } }, server_ingest_id: null, user_id: null };
  sync.ingest(batch([action(1, clock)], [insert(1)]));
  assert.equal(sync.cursor, 0);
  assert.equal(sync.rows('notes').length, 1);
});

test('the server gives a known action its number', () => {
  const sync = consumer();
  sync.ingest(batch([action(1, { server_ingest_id: null })], [insert(1)]));
  sync.ingest(batch([action(1, { server_ingest_id: 7 })], []));
  assert.equal(sync.cursor, 7);
});

test('what a bootstrap holds is not applied again', () => {
  const sync = consumer();
  sync.bootstrap({ notes: [{ id: 'n1', title: 'x', done: false }] }, 2, ({ clock_counter: counter }) => counter <= 2);
  sync.ingest(batch([action(1), action(2), action(3)], [insert(1), update(2, 'x', 'Hi'), update(3, 'y', 'x')]));
  assert.deepEqual(sync.rows('notes'), [{ id: 'n1', title: 'y', done: false }]);
});

test('orders by time, counter, client and id', () => {
  const clocks = [
    { clock_time_ms: 1, clock_counter: 9, client_id: 'b', id: 'b' }, { clock_time_ms: 2, clock_counter: 1, client_id: 'b', id: 'b' },
    { clock_time_ms: 2, clock_counter: 2, client_id: 'a', id: 'c' }, { clock_time_ms: 2, clock_counter: 2, client_id: 'b', id: 'a' },
    { clock_time_ms: 2, clock_counter: 2, client_id: 'b', id: 'b' },
  ];
  assert.deepEqual([...clocks].reverse().sort(compareClocks), clocks);
});

for (const [rule, what, event] of [
  ['_tag', 'an action that the application does not know', batch([action(2, { _tag: 'drop-notes' })], [])],
  ['server_ingest_id', 'a server_ingest_id that is text', batch([action(2, { server_ingest_id: '41' })], [])],
  ['clock', 'a clock_time_ms that is not of the clock', batch([action(2, { clock_time_ms: 5, clock: { timestamp: 6, vector: { laptop: 2 } } })], [])],
  ['clock', 'a clock_counter that is not of the vector', batch([action(2, { clock_counter: 9 })], [])],
  ['clock', 'a clock that is text', batch([action(2, { clock: '{"timestamp":1,"vector":{}}' })], [])],
  ['args', 'args without a timestamp', batch([action(2, { args: {} })], [])],
  ['times', 'times that are none', batch([action(2, { created_at: 'yesterday' })], [])],
  ['synced', 'an action that is not synced', batch([action(2, { synced: 0 })], [])],
  ['action', 'an id that is no UUID', batch([action(2, { id: '1042' })], [])],
  ['user_id', 'a user that is a number', batch([action(2, { user_id: 7 })], [])],
  ['transaction_id', 'a transaction_id that is text', batch([action(2, { transaction_id: '7' })], [])],
  ['idempotent', 'another content of a known action', batch([action(1, { args: { timestamp: 1001, title: 'x' } })], [])],
  ['idempotent', 'another content of a known patch', batch([], [patch(1, 'INSERT', { id: 'n1', title: 'Ho' }, {})])],
  ['late patch', 'a patch whose action is applied', batch([], [{ ...update(1, 'x', 'Hi'), id: uuid('9000', 77), sequence: 1 }])],
  ['audience', 'a row of another audience', batch([action(2)], [{ ...update(2, 'x', 'Hi'), audience_key: 'user:u2' }])],
  ['patch', 'an update that cannot be undone', batch([action(2)], [patch(2, 'UPDATE', { title: 'x' }, {})])],
  ['patch', 'a delete without the old row', batch([action(2)], [patch(2, 'DELETE', {}, {})])],
  ['patch', 'an insert with an old row', batch([action(2)], [patch(2, 'INSERT', { id: 'n1' }, { id: 'n1' })])],
  ['patch', 'an audience_key within a patch', batch([action(2)], [patch(2, 'UPDATE', { audience_key: 'a' }, { audience_key: 'b' })])],
  ['patch', 'an unknown operation', batch([action(2)], [patch(2, 'TRUNCATE', {}, {})])],
  ['patch', 'another id within a patch', batch([action(2)], [patch(2, 'INSERT', { id: 'n2' }, {})])],
  ['sequence', 'two patches of one place', batch([], [update(2, 'x', 'Hi'), { ...update(2, 'y', 'x'), id: uuid('9000', 78) }])],
  ['clock', 'an update whose clock is before its insert', batch([action(2, { clock_time_ms: 3, clock: { timestamp: 3, vector: { laptop: 2 } } })], [update(2, 'x', 'Hi')])],
  ['clock', 'an insert of a row that is there', batch([action(2)], [patch(2, 'INSERT', { id: 'n1', title: 'Ho' }, {})])],
  ['event', 'an event of another kind', { _tag: 'Truncate' }],
  ['event', 'a batch without its lists', { _tag: 'Batch', actions: [] }],
]) {
  test(`throws on ${what}`, () => {
    const sync = consumer();
    sync.ingest(batch([action(1)], [insert(1)]));
    breaks(rule, () => sync.ingest(event));
  });
}

// The program that a Node developer would write with the usual packages, in good faith: rows to JSON messages with sync
// ids, per transaction one pipeline of XADD MAXLEN ~ and PUBLISH, the LSN acknowledged when Redis has answered.
// Without --flow-control, the packages' default, nothing bounds its memory while Redis is behind.
// It ends after --rows rows; a peer that had to be right would also keep its position in Redis, and check for a second one.
//
//   node index.js --postgres URL --redis URL --slot SLOT --rows N [--length N] [--flow-control]
'use strict';

const { parseArgs } = require('node:util');
const Redis = require('ioredis');
const { LogicalReplicationService, PgoutputPlugin } = require('pg-logical-replication');

const options = parseArgs({
  options: {
    postgres: { type: 'string' },
    redis: { type: 'string' },
    slot: { type: 'string' },
    rows: { type: 'string' },
    length: { type: 'string', default: '1000' },
    'flow-control': { type: 'boolean', default: false },
  },
}).values;

const redis = new Redis(options.redis);
const service = new LogicalReplicationService(
  { connectionString: options.postgres, options: '-c datestyle=ISO -c timezone=UTC' },
  { acknowledge: { auto: false, timeoutSeconds: 0 }, flowControl: { enabled: options['flow-control'] } },
);

let syncId = 0;
let rowsDone = 0;
let stored = null; // The LSN of the last transaction that Redis has.
let transaction = null;
let channels = new Map(); // Of the transaction at hand: channel to its actions.
const previous = new Map(); // The last sync id of each channel.

const actions = { insert: 'insert', update: 'update', delete: 'delete' };

function add(message) {
  const action = actions[message.tag];
  const row = message.new ?? message.old ?? message.key;
  const channel = `workspace:${row.workspace_id}`;
  const found = { syncId: ++syncId, action, modelName: 'Todo', modelId: String(row.id) };
  if (action !== 'delete') found.data = row;
  const list = channels.get(channel);
  if (list) list.push(found);
  else channels.set(channel, [found]);
}

function publish(commit) {
  const pipeline = redis.pipeline();
  let rows = 0;
  for (const [channel, sync] of channels) {
    const lastSyncId = sync[sync.length - 1].syncId;
    const message = JSON.stringify({
      type: 'sync',
      epoch: 'peer',
      prevSyncId: previous.get(channel) ?? 0,
      lastSyncId,
      lsn: commit.commitLsn,
      xid: transaction.xid,
      commitTime: new Date(Number(transaction.commitTime / 1000n)),
      sync,
    });
    previous.set(channel, lastSyncId);
    rows += sync.length;
    pipeline.xadd(`peer:log:${channel}`, 'MAXLEN', '~', options.length, `${lastSyncId}-0`, 'm', message);
    pipeline.publish(channel, message);
  }
  channels = new Map();
  return pipeline.exec().then((replies) => {
    for (const [error] of replies) if (error) throw error;
    stored = commit.commitEndLsn;
    rowsDone += rows;
    if (rowsDone >= Number(options.rows)) finish();
  });
}

async function finish() {
  await service.acknowledge(stored);
  console.log(JSON.stringify({ rows: rowsDone, rss: process.resourceUsage().maxRSS * 1024 }));
  process.exit(0);
}

service.on('data', (lsn, message) => {
  if (message.tag === 'begin') transaction = message;
  else if (message.tag in actions) add(message);
  else if (message.tag === 'commit') return publish(message);
});
service.on('error', (error) => {
  console.error(error);
  process.exit(1);
});
// Often enough for Postgres to forget the log, seldom enough to cost nothing.
setInterval(() => stored && service.acknowledge(stored), 1000);

service.subscribe(new PgoutputPlugin({ protoVersion: 1, publicationNames: ['walcast'] }), options.slot);

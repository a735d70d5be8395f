// A reader of a real agent for tests/integration/test_delta.py: live messages come as lines on standard input, deltas over HTTP.
// The tables were empty at the first position. When it has them it says so. At the end of input the rows and events go to standard output.
import { createInterface } from 'node:readline';
import { WalcastReader, httpDelta } from '../../deploy/examples/walcast-reader.mjs';

const { channels, url, epoch } = JSON.parse(process.argv[2]);
let rows = {}, ids = [], bootstraps = 0, deltas = 0;
const delta = httpDelta(url);
const reader = new WalcastReader({
  channels,
  bootstrap: async () => { bootstraps += 1; return { epoch, lastSyncId: 0, rows: [] }; },
  delta: (request) => { deltas += 1; return delta(request); },
  replace: () => { rows = {}; ids = []; },
  apply: ({ syncId, action, modelId, data }, { channel }) => {
    ids.push(syncId);
    const key = `${channel} ${modelId}`;
    if (action === 'delete') delete rows[key];
    else rows[key] = data;
  },
  event: ({ lastSyncId, name }) => { ids.push(`${name} ${lastSyncId}`); },
  failed: (error) => { console.error(error); process.exit(1); },
});
await reader.catchUp();
console.log('ready');
for await (const line of createInterface({ input: process.stdin })) {
  const { channel, message } = JSON.parse(line);
  reader.receive(channel, message);
}
await reader.catchUp();
console.log(JSON.stringify({ rows, ids, bootstraps, deltas }));

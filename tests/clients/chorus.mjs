// Unmodified `laravel-echo`, with `laravel-echo-server` straight off Redis or with `pusher-js` over the relay, and a Chorus consumer
// behind it: several users in one program.
import { ChorusConsumer } from './consumers/chorus.mjs';
import { load, require } from './packages.mjs';
import { PusherRelay, placeOf } from './pusher_relay.mjs';
import { fetchJson, serve, until } from './rpc.mjs';

const { default: Echo } = await load('laravel-echo/dist/echo.js');

const users = new Map();
let relay;
let echoServer;

// Mounts the provider: the schema, which may be of another database than the client's, then each table's page. False where a page was
// refused.
async function mount(user) {
  const session = `user=${user.id}&session=${user.name}-${(user.mounts += 1)}`;
  const { schema, database_version: version } = await fetchJson(`${user.application}/api/schema?${session}`);
  if (version !== user.version) {
    user.chorus = new ChorusConsumer(schema, { onRejected: (harmonic) => user.rejections.push(harmonic) });
    user.version = version;
    user.databases += 1;
  }
  let isRefused = false;
  await user.chorus.initialize(async (table, after) => {
    const query = after === null ? 'initial=true' : `after=${after}`;
    const page = await fetchJson(`${user.application}/api/sync/${table}?${session}&${query}`);
    isRefused ||= page.status === 'not provable';
    return isRefused ? { latest_harmonic_id: null, records: [], harmonics: [] } : page;
  });
  return !isRefused;
}

// Goes by HTTP from where its cursor is, while live harmonics wait; then those that are above it. Where the connection was lost again
// meanwhile they go on waiting, for the next time. After a refusal the user loads the page again.
async function catchUp(user) {
  user.waiting = [];
  user.isCut = false;
  while (!(await mount(user)));
  if (user.isCut) return;
  const { waiting } = user;
  user.waiting = null;
  for (const harmonic of waiting) hear(user, harmonic);
}

function hear(user, harmonic) {
  user.heard.push(harmonic.id);
  if (user.waiting) user.waiting.push(harmonic);
  else if (user.drops && user.chorus.cursor !== null && placeOf(harmonic.id) <= placeOf(user.chorus.cursor)) user.dropped += 1;
  else user.chorus.processHarmonic(harmonic);
}

function subscribe(user) {
  user.echo.private(user.channel).listen('.harmonic.created', (harmonic) => hear(user, harmonic));
}

const ways = {
  // laravel-echo-server replays nothing: after each subscription the user catches up by HTTP, and drops what that has given.
  socketio: async (user) => {
    user.drops = true;
    user.echo = new Echo({ broadcaster: 'socket.io', host: `http://127.0.0.1:${echoServer.port}`, client: require('socket.io-client') });
    const { socket } = user.echo.connector;
    const joined = () => Object.hasOwn(echoServer.io.sockets.adapter.rooms[`private-${user.channel}`]?.sockets ?? {}, socket.id);
    // The server does not say when somebody has joined.
    const enter = async () => {
      await until(() => socket.connected && joined(), 'joined');
      await catchUp(user);
    };
    subscribe(user);
    socket.on('disconnect', () => {
      user.isCut = true;
      user.waiting ??= [];
    });
    socket.on('reconnect', () => (user.entering = user.entering.then(enter)));
    await (user.entering = enter());
  },

  // The relay replays: the client catches up once, and comes back with its cursor by itself.
  pusher: async (user) => {
    await catchUp(user);
    const Pusher = require('pusher-js');
    const options = {
      wsHost: '127.0.0.1', wsPort: relay.port, forceTLS: false, enabledTransports: ['ws'], cluster: '', enableStats: false,
      channelAuthorization: {
        customHandler: (_, answer) => answer(null, { auth: 'key:signature', channel_data: JSON.stringify({ after: user.chorus.cursor }) }),
      },
    };
    user.echo = new Echo({ broadcaster: 'pusher', key: 'key', client: new Pusher('key', options) });
    const subscribed = () => user.echo.private(user.channel).subscription;
    subscribe(user);
    const channel = subscribed();
    let refusals = Promise.resolve();
    channel.bind('pusher:subscription_error', () => {
      refusals = refusals.then(async () => {
        user.refused += 1;
        await catchUp(user);
        channel.subscribe(); // pusher-js still awaits the refused one: to leave and enter again would do nothing.
      });
    });
    await until(() => subscribed().subscribed, 'subscribed');
  },
};

serve({
  relay: async ({ url, prefix, channels, redisPrefix }) => {
    relay = new PusherRelay({ url, prefix, channels: channels.map((channel) => `private-${channel}`), redisPrefix });
    relay.port = await relay.start();
  },

  echoServer: async ({ redis, port, application, keyPrefix }) => {
    const { EchoServer } = require('laravel-echo-server/dist/echo-server');
    echoServer = new EchoServer();
    echoServer.port = port;
    await echoServer.run({
      authHost: application, authEndpoint: '/broadcasting/auth', clients: [], database: 'redis', devMode: false, host: '127.0.0.1', port,
      databaseConfig: { redis: { ...redis, keyPrefix }, publishPresence: false }, protocol: 'http', socketio: {},
      subscribers: { http: false, redis: true }, apiOriginAllow: { allowCors: false },
    });
    echoServer.io = echoServer.server.io;
  },

  open: async ({ name, id, channel, way, application }) => {
    const counts = { mounts: 0, databases: 0, refused: 0, dropped: 0 };
    const user = { name, id, channel, application, ...counts, isCut: false, heard: [], rejections: [], waiting: null };
    users.set(name, user);
    await ways[way](user);
  },

  write: ({ name, table, key, row }) => users.get(name).chorus.write(table, key, row),
  replied: ({ name, table, key }) => users.get(name).chorus.replied(table, key),

  state: ({ name }) => {
    const { chorus, heard, rejections, refused, dropped, databases } = users.get(name);
    const shadows = Object.fromEntries([...chorus.shadows].map(([key, { status }]) => [key, status]));
    return { rows: chorus.rows(), cursor: chorus.cursor, counts: chorus.counts, heard: heard.length, rejections, refused, dropped, databases,
      shadows };
  },

  // Offline, and back by another page load.
  leave: ({ name }) => users.get(name).echo.disconnect(),
  mount: ({ name }) => catchUp(users.get(name)),

  close: ({ name }) => {
    users.get(name).echo.disconnect();
    users.delete(name);
  },

  drop: () => {
    relay?.drop();
    for (const socket of Object.values(echoServer?.io.sockets.connected ?? {})) socket.conn.close();
  },
  forget: () => relay.forget(),
  counts: () => relay.counts,
});

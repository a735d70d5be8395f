// A small relay that speaks the Pusher protocol and is fed by Laravel's Redis broadcasts. What it has heard it keeps, and plays it
// again to a client that comes back: the client's authorizer gives its cursor in `channel_data` ({"after":id}).
import { createServer } from 'node:http';

import { Feed } from './feed.mjs';
import { WebSocketServer } from './packages.mjs';

// The place of a harmonic in commit order, whatever time its id bears: 53 bits of sync id below its variant, then 8 that tell harmonics
// of one change apart.
export function placeOf(id) {
  const groups = id.split('-');
  return (BigInt(`0x${groups[3]}`) & 0x3fffn) << 48n | BigInt(`0x${groups[4]}`);
}

export class PusherRelay {
  // `channels`: Pusher's names (private-...); `redisPrefix`: what Laravel puts before them on Redis.
  constructor({ url, prefix, channels, redisPrefix = '' }) {
    this.options = { url, prefix };
    this.channels = channels;
    this.redisPrefix = redisPrefix;
    this.counts = { connections: 0, replayed: 0, refused: 0 };
    this.sockets = new Set();
    this.isOpen = false;
    this.server = createServer((request, response) => response.end());
    this.web = new WebSocketServer({ server: this.server });
    this.web.on('connection', (socket) => this.#connect(socket));
  }

  async start() {
    await this.#listen();
    await new Promise((resolve) => this.server.listen(0, '127.0.0.1', resolve));
    return this.server.address().port;
  }

  async #listen() {
    this.logs = new Map(this.channels.map((channel) => [channel, []]));
    const hear = (name, text) => this.#publish(name.slice(this.redisPrefix.length), JSON.parse(text));
    const names = this.channels.map((channel) => this.redisPrefix + channel);
    this.feed = new Feed({ ...this.options, names, hear, lost: () => this.forget() });
    this.completeAbove = BigInt((await this.feed.start()).syncId);
    this.isOpen = true;
  }

  #publish(channel, { event, data }) {
    this.logs.get(channel).push({ event, data });
    for (const socket of this.sockets) if (socket.subscribed.has(channel)) this.#send(socket, channel, event, data);
  }

  #send(socket, channel, event, data) {
    socket.say({ event, channel, data: JSON.stringify(data) });
  }

  #connect(socket) {
    socket.on('error', () => {});
    if (!this.isOpen) return socket.terminate();
    this.counts.connections += 1;
    socket.subscribed = new Set();
    socket.say = (frame) => socket.readyState === socket.OPEN && socket.send(JSON.stringify(frame));
    this.sockets.add(socket);
    socket.on('close', () => this.sockets.delete(socket));
    socket.on('message', (text) => this.#hear(socket, JSON.parse(text)));
    const data = JSON.stringify({ socket_id: `1.${this.counts.connections}`, activity_timeout: 120 });
    socket.say({ event: 'pusher:connection_established', data });
  }

  #hear(socket, { event, data }) {
    if (event === 'pusher:ping') socket.say({ event: 'pusher:pong', data: '{}' });
    if (event === 'pusher:unsubscribe') socket.subscribed.delete(data.channel);
    if (event !== 'pusher:subscribe') return;
    const { channel, channel_data: given } = data;
    const { after = null } = given ? JSON.parse(given) : {};
    // Below what it has heard it cannot fill the hole: the client has to catch up by HTTP and come again.
    if (!this.logs.has(channel) || (after !== null && placeOf(after) >> 8n < this.completeAbove)) {
      this.counts.refused += 1;
      const error = JSON.stringify({ type: 'TooOld', error: 'catch up first', status: 409 });
      socket.say({ event: 'pusher:subscription_error', channel, data: error });
      return;
    }
    socket.say({ event: 'pusher_internal:subscription_succeeded', channel, data: '{}' });
    socket.subscribed.add(channel);
    if (after === null) return;
    for (const one of this.logs.get(channel)) {
      if (placeOf(one.data.id) <= placeOf(after)) continue;
      this.counts.replayed += 1;
      this.#send(socket, channel, one.event, one.data);
    }
  }

  // The network between it and its clients is cut; they come back by themselves.
  drop() {
    for (const socket of this.sockets) socket.terminate();
  }

  // It has lost Redis for a while: whatever was published meanwhile it has not heard, and begins anew.
  async forget() {
    this.isOpen = false;
    this.drop();
    await this.feed.replace(() => this.#listen());
  }

  close() {
    this.feed.close();
    this.drop();
    this.server.close();
  }
}

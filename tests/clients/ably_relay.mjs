// A stand-in for Ably on the loopback, as far as `ably` and `@ably-labs/models` ask: channels with history, and connections that
// resume. What it hears on Redis it passes on as it is: the agent writes whole Ably messages.
import { createServer } from 'node:http';

import { Feed } from './feed.mjs';
import { WebSocketServer } from './packages.mjs';

const [HEARTBEAT, CONNECTED, ATTACH, ATTACHED, DETACH, DETACHED, MESSAGE] = [0, 4, 10, 11, 12, 13, 15];
const RESUMED = 4;
const CAN_SUBSCRIBE = 262144;

export class AblyRelay {
  // `channels`: Ably's names; `nameOf(channel)`: the Redis channel of each.
  constructor({ url, prefix, channels, nameOf = (channel) => channel }) {
    this.options = { url, prefix };
    this.channels = channels;
    this.nameOf = nameOf;
    this.counts = { history: 0, connections: 0, resumed: 0 };
    this.sockets = new Set();
    this.isOpen = false;
    this.numbers = 0;
    this.server = createServer((request, response) => this.#answer(request, response));
    this.web = new WebSocketServer({ server: this.server });
    this.web.on('connection', (socket, request) => this.#connect(socket, new URL(request.url, 'http://relay')));
  }

  async start() {
    await this.#listen();
    await new Promise((resolve) => this.server.listen(0, '127.0.0.1', resolve));
    return this.server.address().port;
  }

  // The log begins with a message of the id from which on it is complete: a client whose state is older finds no place to go on
  // from, and asks for a newer state. Serials begin anew, so nobody resumes. Until then nobody is let in: an empty history would be
  // taken for a state that is current.
  async #listen() {
    const channelOf = new Map(this.channels.map((channel) => [this.nameOf(channel), channel]));
    const early = [];
    let take = (name, text) => early.push([name, text]);
    const hear = (name, text) => take(name, text);
    this.feed = new Feed({ ...this.options, names: [...channelOf.keys()], hear, lost: () => this.forget() });
    const { syncId } = await this.feed.start();
    const first = { id: String(syncId), name: 'relay', data: null, timestamp: Date.now() };
    this.generation = ++this.numbers;
    this.logs = new Map(this.channels.map((channel) => [channel, [first]]));
    take = (name, text) => this.#publish(channelOf.get(name), JSON.parse(text));
    for (const [name, text] of early) if (Number(JSON.parse(text).id) > syncId) take(name, text);
    this.isOpen = true;
  }

  #serial(index) {
    return `${this.generation}:${index}`;
  }

  #publish(channel, message) {
    const log = this.logs.get(channel);
    log.push(message);
    for (const socket of this.sockets) if (socket.attached.has(channel)) this.#send(socket, channel, log.length - 1);
  }

  #send(socket, channel, index) {
    const message = this.logs.get(channel)[index];
    const channelSerial = this.#serial(index + 1);
    socket.say({ action: MESSAGE, id: `${channelSerial}:0`, channel, channelSerial, timestamp: message.timestamp, messages: [message] });
  }

  #connect(socket, url) {
    socket.on('error', () => {});
    if (!this.isOpen) return socket.terminate();
    const resumed = url.searchParams.get('resume')?.split('!')[0];
    const connectionId = resumed ?? `connection${++this.numbers}`;
    const connectionKey = `${connectionId}!${++this.numbers}`;
    this.counts[resumed ? 'resumed' : 'connections'] += 1;
    socket.attached = new Set();
    socket.say = (frame) => socket.readyState === socket.OPEN && socket.send(JSON.stringify(frame));
    this.sockets.add(socket);
    socket.on('close', () => this.sockets.delete(socket));
    socket.on('message', (text) => this.#hear(socket, JSON.parse(text)));
    const details = { connectionKey, connectionStateTtl: 120000, maxIdleInterval: 15000, maxMessageSize: 65536, serverId: 'relay' };
    socket.say({ action: CONNECTED, connectionId, connectionKey, connectionDetails: details });
  }

  #hear(socket, frame) {
    const { channel } = frame;
    if (frame.action === HEARTBEAT) socket.say({ action: HEARTBEAT, id: frame.id });
    if (frame.action === DETACH) {
      socket.attached.delete(channel);
      socket.say({ action: DETACHED, channel });
    }
    if (frame.action === ATTACH) this.#attach(socket, channel, frame.channelSerial);
  }

  // A client of before the log began cannot go on, and Models 0.0.4 with `ably` 2 never recovers: an attachment that is not resumed it
  // does not notice, one that is repeated leaves it in a detach that never ends, and once it has gone back by history after an error
  // it is deaf. So whoever loses its place has its clients opened anew.
  #attach(socket, channel, serial) {
    const end = this.logs.get(channel).length;
    const [generation, begin] = serial ? serial.split(':').map(Number) : [this.generation, end];
    if (generation !== this.generation) throw new Error(`${channel}: ${serial} is of a log that is gone`);
    socket.say({ action: ATTACHED, channel, channelSerial: this.#serial(begin), flags: CAN_SUBSCRIBE | (serial ? RESUMED : 0) });
    socket.attached.add(channel);
    for (let index = begin; index < end; index += 1) this.#send(socket, channel, index);
  }

  #answer(request, response) {
    const url = new URL(request.url, 'http://relay');
    const match = url.pathname.match(/^\/channels\/(.+)\/(?:messages|history)$/);
    response.setHeader('content-type', 'application/json');
    if (url.pathname === '/time') return response.end(JSON.stringify([Date.now()]));
    if (!match) return response.writeHead(404).end('{}');
    // Newest first, all in one page whatever the limit: the SDK asks for the first page again and again instead of the next.
    if (!this.isOpen) return response.writeHead(503).end('{}');
    this.counts.history += 1;
    const log = this.logs.get(decodeURIComponent(match[1])) ?? [];
    const [generation, end] = (url.searchParams.get('from_serial') ?? this.#serial(log.length)).split(':').map(Number);
    response.end(JSON.stringify(generation === this.generation ? log.slice(0, end).reverse() : []));
  }

  // The network between it and its clients is cut; they come back and resume.
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

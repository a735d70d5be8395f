// What a relay hears on Redis, kept in the order of arrival, and from which sync id on it is complete.
import { Redis } from './packages.mjs';

const options = { retryStrategy: null, maxRetriesPerRequest: 0 };

export class Feed {
  // `names`: Redis channels. `hear(name, text)` for each message, also for those before `start` has returned.
  constructor({ url, prefix = 'walcast:', names, hear, lost = () => {} }) {
    this.prefix = prefix;
    this.names = names;
    this.hear = hear;
    this.commands = new Redis(url, options);
    this.subscription = new Redis(url, options);
    this.isClosed = false;
    for (const connection of [this.commands, this.subscription]) {
      connection.on('error', () => {});
      connection.on('end', () => {
        if (!this.isClosed) lost();
      });
    }
  }

  // Subscribed first, then the position is read: {epoch, syncId}. All above that id is heard.
  async start() {
    this.isClosed = true; // Until it has begun, its failure is the caller's to see.
    this.subscription.on('message', (name, text) => this.hear(name, text));
    await this.subscription.subscribe(...this.names);
    const [epoch, syncId] = await this.commands.hmget(`${this.prefix}position`, 'epoch', 'sync_id');
    this.isClosed = false;
    return { epoch, syncId: Number(syncId) };
  }

  // Ends this one, and tries until `listen`, which makes another, has Redis again.
  async replace(listen) {
    this.close();
    for (;;) {
      try {
        return await listen();
      } catch {
        await new Promise((resolve) => setTimeout(resolve, 50));
      }
    }
  }

  close() {
    this.isClosed = true;
    this.commands.disconnect();
    this.subscription.disconnect();
  }
}

import { LinkedQueue, QueueNode } from './collections/linked-queue.ts';

/** A call whose message is to be read. */
export interface MessageReading {
  /** The client whose limit counts the call. */
  readonly client: string;
  /** Starts to read. */
  readonly begin: () => void;
}

/** Limits of the readings. */
export interface ReadingsOptions {
  /** Messages read at the same time, each held in memory while it is incomplete. */
  readonly max: number;
  /** The same for one client. */
  readonly maxOfClient: number;
  /** Whether enough work waits already; an owner that returns true must call `readOn`. Default never. */
  readonly isCrowded?: () => boolean;
}

interface ClientReadings {
  reading: number;
  readonly waiting: LinkedQueue<() => void>;
}

/**
 * Bounds how many messages are read at the same time: grpc-js holds incomplete messages without a limit. The rest wait in the windows of
 * their streams, each client in a queue of its own, and clients take turns.
 */
export class Readings {
  readonly #options: ReadingsOptions;
  readonly #clients = new Map<string, ClientReadings>();
  #reading = 0;
  #waiting = 0;

  constructor(options: ReadingsOptions) {
    this.#options = options;
  }

  /** Reads now or later. @returns to be called when the message is complete or the call is over; idempotent */
  add(reading: MessageReading): () => void {
    const client = this.#clients.get(reading.client) ?? { reading: 0, waiting: new LinkedQueue<() => void>() };
    this.#clients.set(reading.client, client);
    let state: 'waiting' | 'reading' | 'over' = 'waiting';
    const place = new QueueNode((): void => {
      state = 'reading';
      reading.begin();
    });
    if (this.#mayRead(client)) this.#begin(client, place.value);
    else {
      client.waiting.join(place);
      this.#waiting += 1;
    }
    return () => {
      if (state === 'over') return;
      if (state === 'reading') {
        this.#reading -= 1;
        client.reading -= 1;
      } else {
        place.leave();
        this.#waiting -= 1;
      }
      state = 'over';
      if (client.reading === 0 && client.waiting.length === 0) this.#clients.delete(reading.client);
      this.readOn();
    };
  }

  /** Reads more if there is room again. */
  readOn(): void {
    if (this.#waiting === 0) return;
    for (const [name, client] of this.#clients) {
      if (!this.#mayRead(client)) continue;
      const next = client.waiting.shift();
      if (next === undefined) continue;
      this.#waiting -= 1;
      // Its next turn is after all others, within this loop.
      this.#clients.delete(name);
      this.#clients.set(name, client);
      this.#begin(client, next);
    }
  }

  #mayRead({ reading }: ClientReadings): boolean {
    const { max, maxOfClient, isCrowded } = this.#options;
    return this.#reading < max && reading < maxOfClient && isCrowded?.() !== true;
  }

  #begin(client: ClientReadings, begin: () => void): void {
    this.#reading += 1;
    client.reading += 1;
    begin();
  }
}

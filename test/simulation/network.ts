import type { Party } from './party.ts';
import type { Random } from './random.ts';
import type { Schedule } from './schedule.ts';

/** One direction of a link between two places. */
interface Lane {
  isBlocked: boolean;
  /** Greatest delay of a message, but for those that are late. */
  mostMs: number;
  /** What waits for the lane to be free: TCP sends it again. */
  held: (() => void)[];
}

/** On its way along a lane. */
class Message {
  readonly #lane: Lane;
  /** `null`: it arrives also at a process that is stopped or has ended. */
  readonly #to: Party | null;
  readonly #arrive: () => void;

  constructor(lane: Lane, to: Party | null, arrive: () => void) {
    this.#lane = lane;
    this.#to = to;
    this.#arrive = arrive;
  }

  happen(): void {
    if (this.#lane.isBlocked) this.#lane.held.push(() => this.#arrives());
    else this.#arrives();
  }

  #arrives(): void {
    if (this.#to === null) this.#arrive();
    else this.#to.run(this.#arrive);
  }
}

const USUAL_MS = 4;
/** Some messages are late, without any fault, and others overtake them. How many differs from run to run. */
const LATE = [0, 0.02, 0.1, 0.2];
const LATE_MS = 150;

/** Places and the lanes between them. Each direction can be blocked or slow by itself, so that a connection can be half-open. */
export class Network {
  readonly #schedule: Schedule;
  readonly #random: Random;
  readonly #late: number;
  /** By the place from which they lead, and the place to which. */
  readonly #lanes = new Map<string, Map<string, Lane>>();

  constructor({ schedule, random }: { readonly schedule: Schedule; readonly random: Random }) {
    this.#schedule = schedule;
    this.#random = random;
    this.#late = random.pick(LATE) ?? 0;
  }

  isBlocked(from: string, to: string): boolean {
    return this.#lane(from, to).isBlocked;
  }

  block(from: string, to: string): void {
    this.#lane(from, to).isBlocked = true;
  }

  slow(from: string, to: string, mostMs: number): void {
    this.#lane(from, to).mostMs = mostMs;
  }

  /** Ends all faults. What waited arrives late. */
  heal(): void {
    for (const lane of this.#lanes.values().flatMap((lanes) => lanes.values())) {
      lane.mostMs = USUAL_MS;
      if (!lane.isBlocked) continue;
      lane.isBlocked = false;
      const held = lane.held;
      lane.held = [];
      for (const arrive of held) arrive();
    }
  }

  delayMs(from: string, to: string): number {
    return this.#delayMs(this.#lane(from, to));
  }

  /** One message, apart from all others: it may overtake them. Where the lane is blocked it is lost, or comes late. */
  send(from: string, to: Party, arrive: () => void): void {
    const lane = this.#lane(from, to.place);
    if (!lane.isBlocked) this.#travel(lane, to, arrive);
    else if (this.#random.chance(0.5)) lane.held.push(() => this.#travel(lane, to, arrive));
  }

  /** Calls `arrive` after a time, and once the lane is free. */
  carry(lane: { readonly from: string; readonly to: string; readonly ms: number }, arrive: () => void): void {
    this.#schedule.plan(lane.ms, new Message(this.#lane(lane.from, lane.to), null, arrive));
  }

  #travel(lane: Lane, to: Party, arrive: () => void): void {
    this.#schedule.plan(this.#delayMs(lane), new Message(lane, to, arrive));
  }

  #delayMs({ mostMs }: Lane): number {
    return this.#random.between(0.2, this.#random.chance(this.#late) ? LATE_MS : mostMs);
  }

  #lane(from: string, to: string): Lane {
    const known = this.#lanes.get(from)?.get(to);
    if (known !== undefined) return known;
    const lane = { isBlocked: false, mostMs: USUAL_MS, held: [] };
    this.#lanes.set(from, (this.#lanes.get(from) ?? new Map<string, Lane>()).set(to, lane));
    return lane;
  }
}

/** What one end of a stream does with what comes. */
export interface StreamEnd<In> {
  readonly party: Party;
  readonly heard: (message: In) => void;
  readonly closed: () => void;
}

/** One end of a stream, to write to. */
export interface Writer<Out> {
  send(message: Out): void;
  /** Closes this end at once. The other end learns it by a last message. */
  close(): void;
  readonly isClosed: boolean;
}

class Direction<Message> {
  readonly #network: Network;
  readonly #schedule: Schedule;
  readonly #from: Party;
  readonly #to: StreamEnd<Message>;
  #lastMs = 0;
  #queue: (Message | null)[] = [];
  isWriterClosed = false;
  isReaderClosed = false;

  constructor(parts: { network: Network; schedule: Schedule; from: Party; to: StreamEnd<Message> }) {
    this.#network = parts.network;
    this.#schedule = parts.schedule;
    this.#from = parts.from;
    this.#to = parts.to;
  }

  /** @param message `null` closes the stream */
  send(message: Message | null): void {
    this.#queue.push(message);
    const { place: from } = this.#from;
    const { place: to } = this.#to.party;
    this.#lastMs = Math.max(this.#lastMs, this.#schedule.nowMs + this.#network.delayMs(from, to));
    this.#network.carry({ from, to, ms: this.#lastMs - this.#schedule.nowMs }, () => this.#arrive());
  }

  /** The connection is reset: what is under way is lost. */
  reset(): void {
    this.#queue = [null];
    this.#arrive();
  }

  #arrive(): void {
    const message = this.#queue.shift();
    if (message === undefined) return;
    this.#to.party.run(() => {
      if (this.isReaderClosed) return;
      if (message !== null) return this.#to.heard(message);
      this.isReaderClosed = true;
      this.#to.closed();
    });
  }
}

/** A stream of messages in both directions, in order, until it is closed or reset. */
export class Stream<Up, Down> {
  readonly #up: Direction<Up>;
  readonly #down: Direction<Down>;

  constructor(
    { network, schedule }: { readonly network: Network; readonly schedule: Schedule },
    { client, server }: { readonly client: StreamEnd<Down>; readonly server: StreamEnd<Up> },
  ) {
    this.#up = new Direction({ network, schedule, from: client.party, to: server });
    this.#down = new Direction({ network, schedule, from: server.party, to: client });
  }

  get client(): Writer<Up> {
    return writer(this.#up, this.#down);
  }

  get server(): Writer<Down> {
    return writer(this.#down, this.#up);
  }

  /** Both ends learn that the connection is gone; what is under way is lost. */
  reset(): void {
    this.#up.reset();
    this.#down.reset();
  }
}

function writer<Out>(out: Direction<Out>, back: { isReaderClosed: boolean }): Writer<Out> {
  return {
    send: (message) => {
      if (!back.isReaderClosed) out.send(message);
    },
    close: () => {
      if (back.isReaderClosed) return;
      back.isReaderClosed = true;
      out.send(null);
    },
    get isClosed() {
      return back.isReaderClosed;
    },
  };
}

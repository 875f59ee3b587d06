import type { ClientDuplexStream } from '@grpc/grpc-js';
import type { LogPages } from '../../core/ledger/log/log-pages.ts';
import { MAX_TOGETHER_BYTES } from '../../core/ledger/log/written-leaves.ts';
import type { Unacknowledged } from '../../core/ledger/unacknowledged.ts';
import { isProblem } from '../../core/runtime/problem.ts';
import type { Ports } from '../../core/runtime/ports.ts';
import type { After } from '../../core/runtime/timers.ts';
import type { Appended } from '../../core/fleet/messages.ts';
import { sentBytes } from './sent-records.ts';
import type { SentRecords } from './sent-records.ts';

/** A call of `Append` at a sidecar, to which messages are written as bytes. */
export type AppendStream = ClientDuplexStream<Buffer, Appended>;

/** The dependencies of a shipper. */
export interface ShipperServices {
  /** Calls `Append` at an authority. Each stream may go to a different authority. */
  readonly open: () => AppendStream | { readonly problem: string };
  /** The log of this process. */
  readonly log: { readonly origin: string; readonly verifierKey: string };
  readonly pages: Pick<LogPages, 'head' | 'after'>;
  readonly unacknowledged: Pick<Unacknowledged, 'kept'>;
  readonly ports: Pick<Ports, 'randomBytes'>;
  readonly after: After;
  /** Called with the reason why records do not leave this host, and with `null` when they do. */
  readonly onFault: (problem: string | null) => void;
}

/** Bytes that are sent and not acknowledged. */
const WINDOW_BYTES = 4 * 1024 ** 2;
/** Room for a message: a page with the other fields. */
const ROOM_BYTES = MAX_TOGETHER_BYTES + 8 * 1024;
/** Records of this time are sent together: each read of the log and each message costs more than a record. */
const GATHER_MS = 100;
/** The pause after the log could not be read. */
const REREAD_MS = 1_000;
/** An empty message this often shows that the log is still open: the authority counts it as lost after a minute. */
const ALIVE_MS = 15_000;
/** The first and longest pause before the next stream; the actual pause is a random part of it. */
const FIRST_PAUSE_MS = 200;
const MAX_PAUSE_MS = 5_000;
/** The pause after the authority refused the log, which only an operator can mend. */
const REFUSED_PAUSE_MS = 30_000;

/** A stream, and how far it is. */
interface Sending {
  readonly stream: AppendStream;
  /** `null` until the authority has sent the position from which it continues. */
  sent: number | null;
  kept: number;
  /** Size of the last checkpoint sent. */
  signed: number;
  /** Memory of the message that is written. */
  readonly room: Buffer;
  /** Sent and not acknowledged, by the size of the log after it. */
  readonly window: { readonly size: number; readonly bytes: number }[];
  /** A message is written, so that the room is in use. */
  isBlocked: boolean;
  /** The window was full, so that the log may have more. */
  isFull: boolean;
}

/**
 * Streams the log of this process to an authority, from the position that the authority asks for. Errors are retried with back-off.
 *
 * Lifecycle: `start`; `more` whenever the log has more; `close` once the log is closed, which waits until all of it is acknowledged.
 */
export class RecordShipper {
  readonly #services: ShipperServices;
  #sending: Sending | null = null;
  #pauseMs = FIRST_PAUSE_MS;
  #cancelTimer: () => void = () => undefined;
  #cancelGathering: (() => void) | null = null;
  #onWhole: (() => void) | null = null;
  #isUnread = false;

  constructor(services: ShipperServices) {
    this.#services = services;
  }

  start(): void {
    const head = this.#services.pages.head();
    if (isProblem(head)) return this.#again(head.problem);
    const { origin, verifierKey } = this.#services.log;
    const stream = this.#services.open();
    if (isProblem(stream)) return this.#again(stream.problem);
    const room = Buffer.allocUnsafeSlow(ROOM_BYTES);
    const sending: Sending = {
      stream,
      sent: null,
      kept: 0,
      signed: 0,
      room,
      window: [],
      isBlocked: false,
      isFull: false,
    };
    this.#sending = sending;
    stream.on('data', (appended: Appended) => this.#hear(sending, appended));
    stream.on('error', (error) => this.#over(sending, error.message));
    stream.on('end', () => this.#over(sending, 'the authority ended the stream'));
    const log = { origin, verifier_key: verifierKey, size: head.size, root: Buffer.from(head.root) };
    stream.write(sentBytes({ log, from: 0, leaves: null, checkpoint: '', ended: false }));
    this.#keepAlive();
  }

  /** The log has more: it is sent soon, with what comes until then. */
  more(): void {
    this.#cancelGathering ??= this.#services.after(GATHER_MS, () => this.pump());
  }

  /** Sends what the log has, as far as the window goes. */
  pump(): void {
    this.#cancelGathering?.();
    this.#cancelGathering = null;
    const sending = this.#sending;
    if (sending === null || sending.sent === null) return;
    for (;;) {
      const inFlight = sending.window.reduce((sum, { bytes }) => sum + bytes, 0);
      sending.isFull = inFlight >= WINDOW_BYTES;
      if (sending.isBlocked || sending.isFull) return;
      const page = this.#services.pages.after(sending.sent, sending.signed);
      if (isProblem(page)) return this.#readLater(page.problem);
      this.#wasRead();
      const { leaves, checkpoint } = page;
      if (leaves === null && checkpoint === '') break;
      const from = sending.sent;
      sending.sent += leaves?.count ?? 0;
      if (checkpoint !== '') sending.signed = sending.sent;
      sending.window.push({ size: sending.sent, bytes: leaves?.bytes.length ?? 0 });
      this.#write(sending, { from, leaves, checkpoint });
    }
    if (sending.kept === sending.sent) this.#onWhole?.();
  }

  /** The log cannot be read now. It is tried again also if nothing is added to it. */
  #readLater(problem: string): void {
    this.#isUnread = true;
    this.#services.onFault(problem);
    this.#cancelGathering ??= this.#services.after(REREAD_MS, () => this.pump());
  }

  #wasRead(): void {
    if (this.#isUnread) this.#services.onFault(null);
    this.#isUnread = false;
  }

  /**
   * Sends the rest and announces the end of the log.
   *
   * @returns a problem if not all of it was acknowledged within `withinMs`
   */
  async close(withinMs: number): Promise<string | null> {
    const isWhole = await new Promise<boolean>((resolve) => {
      const cancel = this.#services.after(withinMs, () => resolve(false));
      this.#onWhole = () => {
        cancel();
        resolve(true);
      };
      this.pump();
    });
    this.#onWhole = null;
    const sending = this.#sending;
    this.#sending = null;
    this.#cancelTimer();
    if (!isWhole || sending === null) {
      sending?.stream.cancel();
      return 'the last records were not acknowledged by an authority';
    }
    await new Promise<void>((resolve) => {
      const cancel = this.#services.after(withinMs, () => {
        sending.stream.cancel();
        resolve();
      });
      sending.stream.once('status', () => {
        cancel();
        resolve();
      });
      const end = { log: null, from: sending.kept, leaves: null, checkpoint: '', ended: true };
      sending.stream.end(sentBytes(end));
    });
    return null;
  }

  #write(sending: Sending, records: Omit<SentRecords, 'log' | 'ended'>): void {
    sending.isBlocked = true;
    const written = (error?: Error | null): void => {
      sending.isBlocked = false;
      if (!error && sending === this.#sending) this.pump();
    };
    sending.stream.write(sentBytes({ log: null, ended: false, ...records }, sending.room), written);
  }

  #hear(sending: Sending, { size, problem }: Appended): void {
    if (sending !== this.#sending) return;
    if (problem !== '') {
      this.#pauseMs = REFUSED_PAUSE_MS;
      return this.#over(sending, `the authority refuses the records: ${problem}`);
    }
    sending.kept = size;
    this.#services.unacknowledged.kept(size);
    const isFirst = sending.sent === null;
    if (isFirst) {
      sending.sent = size;
      this.#pauseMs = FIRST_PAUSE_MS;
      this.#services.onFault(null);
    }
    while (sending.window[0] !== undefined && sending.window[0].size <= size) sending.window.shift();
    if (isFirst || sending.isFull || this.#onWhole !== null) this.pump();
  }

  #over(sending: Sending, problem: string): void {
    if (sending !== this.#sending) return;
    this.#sending = null;
    sending.stream.cancel();
    this.#again(problem);
  }

  #again(problem: string): void {
    this.#services.onFault(problem);
    this.#cancelTimer();
    const [first = 0] = this.#services.ports.randomBytes(1);
    const pauseMs = (this.#pauseMs * (first + 1)) / 256;
    this.#pauseMs = Math.min(MAX_PAUSE_MS, this.#pauseMs * 2);
    this.#cancelTimer = this.#services.after(pauseMs, () => this.start());
  }

  #keepAlive(): void {
    this.#cancelTimer();
    this.#cancelTimer = this.#services.after(ALIVE_MS, () => {
      const sending = this.#sending;
      if (sending?.sent !== null && sending?.isBlocked === false) {
        this.#write(sending, { from: sending.sent, leaves: null, checkpoint: '' });
      }
      this.#keepAlive();
    });
  }
}

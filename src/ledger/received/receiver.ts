import { isProblem } from '../../runtime/problem.ts';
import type { Ports } from '../../runtime/ports.ts';
import { noteKeyText } from '../note-key.ts';
import type { EmitterRecord } from '../record.ts';
import { newEmitter, received, receivedRoot, streamProblem } from './emitter.ts';
import type { Emitter, EmitterName, LogPart } from './emitter.ts';
import { RecordKeeper } from './record-keeper.ts';
import type { KeeperLimits, KeeperServices } from './record-keeper.ts';
import type { EmitterHeads, EmitterState, KnownEmitter } from './record-store.ts';

/** The dependencies of a receiver. */
export interface ReceiverServices extends Omit<KeeperServices, 'onKept' | 'heads' | 'limits'> {
  readonly heads: EmitterHeads;
  /** Writes a record into the ledger of this process. @returns `false` where it is not on disk */
  readonly record: (record: EmitterRecord) => Promise<boolean>;
  readonly ports: Pick<Ports, 'nowMs' | 'monotonicMs'>;
  readonly limits?: Partial<KeeperLimits> & {
    /** Silence after which a log counts as lost. Default 60 s. */
    readonly silenceMs?: number;
    /** Most logs that go on, and most of one identity. Default 20,000 and 10,000. */
    readonly logs?: number;
    readonly logsOfOne?: number;
  };
}

/** What the stream of a log is told. */
export interface StreamWatcher {
  /** All records before this number are kept. */
  readonly onKept: (size: number) => void;
  /** It is of no use any more: another stream of its log began, or it was silent for too long. */
  readonly onOver: (problem: string) => void;
}

/** Why a stream, or a part of it, is refused. */
export interface StreamRefusal {
  readonly problem: string;
  /** Whether the same may succeed later: nothing is wrong with the log. */
  readonly isLater: boolean;
}

/** The stream of a log, once it may send. */
export interface ReceivedStream {
  /** Number of records that are kept: the next part continues there. */
  readonly size: number;
  /** Takes the next part; resolves once there is room for another. @returns why it is refused, which ends the stream */
  readonly receive: (part: LogPart) => Promise<StreamRefusal | null>;
  /** The stream ended. @param isWhole whether the emitter said so, having sent everything */
  readonly end: (isWhole: boolean) => Promise<void>;
}

/** A log that goes on. */
interface Live {
  /** As far as it is kept. */
  kept: Emitter;
  /** As far as it was received. */
  ahead: Emitter;
  state: EmitterState;
  seenMs: number;
  stream: StreamWatcher | null;
  /** The last checkpoint that the ledger of this process does not have yet. */
  unrecorded: { readonly emitter: Emitter; readonly note: string } | null;
  /** When a refusal was last recorded. */
  refusedMs: number;
}

/** Most logs that go on at one process, and of one identity: none can keep the others from being received. */
const MAX_LOGS = 20_000;
const MAX_LOGS_OF_ONE = 10_000;
const SILENCE_MS = 60_000;
/** A client that repeats what is refused is recorded once in this time. */
const REFUSED_MS = 60_000;

const ANOTHER = 'another stream of this log began';
const NOT_RECORDED = 'the ledger of the authority is unavailable';

/**
 * Receives the records of other processes, and records in the ledger of this process what becomes of each log. A record is
 * acknowledged once it is kept; while records cannot be kept their streams are read no further, and their emitters stop by themselves.
 *
 * Lifecycle: `start`, then streams by `connect`; `close` keeps what waits.
 */
export class Receiver {
  readonly #services: ReceiverServices;
  readonly #keeper: RecordKeeper;
  readonly #silenceMs: number;
  readonly #limits: { readonly logs: number; readonly logsOfOne: number };
  readonly #live = new Map<string, Live>();
  /** Number of logs by identity. */
  readonly #ofOne = new Map<string, number>();
  #cancelWatch: () => void = () => undefined;

  constructor(services: ReceiverServices) {
    this.#services = services;
    const { silenceMs = SILENCE_MS, logs = MAX_LOGS, logsOfOne = MAX_LOGS_OF_ONE } = services.limits ?? {};
    this.#silenceMs = silenceMs;
    this.#limits = { logs, logsOfOne };
    this.#keeper = new RecordKeeper({ ...services, onKept: (emitters) => this.#onKept(emitters) });
  }

  /** Reads which logs go on: each must be heard of within the allowed silence. Returns a problem where that fails. */
  async start(): Promise<string | null> {
    const open = await this.#services.heads.open();
    if (isProblem(open)) return open.problem;
    for (const emitter of open) this.#add(this.#liveOf({ emitter, state: 'open' }));
    this.#watchSilence();
    return null;
  }

  /** Logs that go on, and bytes of their records that are received and not kept. */
  get status(): { readonly logs: number; readonly waitingBytes: number } {
    return { logs: this.#live.size, waitingBytes: this.#keeper.bytes };
  }

  /** The identity that a log belongs to, where it goes on here; `null` where this process does not know the log. */
  ownerOf(origin: string): string | null {
    return this.#live.get(origin)?.kept.id ?? null;
  }

  /** A stream of a log begins, which says that it has `size` records. */
  async connect(name: EmitterName, size: number, stream: StreamWatcher): Promise<ReceivedStream | StreamRefusal> {
    const live = await this.#liveFor(name);
    if (isProblem(live)) return { ...live, isLater: true };
    const problem = streamProblem(live.ahead, name, size);
    if (problem !== null) return this.#refuse(live, name.id, problem);
    live.stream?.onOver(ANOTHER);
    live.stream = stream;
    live.seenMs = this.#now();
    // INVARIANT: a stream continues after the last record that is kept, so what was received before has to be kept first.
    await this.#keeper.settled(name.origin, () => live.stream === stream);
    const unjoined = live.stream !== stream ? ANOTHER : live.state === 'open' ? null : await this.#join(live);
    if (unjoined !== null) return { problem: unjoined, isLater: true };
    return {
      size: live.kept.range.size,
      receive: (part) => this.#receive(live, stream, part),
      end: (isWhole) => this.#end(live, stream, isWhole),
    };
  }

  /** Keeps what waits, and stops. Returns a problem where that fails: none of it was acknowledged. */
  close(): Promise<string | null> {
    this.#cancelWatch();
    return this.#keeper.close();
  }

  #add(live: Live): void {
    const { origin, id } = live.kept;
    this.#live.set(origin, live);
    this.#ofOne.set(id, (this.#ofOne.get(id) ?? 0) + 1);
  }

  #remove({ kept: { origin, id } }: Live): void {
    if (!this.#live.delete(origin)) return;
    const left = (this.#ofOne.get(id) ?? 1) - 1;
    if (left > 0) this.#ofOne.set(id, left);
    else this.#ofOne.delete(id);
  }

  #now(): number {
    return this.#services.ports.monotonicMs();
  }

  #liveOf({ emitter, state }: KnownEmitter): Live {
    const seenMs = this.#now();
    return { kept: emitter, ahead: emitter, state, seenMs, stream: null, unrecorded: null, refusedMs: -Infinity };
  }

  async #liveFor(name: EmitterName): Promise<Live | { readonly problem: string }> {
    const found = this.#live.has(name.origin) ? null : await this.#services.heads.find(name.origin);
    if (isProblem(found)) return found;
    // Looked up again: another stream of the same log may have come meanwhile.
    const known = this.#live.get(name.origin);
    if (known !== undefined) return known;
    if (this.#live.size >= this.#limits.logs)
      return { problem: `the authority already receives ${this.#limits.logs} logs` };
    if ((this.#ofOne.get(name.id) ?? 0) >= this.#limits.logsOfOne) {
      return { problem: `the authority already receives ${this.#limits.logsOfOne} logs of \`${name.id}\`` };
    }
    const live = this.#liveOf(found ?? { emitter: newEmitter(name), state: 'lost' });
    this.#add(live);
    return live;
  }

  /** INVARIANT: a log is named in the ledger of this process before any of its records is acknowledged. */
  async #join(live: Live): Promise<string | null> {
    const verifierKey = noteKeyText(live.kept.key);
    if (!(await this.#record(live.kept, { event: 'joined', verifierKey }))) return NOT_RECORDED;
    const problem = await this.#services.heads.keep([{ emitter: live.kept, state: 'open' }]);
    if (problem === null) live.state = 'open';
    return problem;
  }

  async #receive(live: Live, stream: StreamWatcher, part: LogPart): Promise<StreamRefusal | null> {
    if (live.stream !== stream) return { problem: ANOTHER, isLater: true };
    live.seenMs = this.#now();
    const ahead = received(live.ahead, part);
    if (isProblem(ahead)) return this.#refuse(live, live.ahead.id, ahead.problem);
    // An empty part shows that its emitter is alive.
    if (part.leaves.length === 0 && part.checkpoint === '') return null;
    live.ahead = ahead;
    if (part.checkpoint !== '') live.unrecorded = { emitter: ahead, note: part.checkpoint };
    this.#keeper.add(ahead, part);
    await this.#keeper.room();
    return null;
  }

  #onKept(emitters: readonly Emitter[]): void {
    for (const emitter of emitters) {
      const live = this.#live.get(emitter.origin);
      if (live === undefined) continue;
      live.kept = emitter;
      live.stream?.onKept(emitter.range.size);
      void this.#recordCheckpoint(live);
    }
  }

  /** Records the last checkpoint once all that it covers is kept; where that fails, with the next one, or at the next look at silence. */
  async #recordCheckpoint(live: Live): Promise<void> {
    const { unrecorded } = live;
    if (unrecorded === null || unrecorded.emitter.range.size > live.kept.range.size) return;
    live.unrecorded = null;
    const isRecorded = await this.#record(unrecorded.emitter, { event: 'checkpoint', note: unrecorded.note });
    if (!isRecorded) live.unrecorded ??= unrecorded;
  }

  async #refuse(live: Live, by: string, problem: string): Promise<StreamRefusal> {
    const nowMs = this.#now();
    if (nowMs - live.refusedMs >= REFUSED_MS) {
      live.refusedMs = nowMs;
      await this.#record(live.kept, { event: 'refused', why: problem, by });
    }
    return { problem, isLater: false };
  }

  async #end(live: Live, stream: StreamWatcher, isWhole: boolean): Promise<void> {
    if (live.stream !== stream) return;
    live.seenMs = this.#now();
    const { ahead } = live;
    if (!isWhole || ahead.signed !== ahead.range.size) {
      live.stream = null;
      return;
    }
    await this.#keeper.settled(ahead.origin, () => live.stream === stream);
    if (live.stream !== stream || live.kept !== ahead) return;
    live.stream = null;
    await this.#recordCheckpoint(live);
    await this.#over(live, 'left');
  }

  /** The log ended, or is lost: recorded, and forgotten here until a stream of it begins. */
  async #over(live: Live, state: 'left' | 'lost'): Promise<void> {
    const { kept } = live;
    live.state = state;
    const isRecorded = await this.#record(kept, { event: state });
    // A stream may have begun meanwhile, which joined again.
    if (live.state !== state) return;
    if (!isRecorded) {
      live.state = 'open';
      return;
    }
    await this.#services.heads.keep([{ emitter: kept, state }]);
    if (live.stream === null) this.#remove(live);
  }

  #watchSilence(): void {
    this.#cancelWatch = this.#services.after(this.#silenceMs / 6, () => {
      void this.#endSilent().finally(() => this.#watchSilence());
    });
  }

  async #endSilent(): Promise<void> {
    for (const live of this.#live.values()) {
      await this.#recordCheckpoint(live);
      // What waits to be kept is not silent: its stream is not read meanwhile.
      if (live.kept !== live.ahead || this.#now() - live.seenMs < this.#silenceMs) continue;
      live.stream?.onOver(`nothing was heard of it for ${this.#silenceMs} ms`);
      live.stream = null;
      if (live.state === 'open') await this.#over(live, 'lost');
      else this.#remove(live);
    }
  }

  #record(emitter: Emitter, what: Pick<EmitterRecord, 'event'> & Partial<EmitterRecord>): Promise<boolean> {
    const { origin, id, range, signed } = emitter;
    return this.#services.record({
      kind: 'emitter',
      at: this.#services.ports.nowMs(),
      task: null,
      origin,
      by: id,
      size: range.size,
      root: receivedRoot(emitter),
      signed,
      verifierKey: null,
      note: null,
      why: null,
      ...what,
    });
  }
}

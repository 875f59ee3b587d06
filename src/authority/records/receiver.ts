import { isProblem } from '../../core/runtime/problem.ts';
import type { Ports } from '../../core/runtime/ports.ts';
import { noteKeyText } from '../../core/ledger/proof/note-key.ts';
import type { EmitterRecord } from '../../core/ledger/log-record.ts';
import { received, receivedRoot, streamProblem } from './emitter.ts';
import type { Emitter, EmitterName, LogPart } from './emitter.ts';
import { LogRoom, Refusals } from './log-room.ts';
import type { LogLimits } from './log-room.ts';
import { RecordKeeper } from './record-keeper.ts';
import type { KeeperLimits, KeeperServices, TakenLog } from './record-keeper.ts';
import type { EmitterHead, EmitterHeads, EmitterState } from './record-store.ts';
import type { ReceivedStream, StreamRefusal, StreamWatcher } from './received-stream.ts';

/** The dependencies of a receiver. */
export interface ReceiverServices extends Omit<KeeperServices, 'onKept' | 'onTaken' | 'heads' | 'limits'> {
  readonly heads: EmitterHeads;
  /** Writes a record into the ledger of this process. @returns `false` if it is not on disk */
  readonly record: (record: EmitterRecord) => Promise<boolean>;
  readonly ports: Pick<Ports, 'nowMs' | 'monotonicMs'>;
  readonly limits?: Partial<KeeperLimits> &
    LogLimits & {
      /** Silence after which a log counts as lost. Default 60 s. */
      readonly silenceMs?: number;
    };
}

/** An open log. */
interface Live {
  /** As far as it is kept. */
  kept: Emitter;
  /** As far as it was received. */
  ahead: Emitter;
  state: EmitterState;
  term: number;
  /** Whether this process has named it in its ledger, since it took it over. */
  isNamed: boolean;
  /** The highest number of records that the ledger of this process says are kept. */
  named: number;
  seenMs: number;
  stream: StreamWatcher | null;
  /** The last checkpoint that the ledger of this process does not have yet. */
  unrecorded: { readonly emitter: Emitter; readonly note: string } | null;
}

const SILENCE_MS = 60_000;

const ANOTHER = 'another stream of this log began';
const ELSEWHERE = 'another authority continues this log';
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
  readonly #room: LogRoom;
  readonly #live = new Map<string, Live>();
  readonly #refusals = new Refusals();
  #cancelWatch: () => void = () => undefined;

  constructor(services: ReceiverServices) {
    this.#services = services;
    const { silenceMs = SILENCE_MS, ...limits } = services.limits ?? {};
    this.#silenceMs = silenceMs;
    this.#room = new LogRoom(limits, () => services.ports.monotonicMs());
    this.#keeper = new RecordKeeper({
      ...services,
      onKept: (emitters) => this.#onKept(emitters),
      onTaken: (taken) => void this.#onTaken(taken),
    });
  }

  /** Adopts the open logs that no process receives: each must send within the allowed silence. Returns a problem if that fails. */
  async start(): Promise<string | null> {
    const problem = await this.#adopt();
    if (problem === null) this.#watchSilence();
    return problem;
  }

  /** The number of open logs, and the bytes of their records that are received and not kept. */
  get status(): { readonly logs: number; readonly waitingBytes: number } {
    return { logs: this.#live.size, waitingBytes: this.#keeper.bytes };
  }

  /** The identity that an open log belongs to; `null` if this process does not know the log. */
  ownerOf(origin: string): string | null {
    return this.#live.get(origin)?.kept.id ?? null;
  }

  /**
   * Begins the stream of a log whose emitter has `size` records. Refuses another identity or key than that of the log, a log that
   * shrank, and new logs above the limits. A new log that cannot begin now may begin later.
   */
  async connect(name: EmitterName, size: number, stream: StreamWatcher): Promise<ReceivedStream | StreamRefusal> {
    const present = this.#live.get(name.origin);
    const full = present === undefined ? this.#room.begin(name.id) : null;
    if (full !== null) return { problem: full, isLater: true };
    const later = (problem: string): StreamRefusal => {
      if (present === undefined) this.#room.giveBack(name.id);
      return { problem, isLater: true };
    };
    if (present !== undefined) {
      const problem = streamProblem(present.ahead, name, size);
      if (problem !== null) return this.#refuse(present.kept, name.id, problem);
      present.stream?.onOver(ANOTHER);
      present.stream = stream;
      present.seenMs = this.#now();
      // INVARIANT: a stream continues after the last record that is kept, so what was received before has to be kept first.
      await this.#keeper.settled(name.origin, () => present.stream === stream);
      if (present.stream !== stream) return { problem: ANOTHER, isLater: true };
    }
    // INVARIANT: each stream claims its log, which another process may have continued meanwhile.
    const claimed = await this.#services.heads.claim(name);
    if (isProblem(claimed)) return later(claimed.problem);
    const problem = streamProblem(claimed.emitter, name, size);
    if (problem !== null) return this.#refuse(claimed.emitter, name.id, problem);
    const live = this.#live.get(name.origin) ?? this.#add(claimed);
    if (claimed.emitter.range.size < live.kept.range.size) await this.#nameKept(live);
    // Another stream began meanwhile, and claimed the log too: one of the two terms is over.
    if (live.stream !== null && live.stream !== stream) return { problem: ANOTHER, isLater: true };
    live.stream = stream;
    live.kept = live.ahead = claimed.emitter;
    live.term = claimed.term;
    live.state = claimed.state;
    live.isNamed &&= claimed.state === 'open';
    const unjoined = live.isNamed ? null : await this.#join(live);
    // What is in the ledger counts, even if the log does not begin.
    if (unjoined !== null) return unjoined === NOT_RECORDED ? later(unjoined) : { problem: unjoined, isLater: true };
    return {
      size: live.kept.range.size,
      receive: (part) => this.#receive(live, stream, part),
      end: (isWhole) => this.#end(live, stream, isWhole),
    };
  }

  /** Keeps what waits, and stops. Returns a problem if that fails: none of it was acknowledged. */
  close(): Promise<string | null> {
    this.#cancelWatch();
    return this.#keeper.close();
  }

  #add({ emitter, state, term }: EmitterHead): Live {
    const { origin, id } = emitter;
    const seenMs = this.#now();
    const live: Live = {
      kept: emitter,
      ahead: emitter,
      state,
      term,
      isNamed: false,
      named: 0,
      seenMs,
      stream: null,
      unrecorded: null,
    };
    this.#live.set(origin, live);
    this.#room.add(id);
    return live;
  }

  #remove({ kept: { origin, id } }: Live): void {
    if (this.#live.delete(origin)) this.#room.remove(id);
  }

  #now(): number {
    return this.#services.ports.monotonicMs();
  }

  async #adopt(): Promise<string | null> {
    const abandoned = await this.#services.heads.abandoned();
    if (isProblem(abandoned)) return abandoned.problem;
    for (const head of abandoned) if (!this.#live.has(head.emitter.origin)) this.#add(head);
    return null;
  }

  #recordJoined({ kept }: Live): Promise<boolean> {
    return this.#record(kept, { event: 'joined', verifierKey: noteKeyText(kept.key) });
  }

  /** INVARIANT: a log is named in the ledger of this process before any of its records is acknowledged. */
  async #join(live: Live): Promise<string | null> {
    if (!(await this.#recordJoined(live))) return NOT_RECORDED;
    const taken = await this.#services.heads.keep([{ emitter: live.kept, state: 'open', term: live.term }]);
    if (isProblem(taken)) return taken.problem;
    if (taken.length > 0) return ELSEWHERE;
    live.state = 'open';
    live.isNamed = true;
    live.named = live.kept.range.size;
    return null;
  }

  async #receive(live: Live, stream: StreamWatcher, part: LogPart): Promise<StreamRefusal | null> {
    if (live.stream !== stream) return { problem: ANOTHER, isLater: true };
    live.seenMs = this.#now();
    const ahead = received(live.ahead, part);
    if (isProblem(ahead)) return this.#refuse(live.kept, live.ahead.id, ahead.problem);
    // An empty part shows that its emitter is alive.
    if (part.leaves.length === 0 && part.checkpoint === '') return null;
    live.ahead = ahead;
    if (part.checkpoint !== '') live.unrecorded = { emitter: ahead, note: part.checkpoint };
    this.#keeper.add({ emitter: ahead, term: live.term }, part);
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

  /**
   * Records the last checkpoint once all that it covers is kept. A failure is retried with the next checkpoint or silence check.
   */
  async #recordCheckpoint(live: Live): Promise<void> {
    const { unrecorded } = live;
    if (unrecorded === null || unrecorded.emitter.range.size > live.kept.range.size) return;
    live.unrecorded = null;
    const isRecorded = await this.#record(unrecorded.emitter, { event: 'checkpoint', note: unrecorded.note });
    if (isRecorded) live.named = Math.max(live.named, unrecorded.emitter.range.size);
    else live.unrecorded ??= unrecorded;
  }

  /**
   * INVARIANT: what this process has acknowledged of a log is in its ledger before another process moves the log's head. Otherwise write
   * access to the heads would suffice to reassign the log, and its last records could vanish unnoticed.
   */
  async #nameKept({ kept, isNamed, named }: Live): Promise<void> {
    if (isNamed && kept.range.size > named) await this.#record(kept, { event: 'taken' });
  }

  /** Another process has taken the log over: its stream here ends. */
  async #onTaken({ head: { emitter }, isFork }: TakenLog): Promise<void> {
    const live = this.#live.get(emitter.origin);
    if (live !== undefined) {
      live.stream?.onOver(ELSEWHERE);
      live.stream = null;
      this.#remove(live);
      await this.#nameKept(live);
    }
    if (!isFork) return;
    const why = `\`${emitter.origin}\` forked: two authorities received different records ${emitter.range.size}`;
    await this.#refuse(emitter, emitter.id, why);
  }

  async #refuse(known: Emitter, by: string, problem: string): Promise<StreamRefusal> {
    if (this.#refusals.isToRecord(known.origin, this.#now())) {
      await this.#record(known, { event: 'refused', why: problem, by });
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

  /** Records that the log ended or is lost, and forgets it until a stream of it begins. */
  async #over(live: Live, state: 'left' | 'lost'): Promise<void> {
    const { kept, term } = live;
    // If another process has taken the log over, it is not lost.
    const taken = state === 'lost' ? await this.#services.heads.keep([{ emitter: kept, state: 'open', term }]) : [];
    if (isProblem(taken) || live.stream !== null) return;
    if (taken.length > 0) {
      this.#remove(live);
      return this.#nameKept(live);
    }
    live.state = state;
    // A log that another authority named is named here too, so that this ledger alone shows what is kept of it.
    const isNamed = live.isNamed || (await this.#recordJoined(live));
    const isRecorded = isNamed && (await this.#record(kept, { event: state }));
    // A stream may have begun meanwhile, which joined again.
    if (live.state !== state) return;
    if (!isRecorded) {
      live.state = 'open';
      return;
    }
    live.isNamed = false;
    // If that fails, the log is taken over, and lost, once more.
    await this.#services.heads.keep([{ emitter: kept, state, term }]);
    if (live.stream === null) this.#remove(live);
  }

  #watchSilence(): void {
    this.#cancelWatch = this.#services.after(this.#silenceMs / 6, () => {
      void this.#endSilent().finally(() => this.#watchSilence());
    });
  }

  async #endSilent(): Promise<void> {
    await this.#adopt();
    for (const live of this.#live.values()) {
      await this.#recordCheckpoint(live);
      // A log with records that wait to be kept is not silent: its stream is not read meanwhile.
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
      tree: null,
      last: null,
      ...what,
    });
  }
}

/** Pushes what waits for a receiver of signals until the receiver has it. */
import { Agent } from 'node:https';
import type { Signalled } from '../../../core/config/issuer.ts';
import type { Ports } from '../../../core/runtime/ports.ts';
import { isStoreFailure } from '../../../core/runtime/store-failure.ts';
import type { StoreFailure } from '../../../core/runtime/store-failure.ts';
import type { After } from '../../../core/runtime/timers.ts';
import { messageOfFault } from '../../../core/runtime/repeatedly.ts';
import type { Authority } from '../../../core/state/authority.ts';
import { signalLimits } from '../../../core/state/signal-queue.ts';
import type { QueuedSignal, SignalQueue } from '../../../core/state/signal-queue.ts';
import type { TokenKeys } from '../keys/signing-keys.ts';
import { pushSet } from './push.ts';
import type { Pushed, PushTarget } from './push.ts';
import { setClaims, signalledRecord } from './set-claims.ts';

/** A configured receiver of signals. */
export interface SignalReceiver extends PushTarget {
  /** Names it in the state, in metrics and in the log. */
  readonly name: string;
  readonly audience: string;
  /** What is sent to it. */
  readonly events: ReadonlySet<Signalled>;
}

/** What a delivery needs. */
export interface DeliveryServices {
  readonly authority: Pick<Authority, 'signalQueue' | 'claimSignals' | 'dropSignals' | 'taskOf'>;
  readonly keys: Pick<TokenKeys, 'problem' | 'current'>;
  /** The URL of the issuer. */
  readonly issuer: string;
  readonly ports: Pick<Ports, 'nowMs' | 'monotonicMs' | 'randomBytes'>;
  readonly after: After;
  /** Called with each result of a push. None of these may throw. */
  readonly onPushed: (result: Pushed['result']) => void;
  /** Called with what waits, while this process delivers; `null` once it does not. */
  readonly onWaiting: (waiting: Pick<SignalQueue, 'waiting' | 'oldestMs'> | null) => void;
  readonly onDropped: (count: number) => void;
  /** Called with why nothing can be delivered, once for each cause, and with `null` once it can. */
  readonly onProblem: (problem: string | null) => void;
  /** Called with a signal that the receiver will never take. */
  readonly onRefused: (jti: string, detail: string) => void;
}

/** How often an empty queue is looked at. */
const LOOK_MS = 1_000;
/** The pause after failures in a row doubles from the first to the last. */
const FIRST_PAUSE_MS = 1_000;
const LAST_PAUSE_MS = 300_000;
/** Concurrent pushes; after as many failures the remaining signals of a read wait for the next round. */
const AT_ONCE = 4;
/** The latest start of a push after the queue was read: a push takes up to 10 s, and the claim holds 20 s from the read. */
const START_MS = 5_000;

/**
 * Pushes what waits for a receiver, from the state: at least once, at most four at a time, by one process of all that share the state. A failure is
 * tried again after a pause that doubles up to five minutes, of which up to a half is random, so that receivers that come back are not flooded.
 *
 * @returns stops it; resolves once nothing is under way
 */
export function deliverSignals(receiver: SignalReceiver, services: DeliveryServices): () => Promise<void> {
  const delivery = new Delivery(receiver, services);
  return () => delivery.close();
}

class Delivery {
  readonly #receiver: SignalReceiver;
  readonly #services: DeliveryServices;
  readonly #closing = new AbortController();
  /** Numbers of signals that failed, in the order in which they are tried again, after the others. At most as many as may wait. */
  readonly #later = new Set<number>();
  #failures = 0;
  #problem: string | null = null;
  #underWay: Promise<void> = Promise.resolve();
  #cancel: () => void;

  constructor(receiver: SignalReceiver, services: DeliveryServices) {
    this.#receiver = receiver;
    this.#services = services;
    this.#cancel = services.after(0, () => this.#run());
  }

  async close(): Promise<void> {
    this.#closing.abort();
    this.#cancel();
    await this.#underWay;
    this.#services.onWaiting(null);
  }

  #run(): void {
    this.#underWay = this.#go();
  }

  async #go(): Promise<void> {
    const pauseMs = await this.#round();
    if (!this.#closing.signal.aborted) this.#cancel = this.#services.after(pauseMs, () => this.#run());
  }

  /** One round; gives the pause before the next. Never rejects. */
  async #round(): Promise<number> {
    try {
      const queue = await this.#queue();
      if (isStoreFailure(queue)) return this.#failed(queue.detail);
      const { holder, signals, waiting } = queue;
      this.#services.onWaiting(holder === 'this' ? queue : null);
      if (holder !== 'this') return LOOK_MS;
      this.#forgetGone(signals);
      const { done, problem } = await this.#push(signals);
      if (done > 0 || problem === null) this.#failures = 0;
      if (problem !== null) return this.#failed(problem);
      this.#say(null);
      return waiting > signals.length ? 0 : LOOK_MS;
    } catch (error) {
      return this.#failed(messageOfFault(error));
    }
  }

  async #queue(): Promise<SignalQueue | StoreFailure> {
    const { authority, onDropped } = this.#services;
    const { name } = this.#receiver;
    const later = [...this.#later];
    const queue = await authority.signalQueue(name, later);
    if (isStoreFailure(queue) || queue.holder !== 'none') return queue;
    const claim = await authority.claimSignals(name);
    if (isStoreFailure(claim)) return claim;
    if (claim.dropped > 0) onDropped(claim.dropped);
    return authority.signalQueue(name, later);
  }

  /** Forgets failed signals that are no longer queued: another process may have sent them. */
  #forgetGone(signals: readonly QueuedSignal[]): void {
    const waiting = new Set(signals.map(({ seq }) => seq));
    for (const seq of [...this.#later].slice(0, signalLimits.maxAgain)) if (!waiting.has(seq)) this.#later.delete(seq);
  }

  /** Tries a signal again after the others. */
  #postpone(seq: number): void {
    this.#later.delete(seq);
    this.#later.add(seq);
    const [first] = this.#later;
    if (this.#later.size > signalLimits.maxWaiting && first !== undefined) this.#later.delete(first);
  }

  /**
   * Pushes the signals until four have failed, and deletes those that need not be sent again. A signal that failed is tried after
   * the others from then on, so it does not hold them up. Gives how many were deleted, and why not all were; `null` if all were.
   */
  async #push(signals: readonly QueuedSignal[]): Promise<{ readonly done: number; readonly problem: string | null }> {
    const { authority, keys, ports } = this.#services;
    const unsigned = keys.problem();
    if (signals.length === 0 || unsigned !== null) return { done: 0, problem: unsigned };
    const endMs = ports.monotonicMs() + START_MS;
    const left = [...signals];
    const done: number[] = [];
    const failures: string[] = [];
    const agent = new Agent({ keepAlive: true, maxSockets: AT_ONCE });
    const lane = async (): Promise<void> => {
      for (let next = left.shift(); next !== undefined; next = left.shift()) {
        if (failures.length >= AT_ONCE || this.#closing.signal.aborted || ports.monotonicMs() > endMs) return;
        const failure = await this.#pushOne(next, agent);
        if (failure === null) done.push(next.seq);
        else {
          failures.push(failure);
          this.#postpone(next.seq);
        }
      }
    };
    await Promise.all(Array.from({ length: AT_ONCE }, lane)).finally(() => agent.destroy());
    const dropped = done.length === 0 ? null : await authority.dropSignals(this.#receiver.name, done);
    // What was sent and is still in the queue is sent again, with the same `jti`.
    const problem = failures[0] ?? dropped?.detail ?? null;
    return { done: dropped === null ? done.length : 0, problem };
  }

  /** Gives why it has to be sent again; `null` if it has not. */
  async #pushOne({ record }: QueuedSignal, agent: Agent): Promise<string | null> {
    const { authority, issuer, keys, onPushed, onRefused, ports } = this.#services;
    const { audience, events } = this.#receiver;
    const signal = signalledRecord(record);
    if (signal === null || !events.has(signal.of)) return null;
    const task = record.task === null ? undefined : await authority.taskOf(issuer, record.task);
    if (isStoreFailure(task)) return task.detail;
    const claims = setClaims(signal, { issuer, audience }, { task, nowMs: ports.nowMs() });
    const token = await keys.current().sign(claims, 'secevent+jwt');
    const pushed = await pushSet(token, this.#receiver, { signal: this.#closing.signal, agent });
    if (this.#closing.signal.aborted && pushed.result === 'failed') return pushed.detail;
    onPushed(pushed.result);
    if (pushed.result === 'refused') onRefused(signal.jti, pushed.detail);
    return pushed.result === 'failed' ? pushed.detail : null;
  }

  #failed(problem: string): number {
    if (!this.#closing.signal.aborted) this.#say(problem);
    const pauseMs = Math.min(LAST_PAUSE_MS, FIRST_PAUSE_MS * 2 ** Math.min(this.#failures, 16));
    this.#failures += 1;
    const [random = 0] = this.#services.ports.randomBytes(1);
    return pauseMs * (0.5 + random / 512);
  }

  #say(problem: string | null): void {
    if (problem === this.#problem) return;
    this.#problem = problem;
    this.#services.onProblem(problem);
  }
}

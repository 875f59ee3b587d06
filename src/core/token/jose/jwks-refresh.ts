import { failureWords } from '../../runtime/system/http-exchange.ts';
import type { Ports } from '../../runtime/ports.ts';
import type { SignatureAlgorithm } from './algorithms.ts';
import type { VerificationKey } from './jwk.ts';
import { MAX_JWKS_BYTES, verificationKeysFrom } from './jwks.ts';
import { isProblem, type Problem } from '../../runtime/problem.ts';
import { strictJsonFrom } from './strict-json.ts';
import type { After } from '../../runtime/timers.ts';

/** A response of a key server. */
export interface JwksResponse {
  readonly status: number;
  /** The whole body, at most `MAX_JWKS_BYTES`. */
  readonly body: Uint8Array;
  /** `max-age` of `cache-control`; `null` if absent. */
  readonly maxAgeSeconds: number | null;
  readonly etag: string | null;
}

/**
 * One request to a key server. Rejects if it cannot be reached or the signal aborts; follows no redirects.
 *
 * @param etag of the current set, for `if-none-match`; `null` if there is none
 */
export type JwksFetch = (signal: AbortSignal, etag: string | null) => Promise<JwksResponse>;

/** Intervals of refreshes, and how long keys stay in use while refreshes fail. */
export interface RefreshRules {
  /** Refresh interval if the server sends no `max-age`; 300,000 by default. */
  readonly intervalMs: number;
  /** Bounds of the refresh interval, whatever `max-age` says; 30,000 and 3,600,000. */
  readonly minIntervalMs: number;
  readonly maxIntervalMs: number;
  /** Timeout of one request; 5,000 by default. */
  readonly timeoutMs: number;
  /** How long keys stay in use after the last success; 24 hours by default. */
  readonly graceMs: number;
  /** Shortest interval between attempts that unknown key ids trigger; 30,000. */
  readonly hintIntervalMs: number;
}

/** The defaults of `RefreshRules`. */
export const defaultRefreshRules: RefreshRules = Object.freeze({
  intervalMs: 300_000,
  minIntervalMs: 30_000,
  maxIntervalMs: 3_600_000,
  timeoutMs: 5_000,
  graceMs: 86_400_000,
  hintIntervalMs: 30_000,
});

/** First back-off after a failed attempt; it doubles with each failure, up to `MAX_RETRY_MS`. */
const FIRST_RETRY_MS = 1_000;
const MAX_RETRY_MS = 60_000;

interface RefreshOptions {
  readonly fetch: JwksFetch;
  readonly algorithms: ReadonlySet<SignatureAlgorithm>;
  readonly rules: RefreshRules;
  readonly ports: Pick<Ports, 'monotonicMs' | 'randomBytes'>;
  readonly after: After;
  readonly onProblem: (problem: string | null) => void;
}

type RefreshResult =
  | { readonly kind: 'set'; readonly keys: readonly VerificationKey[]; readonly response: JwksResponse }
  | { readonly kind: 'unchanged'; readonly response: JwksResponse }
  | Problem;

/**
 * The keys of one key server, refreshed in the background: no check waits for it. A new set replaces the old set atomically.
 * After a failed attempt or a refused set the current keys stay in use until the grace period since the last success ends. One
 * attempt at a time; each is scheduled with jitter, so that replicas spread out.
 *
 * Lifecycle: `start` once, then `current` and `hint` at any time, `close` finally.
 */
export class JwksRefresh {
  readonly #options: RefreshOptions;
  #keys: readonly VerificationKey[] | null = null;
  #etag: string | null = null;
  #goodAtMs = -Infinity;
  #attemptedAtMs = -Infinity;
  #failures = 0;
  #next: { readonly dueAtMs: number; readonly cancel: () => void } | null = null;
  #attempt: AbortController | null = null;
  #isClosed = false;

  constructor(options: RefreshOptions) {
    this.#options = options;
  }

  /** Makes the first attempt and resolves when it has ended, successful or not, within `timeoutMs`. Never rejects. */
  async start(): Promise<void> {
    await this.#refresh();
  }

  /** The keys to use now; `null` if none were ever loaded or the grace period has ended. */
  current(): readonly VerificationKey[] | null {
    const { ports, rules } = this.#options;
    return ports.monotonicMs() - this.#goodAtMs <= rules.graceMs ? this.#keys : null;
  }

  /** Time since the last success; `null` if there was none. */
  ageMs(): number | null {
    const ageMs = this.#options.ports.monotonicMs() - this.#goodAtMs;
    return Number.isFinite(ageMs) ? ageMs : null;
  }

  /** Reports an unknown key id: brings the next attempt forward, as far as `hintIntervalMs` allows. */
  hint(): void {
    const { ports, rules } = this.#options;
    const nowMs = ports.monotonicMs();
    const dueAtMs = Math.max(nowMs, this.#attemptedAtMs + rules.hintIntervalMs);
    // Only forward: a flood of hints must not postpone the attempt that the first hint triggered.
    if (this.#next !== null && dueAtMs < this.#next.dueAtMs) this.#schedule(dueAtMs - nowMs);
  }

  /** Aborts the attempt under way and schedules no other. The current keys stay. */
  close(): void {
    this.#isClosed = true;
    this.#next?.cancel();
    this.#next = null;
    this.#attempt?.abort();
  }

  #schedule(delayMs: number): void {
    this.#next?.cancel();
    const cancel = this.#options.after(delayMs, () => {
      this.#next = null;
      void this.#refresh();
    });
    this.#next = { dueAtMs: this.#options.ports.monotonicMs() + delayMs, cancel };
  }

  async #refresh(): Promise<void> {
    if (this.#isClosed || this.#attempt !== null) return;
    this.#attempt = new AbortController();
    this.#attemptedAtMs = this.#options.ports.monotonicMs();
    const outcome = await this.#outcomeWithin(this.#attempt).catch((error: unknown): RefreshResult => ({
      problem: `the key set could not be read: ${failureWords(error)}`,
    }));
    this.#attempt = null;
    if (this.#isClosed) return;
    this.#schedule(this.#take(outcome));
  }

  /** Applies the outcome of an attempt and returns the milliseconds to the next attempt. */
  #take(outcome: RefreshResult): number {
    const { onProblem, ports, rules } = this.#options;
    if (isProblem(outcome)) {
      this.#failures += 1;
      onProblem(outcome.problem);
      return this.#jittered(Math.min(FIRST_RETRY_MS * 2 ** (this.#failures - 1), MAX_RETRY_MS));
    }
    if (this.#failures > 0) onProblem(null);
    this.#failures = 0;
    this.#goodAtMs = ports.monotonicMs();
    if (outcome.kind === 'set') {
      this.#keys = outcome.keys;
      this.#etag = outcome.response.etag;
    }
    const wishedMs = (outcome.response.maxAgeSeconds ?? NaN) * 1000;
    const intervalMs = Number.isFinite(wishedMs) ? wishedMs : rules.intervalMs;
    return Math.max(rules.minIntervalMs, this.#jittered(Math.min(intervalMs, rules.maxIntervalMs)));
  }

  /** Subtracts up to 10 % at random. */
  #jittered(delayMs: number): number {
    const fraction = Buffer.from(this.#options.ports.randomBytes(4)).readUInt32BE() / 2 ** 32;
    return delayMs * (1 - fraction / 10);
  }

  async #outcomeWithin(attempt: AbortController): Promise<RefreshResult> {
    const { timeoutMs } = this.#options.rules;
    const given = Promise.withResolvers<RefreshResult>();
    const cancel = this.#options.after(timeoutMs, () => {
      given.resolve({ problem: `the key server gave no answer within ${timeoutMs} ms` });
      attempt.abort();
    });
    attempt.signal.addEventListener('abort', () => given.resolve({ problem: 'the attempt was given up' }));
    try {
      return await Promise.race([this.#outcomeOf(attempt.signal), given.promise]);
    } finally {
      cancel();
    }
  }

  async #outcomeOf(signal: AbortSignal): Promise<RefreshResult> {
    let response: JwksResponse;
    try {
      response = await this.#options.fetch(signal, this.#etag);
    } catch (cause) {
      return { problem: `the key server could not be asked: ${failureWords(cause)}` };
    }
    // Without a current set, 304 makes no sense.
    if (response.status === 304 && this.#keys !== null) return { kind: 'unchanged', response };
    if (response.status !== 200) return { problem: `the key server answered with status ${response.status}` };
    if (response.body.length > MAX_JWKS_BYTES) return { problem: `the key set is larger than ${MAX_JWKS_BYTES} bytes` };
    const json = strictJsonFrom(response.body);
    if (isProblem(json)) return { problem: `the key set ${json.problem}` };
    const keys = verificationKeysFrom(json.value, this.#options.algorithms);
    return isProblem(keys) ? { problem: `the key set ${keys.problem}` } : { kind: 'set', keys, response };
  }
}

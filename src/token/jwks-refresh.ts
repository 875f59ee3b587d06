import { failureWords } from '../runtime/http-exchange.ts';
import type { Ports } from '../runtime/ports.ts';
import type { SignatureAlgorithm } from './algorithms.ts';
import type { VerificationKey } from './jwk.ts';
import { MAX_JWKS_BYTES, verificationKeysFrom } from './jwks.ts';
import { isProblem, type Problem } from './members.ts';
import { strictJsonFrom } from './strict-json.ts';
import type { After } from '../runtime/timers.ts';

/** One answer of a key server. */
export interface JwksResponse {
  readonly status: number;
  /** The whole body, at most `MAX_JWKS_BYTES`. */
  readonly body: Uint8Array;
  /** `max-age` of `cache-control`; `null` where it says none. */
  readonly maxAgeSeconds: number | null;
  readonly etag: string | null;
}

/**
 * Asks a key server once. Rejects where it cannot be reached or the signal aborts; follows no redirect.
 *
 * @param etag of the set that is held, for `if-none-match`; `null` where none is
 */
export type JwksFetch = (signal: AbortSignal, etag: string | null) => Promise<JwksResponse>;

/** How often a key server is asked and how long its keys outlive its silence. */
export interface RefreshRules {
  /** Time between two good answers where the server names none; 300,000 by default. */
  readonly intervalMs: number;
  /** Bounds of the time between two good answers, whatever the server names; 30,000 and 3,600,000. */
  readonly minIntervalMs: number;
  readonly maxIntervalMs: number;
  /** Longest wait for one answer; 5,000 by default. */
  readonly timeoutMs: number;
  /** How long held keys are used after the last good answer; 24 hours by default. */
  readonly graceMs: number;
  /** Shortest time between two attempts that an unknown key id brings about, from attempt to attempt; 30,000. */
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

/** First wait after a failed attempt; it doubles with each further one, up to `MAX_RETRY_MS`. */
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

type Outcome =
  | { readonly kind: 'set'; readonly keys: readonly VerificationKey[]; readonly response: JwksResponse }
  | { readonly kind: 'unchanged'; readonly response: JwksResponse }
  | Problem;

/**
 * The keys of one key server, kept fresh in the background: nobody ever waits for it. A new set replaces the old one at
 * once and whole; a failed attempt or a refused set leaves the held keys in use until the grace has run out since the last
 * good answer. One attempt at a time, the next one always scheduled, each with jitter so that replicas spread.
 *
 * Lifecycle: `start` once, then `current` and `hint` at any time, `close` for good.
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

  /** Makes the first attempt; resolves when it has ended, well or not, within `timeoutMs`. Never rejects. */
  async start(): Promise<void> {
    await this.#refresh();
  }

  /** The keys to use now; `null` where none were ever loaded or the grace has run out. */
  current(): readonly VerificationKey[] | null {
    const { ports, rules } = this.#options;
    return ports.monotonicMs() - this.#goodAtMs <= rules.graceMs ? this.#keys : null;
  }

  /** Time since the last good answer; `null` where there was none. */
  ageMs(): number | null {
    const ageMs = this.#options.ports.monotonicMs() - this.#goodAtMs;
    return Number.isFinite(ageMs) ? ageMs : null;
  }

  /** Says that a key id was not found: the next attempt is brought forward as far as `hintIntervalMs` allows. */
  hint(): void {
    const { ports, rules } = this.#options;
    const nowMs = ports.monotonicMs();
    const dueAtMs = Math.max(nowMs, this.#attemptedAtMs + rules.hintIntervalMs);
    // Only ever forward: a flood of hints must not put off the attempt that the first of them brought about.
    if (this.#next !== null && dueAtMs < this.#next.dueAtMs) this.#schedule(dueAtMs - nowMs);
  }

  /** Gives up an attempt under way and makes no other. The held keys stay. */
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
    const outcome = await this.#outcomeWithin(this.#attempt).catch((error: unknown): Outcome => ({
      problem: `the key set could not be read: ${failureWords(error)}`,
    }));
    this.#attempt = null;
    if (this.#isClosed) return;
    this.#schedule(this.#take(outcome));
  }

  /** Takes in what an attempt brought, and says in how many milliseconds the next is due. */
  #take(outcome: Outcome): number {
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

  /** Up to a tenth less, never more. */
  #jittered(delayMs: number): number {
    const fraction = Buffer.from(this.#options.ports.randomBytes(4)).readUInt32BE() / 2 ** 32;
    return delayMs * (1 - fraction / 10);
  }

  async #outcomeWithin(attempt: AbortController): Promise<Outcome> {
    const { timeoutMs } = this.#options.rules;
    const given = Promise.withResolvers<Outcome>();
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

  async #outcomeOf(signal: AbortSignal): Promise<Outcome> {
    let response: JwksResponse;
    try {
      response = await this.#options.fetch(signal, this.#etag);
    } catch (cause) {
      return { problem: `the key server could not be asked: ${failureWords(cause)}` };
    }
    // Without a set in use there is nothing that could be unchanged.
    if (response.status === 304 && this.#keys !== null) return { kind: 'unchanged', response };
    if (response.status !== 200) return { problem: `the key server answered with status ${response.status}` };
    if (response.body.length > MAX_JWKS_BYTES) return { problem: `the key set is larger than ${MAX_JWKS_BYTES} bytes` };
    const json = strictJsonFrom(response.body);
    if (isProblem(json)) return { problem: `the key set ${json.problem}` };
    const keys = verificationKeysFrom(json.value, this.#options.algorithms);
    return isProblem(keys) ? { problem: `the key set ${keys.problem}` } : { kind: 'set', keys, response };
  }
}

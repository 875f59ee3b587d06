import type { KeyObject } from 'node:crypto';
import { deny, type Deny } from '../../../core/decision/decision.ts';
import { isProblem } from '../../../core/runtime/problem.ts';
import type { Ports } from '../../../core/runtime/ports.ts';
import { repeatedly } from '../../../core/runtime/repeatedly.ts';
import type { After } from '../../../core/runtime/timers.ts';
import { isStoreFailure } from '../../../core/runtime/store-failure.ts';
import type { KeyProofs, SharedKey, SharedKeys } from '../../../core/state/shared-keys.ts';
import { type VerificationKey, verificationKeysFrom } from '../../../core/token/jose/jwks.ts';
import { AHEAD_MS } from './key-schedule.ts';
import { SilentKeys } from './silent-keys.ts';
import { newSigningKey, type SigningKey } from './signing-key.ts';
import { ALL, type OwnKeys, type PublicJwks, verificationKeyIn } from './signing-keys.ts';

/** Options of the keys of an authority. */
export interface ReplicaKeysOptions {
  readonly store: SharedKeys;
  /** Which keys belong to an authority. Default: all keys in the database, for authorities without an SVID. */
  readonly proofs?: KeyProofs;
  readonly ports: Pick<Ports, 'monotonicMs'>;
  readonly after: After;
  /** How long a key is published before it signs: at least two leases of the sidecars, so that each then has it, or denies. */
  readonly waitMs: number;
  /** Whether this authority knows every change that counts as enforced. While it does not, it verifies no token. */
  readonly isCurrent: () => boolean;
  /** Called once per problem, and with `null` once it is solved. Contains no key. */
  readonly onProblem: (problem: string | null) => void;
  /** Called with every new set of public keys. */
  readonly onPublished: (jwks: PublicJwks) => void;
}

/** A private key of this process. */
interface OwnKey {
  readonly key: SigningKey;
  /** When its publication was known to be committed, by the monotonic clock; `null` before. */
  publishedMs: number | null;
  hasSigned: boolean;
}

const STEP_MS = 1_000;
/** Interval at which the authority confirms its keys, and reads all of them. */
const TOUCH_MS = 30_000;
/** An authority that could not confirm its keys for this long stops signing, since the others may be about to remove its key. */
const MAX_UNSEEN_MS = 120_000;
/** A key is replaced after this. */
const MAX_AGE_MS = 24 * 3_600_000;
const MAX_AGE_SECONDS = 5;

/**
 * The keys of one of several authorities. Its private keys exist only in the memory of this process: a restart makes a new key. The public
 * keys of all authorities are in the database they share, and each verifies by all of them.
 *
 * The first key signs once it has been published for `waitMs`, a later key as in a folder of keys (`SigningKeys`). A key that is replaced, or
 * whose authority is gone, is removed by any authority once its last token has expired. A revoked key verifies nothing once this authority
 * has read the revocation, which it does before it acknowledges the change.
 *
 * Lifecycle: from `open`, which does not wait for the key to sign, to `close`.
 */
export class ReplicaKeys implements OwnKeys {
  readonly maxAgeSeconds = MAX_AGE_SECONDS;
  readonly #options: ReplicaKeysOptions;
  /** Oldest first. */
  #own: OwnKey[] = [];
  #jwks: PublicJwks = { keys: [] };
  #verification: readonly VerificationKey[] = [];
  readonly #silent = new SilentKeys();
  #rows: readonly SharedKey[] = [];
  #readSeq = -1;
  #touchedMs = Number.NEGATIVE_INFINITY;
  readonly #problems: { write: string | null; read: string | null } = { write: null, read: null };
  #lastProblem: string | null = null;
  #stop: () => Promise<void> = async () => undefined;

  private constructor(options: ReplicaKeysOptions) {
    this.#options = options;
  }

  static async open(options: ReplicaKeysOptions): Promise<ReplicaKeys> {
    const keys = new ReplicaKeys(options);
    await keys.#step();
    const onFault = (fault: string): void =>
      keys.#report('read', `the signing keys could not be looked after: ${fault}`);
    keys.#stop = repeatedly(() => keys.#step(), { everyMs: STEP_MS, after: options.after, onFault });
    return keys;
  }

  problem(): string | null {
    if (this.#signing() !== null) return null;
    const { ports, waitMs } = this.#options;
    const published = this.#own.find(({ publishedMs }) => publishedMs !== null);
    if (published === undefined) return this.#problems.write ?? 'the key of this authority is not published yet';
    const leftMs = (published.publishedMs ?? 0) + waitMs - ports.monotonicMs();
    return leftMs > 0
      ? `the key of this authority signs in ${Math.ceil(leftMs / 1_000)} s, once every sidecar has it`
      : 'this authority could not say in the database that it has its key';
  }

  current(): SigningKey {
    const own = this.#signing();
    if (own === null) throw new Error(this.problem() ?? 'no key signs');
    own.hasSigned = true;
    return own.key;
  }

  jwks(): PublicJwks {
    return this.#jwks;
  }

  verificationKey(keyId: string | undefined, algorithm: string): KeyObject | Deny {
    return this.#options.isCurrent()
      ? verificationKeyIn(this.#verification, keyId, algorithm)
      : deny('token.keys-unavailable', 'this authority does not know at present which keys are revoked');
  }

  async reload(): Promise<string | null> {
    await this.#read(0);
    return this.#lastProblem;
  }

  /** Reads the keys as of a position of the feed or later. Gives whether it could. */
  async readTo(position: number): Promise<boolean> {
    return this.#readSeq >= position || this.#read(position);
  }

  async rotate(): Promise<string | null> {
    this.#own.push({ key: await newSigningKey(), publishedMs: null, hasSigned: false });
    await this.#publish();
    return this.#lastProblem;
  }

  /** Stops. A key that has signed nothing is withdrawn. */
  async close(): Promise<void> {
    await this.#stop();
    const unused = this.#own.filter(({ publishedMs, hasSigned }) => publishedMs !== null && !hasSigned);
    this.#own = [];
    if (unused.length > 0)
      await this.#options.store.remove(unused.map(({ key: { keyId } }) => ({ keyId, seen: null })));
  }

  /** The newest key that every cached set contains; if there is none, the oldest that every sidecar has. */
  #signing(): OwnKey | null {
    const { ports, waitMs } = this.#options;
    const nowMs = ports.monotonicMs();
    if (nowMs - this.#touchedMs > MAX_UNSEEN_MS) return null;
    const isOlderThan =
      (ms: number) =>
      ({ publishedMs }: OwnKey): boolean =>
        publishedMs !== null && nowMs - publishedMs >= ms;
    return this.#own.findLast(isOlderThan(Math.max(AHEAD_MS, waitMs))) ?? this.#own.find(isOlderThan(waitMs)) ?? null;
  }

  async #step(): Promise<void> {
    const nowMs = this.#options.ports.monotonicMs();
    const newest = this.#own.at(-1);
    const isOld = newest !== undefined && newest.publishedMs !== null && nowMs - newest.publishedMs > MAX_AGE_MS;
    if (newest === undefined || isOld) await this.rotate();
    else if (newest.publishedMs === null) await this.#publish();
    if (nowMs - this.#touchedMs >= TOUCH_MS) await this.#touch();
    this.#forgetReplaced();
  }

  /**
   * Publishes own keys that are not published yet. INVARIANT: the time before a key signs begins once its publication is known to
   * be committed.
   */
  async #publish(): Promise<void> {
    const { store, ports } = this.#options;
    for (const own of this.#own) {
      if (own.publishedMs !== null) continue;
      const { keyId, publicJwk } = own.key;
      const key = { keyId, jwk: JSON.stringify(publicJwk) };
      const proof = this.#proofOf(key);
      if (proof === undefined) return this.#report('write', NO_SVID);
      const done = await store.publish({ ...key, proof });
      if (done !== 'published') return this.#report('write', isStoreFailure(done) ? done.detail : TOO_MANY);
      this.#report('write', null);
      own.publishedMs = ports.monotonicMs();
      this.#touchedMs = Math.max(this.#touchedMs, own.publishedMs);
      await this.#read(0);
    }
  }

  async #touch(): Promise<void> {
    const { store, ports } = this.#options;
    const beganMs = ports.monotonicMs();
    const published = this.#own.filter(({ publishedMs }) => publishedMs !== null);
    if (published.length === 0) return;
    const held = await store.touch(
      published.map(({ key: { keyId, publicJwk } }) => ({
        keyId,
        proof: this.#proofOf({ keyId, jwk: JSON.stringify(publicJwk) }) ?? null,
      })),
    );
    if (isStoreFailure(held)) return this.#report('write', held.detail);
    this.#report('write', null);
    this.#drop(({ keyId }) => !held.has(keyId));
    this.#touchedMs = beganMs;
    if (!(await this.#read(0))) return;
    const gone = this.#silent.after(this.#rows, ports.monotonicMs());
    if (gone.length > 0) await store.remove(gone);
  }

  async #read(atLeast: number): Promise<boolean> {
    const read = await this.#options.store.all();
    if (isStoreFailure(read)) this.#report('read', read.detail);
    if (isStoreFailure(read) || read.seq < atLeast) return false;
    // Reads may overtake each other.
    if (read.seq < this.#readSeq) return true;
    this.#readSeq = read.seq;
    this.#report('read', this.#apply(read.keys));
    return true;
  }

  /** Gives why the keys cannot be used; `null` if they can. */
  #apply(rows: readonly SharedKey[]): string | null {
    const before = this.#jwks.keys.map(({ kid }) => kid).join(' ');
    this.#rows = rows;
    const unproven = new Map(rows.map((row) => [row, this.#options.proofs?.problem(row) ?? null]));
    const valid = rows.filter((row) => row.revokedAtMs === null && unproven.get(row) === null);
    const [foreign] = rows.flatMap((row) => (row.revokedAtMs === null ? (unproven.get(row) ?? []) : []));
    const jwks = { keys: valid.map(({ jwk }) => JSON.parse(jwk)) };
    const verification = valid.length === 0 ? [] : verificationKeysFrom(jwks, ALL);
    // An unusable set withdraws all keys: a bad row must not keep a revoked key in use.
    this.#jwks = isProblem(verification) ? { keys: [] } : jwks;
    this.#verification = isProblem(verification) ? [] : verification;
    const known = new Set(valid.map(({ keyId }) => keyId));
    this.#drop(({ keyId }) => !known.has(keyId));
    if (this.#jwks.keys.map(({ kid }) => kid).join(' ') !== before) this.#options.onPublished(this.#jwks);
    if (isProblem(verification)) return `the key set of the database ${verification.problem}`;
    return foreign === undefined ? null : `a key in the database ${foreign}: no token of it counts`;
  }

  /** `undefined` while there is no SVID to prove it by. */
  #proofOf(key: Pick<SharedKey, 'keyId' | 'jwk'>): string | null | undefined {
    const { proofs } = this.#options;
    return proofs === undefined ? null : (proofs.prove(key) ?? undefined);
  }

  /** Forgets private keys whose public key is revoked or gone. */
  #drop(isGone: (key: SigningKey) => boolean): void {
    this.#own = this.#own.filter(({ key, publishedMs }) => publishedMs === null || !isGone(key));
  }

  /** Forgets private keys that were replaced: their public keys stay until their last token has expired. */
  #forgetReplaced(): void {
    const signing = this.#signing();
    if (signing !== null) this.#own = this.#own.slice(this.#own.indexOf(signing));
  }

  /** Notes what is wrong with the writes or the reads; `null` once nothing is. */
  #report(of: 'write' | 'read', problem: string | null): void {
    this.#problems[of] = problem;
    const now = this.#problems.write ?? this.#problems.read;
    if (now !== this.#lastProblem) this.#options.onProblem(now);
    this.#lastProblem = now;
  }
}

const NO_SVID = 'there is no SVID to prove by that this authority publishes its key';
const TOO_MANY =
  'the database has too many signing keys: those of authorities that are gone are removed 20 minutes after their end';

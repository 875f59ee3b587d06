import type { KeyObject } from 'node:crypto';
import { lstatSync, mkdirSync, readdirSync, rmSync } from 'node:fs';
import { extname, join } from 'node:path';
import type { JWK } from 'jose';
import { deny, type Deny } from '../decision/decision.ts';
import type { Ports } from '../runtime/ports.ts';
import { repeatedly } from '../runtime/repeatedly.ts';
import { algorithms, type SignatureAlgorithm } from '../token/algorithms.ts';
import { type VerificationKey, verificationKeysFrom } from '../token/jwks.ts';
import { isProblem } from '../runtime/problem.ts';
import type { After } from '../runtime/timers.ts';
import { scheduleOf } from './key-schedule.ts';
import { replacePrivateFile } from '../runtime/private-write.ts';
import { type PublishedKey, publishedKeysAt, publishedText } from './published-keys.ts';
import { makeSigningKey, type SigningKey, signingKeyAt, type SigningKeyProblem } from './signing-key.ts';

/** A JSON Web Key Set of public keys. */
export interface PublicJwks {
  readonly keys: readonly JWK[];
}

/** What the issuer needs of its keys. */
export interface TokenKeys {
  /** The key that signs now. */
  current(): SigningKey;
  /** Every key whose tokens may be live, and the next ones. */
  jwks(): PublicJwks;
  /** One of those, for verifying a token of the issuer itself; `token.signature` or `token.algorithm`. */
  verificationKey(keyId: string | undefined, algorithm: string): KeyObject | Deny;
}

/** What a key ring works with. */
export interface SigningKeysOptions {
  readonly ports: Pick<Ports, 'nowMs' | 'randomBytes'>;
  readonly after: After;
  /** Told once of each problem that keeps the old keys in use, and `null` once it is over. Never has a key in it. */
  readonly onProblem?: (problem: string | null) => void;
  /** Told of every new set before one of its keys signs, such as for a sidecar in this process. */
  readonly onPublished?: (jwks: PublicJwks) => void;
}

/** How often the files are looked at again. */
const RELOAD_MS = 60_000;
const MAX_FILES = 32;

interface Held {
  readonly signers: ReadonlyMap<string, SigningKey>;
  readonly published: readonly PublishedKey[];
  readonly jwks: PublicJwks;
  readonly verification: readonly VerificationKey[];
}

/**
 * The issuer's signing keys, on disk at `path`: one file, or a folder of files (`.pem`, `.jwk`). Where there is nothing a
 * P-256 key is made: in the file where `path` has an extension, else in a new folder.
 *
 * In a folder a key is rotated without a failed check: a file that is put there, by `rotate` or by the operator, is
 * published at once, signs six minutes later, and once it has been succeeded by another stays published for 16 minutes;
 * then its file is removed. A file that is taken away is withdrawn at once, with every token it signed. In the one file a new
 * key signs at once, and the public half of the old one stays published.
 *
 * Since when each key is published is kept beside them, so a restart changes nothing. Files are looked at every minute
 * and at `reload`; what is not good leaves the old keys in use. Lives until `close`.
 */
export class SigningKeys implements TokenKeys {
  readonly #path: string;
  readonly #isFolder: boolean;
  readonly #options: SigningKeysOptions;
  #held: Held;
  #lastProblem: string | null = null;
  /** The published keys that `onPublished` was told of. */
  #told = '';
  #stop: () => unknown = () => undefined;

  private constructor(path: string, options: SigningKeysOptions) {
    this.#path = path;
    this.#isFolder = isFolder(path);
    this.#options = options;
    this.#held = { signers: new Map(), published: [], jwks: { keys: [] }, verification: [] };
  }

  /** Opens the keys at `path`, or says why they cannot be used. */
  static async open(path: string, options: SigningKeysOptions): Promise<SigningKeys | SigningKeyProblem> {
    const keys = new SigningKeys(path, options);
    const problem = await keys.reload();
    if (problem !== null) return { problem };
    keys.#watch();
    return keys;
  }

  current(): SigningKey {
    const { signing } = scheduleOf(this.#scheduled(this.#held), this.#options.ports.nowMs());
    const key = signing === null ? undefined : this.#held.signers.get(signing);
    if (key === undefined) throw new Error('a key ring was opened without a key that signs');
    return key;
  }

  jwks(): PublicJwks {
    return this.#held.jwks;
  }

  verificationKey(keyId: string | undefined, algorithm: string): KeyObject | Deny {
    const found = this.#held.verification.find((key) => key.keyId === keyId);
    if (found === undefined) return deny('token.signature', 'header member `kid` is not a key of this issuer');
    return found.algorithm === algorithm
      ? found.key
      : deny('token.algorithm', 'header member `alg` is not the algorithm of the key');
  }

  /** Reads the files again. The problem that kept the old keys in use, or `null`. */
  async reload(): Promise<string | null> {
    const held = await this.#load();
    const problem = 'problem' in held ? held.problem : null;
    if (problem !== this.#lastProblem) this.#options.onProblem?.(problem);
    this.#lastProblem = problem;
    if ('problem' in held) return held.problem;
    this.#held = held;
    const names = namesOf(held);
    if (names === this.#told) return null;
    this.#options.onPublished?.(held.jwks);
    // Not before: whoever threw is told again at the next look.
    this.#told = names;
    return null;
  }

  /** Publishes a new P-256 key that will sign in six minutes. The problem where none could be made. */
  async rotate(): Promise<string | null> {
    if (!this.#isFolder) return `\`${this.#path}\` is one key file: rotation needs a folder`;
    try {
      makeSigningKey(join(this.#path, this.#newName()));
    } catch (error) {
      return `no signing key could be made in \`${this.#path}\`: ${codeOf(error)}`;
    }
    return this.reload();
  }

  /** Looks at the files no more. The keys stay usable. */
  close(): void {
    this.#stop();
  }

  #watch(): void {
    const { after, onProblem } = this.#options;
    const onFault = (fault: string): void => onProblem?.(`the signing keys could not be read again: ${fault}`);
    this.#stop = repeatedly(() => this.reload(), { everyMs: RELOAD_MS, after, onFault });
  }

  async #load(): Promise<Held | SigningKeyProblem> {
    try {
      const files = this.#files();
      if ('problem' in files) return files;
      const paths = new Map<string, string>();
      const signers = new Map<string, SigningKey>();
      for (const path of files) {
        const key = await signingKeyAt(path);
        if ('problem' in key) return key;
        signers.set(key.keyId, key);
        paths.set(key.keyId, path);
      }
      const before = publishedKeysAt(this.#listPath());
      return isProblem(before) ? before : this.#publish(signers, before, paths);
    } catch (error) {
      return { problem: `the signing keys in \`${this.#path}\` cannot be used: ${codeOf(error)}` };
    }
  }

  /** INVARIANT: since when a key is published is on disk before the key is. */
  #publish(
    signers: ReadonlyMap<string, SigningKey>,
    before: readonly PublishedKey[],
    paths: ReadonlyMap<string, string>,
  ): Held | SigningKeyProblem {
    const nowMs = this.#options.ports.nowMs();
    const kept = this.#isFolder ? before.filter(({ keyId }) => signers.has(keyId)) : before;
    const known = new Set(kept.map(({ keyId }) => keyId));
    const added = [...signers.values()].filter(({ keyId }) => !known.has(keyId));
    // One after the other, also where the clock stands still or steps back: the order is what a rotation goes by.
    const firstMs = Math.max(nowMs, ...kept.map(({ publishedMs }) => publishedMs + 1));
    const all = [
      ...kept,
      ...added.map(({ keyId, publicJwk }, at) => ({ keyId, publishedMs: firstMs + at, jwk: publicJwk })),
    ];
    const schedule = scheduleOf(this.#scheduled({ signers, published: all }), nowMs);
    const dead = new Set(schedule.dead);
    const published = all.filter(({ keyId }) => !dead.has(keyId));
    const jwks = { keys: published.toSorted((a, b) => b.publishedMs - a.publishedMs).map(({ jwk }) => jwk) };
    const verification = verificationKeysFrom(jwks, ALL);
    if (isProblem(verification)) return { problem: `the key set ${verification.problem}` };
    if (added.length > 0 || published.length !== before.length) {
      replacePrivateFile(this.#listPath(), publishedText(published), this.#suffix());
    }
    for (const keyId of dead) this.#remove(paths.get(keyId));
    return {
      signers: new Map([...signers].filter(([keyId]) => !dead.has(keyId))),
      published,
      jwks,
      verification,
    };
  }

  /** A retired private key is worth nothing and can only leak. */
  #remove(path: string | undefined): void {
    // Another process with the same folder may have been first.
    if (path !== undefined && this.#isFolder) rmSync(path, { force: true });
  }

  #files(): readonly string[] | SigningKeyProblem {
    if (!this.#isFolder) {
      if (lstatSync(this.#path, { throwIfNoEntry: false }) === undefined) makeSigningKey(this.#path);
      return [this.#path];
    }
    mkdirSync(this.#path, { recursive: true, mode: 0o700 });
    const mode = lstatSync(this.#path).mode & 0o777;
    if ((mode & 0o022) !== 0) return { problem: `the folder of signing keys \`${this.#path}\` is writable by others` };
    const names = readdirSync(this.#path).filter((name) => name.endsWith('.pem') || name.endsWith('.jwk'));
    if (names.length > MAX_FILES) return { problem: `\`${this.#path}\` has more than ${MAX_FILES} signing keys` };
    if (names.length === 0) {
      const name = this.#newName();
      makeSigningKey(join(this.#path, name));
      names.push(name);
    }
    return names.toSorted().map((name) => join(this.#path, name));
  }

  #scheduled({ signers, published }: Pick<Held, 'signers' | 'published'>) {
    return published.map((key) => ({ ...key, canSign: signers.has(key.keyId) }));
  }

  #listPath(): string {
    return this.#isFolder ? join(this.#path, 'published.json') : `${this.#path}.published.json`;
  }

  #newName(): string {
    const day = new Date(this.#options.ports.nowMs()).toISOString().slice(0, 10);
    return `${day}-${this.#suffix()}.pem`;
  }

  #suffix(): string {
    return Buffer.from(this.#options.ports.randomBytes(6)).toString('hex');
  }
}

const ALL: ReadonlySet<SignatureAlgorithm> = new Set([...algorithms.values()].map(({ name }) => name));

function isFolder(path: string): boolean {
  const stats = lstatSync(path, { throwIfNoEntry: false });
  return stats === undefined ? extname(path) === '' : stats.isDirectory();
}

const namesOf = ({ published }: Held): string => published.map(({ keyId }) => keyId).join(' ');

const codeOf = (error: unknown): string =>
  typeof error === 'object' && error !== null && 'code' in error ? String(error.code) : 'unknown error';

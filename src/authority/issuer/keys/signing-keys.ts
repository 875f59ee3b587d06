import type { KeyObject } from 'node:crypto';
import { lstatSync, mkdirSync, rmSync } from 'node:fs';
import { extname, join } from 'node:path';
import type { JWK } from 'jose';
import { deny, type Deny } from '../../../core/decision/decision.ts';
import type { Ports } from '../../../core/runtime/ports.ts';
import { repeatedly } from '../../../core/runtime/repeatedly.ts';
import { algorithms, type SignatureAlgorithm } from '../../../core/token/jose/algorithms.ts';
import { type VerificationKey, verificationKeysFrom } from '../../../core/token/jose/jwks.ts';
import { isProblem } from '../../../core/runtime/problem.ts';
import type { After } from '../../../core/runtime/timers.ts';
import { JWKS_MAX_AGE_SECONDS, scheduleOf } from './key-schedule.ts';
import { replacePrivateFile } from '../../../core/runtime/system/private-write.ts';
import { type PublishedKey, publishedKeysAt, publishedText } from './published-keys.ts';
import { signingKeyFiles } from './signing-key-files.ts';
import { makeSigningKey, type SigningKey, signingKeyAt, type SigningKeyProblem } from './signing-key.ts';
import { errorCode } from '../../../core/runtime/system/error-code.ts';

/** A JSON Web Key Set of public keys. */
export interface PublicJwks {
  readonly keys: readonly JWK[];
}

/** What the issuer needs of its keys. */
export interface TokenKeys {
  /** Why no key signs now; `null` if a key does. */
  problem(): string | null;
  /** The key that signs now. Throws if there is none; `problem` gives the reason. */
  current(): SigningKey;
  /** How long a client may cache the JWKS, in seconds. */
  readonly maxAgeSeconds: number;
  /** The keys whose tokens may be live, and the next keys. */
  jwks(): PublicJwks;
  /** A key of the JWKS for verifying the issuer's own tokens; else `token.signature` or `token.algorithm`. */
  verificationKey(keyId: string | undefined, algorithm: string): KeyObject | Deny;
}

/** The keys of this process. */
export interface OwnKeys extends TokenKeys {
  /** Reads them again. Returns the problem that keeps the old keys in use, or `null`. */
  reload(): Promise<string | null>;
  /** Publishes a new key, which signs later. Returns a problem if that fails. */
  rotate(): Promise<string | null>;
  close(): Promise<void> | void;
}

/** Options of a key ring. */
export interface SigningKeysOptions {
  readonly ports: Pick<Ports, 'nowMs' | 'randomBytes'>;
  readonly after: After;
  /** Called once per problem that keeps the old keys in use, and with `null` once it is solved. Never contains a key. */
  readonly onProblem?: (problem: string | null) => void;
  /** Called with every new JWKS before one of its keys signs, such as for a sidecar in the same process. */
  readonly onPublished?: (jwks: PublicJwks) => void;
}

/** Interval of reloads. */
const RELOAD_MS = 60_000;

interface Held {
  readonly signers: ReadonlyMap<string, SigningKey>;
  readonly published: readonly PublishedKey[];
  readonly jwks: PublicJwks;
  readonly verification: readonly VerificationKey[];
}

/**
 * The issuer's signing keys at `path`: a file, or a folder of files (`.pem`, `.jwk`). If nothing exists, creates a P-256 key: in the file if
 * `path` has an extension, else in a new folder.
 *
 * A folder allows rotation without failed checks: a new file (from `rotate` or the operator) is published at once, signs six minutes later,
 * and stays published for 16 minutes after its successor signs; then its file is deleted. Removing a file withdraws its key at once, and with
 * it all tokens that it signed. With a single file, a new key signs at once, and the old public key stays published.
 *
 * Publication times are stored beside the keys, so that restarts change nothing. Files are read every minute and on `reload`; while they are
 * invalid, the old keys stay in use. Lives until `close`.
 */
export class SigningKeys implements OwnKeys {
  readonly maxAgeSeconds = JWKS_MAX_AGE_SECONDS;
  readonly #path: string;
  readonly #isFolder: boolean;
  readonly #options: SigningKeysOptions;
  #held: Held;
  #lastProblem: string | null = null;
  /** Key ids of the last call of `onPublished`. */
  #publishedNames = '';
  #stop: () => unknown = () => undefined;

  private constructor(path: string, options: SigningKeysOptions) {
    this.#path = path;
    this.#isFolder = isFolder(path);
    this.#options = options;
    this.#held = { signers: new Map(), published: [], jwks: { keys: [] }, verification: [] };
  }

  /** Opens the keys at `path`; a problem if they cannot be used. */
  static async open(path: string, options: SigningKeysOptions): Promise<SigningKeys | SigningKeyProblem> {
    const keys = new SigningKeys(path, options);
    const problem = await keys.reload();
    if (problem !== null) return { problem };
    keys.#watch();
    return keys;
  }

  problem(): null {
    return null;
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
    return verificationKeyIn(this.#held.verification, keyId, algorithm);
  }

  /** Reads the files again. Returns the problem that keeps the old keys in use, or `null`. */
  async reload(): Promise<string | null> {
    const held = await this.#load();
    const problem = 'problem' in held ? held.problem : null;
    if (problem !== this.#lastProblem) this.#options.onProblem?.(problem);
    this.#lastProblem = problem;
    if ('problem' in held) return held.problem;
    this.#held = held;
    const names = namesOf(held);
    if (names === this.#publishedNames) return null;
    this.#options.onPublished?.(held.jwks);
    // Set afterwards, so that a callback that threw is called again.
    this.#publishedNames = names;
    return null;
  }

  /** Publishes a new P-256 key, which will sign in six minutes. Returns a problem if that fails. */
  async rotate(): Promise<string | null> {
    if (!this.#isFolder) return `\`${this.#path}\` is one key file: rotation needs a folder`;
    try {
      makeSigningKey(join(this.#path, this.#newName()));
    } catch (error) {
      return `no signing key could be made in \`${this.#path}\`: ${errorCode(error) ?? 'unknown error'}`;
    }
    return this.reload();
  }

  /** Stops reloading. The keys stay usable. */
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
      return {
        problem: `the signing keys in \`${this.#path}\` cannot be used: ${errorCode(error) ?? 'unknown error'}`,
      };
    }
  }

  /** INVARIANT: the publication time of a key is on disk before the key is published. */
  #publish(
    signers: ReadonlyMap<string, SigningKey>,
    before: readonly PublishedKey[],
    paths: ReadonlyMap<string, string>,
  ): Held | SigningKeyProblem {
    const nowMs = this.#options.ports.nowMs();
    const kept = this.#isFolder ? before.filter(({ keyId }) => signers.has(keyId)) : before;
    const known = new Set(kept.map(({ keyId }) => keyId));
    const added = [...signers.values()].filter(({ keyId }) => !known.has(keyId));
    // Strictly increasing, even if the clock stands still or steps back: rotation depends on the order.
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

  /** Deletes a retired private key: it has no use and could leak. */
  #remove(path: string | undefined): void {
    // `force`: another process with the same folder may have deleted it.
    if (path !== undefined && this.#isFolder) rmSync(path, { force: true });
  }

  #files(): readonly string[] | SigningKeyProblem {
    if (!this.#isFolder) {
      if (lstatSync(this.#path, { throwIfNoEntry: false }) === undefined) makeSigningKey(this.#path);
      return [this.#path];
    }
    mkdirSync(this.#path, { recursive: true, mode: 0o700 });
    const files = signingKeyFiles(this.#path);
    if ('problem' in files || files.length > 0) return files;
    const made = join(this.#path, this.#newName());
    makeSigningKey(made);
    return [made];
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

/** The key of a token of this issuer; else `token.signature` or `token.algorithm`. */
export function verificationKeyIn(
  keys: readonly VerificationKey[],
  keyId: string | undefined,
  algorithm: string,
): KeyObject | Deny {
  const found = keys.find((key) => key.keyId === keyId);
  if (found === undefined) return deny('token.signature', 'header member `kid` is not a key of this issuer');
  return found.algorithm === algorithm
    ? found.key
    : deny('token.algorithm', 'header member `alg` is not the algorithm of the key');
}

/** Every algorithm that a key may have. */
export const ALL: ReadonlySet<SignatureAlgorithm> = new Set([...algorithms.values()].map(({ name }) => name));

function isFolder(path: string): boolean {
  const stats = lstatSync(path, { throwIfNoEntry: false });
  return stats === undefined ? extname(path) === '' : stats.isDirectory();
}

const namesOf = ({ published }: Held): string => published.map(({ keyId }) => keyId).join(' ');

import type { StoreFailure } from '../runtime/store-failure.ts';

/** A public key that verifies the tokens of an authority among several. */
export interface SharedKey {
  /** RFC 7638 thumbprint. */
  readonly keyId: string;
  /** The public key as JSON (RFC 7517). */
  readonly jwk: string;
  /** Id of the authority that signs with it. */
  readonly replica: string;
  /** Milliseconds since the Unix epoch, by the clock of the database; so is `seenAtMs`, when its authority last confirmed the key. */
  readonly publishedAtMs: number;
  readonly seenAtMs: number;
  /** Changes each time its authority confirms the key. */
  readonly seen: string;
  readonly revokedAtMs: number | null;
  /** Proof that an authority published it (`core/identity/key-proof.ts`); `null` if there is none. */
  readonly proof: string | null;
  /** Whether it was published before keys had proofs. */
  readonly wasBefore: boolean;
}

/** A key to publish, with the proof that an authority publishes it; `null` if it has no SVID by configuration. */
export type NewSharedKey = Pick<SharedKey, 'keyId' | 'jwk' | 'proof'>;

/** All keys as they were at a number of the feed, newest first. */
export interface KeysAtHead {
  readonly seq: number;
  readonly keys: readonly SharedKey[];
}

/** Proves and checks which keys are of an authority. */
export interface KeyProofs {
  /** The proof for a key of this authority; `null` while it has no SVID. */
  readonly prove: (key: Pick<SharedKey, 'keyId' | 'jwk'>) => string | null;
  /** Why a key in the database is not of an authority; `null` if it is. */
  readonly problem: (key: Pick<SharedKey, 'keyId' | 'jwk' | 'proof' | 'wasBefore' | 'publishedAtMs'>) => string | null;
}

/** The keys of the authorities that share a state. Each change of the set is a change of the feed, in the same commit. */
export interface SharedKeys {
  /** The keys, of one snapshot of the primary that standbys have. */
  all(): Promise<KeysAtHead | StoreFailure>;
  /** Publishes a key. Idempotent: retried if the result is unknown. `full` if there are too many keys. */
  publish(key: NewSharedKey): Promise<'published' | 'full' | StoreFailure>;
  /** Confirms that this authority has these keys, with their proofs by its current SVID. Returns those that are stored and not revoked. */
  touch(keys: readonly Omit<NewSharedKey, 'jwk'>[]): Promise<ReadonlySet<string> | StoreFailure>;
  /** Removes keys; a key with `seen` only if its authority has not confirmed it since. */
  remove(keys: readonly { readonly keyId: string; readonly seen: string | null }[]): Promise<null | StoreFailure>;
}

/** The root task of feed changes that are of the keys. No task has this id. */
export const KEYS_ROOT = 'keys';

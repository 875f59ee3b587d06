import type { StoreFailure } from '../sqlite/store-failure.ts';

/** A public key by which tokens of one of several authorities are verified. */
export interface SharedKey {
  /** RFC 7638 thumbprint. */
  readonly keyId: string;
  /** The public key as JSON (RFC 7517). */
  readonly jwk: string;
  /** Id of the authority that signs with it. */
  readonly replica: string;
  /** Milliseconds since the Unix epoch, by the clock of the database; so is `seenAtMs`, when its authority last said that it has the key. */
  readonly publishedAtMs: number;
  readonly seenAtMs: number;
  /** Another text each time its authority says so. */
  readonly seen: string;
  readonly revokedAtMs: number | null;
}

/** All keys as they were at a number of the feed, newest first. */
export interface KeysAtHead {
  readonly seq: number;
  readonly keys: readonly SharedKey[];
}

/** The keys of the authorities that share a state. Each change of the set is a change of the feed, in the same commit. */
export interface SharedKeys {
  /** The keys, of one snapshot of the primary that standbys have. */
  all(): Promise<KeysAtHead | StoreFailure>;
  /** Publishes a key; again, where that is not known to be done. `full` where there are too many keys. */
  publish(key: Pick<SharedKey, 'keyId' | 'jwk'>): Promise<'published' | 'full' | StoreFailure>;
  /** Says that this authority has these keys. Gives those of them that are there and not revoked. */
  touch(keyIds: readonly string[]): Promise<ReadonlySet<string> | StoreFailure>;
  /** Removes keys; one with `seen` only if its authority has not said since that it has it. */
  remove(keys: readonly { readonly keyId: string; readonly seen: string | null }[]): Promise<null | StoreFailure>;
}

/** The root task of feed changes that are of the keys. No task has this id. */
export const KEYS_ROOT = 'keys';

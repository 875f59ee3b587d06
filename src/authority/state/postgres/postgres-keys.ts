import type { QueryResult } from 'pg';
import type { EncodedRecord } from '../../../core/ledger/encoded-record.ts';
import { isStoreFailure } from '../../../core/runtime/store-failure.ts';
import type { StoreFailure } from '../../../core/runtime/store-failure.ts';
import { KEYS_ROOT } from '../../../core/state/shared-keys.ts';
import type { KeysAtHead, NewSharedKey, SharedKey, SharedKeys } from '../../../core/state/shared-keys.ts';
import type { Database } from './database.ts';
import { HEAD_COLUMNS, headFrom } from './feed-head.ts';
import { BEGIN, commit, flight } from './flight.ts';
import type { Statement } from './flight.ts';
import type { PostgresFeed } from './postgres-feed.ts';
import { addingRecords } from './rows/written-rows.ts';

/** Most keys. A verifier takes at most 100 in a set. */
const MAX_KEYS = 64;

/** A single statement, and so a single snapshot. */
const KEYS = `SELECT ${HEAD_COLUMNS}, (SELECT coalesce(json_agg(json_build_object('keyId', k.kid, 'jwk', k.jwk, 'replica', k.replica, 'proof', k.proof, 'wasBefore', k.was_before,
    'publishedAtMs', (extract(epoch FROM k.published_at) * 1000)::bigint, 'seenAtMs', (extract(epoch FROM k.seen_at) * 1000)::bigint,
    'seen', extract(epoch FROM k.seen_at)::text, 'revokedAtMs', (extract(epoch FROM k.revoked_at) * 1000)::bigint)
    ORDER BY k.published_at DESC, k.kid), '[]') FROM remit.signing_keys k) AS keys
  FROM remit.feed_head h WHERE h.part = 0`;

const PUBLISH = `INSERT INTO remit.signing_keys (kid, replica, jwk, proof)
  SELECT $1, $2, $3, $4 WHERE (SELECT count(*) FROM remit.signing_keys) < ${MAX_KEYS} ON CONFLICT DO NOTHING`;
const FIND = 'SELECT 1 FROM remit.signing_keys WHERE kid = $1';
const REVOKE = 'UPDATE remit.signing_keys SET revoked_at = clock_timestamp() WHERE kid = $1 AND revoked_at IS NULL';
const TOUCH = `UPDATE remit.signing_keys k SET seen_at = clock_timestamp(), proof = coalesce(n.proof, k.proof)
  FROM unnest($1::text[], $3::text[]) n (kid, proof)
  WHERE k.kid = n.kid AND k.replica = $2 AND k.revoked_at IS NULL RETURNING k.kid`;
const REMOVE = `DELETE FROM remit.signing_keys k USING unnest($1::text[], $2::text[]) r (kid, seen)
  WHERE k.kid = r.kid AND (r.seen IS NULL OR extract(epoch FROM k.seen_at)::text = r.seen)`;
/** Must be the last statement of its transaction, since it locks the head of the feed (`written-rows.ts`). */
const ADD_CHANGE: Statement = {
  text: `WITH h AS (UPDATE remit.feed_head SET seq = seq + 1 WHERE part = 0 RETURNING seq)
    INSERT INTO remit.feed (part, seq, root, is_history) SELECT 0, h.seq, $1, false FROM h`,
  values: [KEYS_ROOT],
};

/** The public keys of authorities in a PostgreSQL. */
export class PostgresKeys implements SharedKeys {
  readonly #database: Database;
  readonly #feed: Pick<PostgresFeed, 'id' | 'synced'>;

  constructor(database: Database, feed: Pick<PostgresFeed, 'id' | 'synced'>) {
    this.#database = database;
    this.#feed = feed;
  }

  async all(): Promise<KeysAtHead | StoreFailure> {
    const read = await this.#feed.synced(await this.#read());
    return isStoreFailure(read) ? read : { seq: read.head.seq, keys: read.keys };
  }

  /** The keys now, for people: standbys may not have the last change yet. */
  async listed(): Promise<readonly SharedKey[] | StoreFailure> {
    const read = await this.#read();
    return isStoreFailure(read) ? read : read.keys;
  }

  async publish({ keyId, jwk, proof }: NewSharedKey): Promise<'published' | 'full' | StoreFailure> {
    const isThere = await this.#changed([
      { text: PUBLISH, values: [keyId, this.#feed.id, jwk, proof] },
      { text: FIND, values: [keyId] },
    ]);
    return isStoreFailure(isThere) ? isThere : isThere ? 'published' : 'full';
  }

  async touch(keys: readonly Omit<NewSharedKey, 'jwk'>[]): Promise<ReadonlySet<string> | StoreFailure> {
    const values = [keys.map(({ keyId }) => keyId), this.#feed.id, keys.map(({ proof }) => proof)];
    const result = await this.#database.read(TOUCH, values);
    return isStoreFailure(result) ? result : new Set(result.rows.map((row) => String(row['kid'])));
  }

  async remove(
    keys: readonly { readonly keyId: string; readonly seen: string | null }[],
  ): Promise<null | StoreFailure> {
    const values = [keys.map(({ keyId }) => keyId), keys.map(({ seen }) => seen)];
    const removed = await this.#changed([{ text: REMOVE, values }]);
    return isStoreFailure(removed) ? removed : null;
  }

  /**
   * Revokes a key for good. `false` if there is none. If the outcome is unknown, call it again.
   *
   * @param record the ledger record; written with the change, and not again for a key that is already revoked
   */
  revoke(keyId: string, record: EncodedRecord): Promise<boolean | StoreFailure> {
    const statements = [
      { text: REVOKE, values: [keyId] },
      { text: FIND, values: [keyId] },
    ];
    return this.#changed(statements, ([revoked]) => ((revoked?.rowCount ?? 0) > 0 ? [addingRecords([record])] : []));
  }

  async #read() {
    const result = await this.#database.read(KEYS);
    if (isStoreFailure(result)) return result;
    const [row] = result.rows;
    // JSON of `KEYS`.
    return { head: headFrom(row), keys: (row?.['keys'] ?? []) as readonly SharedKey[] };
  }

  /**
   * Runs statements, and adds a change to the feed if the last statement returned a row, which it gives.
   *
   * @param before what to write before that change, by the results of the statements
   */
  async #changed(
    statements: readonly Statement[],
    before: (results: readonly QueryResult[]) => readonly Statement[] = () => [],
  ): Promise<boolean | StoreFailure> {
    const done = await this.#database.transaction(async (client) => {
      const results = await flight(client, [BEGIN, ...statements]);
      const isOfRow = (results.at(-1)?.rowCount ?? 0) > 0;
      return {
        isOfRow,
        outcome: await commit(client, isOfRow ? [...before(results.slice(1)), ADD_CHANGE] : [], this.#database),
      };
    });
    if (isStoreFailure(done)) return done;
    return done.outcome.kind === 'committed' ? done.isOfRow : done.outcome.failure;
  }
}

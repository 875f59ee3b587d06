import { createHmac } from 'node:crypto';
import { LRUCache } from 'lru-cache';
import type { Connection } from './connection.ts';
import type { DueSecret, SecretSighting, SeenSecret } from '../store.ts';

/** Bounds of the inventory, and of what is written of it. */
const MAX_SECRETS = 10_000;
const WRITE_EVERY_MS = 60_000;
const MAX_NEW_A_SECOND = 10;

/** Which sightings are due to be written, so that calls with a secret in them do not become a write each. */
export class SecretNotes {
  readonly #noted = new LRUCache<string, { readonly writtenMs: number; readonly unwritten: number }>({
    max: MAX_SECRETS,
  });
  #second = 0;
  #newInSecond = 0;

  /** Takes note of what was seen; those that are to be written now. */
  due(seen: readonly SeenSecret[], nowMs: number): readonly DueSecret[] {
    return seen.flatMap((secret) => {
      const key = `${secret.digest} ${secret.action} ${secret.agent}`;
      const noted = this.#noted.get(key);
      if (noted === undefined && !this.#hasRoom(nowMs)) return [];
      const times = (noted?.unwritten ?? 0) + 1;
      const isDue = noted === undefined || nowMs - noted.writtenMs >= WRITE_EVERY_MS;
      this.#noted.set(key, isDue ? { writtenMs: nowMs, unwritten: 0 } : { ...noted, unwritten: times });
      return isDue ? [{ secret, times }] : [];
    });
  }

  #hasRoom(nowMs: number): boolean {
    const second = Math.floor(nowMs / 1000);
    if (second !== this.#second) this.#newInSecond = 0;
    this.#second = second;
    this.#newInSecond += 1;
    return this.#newInSecond <= MAX_NEW_A_SECOND;
  }
}

/**
 * Digests secrets with the key of the state file: HMAC-SHA-256, as `hmac-sha-256:` and base64url. The same secret has the
 * same digest at every agent and after every restart, and another in another state file.
 *
 * What it protects from: a password that can be guessed is not guessed from what leaves the state file, in the list of a
 * command, a ticket or a catalog. What it does not: the key is in the state file, so that a restored one goes on naming
 * secrets as before; whoever reads the file, or a copy of it, can guess against it as against a plain digest. Keep copies
 * as private as the file.
 *
 * @see RFC 2104
 */
export function secretDigests(connection: Connection): (secret: string) => string {
  const key = connection.statement('SELECT key FROM digest_key').get()?.['key'];
  // The table holds one row with the file's schema, in one transaction; `STRICT` and its check hold the type and the length.
  if (!(key instanceof Uint8Array)) throw new Error('the state file has no digest key');
  return (secret) => `hmac-sha-256:${createHmac('sha256', key).update(secret, 'utf8').digest('base64url')}`;
}

/** Within a transaction: writes sightings, and forgets those that there is no room for. */
export function writeSightings(connection: Connection, due: readonly DueSecret[]): null {
  const nowMs = connection.nowMs();
  const write = connection.statement(`INSERT INTO static_secrets VALUES (?1,?2,?3,?4,?5,?6,?6,?7)
    ON CONFLICT DO UPDATE SET place = ?5, last_seen_ms = ?6, count = count + ?7`);
  for (const { secret, times } of due) {
    write.run(secret.digest, secret.agent, secret.action, secret.kind, secret.place, nowMs, times);
  }
  const count = connection.statement('SELECT count(*) AS count FROM static_secrets').get();
  const excess = Number(count?.['count']) - MAX_SECRETS;
  if (excess > 0) {
    connection
      .statement(
        `DELETE FROM static_secrets WHERE (digest, agent, action) IN
         (SELECT digest, agent, action FROM static_secrets ORDER BY last_seen_ms LIMIT ?)`,
      )
      .run(excess);
  }
  return null;
}

/** The inventory, the last seen first. */
export function sightings(connection: Connection, limit: number): readonly SecretSighting[] {
  const sql = 'SELECT * FROM static_secrets ORDER BY last_seen_ms DESC, digest, agent, action LIMIT ?';
  const rows = connection.statement(sql).all(Math.max(0, Math.min(MAX_SECRETS, Math.trunc(limit))));
  return rows.map((row) => ({
    digest: String(row['digest']),
    agent: String(row['agent']),
    action: String(row['action']),
    kind: String(row['kind']),
    place: String(row['place']),
    firstSeenMs: Number(row['first_seen_ms']),
    lastSeenMs: Number(row['last_seen_ms']),
    count: Number(row['count']),
  }));
}

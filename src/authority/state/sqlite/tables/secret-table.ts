/** The table of static secrets seen in calls, by digest. */
import { createHmac } from 'node:crypto';
import { MAX_SECRETS } from '../../../../core/state/secret-notes.ts';
import type { Connection } from '../connection.ts';
import { sightingFrom, type DueSecret, type SecretSighting } from '../../../../core/state/secret-sighting.ts';

/**
 * Digests secrets with the key of the state file: HMAC-SHA-256, as `hmac-sha-256:` and base64url. A secret has the same digest for every
 * agent and after every restart, and a different digest in another state file.
 *
 * The key protects a guessable password against guesses from what leaves the state file: command output, tickets, catalogs. It does not
 * protect against readers of the state file, since the key is in it, so that a restored file goes on naming secrets as before. Keep copies
 * as private as the file.
 *
 * @see RFC 2104
 */
export function secretDigests(connection: Connection): (secret: string) => string {
  const key = digestKeyOf(connection);
  return (secret) => `hmac-sha-256:${createHmac('sha256', key).update(secret, 'utf8').digest('base64url')}`;
}

/** The key of the digests. */
export function digestKeyOf(connection: Connection): Uint8Array {
  const key = connection.statement('SELECT key FROM digest_key').get()?.['key'];
  // The table has exactly one row, created with the schema in the same transaction. `STRICT` and a check guard type and length.
  if (!(key instanceof Uint8Array)) throw new Error('the state file has no digest key');
  return key;
}

/** Within a transaction: writes sightings, and deletes the oldest beyond the bound. */
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

/** The inventory, most recently seen first. */
export function sightings(connection: Connection, limit: number): readonly SecretSighting[] {
  const sql = 'SELECT * FROM static_secrets ORDER BY last_seen_ms DESC, digest, agent, action LIMIT ?';
  const rows = connection.statement(sql).all(Math.max(0, Math.min(MAX_SECRETS, Math.trunc(limit))));
  return rows.map(sightingFrom);
}

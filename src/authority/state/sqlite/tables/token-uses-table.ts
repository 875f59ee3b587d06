/** The table of uses of tokens that sidecars report. */
import { allowedText, MAX_REPORTERS, reportedUsesIn } from '../../../../core/state/reported-uses.ts';
import type { ReportedUses, Reporter, UsesOfToken } from '../../../../core/state/reported-uses.ts';
import type { Connection } from '../connection.ts';

const UPSERT = `INSERT INTO token_uses
  SELECT jti_digest, ?2, ?3, ?3, ?4, ?5, ?6, ?7 FROM tokens
  WHERE jti_digest = ?1 AND (?8 IS NULL OR audience IN (SELECT value FROM json_each(?8)))
  ON CONFLICT (jti_digest, reporter) DO UPDATE SET last_ms = excluded.last_ms, uses = excluded.uses,
    first_ms = iif(token_uses.allowed IS NULL, excluded.first_ms, token_uses.first_ms),
    trace_id = excluded.trace_id, span_id = excluded.span_id, allowed = coalesce(excluded.allowed, token_uses.allowed)
  WHERE excluded.uses >= token_uses.uses`;

const ORDER = 'allowed IS NULL, first_ms, reporter';

const TRIM = `DELETE FROM token_uses WHERE jti_digest = ?1 AND reporter IN (
  SELECT reporter FROM token_uses WHERE jti_digest = ?1
    AND reporter <> (SELECT reporter FROM token_uses WHERE jti_digest = ?1 ORDER BY ${ORDER} LIMIT 1)
  ORDER BY last_ms DESC, reporter LIMIT -1 OFFSET ${MAX_REPORTERS - 1})`;

/** Within a transaction: `Store.writeUses`. */
export function writeUses(connection: Connection, uses: readonly UsesOfToken[], { name, audiences }: Reporter): null {
  const served = audiences === null ? null : JSON.stringify(audiences);
  const nowMs = connection.nowMs();
  for (const { jtiDigest, uses: count, last, allowed } of uses) {
    const span = [last?.traceId ?? null, last?.spanId ?? null] as const;
    connection.statement(UPSERT).run(jtiDigest, name, nowMs, count, ...span, allowedText(allowed), served);
    connection.statement(TRIM).run(jtiDigest);
  }
  return null;
}

/** What was reported of the uses of a token, those with allowed uses first, in the order of the first of them. */
export const reportedUsesAt = (connection: Connection, jtiDigest: string): readonly ReportedUses[] =>
  connection
    .statement(`SELECT * FROM token_uses WHERE jti_digest = ? ORDER BY ${ORDER}`)
    .all(jtiDigest)
    .map(reportedUsesIn);

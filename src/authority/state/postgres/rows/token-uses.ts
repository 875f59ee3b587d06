import { isStoreFailure } from '../../../../core/runtime/store-failure.ts';
import type { StoreFailure } from '../../../../core/runtime/store-failure.ts';
import { allowedText, MAX_REPORTERS, reportedUsesIn } from '../../../../core/state/reported-uses.ts';
import type { ReportedUses, Reporter, UsesOfToken } from '../../../../core/state/reported-uses.ts';
import { isStorable } from '../../../../core/state/writes/stored-text.ts';
import type { Database } from '../database.ts';
import type { Statement } from '../flight.ts';

/** Each token once, and in a fixed order, so that concurrent writers do not deadlock. */
const UPSERT = `INSERT INTO remit.token_uses AS u
  SELECT r.jti_digest, $2, $3, $3, r.uses, r.trace_id, r.span_id, r.allowed
  FROM json_to_recordset($1::json) AS r (jti_digest text, uses bigint, trace_id text, span_id text, allowed text)
  JOIN remit.tokens t ON t.jti_digest = r.jti_digest
  WHERE $4::text[] IS NULL OR t.audience = ANY($4)
  ORDER BY r.jti_digest
  ON CONFLICT (jti_digest, reporter) DO UPDATE SET last_ms = excluded.last_ms, uses = excluded.uses,
    first_ms = CASE WHEN u.allowed IS NULL THEN excluded.first_ms ELSE u.first_ms END,
    trace_id = excluded.trace_id, span_id = excluded.span_id, allowed = coalesce(excluded.allowed, u.allowed)
  WHERE excluded.uses >= u.uses`;

const ORDER = 'allowed IS NULL, first_ms, reporter';

const TRIM = `DELETE FROM remit.token_uses WHERE (jti_digest, reporter) IN (
  SELECT jti_digest, reporter FROM (
    SELECT jti_digest, reporter, row_number() OVER (PARTITION BY jti_digest ORDER BY last_ms DESC, reporter) AS recency
    FROM (
      SELECT jti_digest, reporter, last_ms, row_number() OVER (PARTITION BY jti_digest ORDER BY ${ORDER}) AS age
      FROM remit.token_uses WHERE jti_digest = ANY($1::text[])) AS aged
    WHERE age > 1) AS rest
  WHERE recency >= ${MAX_REPORTERS})`;

const REPORTS = `SELECT * FROM remit.token_uses WHERE jti_digest = ANY($1::text[]) ORDER BY jti_digest, ${ORDER}`;

/** The statements of `Store.writeUses`. */
export function usesStatements(
  uses: readonly UsesOfToken[],
  { name, audiences }: Reporter,
  nowMs: number,
): readonly Statement[] {
  const rows = uses.map(({ jtiDigest, uses: count, last, allowed }) => ({
    jti_digest: jtiDigest,
    uses: count,
    trace_id: last?.traceId ?? null,
    span_id: last?.spanId ?? null,
    allowed: allowedText(allowed),
  }));
  const byToken = new Map(rows.map((row) => [row.jti_digest, row]));
  return [
    { text: UPSERT, values: [JSON.stringify([...byToken.values()]), name, nowMs, audiences] },
    { text: TRIM, values: [[...byToken.keys()]] },
  ];
}

/** What was reported of the uses of each token, as `Store.reportedUses`, in the order asked for. */
export async function reportedUsesOf(
  database: Database,
  jtiDigests: readonly string[],
): Promise<readonly (readonly ReportedUses[])[] | StoreFailure> {
  const result = await database.read(REPORTS, [jtiDigests.filter(isStorable)]);
  if (isStoreFailure(result)) return result;
  const byToken = Map.groupBy(result.rows.map(reportedUsesIn), ({ jtiDigest }) => jtiDigest);
  return jtiDigests.map((digest) => byToken.get(digest) ?? []);
}

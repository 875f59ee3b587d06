import { isStoreFailure } from '../../../../core/runtime/store-failure.ts';
import type { StoreFailure } from '../../../../core/runtime/store-failure.ts';
import type { Database } from '../database.ts';

/** What became of a change at the sidecars of an authority. */
export interface ReplicaReceiptRow {
  readonly replica: string;
  readonly seq: number;
  readonly holders: number;
  readonly acknowledged: number;
  readonly fenced: number;
}

/** An authority as the others see it. */
export interface Replica {
  readonly id: string;
  readonly address: string;
  /** Grows while it runs. */
  readonly beat: number;
  /** Each change up to this is enforced at its sidecars. */
  readonly enforcedSeq: number;
  /** The lease that it gives. */
  readonly leaseMs: number;
  /** Details that it publishes about itself, as JSON. */
  readonly details: string;
}

/** Each is the last change of its root task: it is waited for right after its commit, so it is among the last `$3` changes. */
const RECEIPTS = `SELECT * FROM remit.receipts WHERE seq IN (
  SELECT max(seq) FROM remit.feed WHERE part = 0 AND seq <= $2 AND seq > $2 - $3::bigint AND root = ANY($1::text[]) AND NOT is_history
  GROUP BY root)`;
const ADD_RECEIPTS =
  'INSERT INTO remit.receipts SELECT * FROM json_populate_recordset(NULL::remit.receipts, $1::json) ON CONFLICT DO NOTHING';

export async function writeReceipts(
  database: Database,
  receipts: readonly ReplicaReceiptRow[],
): Promise<null | StoreFailure> {
  const result = await database.read(ADD_RECEIPTS, [JSON.stringify(receipts)]);
  return isStoreFailure(result) ? result : null;
}

/** The receipts of the last change of each root task up to a head, of those `within` so many changes. */
export async function readReceipts(
  database: Database,
  { roots, head, within }: { readonly roots: readonly string[]; readonly head: number; readonly within: number },
): Promise<readonly ReplicaReceiptRow[] | StoreFailure> {
  const result = await database.read(RECEIPTS, [roots, head, within]);
  if (isStoreFailure(result)) return result;
  return result.rows.map((row) => ({
    replica: String(row['replica']),
    seq: Number(row['seq']),
    holders: Number(row['holders']),
    acknowledged: Number(row['acknowledged']),
    fenced: Number(row['fenced']),
  }));
}

/** All authorities on the list. */
export async function readReplicas(database: Database): Promise<readonly Replica[] | StoreFailure> {
  const result = await database.read('SELECT * FROM remit.replicas ORDER BY id');
  if (isStoreFailure(result)) return result;
  return result.rows.map((row) => ({
    id: String(row['id']),
    address: String(row['address']),
    beat: Number(row['beat']),
    enforcedSeq: Number(row['enforced_seq']),
    leaseMs: Number(row['lease_ms']),
    details: String(row['details']),
  }));
}

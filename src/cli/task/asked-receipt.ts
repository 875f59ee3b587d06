import type { TimedReceipt } from '../../core/fleet/receipt.ts';
import { isProblem } from '../../core/runtime/problem.ts';
import type { Problem } from '../../core/runtime/problem.ts';
import { adminObject } from '../admin-answer.ts';
import type { AskedAuthority } from './task-source.ts';

/** Added to twice the lease: the authority answers within their sum, whatever its sidecars do. */
const MARGIN_MS = 5_000;

const RECEIPT = {
  enforced: 'boolean',
  holders: 'number',
  acknowledged: 'number',
  fenced: 'number',
  ms: 'number',
} as const;

/**
 * Asks the running authority for the receipt of the committed change of a root task. A problem says why there is no receipt: the
 * change is committed, but whether sidecars know it is unknown.
 */
export async function askedReceipt({ admin, leaseMs }: AskedAuthority, root: string): Promise<TimedReceipt | Problem> {
  const path = `/receipts/${encodeURIComponent(root)}`;
  const timeoutMs = 2 * leaseMs + MARGIN_MS;
  const read = await adminObject<TimedReceipt>(admin, path, { timeoutMs, members: RECEIPT });
  return isProblem(read) ? read : read.answer;
}

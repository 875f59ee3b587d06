import type { TimedReceipt } from '../../core/fleet/receipt.ts';
import type { Problem } from '../../core/runtime/problem.ts';
import { adminAnswer } from '../admin-answer.ts';
import type { AskedAuthority } from './task-source.ts';

/** Added to twice the lease: the authority answers within their sum, whatever its sidecars do. */
const MARGIN_MS = 5_000;

/**
 * Asks the running authority for the receipt of the committed change of a root task. A problem says why there is no receipt: the
 * change is committed, but whether sidecars know it is unknown.
 */
export async function askedReceipt({ admin, leaseMs }: AskedAuthority, root: string): Promise<TimedReceipt | Problem> {
  const path = `/receipts/${encodeURIComponent(root)}`;
  const text = await adminAnswer(admin, path, { timeoutMs: 2 * leaseMs + MARGIN_MS });
  if (typeof text !== 'string') return text;
  try {
    // Safe: the answer of our own server, at the operator's address.
    return JSON.parse(text) as TimedReceipt;
  } catch {
    return { problem: `\`${admin}\` did not answer with JSON: is it the authority?` };
  }
}

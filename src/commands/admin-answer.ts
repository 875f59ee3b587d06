import { httpExchange } from '../runtime/http-exchange.ts';
import type { Problem } from '../runtime/problem.ts';

/** The admin address of a Remit on this host with the default configuration. */
export const DEFAULT_ADMIN = 'http://127.0.0.1:9471';

const TIMEOUT_MS = 10_000;
const MAX_BYTES = 16_777_216;

/**
 * The text that a running Remit answers at a path of its admin address, within `timeoutMs` (default 10 s). A problem names the address.
 */
export async function adminAnswer(
  admin: string,
  path: string,
  { timeoutMs = TIMEOUT_MS }: { readonly timeoutMs?: number } = {},
): Promise<string | Problem> {
  if (!URL.canParse(path, admin)) return { problem: `invalid URL \`${admin}\`` };
  try {
    const signal = AbortSignal.timeout(timeoutMs);
    const { status, body, fault } = await httpExchange(new URL(path, admin), { maxBytes: MAX_BYTES, signal });
    if (fault !== null) return { problem: `\`${admin}\` answered more than ${MAX_BYTES} bytes` };
    const text = body.toString('utf8');
    if (status === 200) return text;
    const why = text.trim().split('\n')[0]?.slice(0, 200) ?? '';
    return { problem: `\`${admin}\` answered ${status}${why === '' ? '' : `: ${why}`}` };
  } catch {
    return { problem: `\`${admin}\` did not answer` };
  }
}

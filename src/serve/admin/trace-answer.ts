import type { IncomingMessage, ServerResponse } from 'node:http';
import { isProblem } from '../../core/runtime/problem.ts';
import type { Problem } from '../../core/runtime/problem.ts';

/** A source of traced checks. */
export interface TraceSource {
  /**
   * Subscribes to checks that match filters; `onLine` receives each as a line of JSON. Returns a function that unsubscribes, the problem of a
   * filter, or `full`.
   */
  readonly begin: (
    filters: Iterable<readonly [string, string]>,
    onLine: (line: string) => void,
  ) => (() => void) | Problem | 'full';
}

/** Required header: a browser sends it to another origin only after a CORS preflight, so no page can trace in its user's name. */
const MARK = 'x-remit-trace';
const MAX_SECONDS = 600;
const MAX_CHECKS = 100;

/**
 * Answers `GET /trace?seconds=30&count=1&FILTER=VALUE…`: head at once, then a line for each matching check, and the end after `count` of them
 * or after `seconds`. A closed connection unsubscribes. 400 for a wrong query, 503 if there are too many subscriptions.
 */
export function answerTrace(
  request: IncomingMessage,
  response: ServerResponse,
  source: TraceSource,
): { readonly status: 400 | 403 | 503; readonly text: string } | null {
  if (request.headers[MARK] === undefined) return { status: 403, text: `the header \`${MARK}\` is required` };
  const query = new URLSearchParams(request.url?.split('?')[1] ?? '');
  const seconds = wholeIn(query, 'seconds', { byDefault: 30, max: MAX_SECONDS });
  const count = wholeIn(query, 'count', { byDefault: 1, max: MAX_CHECKS });
  if (isProblem(seconds)) return { status: 400, text: seconds.problem };
  if (isProblem(count)) return { status: 400, text: count.problem };
  const filters = [...query].filter(([name]) => name !== 'seconds' && name !== 'count');
  let left = count;
  // INVARIANT: nothing is written after the end, which may be long before `close`: such an error would end the process.
  const end = (): void => {
    left = 0;
    response.end();
  };
  const stop = source.begin(filters, (line) => {
    if (left === 0) return;
    response.write(`${line}\n`);
    if (left === 1) end();
    else left -= 1;
  });
  if (stop === 'full') return { status: 503, text: 'too many wait for checks: try again' };
  if (isProblem(stop)) return { status: 400, text: stop.problem };
  const timer = setTimeout(end, seconds * 1_000);
  response.once('close', () => {
    clearTimeout(timer);
    stop();
  });
  response.writeHead(200, { 'content-type': 'application/x-ndjson', 'cache-control': 'no-store' });
  response.flushHeaders();
  return null;
}

/** A whole number from 1 of the query. */
function wholeIn(
  query: URLSearchParams,
  name: string,
  { byDefault, max }: { readonly byDefault: number; readonly max: number },
): number | Problem {
  const text = query.get(name);
  if (text === null) return byDefault;
  const value = /^\d{1,4}$/.test(text) ? Number(text) : 0;
  return value >= 1 && value <= max ? value : { problem: `\`${name}\` must be from 1 to ${max}` };
}

import { request } from 'node:http';
import type { IncomingMessage } from 'node:http';
import type { TracedCheck } from '../../sidecar/check/trace/traced-check.ts';
import { isProblem } from '../../core/runtime/problem.ts';
import type { Problem } from '../../core/runtime/problem.ts';
import { adminTarget } from '../admin-answer.ts';
import { tracedCheckLine } from './traced-check-line.ts';

/** What to wait for. */
export interface TraceQuery {
  readonly admin: string;
  readonly seconds: number;
  /** Most checks. */
  readonly count: number;
  readonly filters: readonly (readonly [string, string])[];
}

/** A running trace of a Remit. */
export interface TraceAnswer {
  /** Each matching check, until there are enough, the time is over or `stop` is called. A problem is the last item. */
  readonly checks: AsyncIterable<TracedCheck | Problem>;
  readonly stop: () => void;
}

const HEAD_TIMEOUT_MS = 10_000;
/** Longest line, twice what a Remit writes. */
const MAX_LINE_CHARACTERS = 4_194_304;
const MAX_PROBLEM_CHARACTERS = 200;

/** Starts a trace at a running Remit; a problem without an answer in 10 s. Calls fired before it resolves may be missed. */
export async function beginTrace({ admin, seconds, count, filters }: TraceQuery): Promise<TraceAnswer | Problem> {
  const query = new URLSearchParams([
    ['seconds', String(seconds)],
    ['count', String(count)],
    ...filters.map((one) => [...one]),
  ]);
  const target = adminTarget(admin, `/trace?${query.toString()}`);
  if (isProblem(target)) return target;
  const { url, ...socket } = target;
  const { promise, resolve, reject } = Promise.withResolvers<IncomingMessage>();
  const asked = request(url, { agent: false, headers: { 'x-remit-trace': '1' }, ...socket });
  const timer = setTimeout(() => asked.destroy(new Error('no answer')), HEAD_TIMEOUT_MS);
  asked.once('response', resolve).on('error', reject).end();
  try {
    const answer = await promise;
    if (answer.statusCode !== 200)
      return { problem: `\`${admin}\` answered ${answer.statusCode}: ${await startOf(answer)}` };
    return { checks: checksIn(answer, admin), stop: () => void asked.destroy() };
  } catch {
    return { problem: `\`${admin}\` did not answer` };
  } finally {
    clearTimeout(timer);
  }
}

async function startOf(answer: IncomingMessage): Promise<string> {
  let text = '';
  for await (const chunk of answer.setEncoding('utf8') as AsyncIterable<string>) {
    text += chunk;
    if (text.length > MAX_PROBLEM_CHARACTERS) break;
  }
  return text.trim().slice(0, MAX_PROBLEM_CHARACTERS);
}

async function* checksIn(answer: IncomingMessage, admin: string): AsyncGenerator<TracedCheck | Problem> {
  let rest = '';
  try {
    for await (const chunk of answer.setEncoding('utf8') as AsyncIterable<string>) {
      const lines = `${rest}${chunk}`.split('\n');
      rest = lines.pop() ?? '';
      for (const line of lines) yield tracedCheckLine(line);
      if (rest.length > MAX_LINE_CHARACTERS) {
        yield { problem: `\`${admin}\` answered a line that is too long` };
        return;
      }
    }
  } catch {
    // Stopped here, or Remit ended.
    if (!answer.complete && !answer.destroyed) yield { problem: `\`${admin}\` ended the answer` };
  }
}

import { httpExchange } from '../core/runtime/system/http-exchange.ts';
import { isProblem } from '../core/runtime/problem.ts';
import type { Problem } from '../core/runtime/problem.ts';

/** The admin address of a Remit on this host with the default configuration. */
export const DEFAULT_ADMIN = 'http://127.0.0.1:9471';

const TIMEOUT_MS = 10_000;
const MAX_BYTES = 16_777_216;

/** The admin address of a running Remit: its URL, and its Unix socket if it has one. */
export interface AdminTarget {
  readonly url: URL;
  readonly socketPath?: string;
}

/** The target of a path at an admin address: `http://host:port`, or `unix:/path` for `admin.socket`. */
export function adminTarget(admin: string, path: string): AdminTarget | Problem {
  if (admin.startsWith('unix:/')) {
    return { url: new URL(path, 'http://localhost'), socketPath: admin.slice('unix:'.length) };
  }
  return URL.canParse(path, admin) && /^https?:/.test(admin)
    ? { url: new URL(path, admin) }
    : { problem: `invalid URL \`${admin}\`` };
}

/**
 * The text that a running Remit answers at a path of its admin address. A problem, which names the address, if there is no
 * answer within `timeoutMs` (default 10 s), the status is not 200, or the body is longer than 16 MiB.
 */
export async function adminAnswer(
  admin: string,
  path: string,
  { timeoutMs = TIMEOUT_MS, method = 'GET' }: { readonly timeoutMs?: number; readonly method?: 'GET' | 'POST' } = {},
): Promise<string | Problem> {
  const target = adminTarget(admin, path);
  if (isProblem(target)) return target;
  const { url, ...socket } = target;
  try {
    const signal = AbortSignal.timeout(timeoutMs);
    const { status, body, fault } = await httpExchange(url, { method, maxBytes: MAX_BYTES, signal, ...socket });
    if (fault !== null) return { problem: `\`${admin}\` answered more than ${MAX_BYTES} bytes` };
    const text = body.toString('utf8');
    if (status === 200) return text;
    const why = text.trim().split('\n')[0]?.slice(0, 200) ?? '';
    return { problem: `\`${admin}\` answered ${status}${why === '' ? '' : `: ${why}`}` };
  } catch {
    return { problem: `\`${admin}\` did not answer` };
  }
}

/** The JSON type of each member that the reader of an answer needs. A member that may be `null` has no type of its own. */
export type AnswerMembers<T> = { readonly [Name in keyof T]?: JsonTypeOf<T[Name]> };

type JsonTypeOf<V> = [V] extends [string]
  ? 'string'
  : [V] extends [number]
    ? 'number'
    : [V] extends [boolean]
      ? 'boolean'
      : [V] extends [readonly unknown[]]
        ? 'array'
        : never;

/**
 * The JSON object that a running Remit answers at a path of its admin address. A problem, which names the address, if there is no
 * answer as of `adminAnswer`, it is no JSON object, or a member lacks or has another type: something else answers there, or
 * another version of Remit.
 */
export async function adminObject<T>(
  admin: string,
  path: string,
  {
    members,
    ...options
  }: { readonly members: AnswerMembers<T>; readonly timeoutMs?: number; readonly method?: 'GET' | 'POST' },
): Promise<{ readonly answer: T } | Problem> {
  const text = await adminAnswer(admin, path, options);
  if (typeof text !== 'string') return text;
  const read = jsonObjectFrom(text);
  if (read === null)
    return { problem: `\`${admin}\` did not answer with a JSON object: is it the admin address of Remit?` };
  const wrong = Object.entries(members).find(([name, type]) => typeOf(read[name]) !== type);
  return wrong === undefined
    ? // Safe: the members that the caller named were looked at; the others are of our own server, at the operator's address.
      { answer: read as T }
    : {
        problem: `\`${admin}\` answered without \`${wrong[0]}\`: is it the admin address of Remit, and of this version?`,
      };
}

function jsonObjectFrom(text: string): Readonly<Record<string, unknown>> | null {
  try {
    const value: unknown = JSON.parse(text);
    return typeOf(value) === 'object' ? (value as Readonly<Record<string, unknown>>) : null;
  } catch {
    return null;
  }
}

/** `array` and `null` have names of their own. */
const typeOf = (value: unknown): string => (value === null ? 'null' : Array.isArray(value) ? 'array' : typeof value);

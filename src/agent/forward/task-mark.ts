import { hash } from 'node:crypto';
import type { ForwardTarget } from './forward-target.ts';
import { type HeaderLines, valuesOf } from './passed-headers.ts';

/** Bytes of a mark: enough that the marks of two tasks do not collide. */
const MARK_BYTES = 16;
const MARKED = /^rt[\w-]{22}\./;
/** Headers that name a session of the upstream. @see https://modelcontextprotocol.io/specification/2025-11-25/basic/transports */
const SESSION = 'mcp-session-id';

/**
 * Attributes of a cookie that mean the same at the local URL. Its path is rewritten; a domain and `Secure` would keep it from
 * being sent.
 */
const KEPT_ATTRIBUTES = /^(?:expires|max-age|httponly)(?:=|$)/i;

/**
 * Ties to one task what an upstream remembers of a client: cookies, and sessions of MCP. The clients of a service may keep the cookies of all local
 * URLs in one place, since they are of one host. So each name of a cookie and each session carries the mark of its task on the way to the client,
 * loses it on the way back, and is not passed on by another task.
 */
export class TaskMark {
  readonly #mark: string;

  /** @param secret of the task, which the mark does not tell */
  constructor(secret: string) {
    const digest = hash('sha256', `mark of ${secret}`, 'buffer');
    this.#mark = `rt${digest.subarray(0, MARK_BYTES).toString('base64url')}.`;
  }

  /** Whether a request names a session that this task did not begin. */
  isForeign(lines: HeaderLines): boolean {
    return valuesOf(lines, SESSION).some((session) => !session.startsWith(this.#mark));
  }

  /** The lines of a request as the upstream gets them: without marks, and without the cookies of other tasks. */
  request(lines: HeaderLines): string[] {
    return mapped(lines, (name, value) => {
      if (name === SESSION) return value.slice(this.#mark.length);
      return name === 'cookie' ? this.#cookies(value) : value;
    });
  }

  /** The lines of an answer as the client gets them. @param prefix of the local URL */
  answer(lines: HeaderLines, { base }: Pick<ForwardTarget, 'base'>, prefix: string): string[] {
    return mapped(lines, (name, value) => {
      if (name === SESSION) return this.#mark + value;
      return name === 'set-cookie' ? this.#cookie(value, { base, prefix }) : value;
    });
  }

  #cookies(value: string): string | null {
    const kept: string[] = [];
    for (const written of value.split(';')) {
      const cookie = written.trim();
      if (cookie.startsWith(this.#mark)) kept.push(cookie.slice(this.#mark.length));
      else if (cookie !== '' && !MARKED.test(cookie)) kept.push(cookie);
    }
    return kept.length === 0 ? null : kept.join('; ');
  }

  #cookie(value: string, { base, prefix }: Pick<ForwardTarget, 'base'> & { readonly prefix: string }): string {
    const [cookie = '', ...attributes] = value.split(';').map((part) => part.trim());
    const path = attributes.find((attribute) => /^path=\//i.test(attribute))?.slice('path='.length) ?? '/';
    const below = path.startsWith(`${base}/`) ? path.slice(base.length).replace(/\/$/, '') : '';
    const kept = attributes.filter((attribute) => KEPT_ATTRIBUTES.test(attribute));
    return [`${this.#mark}${cookie}`, ...kept, `Path=${prefix + below || '/'}`].join('; ');
  }
}

/** The lines with each value as `map` gives it; without those for which it gives `null`. @param map gets the name in lower case */
function mapped(lines: HeaderLines, map: (name: string, value: string) => string | null): string[] {
  const result: string[] = [];
  for (let at = 0; at + 1 < lines.length; at += 2) {
    const value = map((lines[at] ?? '').toLowerCase(), lines[at + 1] ?? '');
    if (value !== null) result.push(lines[at] ?? '', value);
  }
  return result;
}

import type { DenialFacts } from '../../decision/denial-facts.ts';
import type { Problem } from '../../runtime/problem.ts';
import type { HttpCall } from './call.ts';

/**
 * What a route declares about the body of a call:
 * - `none`: a call with a body is denied.
 * - `json`: a body must be one JSON object. Its arguments are read; a member that could be confused with a query argument
 *   denies.
 * - `opaque`: any body. The upstream takes neither arguments nor the method from it, so it is not read.
 * - `unstated`: not declared, and no argument comes from query or body. Not read, but a form is denied, because frameworks
 *   merge its fields with path and query and take the method from `_method`.
 */
export type BodyRule = 'none' | 'json' | 'opaque' | 'unstated';

/** The values of `body` in the catalog. */
export const BODY_RULES = ['none', 'json', 'opaque'] as const;

/** A body of these has no meaning (RFC 9110 sections 9.3.1 and 9.3.2), so two servers may disagree about what follows. */
const WITHOUT_BODY: ReadonlySet<string> = new Set(['GET', 'HEAD']);

/** Whether a body has a meaning with this method. */
export const isMethodWithBody = (method: string): boolean => !WITHOUT_BODY.has(method);

/**
 * Whether a call has a body, by its headers and by what the proxy sent. HTTP/2 needs no header for a body, so Envoy must send
 * bodies to the check (`with_request_body`).
 */
export function hasBody({ headers, body }: Pick<HttpCall, 'headers' | 'body'>): boolean {
  const length = headers.get('content-length') ?? [];
  return (body?.length ?? 0) > 0 || headers.has('transfer-encoding') || length.some((value) => !/^0+$/.test(value));
}

/** Why a body is refused, and the facts of it that its caller gets. */
export type BodyRefusal = Problem & Required<Pick<DenialFacts, 'argument'>>;

/** Why a body that will not be read is not acceptable; `null` if it is, or will be read. */
export function unreadBodyProblem(rule: BodyRule, call: HttpCall): BodyRefusal | null {
  if (rule === 'json' || rule === 'opaque' || !hasBody(call)) return null;
  if (rule === 'none') {
    return {
      problem: 'the call has a body, and its catalog entry does not say `body: json` or `body: opaque`',
      argument: { name: 'body', expected: 'empty' },
    };
  }
  if (!isForm(call)) return null;
  return {
    problem: 'the body can be read as a form, and its catalog entry does not say `body: opaque`',
    argument: { name: 'content-type', expected: 'named, and not that of a form' },
  };
}

const FORM_TYPE = /^(?:application\/x-www-form-urlencoded|multipart\/)/i;

/** Rack reads a POST without a content type as a form. */
function isForm({ method, headers }: HttpCall): boolean {
  const types = headers.get('content-type') ?? [];
  return types.some((type) => FORM_TYPE.test(type.trim())) || (method === 'POST' && types.every((type) => type === ''));
}

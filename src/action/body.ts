import type { HttpCall } from './call.ts';

/**
 * What a route says of the body of a call:
 * - `none`: a call with a body is denied.
 * - `json`: a body is one JSON object. Its arguments are read; a member that can be taken for an argument of the query denies.
 * - `opaque`: whatever it is, the upstream takes neither an argument nor the method from it. It is not looked at.
 * - `unstated`: not written, and no argument comes from query or body. Not looked at, but no HTML form: frameworks merge its
 *   fields with path and query, and take the method from `_method`.
 */
export type BodyRule = 'none' | 'json' | 'opaque' | 'unstated';

/** The words of `body` in the catalog. */
export const BODY_RULES = ['none', 'json', 'opaque'] as const;

/** RFC 9110 sections 9.3.1 and 9.3.2: a body has no meaning here, so two servers may differ about what follows. */
const WITHOUT_BODY: ReadonlySet<string> = new Set(['GET', 'HEAD']);

/** Whether a body means something in a call of this method. */
export const isMethodWithBody = (method: string): boolean => !WITHOUT_BODY.has(method);

/**
 * Whether a call has a body, as far as its headers and the check say. Over HTTP/2 a body needs no header, so Envoy must send
 * bodies to the check (`with_request_body`).
 */
export function hasBody({ headers, body }: Pick<HttpCall, 'headers' | 'body'>): boolean {
  const length = headers.get('content-length') ?? [];
  return (body?.length ?? 0) > 0 || headers.has('transfer-encoding') || length.some((value) => !/^0+$/.test(value));
}

/** What is wrong with a body that is there and is not read; `null` where nothing is, or it is read. */
export function unreadBodyProblem(rule: BodyRule, call: HttpCall): string | null {
  if (rule === 'json' || rule === 'opaque' || !hasBody(call)) return null;
  if (rule === 'none') return 'the call has a body, and its catalog entry does not say `body: json` or `body: opaque`';
  return isForm(call) ? 'the body can be read as a form, and its catalog entry does not say `body: opaque`' : null;
}

const FORM_TYPE = /^(?:application\/x-www-form-urlencoded|multipart\/)/i;

/** Rack reads a POST without a content type as a form. */
function isForm({ method, headers }: HttpCall): boolean {
  const types = headers.get('content-type') ?? [];
  return types.some((type) => FORM_TYPE.test(type.trim())) || (method === 'POST' && types.every((type) => type === ''));
}

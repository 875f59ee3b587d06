import { STOP_KINDS, orderLimits } from '../../../core/order/order.ts';
import { MAX_STOP_MINUTES } from '../../../core/order/new-stop.ts';
import type { AskedStop } from '../../../core/order/new-stop.ts';
import { integer, members, oneOf, optional, text } from '../../../core/runtime/fields.ts';
import { isProblem } from '../../../core/runtime/problem.ts';
import { strictJsonFrom } from '../../../core/token/jose/strict-json.ts';
import { type OAuthError, oauthError } from '../oauth-error.ts';
import type { IssuerRequest } from '../services.ts';

const CONTENT_TYPE = /^application\/json(?:\s*;\s*charset="?utf-8"?)?$/i;

/** Longest body read, in bytes. */
const MAX_BODY_BYTES = 16_384;

const askedMembers = members({
  kind: oneOf(STOP_KINDS),
  what: optional(text({ max: 2_048 })),
  minutes: optional(integer(1, MAX_STOP_MINUTES)),
  because: text({ max: orderLimits.maxBecause }),
});

/** The stop in the body of a request: `kind`, `what` (absent for `all`), `minutes` (absent until it is lifted) and `because`. */
export function askedStopFrom({ body, contentType }: IssuerRequest): AskedStop | OAuthError {
  if (!CONTENT_TYPE.test(contentType?.trim() ?? '')) {
    return oauthError('invalid_request', 'the content-type must be application/json');
  }
  if (body.length > MAX_BODY_BYTES)
    return oauthError('invalid_request', `the body is larger than ${MAX_BODY_BYTES} bytes`);
  const json = strictJsonFrom(body);
  if (isProblem(json)) return oauthError('invalid_request', `the body ${json.problem}`);
  const read = askedMembers(json.value);
  return isProblem(read)
    ? oauthError('invalid_request', `the body ${read.problem}`)
    : { ...read, what: read.what ?? '' };
}

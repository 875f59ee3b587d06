import { STOP_KINDS, orderLimits } from '../../../core/order/order.ts';
import { MAX_STOP_MINUTES } from '../../../core/order/new-stop.ts';
import type { AskedStop } from '../../../core/order/new-stop.ts';
import { integer, members, oneOf, optional, text } from '../../../core/runtime/fields.ts';
import { isProblem } from '../../../core/runtime/problem.ts';
import { jsonBodyFrom } from '../json-body.ts';
import { isOAuthError, type OAuthError, oauthError } from '../oauth-error.ts';
import type { IssuerRequest } from '../services.ts';

const askedMembers = members({
  kind: oneOf(STOP_KINDS),
  what: optional(text({ max: 2_048 })),
  minutes: optional(integer(1, MAX_STOP_MINUTES)),
  because: text({ max: orderLimits.maxBecause }),
});

/** The stop in the body of a request: `kind`, `what` (absent for `all`), `minutes` (absent until it is lifted) and `because`. */
export function askedStopFrom(request: IssuerRequest): AskedStop | OAuthError {
  const json = jsonBodyFrom(request);
  if (isOAuthError(json)) return json;
  const read = askedMembers(json.value);
  return isProblem(read)
    ? oauthError('invalid_request', `the body ${read.problem}`)
    : { ...read, what: read.what ?? '' };
}

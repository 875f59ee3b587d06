import type { Catalog } from '../../../core/action/catalog/catalog.ts';
import { NO_SPIFFE_ID_PATTERN } from '../../../core/identity/spiffe-id-pattern.ts';
import { orderLimits } from '../../../core/order/order.ts';
import {
  isObservedAgent,
  isObservedServer,
  isOfEverybody,
  MAX_OBSERVED_NAMES,
  serversHelp,
} from '../../../core/policy/observed-names.ts';
import { integer, listOf, members, optional, textLike } from '../../../core/runtime/fields.ts';
import { isProblem } from '../../../core/runtime/problem.ts';
import { jsonBodyFrom } from '../json-body.ts';
import { isOAuthError, type OAuthError, oauthError } from '../oauth-error.ts';
import type { IssuerRequest } from '../services.ts';

/** What an operator asks to be only observed, for how long, and why. */
export interface AskedEmergency {
  readonly agents: readonly string[];
  /** `null` for every server. */
  readonly servers: readonly string[] | null;
  readonly minutes: number;
  readonly because: string;
}

const MAX_MINUTES = 60;
const DEFAULT_MINUTES = 15;

const names = { min: 1, max: MAX_OBSERVED_NAMES };
const words = textLike(`printable, 1 to ${orderLimits.maxBecause} characters`, (value) => /^[^\p{C}]+$/u.test(value), {
  max: orderLimits.maxBecause,
});

const asked = members({
  agents: listOf(textLike(NO_SPIFFE_ID_PATTERN, isObservedAgent, { max: 2_048 }), names),
  servers: optional(
    listOf(
      textLike('the id of a server, or a host', (value) => value !== '', { max: 256 }),
      names,
    ),
  ),
  minutes: optional(integer(1, MAX_MINUTES), DEFAULT_MINUTES),
  because: words,
});

/**
 * The emergency in the body of a request: `agents`, `servers` (absent for every server), `minutes` (1 to 60, default 15) and `because`. Names
 * have the bounds of `enforcement.yaml`: all agents only at named servers, which the catalog has or which are hosts that it may lack.
 */
export function askedEmergencyFrom(request: IssuerRequest, catalog: Catalog): AskedEmergency | OAuthError {
  const json = jsonBodyFrom(request);
  if (isOAuthError(json)) return json;
  const read = asked(json.value);
  if (isProblem(read)) return oauthError('invalid_request', `the body ${read.problem}`);
  const { agents, servers } = read;
  const wide = servers === null ? agents.find(isOfEverybody) : undefined;
  if (wide !== undefined)
    return oauthError(
      'invalid_request',
      `the agents ${wide} are all, at every server: name the servers, or the agents`,
    );
  const unknown = servers?.find((server) => !isObservedServer(server, catalog));
  return unknown === undefined
    ? read
    : oauthError(
        'invalid_request',
        `the server ${unknown} is neither in the catalog nor a host: ${serversHelp(catalog)}`,
      );
}

const askedEnd = members({ because: words });

/** Why an emergency is ended: `because` in the body of the request; without a body, `ended by an operator`. */
export function endReasonFrom(request: IssuerRequest): string | OAuthError {
  if (request.body.length === 0) return 'ended by an operator';
  const json = jsonBodyFrom(request);
  if (isOAuthError(json)) return json;
  const read = askedEnd(json.value);
  return isProblem(read) ? oauthError('invalid_request', `the body ${read.problem}`) : read.because;
}

import { isDeny } from '../../../core/decision/decision.ts';
import { isStoreFailure } from '../../../core/runtime/store-failure.ts';
import { limitUseJson } from '../../../core/state/limit-use.ts';
import { clientFrom } from '../client/client.ts';
import { oauthError } from '../oauth-error.ts';
import { errorReply, jsonReply, type Reply } from '../reply.ts';
import type { IssuerRequest, IssuerServices } from '../services.ts';

/**
 * `GET /limits`: what is used of limits over all tasks in the current windows, the most used first, at most 1,000 counters. For operators.
 */
export async function answerLimits(
  { certificate }: IssuerRequest,
  { authority, ports, settings }: IssuerServices,
): Promise<Reply> {
  const client = clientFrom(certificate, settings.trustDomains, ports.nowMs());
  if (isDeny(client)) return errorReply(oauthError('invalid_client', client.detail, client));
  if (!settings.operators.has(client.id)) {
    return errorReply(oauthError('access_denied', 'limits are shown to operators (issuer.operators) alone'));
  }
  const uses = await authority.limitUses({});
  if (isStoreFailure(uses)) {
    return errorReply(oauthError('temporarily_unavailable', 'the state of the limits is not available'));
  }
  return jsonReply(200, { limits: uses.map(limitUseJson) });
}

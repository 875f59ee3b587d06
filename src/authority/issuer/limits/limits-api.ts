import { isDeny } from '../../../core/decision/decision.ts';
import { isStoreFailure } from '../../../core/runtime/store-failure.ts';
import { openTaskUses } from '../../../core/limit/open-task-uses.ts';
import { limitUseJson, openTaskUseJson } from '../../../core/state/limit-use.ts';
import { clientFrom } from '../client/client.ts';
import { oauthError } from '../oauth-error.ts';
import { errorReply, jsonReply, type Reply } from '../reply.ts';
import type { IssuerRequest, IssuerServices } from '../services.ts';

/**
 * `GET /limits`: what is used of limits over all tasks in the current windows, the most used first, at most 1,000 counters; then
 * the open tasks of limits that bound those. For operators.
 */
export async function answerLimits(
  { certificate }: IssuerRequest,
  { authority, policies, ports, settings }: IssuerServices,
): Promise<Reply> {
  const client = clientFrom(certificate, settings.trustDomains, ports.nowMs());
  if (isDeny(client)) return errorReply(oauthError('invalid_client', client.detail, client));
  if (!settings.operators.has(client.id)) {
    return errorReply(oauthError('access_denied', 'limits are shown to operators (issuer.operators) alone'));
  }
  const uses = await authority.limitUses({});
  const open = await authority.openTaskCounts();
  if (isStoreFailure(uses) || isStoreFailure(open)) {
    return errorReply(oauthError('temporarily_unavailable', 'the state of the limits is not available'));
  }
  const openUses = openTaskUses(isDeny(policies) ? [] : policies.limits, open);
  return jsonReply(200, { limits: [...uses.map(limitUseJson), ...openUses.map(openTaskUseJson)] });
}

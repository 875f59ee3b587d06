import type { SpiffeId } from '../../../core/identity/spiffe-id.ts';
import { jtiDigestOf } from '../../../core/token/jti-digest.ts';
import { isStoreFailure } from '../../../core/runtime/store-failure.ts';
import { settleBindingViolation } from '../../../core/task/binding-violation.ts';
import type { OwnToken } from '../token/own-token.ts';
import type { IssuerServices } from '../services.ts';

/**
 * Applies `bindingEffect` if a workload presents another's token; by default the token is revoked, as at a resource. The
 * client is refused in any case, so a store failure is ignored.
 */
export async function settleStolenCredential(
  { token }: Pick<OwnToken, 'token'>,
  presentedBy: SpiffeId,
  services: IssuerServices,
): Promise<void> {
  const { append, authority, reports, settings } = services;
  const state = await authority.useStateOf(token.issuer, token.taskId, jtiDigestOf(token.tokenId));
  if (isStoreFailure(state)) return;
  const violation = {
    issuer: token.issuer,
    taskId: token.taskId,
    issued: state?.issued,
    presentedBy,
    nowMs: authority.nowMs(),
  };
  const record = settleBindingViolation(reports, violation, settings.bindingEffect);
  if (record !== null) append(record);
}

import { createHash } from 'node:crypto';
import type { ArgumentValue } from '../../core/action/http/http.ts';
import type { CheckServices } from './services.ts';
import { isPermitted } from '../../core/decide/decided-check.ts';
import type { DecidedCheck } from '../../core/decide/decided-check.ts';
import { taskTokenOf } from '../../core/decide/facts.ts';
import { deny, isDeny } from '../../core/decision/decision.ts';
import type { Deny } from '../../core/decision/decision.ts';
import { canonicalJson } from '../../core/ledger/canonical-json.ts';
import { jtiDigestOf } from '../../core/token/jti-digest.ts';
import { agentOf } from '../../core/policy/use-question.ts';
import type { SpanReference } from '../../core/token/claims.ts';

/** Whether the call is allowed and its server asks for a transaction token. */
export const isHandedToken = ({ decision, facts: { action } }: DecidedCheck): boolean =>
  isPermitted({ decision }) && !isDeny(action) && action.server.transactionToken;

/** Signs the transaction token of an allowed call; `null` if its server asks for none, a denial if signing fails. */
export async function transactionToken(
  { transactionToken: sign }: Pick<CheckServices, 'transactionToken'>,
  check: DecidedCheck,
  { span, requestIp }: { readonly span: SpanReference; readonly requestIp: string | null },
): Promise<string | null | Deny> {
  const { facts } = check;
  const { action, caller, credential } = facts;
  const token = taskTokenOf(facts);
  if (!isHandedToken(check) || isDeny(action) || isDeny(caller) || isDeny(credential) || token === null) return null;
  if (sign === null) return deny('internal', 'no key signs transaction tokens');
  try {
    return await sign({
      taskId: token.taskId,
      tokenDigest: jtiDigestOf(token.tokenId),
      subject: token.subject,
      agent: agentOf({ caller, credential }),
      action: action.id,
      resource: action.server.audience,
      argsDigest: argsDigestOf(action.args),
      scope: token.scope,
      traceparent: `00-${span.traceId}-${span.spanId}-01`,
      requestIp,
    });
  } catch {
    return deny('internal', 'the transaction token could not be signed');
  }
}

/** Digest of the arguments in canonical JSON; `null` without arguments. */
function argsDigestOf(args: ReadonlyMap<string, ArgumentValue>): string | null {
  const text = args.size === 0 ? null : canonicalJson(Object.fromEntries(args));
  return typeof text === 'string' ? `sha-256:${createHash('sha256').update(text, 'utf8').digest('base64url')}` : null;
}

import type { PassingHeader } from '../action/excepted-secret.ts';
import { jsonRpcDenialOf } from '../action/json-rpc-denial.ts';
import type { JsonRpcDenial } from '../action/json-rpc-denial.ts';
import type { CheckServices } from './services.ts';
import type { DecidedCheck } from '../decide/decided-check.ts';
import { taskTokenOf } from '../decide/facts.ts';
import type { Facts } from '../decide/facts.ts';
import { isDeny } from '../decision/decision.ts';
import type { Decision } from '../decision/decision.ts';
import { agentOf } from '../policy/question.ts';

/** What the proxy is told. */
export interface Answer {
  readonly decision: Decision;
  /** UUIDv7; joins Envoy's access log, the record and the span. */
  readonly decisionId: string;
  readonly taskId: string | null;
  /** SPIFFE ID of the caller, once it is known. */
  readonly agent: string | null;
  /** Id of the action in the catalog, once it is known. */
  readonly action: string | null;
  /** Where a client that is denied learns which issuer this resource takes tokens from (RFC 9728); `null` where nothing is published. */
  readonly resourceMetadataUrl: string | null;
  /** Trace of the check's span; `null` where no check was made. */
  readonly traceId: string | null;
  /** A transaction token for the upstream, which asked for one; a secret of one minute. */
  readonly transactionToken: string | null;
  /** Headers for credentials that the upstream gets all the same, since an exception of the route lets pass what is in them. */
  readonly passing: readonly PassingHeader[];
  /** Of a denied call that is JSON-RPC. Absent for other calls. */
  readonly jsonRpcDenial?: JsonRpcDenial;
}

/** The answer to a decided check. */
export const answerTo = (
  services: CheckServices,
  { decision, decisionId, facts }: DecidedCheck,
  { traceId, transactionToken }: Pick<Answer, 'traceId' | 'transactionToken'>,
): Answer => ({
  decision,
  decisionId,
  taskId: taskTokenOf(facts)?.taskId ?? null,
  agent: agentIn(facts),
  action: isDeny(facts.action) ? null : facts.action.id,
  resourceMetadataUrl: metadataUrlFor(services, decision, facts),
  traceId,
  transactionToken,
  passing: isDeny(decision) ? [] : facts.passing,
  ...(isDeny(decision) ? jsonRpcIn(services, facts) : {}),
});

/** Where a denied client learns which issuer the server takes tokens from. */
const metadataUrlFor = (services: CheckServices, decision: Decision, { action }: Facts): string | null =>
  !isDeny(decision) || isDeny(action) ? null : services.resourceMetadataUrl(action.server.id);

/** What a client that speaks JSON-RPC needs to match the denial to its request. */
function jsonRpcIn({ policies }: CheckServices, { call }: Facts): Pick<Answer, 'jsonRpcDenial'> {
  const inForce = policies();
  const denial = isDeny(call) || isDeny(inForce) ? undefined : jsonRpcDenialOf(call, inForce.catalog);
  return denial === undefined ? {} : { jsonRpcDenial: denial };
}

const agentIn = ({ caller, credential }: Facts): string | null => {
  if (isDeny(caller)) return null;
  return isDeny(credential) ? caller.id : agentOf({ caller, credential });
};

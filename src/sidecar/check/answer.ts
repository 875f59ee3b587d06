import type { Server } from '../../core/action/catalog/catalog.ts';
import type { PassingHeader } from '../../core/action/secrets/excepted-secret.ts';
import { denialFormOf } from '../../core/action/denial-form.ts';
import type { DenialForm } from '../../core/action/denial-form.ts';
import { deniedActionOf } from '../../core/action/denied-action.ts';
import { deniedCallFrom } from '../../core/action/denied-call.ts';
import type { CheckServices } from './services.ts';
import { isVerified } from '../../core/decide/decide.ts';
import type { DecidedCheck } from '../../core/decide/decided-check.ts';
import { taskTokenOf } from '../../core/decide/facts.ts';
import type { CallFacts } from '../../core/decide/facts.ts';
import { isDeny } from '../../core/decision/decision.ts';
import type { Decision, Deny } from '../../core/decision/decision.ts';
import type { DenialFacts } from '../../core/decision/denial-facts.ts';
import { reasons } from '../../core/decision/reasons.ts';
import { agentOf } from '../../core/policy/use-question.ts';

/** The answer to a check, from which the proxy's response is made. */
export interface Answer {
  readonly decision: Decision;
  /** Set if the call is only observed. */
  readonly mode?: 'observe';
  /** UUIDv7. It joins Envoy's access log, the record and the span. */
  readonly decisionId: string;
  readonly taskId: string | null;
  /** SPIFFE ID of the caller; `null` if it is unknown. */
  readonly agent: string | null;
  /** Id of the action in the catalog; `null` if it is unknown. */
  readonly action: string | null;
  /** Metadata that tells a denied client which issuer this resource accepts tokens from (RFC 9728); `null` if none is published. */
  readonly resourceMetadataUrl: string | null;
  /** Trace ID of the check's span; `null` if no check was made. */
  readonly traceId: string | null;
  /** The transaction token for an upstream that requires it; `null` for others. A secret, valid for one minute. */
  readonly transactionToken: string | null;
  /** Credential headers that the upstream still gets, because an exception of the route permits them. */
  readonly passing: readonly PassingHeader[];
  /** How a denial is written. Absent for an ordinary HTTP answer. */
  readonly form?: DenialForm;
  /**
   * The details of a denial that a verified caller gets besides its reason. Absent for other callers, and if the operator switched it off.
   */
  readonly clientFacts?: DenialFacts;
}

/** The services that an answer is made with. */
export type AnswerServices = Pick<CheckServices, 'policies' | 'binding' | 'denialDetails' | 'resourceMetadataUrl'>;

/** Builds the answer to a decided check. */
export const answerTo = (
  services: AnswerServices,
  { decision, decisionId, facts, mode }: DecidedCheck,
  { traceId, transactionToken }: Pick<Answer, 'traceId' | 'transactionToken'>,
): Answer => ({
  decision,
  ...(mode === undefined ? {} : { mode: 'observe' }),
  decisionId,
  taskId: taskTokenOf(facts)?.taskId ?? null,
  agent: agentIn(facts),
  action: isDeny(facts.action) ? null : facts.action.id,
  resourceMetadataUrl: metadataUrlFor(services, decision, facts),
  traceId,
  transactionToken,
  passing: isDeny(decision) ? [] : facts.passing,
  ...(isDeny(decision) ? denialIn(services, decision, facts) : {}),
});

/** The metadata URL of the server that was called, for a denial; `null` for an allow. */
function metadataUrlFor(services: AnswerServices, decision: Decision, facts: CallFacts): string | null {
  const server = isDeny(decision) ? serverOf(services, facts) : null;
  return server === null ? null : services.resourceMetadataUrl(server.id, otherPort(server, facts));
}

/** The port in the authority, at the host of the audience; `null` if it has none. Other hosts have other ports in front of Envoy. */
function otherPort({ audience }: Pick<Server, 'audience'>, { call }: CallFacts): number | null {
  return isDeny(call) || new URL(audience).hostname !== call.host ? null : call.port;
}

/** The called server, even if the action is not known; `null` for hosts and paths of no server. */
function serverOf(
  { policies }: Pick<AnswerServices, 'policies'>,
  { action, call }: CallFacts,
): Pick<Server, 'id' | 'audience'> | null {
  if (!isDeny(action)) return action.server;
  const inForce = policies();
  if (isDeny(call) || isDeny(inForce)) return null;
  const at = inForce.catalog.serverAt(call.host, call.segments.length === 0 ? [''] : call.segments);
  return at.kind === 'server' ? at.server : null;
}

/** The form of a denial, and the details for its caller. */
function denialIn(services: AnswerServices, decision: Deny, facts: CallFacts): Pick<Answer, 'form' | 'clientFacts'> {
  const inForce = services.policies();
  const { call, action } = facts;
  if (isDeny(call) || isDeny(inForce)) return {};
  const { catalog } = inForce;
  const denied = deniedCallFrom(call, catalog);
  const form = denialFormOf(denied, reasons[decision.reason]);
  if (services.denialDetails === 'none' || !isVerified(facts, decision, services)) return form === null ? {} : { form };
  const called = isDeny(action) ? (isOfAction(decision) ? deniedActionOf(denied, catalog) : {}) : { action: action.id };
  return { ...(form === null ? {} : { form }), clientFacts: { ...called, ...decision.clientFacts } };
}

const isOfAction = ({ reason }: Deny): boolean => reason === 'action.unknown' || reason === 'action.arguments';

const agentIn = ({ caller, credential }: CallFacts): string | null => {
  if (isDeny(caller)) return null;
  return isDeny(credential) ? caller.id : agentOf({ caller, credential });
};

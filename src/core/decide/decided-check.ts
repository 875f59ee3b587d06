import type { CallShape } from '../action/call-shape.ts';
import type { HttpCall } from '../action/http/call.ts';
import type { Action } from '../action/http/http.ts';
import { taskTokenOf } from './facts.ts';
import type { CallFacts } from './facts.ts';
import type { Mode } from './mode.ts';
import { shownText } from '../action/secrets/static-secret.ts';
import { isDeny } from '../decision/decision.ts';
import type { Decision } from '../decision/decision.ts';
import type { CountedLimit } from '../limit/counted-limit.ts';
import type { ReasonCode } from '../decision/reasons.ts';
import type { CacheResult } from '../policy/answers/cache.ts';
import type { ReuseClass } from '../token/reuse.ts';

/** A decided check: the input of its span, its record and its answer. */
export interface DecidedCheck {
  /** UUIDv7, the same in the answer, the span, the record and Envoy's log. */
  readonly decisionId: string;
  /**
   * Id of the allow that this denial withdraws: it could not be recorded, its task ended while it waited, or nobody waited for it any more.
   * Absent otherwise.
   */
  readonly withdraws?: string;
  readonly decision: Decision;
  /** Why the call is only observed. Absent if the call is enforced. */
  readonly mode?: Mode;
  /** Of an observed call that the catalog does not know: its names and types. Absent otherwise. */
  readonly shape?: CallShape;
  readonly facts: CallFacts;
  /** The counters of limits over all tasks that the use takes from. Absent if there are none. */
  readonly limits?: readonly CountedLimit[];
  /** Hash of the policy set; `null` if none is loaded. */
  readonly policySet: string | null;
  /** Its generation (1 = the first set this process loaded); `null` if none is loaded. */
  readonly policyGeneration: number | null;
  /** The cache result of the policy question; `bypass` if no question was asked. */
  readonly cache: CacheResult;
}

/** Whether policies permit the call: not if it is denied, and not if it passes because it is only observed. */
export const isPermitted = ({ decision }: Pick<DecidedCheck, 'decision'>): boolean =>
  !isDeny(decision) && decision.observed === null;

/** Reasons for denying a token whose task is over or which was itself revoked. */
const AFTER_END: ReadonlySet<ReasonCode> = new Set([
  'task.completed',
  'task.cancelled',
  'task.revoked',
  'task.expired',
  'token.revoked',
]);

/**
 * All reuse classes of a use: the class that follows from the decision, then those known before it. Empty without a verified
 * token. Those known before are missing if the use was denied before the reports of other sidecars were known.
 */
export function reuseOf(judgement: Pick<DecidedCheck, 'decision' | 'facts'>): readonly ReuseClass[] {
  const { decision, facts } = judgement;
  if (facts.use === 0 || !isDeny(decision)) return facts.reuse;
  if (isPresentedByAnother(judgement)) return ['other-identity', ...facts.reuse];
  if (withOtherCertificate(judgement)) return ['other-certificate', ...facts.reuse];
  return AFTER_END.has(decision.reason) ? ['after-end', ...facts.reuse] : facts.reuse;
}

/** Whether a call was denied because its verified task token was issued to another workload. */
export function isPresentedByAnother({ decision, facts }: Pick<DecidedCheck, 'decision' | 'facts'>): boolean {
  const token = taskTokenOf(facts);
  const isUnbound = isDeny(decision) && decision.reason === 'token.binding';
  return isUnbound && token !== null && !isDeny(facts.caller) && facts.caller.id !== token.clientId;
}

/**
 * Whether a call was denied because its agent presents another certificate than its token is bound to. An agent does so after each renewal of
 * its SVID until it exchanges its token; behind a proxy that keeps connections which were opened with the former certificate it does so for ever.
 */
export function withOtherCertificate({ decision, facts }: Pick<DecidedCheck, 'decision' | 'facts'>): boolean {
  const { caller } = facts;
  const token = taskTokenOf(facts);
  if (!isDeny(decision) || decision.reason !== 'token.binding' || token === null || isDeny(caller)) return false;
  const isOwn = caller.id === token.clientId && token.delegate === null;
  const bound = token.confirmation?.kind === 'x5t#S256' ? token.confirmation.thumbprint : null;
  return isOwn && bound !== null && caller.certificateSha256 !== null && caller.certificateSha256 !== bound;
}

/**
 * The check with every credential in path, query, host, MCP names and denial detail replaced by its digest. Everything that is
 * recorded, traced, logged and answered is built from this. Arguments, headers and body are unchanged; nothing shows them.
 */
export function shownCheck<T extends Pick<DecidedCheck, 'decision' | 'facts'>>(
  judgement: T,
  digestOf: (secret: string) => string,
): T {
  const { decision, facts } = judgement;
  const { call, action } = facts;
  let isAsItWas = true;
  const shown = (text: string): string => {
    const made = shownText(text, digestOf);
    isAsItWas &&= made === text;
    return made;
  };
  const shownParts = {
    decision: shownDenial(decision, shown),
    call: isDeny(call) ? call : shownCall(call, shown),
    action: isDeny(action) ? action : shownAction(action, shown),
  };
  if (isAsItWas) return judgement;
  const { decision: shownDecision, ...shownFacts } = shownParts;
  return { ...judgement, decision: shownDecision, facts: { ...facts, ...shownFacts } };
}

/** A decision without credentials in its detail. */
export const shownDecision = (decision: Decision, digestOf: (secret: string) => string): Decision =>
  shownDenial(decision, (text) => shownText(text, digestOf));

type Show = (text: string) => string;

function shownDenial(decision: Decision, shown: Show): Decision {
  if (isDeny(decision)) return { ...decision, detail: shown(decision.detail) };
  const { observed } = decision;
  return observed === null ? decision : { ...decision, observed: { ...observed, detail: shown(observed.detail) } };
}

const shownCall = (call: HttpCall, shown: Show): HttpCall => ({
  ...call,
  host: shown(call.host),
  path: shown(call.path),
  query: call.query === '' ? '' : shown(`?${call.query}`).replace(/^\?/, ''),
});

function shownAction(action: Action, shown: Show): Action {
  const { mcp, carried, otherHeaders } = action;
  if (mcp === undefined && carried === undefined && otherHeaders === undefined) return action;
  return {
    ...action,
    ...(mcp === undefined ? {} : { mcp: shownMcp(mcp, shown) }),
    ...(carried === undefined ? {} : { carried: { ...carried, names: carried.names.map(shown) } }),
    ...(otherHeaders === undefined ? {} : { otherHeaders: { ...otherHeaders, names: otherHeaders.names.map(shown) } }),
  };
}

const shownMcp = ({ method, tool }: NonNullable<Action['mcp']>, shown: Show): NonNullable<Action['mcp']> => ({
  method: shown(method),
  tool: tool === null ? null : shown(tool),
});

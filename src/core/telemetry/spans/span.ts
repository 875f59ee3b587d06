import { TraceFlags } from '@opentelemetry/api';
import type { SpanContext } from '@opentelemetry/api';
import { taskTokenOf } from '../../decide/facts.ts';
import { isDeny } from '../../decision/decision.ts';
import type { DecidedCheck } from '../../decide/decided-check.ts';
import { exactMsOf } from '../../runtime/ports.ts';
import type { Ports } from '../../runtime/ports.ts';
import type { SpanReference } from '../../token/claims.ts';
import { tellArguments } from './argument-attributes.ts';
import { faultOf, tellCheck, tellPreviousUse } from './check-attributes.ts';
import type { LinkKind, SpanLink, SpanSink } from './ended-span.ts';
import { placeUnder, spanContextFrom } from './trace-context.ts';

/** The dependencies of tracing. */
export interface Tracing {
  /** Receives spans; `null` if tracing is off. */
  readonly spans: SpanSink | null;
  /** Whether spans of checks have the recorded arguments. Default no. */
  readonly spanArguments?: () => boolean;
  readonly ports: Pick<Ports, 'nowMs' | 'monotonicMs' | 'exactMs' | 'randomBytes'>;
}

/** What a check's span refers to, besides the check. */
export interface CheckTrace {
  /** Its ids. */
  readonly place: CheckPlace;
  /** `traceparent` header of the call, chosen by the application: a link, never the parent. */
  readonly application: string | null;
  /** Span of the previous use of the same token. */
  readonly previousUse: SpanReference | null;
  /** Span of the allow that this denial withdraws. */
  readonly withdraws?: SpanReference;
  /** When the check began, milliseconds on the monotonic clock. */
  readonly startedMs: number;
}

/** The ids of a check's span, recorded or not: for the record, the answer and the next use. */
export interface CheckPlace extends SpanReference {
  readonly parent: SpanContext | null;
}

/**
 * Allocates the ids of a check's span.
 *
 * @param traceparent from Envoy's gRPC metadata, which names the parent
 */
export function placeOfCheck(
  { ports }: { readonly ports: Pick<Ports, 'randomBytes'> },
  traceparent: string | null,
): CheckPlace {
  const parent = spanContextFrom(traceparent);
  return { ...placeUnder(parent, ports.randomBytes), parent };
}

/**
 * Records the single span of a check when it has ended: the sampler can see the decision, and only bytes outlive the check. It
 * links to the span that issued the token, from the signed claim. A denial is always recorded, so that a caller cannot hide it with its
 * sampling flag.
 */
export function traceCheck({ spans, spanArguments, ports }: Tracing, judgement: DecidedCheck, on: CheckTrace): void {
  const { traceId, spanId, parent } = on.place;
  const isAllowedCheck = !isDeny(judgement.decision);
  if (spans === null || (isAllowedCheck && !spans.samplesAllow(traceId, parent))) return;
  const endMs = exactMsOf(ports);
  spans.add({
    traceId,
    spanId,
    name: nameOf(judgement),
    parent,
    // By the monotonic clock, so that setting the wall clock does not change a duration.
    startMs: endMs - (ports.monotonicMs() - on.startedMs),
    endMs,
    attributes: (tell) => {
      tellCheck(judgement, tell);
      tellPreviousUse(on.previousUse, tell);
      // Last: a limit on the number of attributes leaves them out first.
      if (spanArguments?.() === true) tellArguments(judgement.facts, tell);
    },
    links: linksOf(judgement, on),
    isError: faultOf(judgement) !== null,
    isAllowedCheck,
  });
}

/** `allow payments.create`, `deny payments.create`; just `deny` if the call is not a catalog action. */
const nameOf = ({ decision, facts: { action } }: DecidedCheck): string =>
  isDeny(action) ? decision.kind : `${decision.kind} ${action.id}`;

function linksOf({ facts }: DecidedCheck, on: CheckTrace): SpanLink[] {
  const links: SpanLink[] = [];
  const token = taskTokenOf(facts);
  if (token !== null) links.push(linkTo(token.issuance, 'issued_by'));
  if (on.previousUse !== null) links.push(linkTo(on.previousUse, 'previous_use'));
  if (on.withdraws !== undefined) links.push(linkTo(on.withdraws, 'withdraws'));
  const application = spanContextFrom(on.application);
  if (application !== null) links.push({ to: application, kind: 'application' });
  return links;
}

const linkTo = ({ traceId, spanId }: SpanReference, kind: LinkKind): SpanLink => ({
  to: { traceId, spanId, traceFlags: TraceFlags.SAMPLED, isRemote: true },
  kind,
});

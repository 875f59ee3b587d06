import { isSpanContextValid, ROOT_CONTEXT, SpanKind, SpanStatusCode, trace, TraceFlags } from '@opentelemetry/api';
import type { Attributes, Link, SpanContext, Tracer } from '@opentelemetry/api';
import type { Action } from '../action/http.ts';
import { taskTokenOf } from '../decide.ts';
import { isDeny } from '../decision/decision.ts';
import { reasons } from '../decision/reasons.ts';
import type { ReasonCode } from '../decision/reasons.ts';
import { reuseOf } from '../judgement.ts';
import type { Judgement } from '../judgement.ts';
import type { SpanReference } from '../token/claims.ts';
import { tellingClass } from '../token/reuse.ts';

/** What spans are made with. */
export interface Tracing {
  readonly tracer: Tracer;
  readonly randomBytes: (length: number) => Uint8Array;
}

/** The name of the span of a check. */
export const CHECK_SPAN = 'remit.check';

/** What a check's span hangs on, besides the judgement itself. */
export interface CheckTrace {
  /** `traceparent` of the gRPC metadata that Envoy sent: the parent. */
  readonly parent: string | null;
  /** `traceparent` header of the call, the application's own word: a link, never the parent. */
  readonly application: string | null;
  /** Span of the previous use of the same token. */
  readonly previousUse: SpanReference | null;
  /** When the check began, milliseconds since the Unix epoch. */
  readonly startedAtMs: number;
}

/**
 * Writes the one span of a check. It is started after the decision, with the check's start time, so that a sampler sees
 * the decision, and it links to the span that issued the token, as the signed claim names it.
 *
 * @returns where the span stands, for the record and for the next use
 */
export function traceCheck(tracing: Tracing, judgement: Judgement, on: CheckTrace): SpanReference {
  const parent = spanContextFrom(on.parent);
  const context = parent === null ? ROOT_CONTEXT : trace.setSpanContext(ROOT_CONTEXT, parent);
  const span = tracing.tracer.startSpan(
    CHECK_SPAN,
    {
      kind: SpanKind.SERVER,
      startTime: on.startedAtMs,
      attributes: attributesOf(judgement),
      links: linksOf(judgement, on),
    },
    context,
  );
  const fault = faultOf(judgement);
  if (fault !== null) span.setStatus({ code: SpanStatusCode.ERROR });
  span.end();
  return placeOf(span.spanContext(), { ...tracing, parent });
}

/** The reason of a denial that is a fault of ours, which alone is an error: a denial that was decided is a good answer. */
const faultOf = ({ decision }: Judgement): ReasonCode | null =>
  isDeny(decision) && reasons[decision.reason].httpStatus === 503 ? decision.reason : null;

/**
 * A span's place, as it is stored and signed. Where tracing is off, a span has no identity of its own but its parent's, or
 * none: it gets a random one, in the trace of its parent where it has one, so that a use can be joined to its issuance.
 */
export function placeOf(
  context: SpanContext,
  { parent, randomBytes }: Pick<Tracing, 'randomBytes'> & { readonly parent: SpanContext | null },
): SpanReference {
  if (isSpanContextValid(context) && context.spanId !== parent?.spanId) {
    return { traceId: context.traceId, spanId: context.spanId };
  }
  const hex = (bytes: number): string => Buffer.from(randomBytes(bytes)).toString('hex');
  return { traceId: parent?.traceId ?? hex(16), spanId: hex(8) };
}

/** Reads a W3C `traceparent`; `null` for anything that is none. @see W3C Trace Context section 3.2 */
export function spanContextFrom(traceparent: string | null): SpanContext | null {
  const parts = /^00-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})$/.exec(traceparent ?? '');
  const context = {
    traceId: parts?.[1] ?? '',
    spanId: parts?.[2] ?? '',
    traceFlags: Number.parseInt(parts?.[3] ?? '0', 16) & TraceFlags.SAMPLED,
    isRemote: true,
  };
  return isSpanContextValid(context) ? context : null;
}

function linksOf({ facts }: Judgement, on: CheckTrace): Link[] {
  const links: Link[] = [];
  const token = taskTokenOf(facts);
  if (token !== null) links.push(linkTo(token.issuance, 'issued_by'));
  if (on.previousUse !== null) links.push(linkTo(on.previousUse, 'previous_use'));
  const application = spanContextFrom(on.application);
  if (application !== null) links.push({ context: application, attributes: { 'remit.link': 'application' } });
  return links;
}

const linkTo = (span: SpanReference, kind: string): Link => ({
  context: { ...span, traceFlags: TraceFlags.SAMPLED, isRemote: true },
  attributes: { 'remit.link': kind },
});

function attributesOf(judgement: Judgement): Attributes {
  const { cache, decision, decisionId, facts, policySet } = judgement;
  const token = taskTokenOf(facts);
  const reuse = reuseOf(judgement);
  const telling = tellingClass(reuse);
  const fault = faultOf(judgement);
  return {
    'remit.decision': decision.kind,
    'remit.decision.id': decisionId,
    'remit.policy.ids': [...decision.policyIds],
    'remit.cache': cache,
    ...(policySet === null ? {} : { 'remit.policy.set': policySet }),
    ...(isDeny(decision) ? { 'remit.reason': decision.reason, 'remit.detail': decision.detail } : {}),
    ...(fault === null ? {} : { 'error.type': fault }),
    ...(isDeny(facts.caller) ? {} : { 'remit.agent': facts.caller.id }),
    ...(isDeny(facts.action)
      ? {}
      : {
          'remit.action': facts.action.id,
          'remit.action.kind': facts.action.kind,
          'remit.decided_on': facts.action.isDecidedOnHeaders ? 'headers' : 'request',
          'http.route': facts.action.endpoint,
          ...mcpAttributes(facts.action),
        }),
    ...(isDeny(facts.credential) ? {} : { 'remit.credential': facts.credential.kind }),
    ...(facts.use === 0 ? {} : { 'remit.token.use': facts.use }),
    ...(telling === null ? {} : { 'remit.token.reuse': [...reuse], 'remit.token.reuse.class': telling }),
    ...(token === null
      ? {}
      : {
          'remit.task.id': token.taskId,
          'remit.intent.hash': token.intentHash,
          'remit.intent.trace_id': token.issuance.traceId,
        }),
    ...(isDeny(facts.call)
      ? {}
      : {
          'http.request.method': facts.call.method,
          'url.scheme': facts.call.scheme,
          'url.path': facts.call.path,
          'server.address': facts.call.host,
          ...(facts.call.port === null ? {} : { 'server.port': facts.call.port }),
        }),
  };
}

/** @see OpenTelemetry semantic conventions for MCP, in development */
function mcpAttributes({ mcp }: Action): Attributes {
  if (mcp === undefined) return {};
  const tool = mcp.tool === null ? {} : { 'gen_ai.operation.name': 'execute_tool', 'gen_ai.tool.name': mcp.tool };
  return { 'mcp.method.name': mcp.method, ...tool };
}

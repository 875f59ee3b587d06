import { isDeny } from '../decision/decision.ts';
import type { Reason } from '../decision/reasons.ts';
import type { HttpCall } from './http/call.ts';
import type { RouteTarget } from './catalog/catalog.ts';
import type { DeniedCall } from './denied-call.ts';
import type { JsonRpcId } from './json-rpc.ts';

/** How a denial is written if the client does not expect an ordinary HTTP answer. */
export type DenialForm =
  /** A gRPC client reads `grpc-status`, whatever the HTTP status is. */
  | { readonly kind: 'grpc' }
  /** A2A over HTTP and JSON: a `google.rpc.Status` as JSON, with the HTTP status of the reason. @see AIP-193 */
  | { readonly kind: 'a2a-http' }
  | {
      readonly kind: 'json-rpc-error';
      /** Id of the request; `null` if it has none or cannot be parsed. */
      readonly id: JsonRpcId | null;
      readonly code: number;
      /** 200, which every client reads, or the status of the reason. */
      readonly status: 'ok' | 'reason';
      readonly media: MediaType;
    }
  /** The result of an MCP tool call, which frameworks hand to the model, with or without `isError`. HTTP 200. */
  | { readonly kind: 'tool-result'; readonly id: JsonRpcId; readonly isError: boolean; readonly media: MediaType }
  /** HTTP 202 without a body, for an MCP notification: it has no answer, and several clients end their session at an error. */
  | { readonly kind: 'accepted' };

/** JSON, or one server-sent event with it for a client that accepts nothing else. */
type MediaType = 'application/json' | 'text/event-stream';

/**
 * Error codes. MCP: a code from the range of implementations (-32000 to -32019) that no SDK uses; not -32001, the code of the
 * AuthZEN binding, which the SDKs take for a timeout on which clients drop their session. A2A defines codes from -32001 on, so
 * there it is the last server code of JSON-RPC.
 */
const CODES = { mcp: -32_010, a2a: -32_099 } as const;

/**
 * How a denial of the call is written; `null` for an ordinary HTTP answer. If a new token would cure the denial, the status stays
 * 401, on which MCP clients get a token. The status also stays if the id of the message could not be read: no client could match
 * another answer to its request.
 */
export function denialFormOf({ call, target, message }: DeniedCall, reason: Reason): DenialForm | null {
  if (isGrpc(call)) return { kind: 'grpc' };
  if (message === null || (target?.kind !== 'mcp' && target?.kind !== 'a2a')) return overHttp(call, target);
  const style = target.kind === 'mcp' ? target.mcp.denials : target.a2a.denials;
  const media = mediaTypeFor(call);
  const error = { kind: 'json-rpc-error', code: CODES[target.kind], media } as const;
  if (isDeny(message)) return { ...error, id: null, status: 'reason' };
  const id = message.kind === 'answer' ? null : message.id;
  if (style === 'http' || reason.httpStatus === 401) return { ...error, id, status: 'reason' };
  if (message.kind === 'answer' || id === null) {
    const isUnanswered = target.kind === 'mcp' && !INVALID.has(reason.httpStatus);
    return isUnanswered ? { kind: 'accepted' } : { ...error, id: null, status: 'reason' };
  }
  // A call that begins an MCP task expects the task as its result.
  const isToolCall = message.method === 'tools/call' && !message.params.has('task');
  return isToolCall && (style === 'result' || style === 'text')
    ? { kind: 'tool-result', id, isError: style === 'result', media }
    : { ...error, id, status: 'ok' };
}

/** The HTTP status of a denial in its form. */
export function httpStatusOf(form: DenialForm | null, { httpStatus }: Reason): number {
  if (form === null || form.kind === 'grpc' || form.kind === 'a2a-http') return httpStatus;
  if (form.kind === 'accepted') return 202;
  return form.kind === 'json-rpc-error' && form.status === 'reason' ? httpStatus : 200;
}

/** Statuses of messages that are not valid, which MCP requires for a notification too. */
const INVALID: ReadonlySet<number> = new Set([400, 413]);

/** Whether a call is gRPC, by the rule of Envoy. @see https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md, Requests */
const isGrpc = ({ headers }: HttpCall): boolean =>
  (headers.get('content-type') ?? []).some((type) => /^application\/grpc(?:[+;]|$)/i.test(type));

/** Clients of A2A from version 1 on name their version. */
const overHttp = ({ headers }: HttpCall, target: RouteTarget | undefined): DenialForm | null =>
  headers.has('a2a-version') && target?.kind !== 'mcp' ? { kind: 'a2a-http' } : null;

/** Streams of A2A accept events alone; MCP accepts both. */
function mediaTypeFor({ headers }: HttpCall): MediaType {
  const accepted = (headers.get('accept') ?? []).join(',').toLowerCase();
  const isEventAlone = accepted.includes('text/event-stream') && !/application\/(?:json|\*)|\*\/\*/.test(accepted);
  return isEventAlone ? 'text/event-stream' : 'application/json';
}

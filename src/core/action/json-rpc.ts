import { deny } from '../decision/decision.ts';
import type { Deny } from '../decision/decision.ts';
import { isProblem } from '../runtime/problem.ts';
import type { HttpCall } from './http/call.ts';
import { exactJsonFrom, protobufFolded } from './arguments/json-arguments.ts';

/** The id of a request. */
export type JsonRpcId = string | number;

/** A JSON-RPC message, in its only reading. */
export type JsonRpcMessage =
  | {
      readonly kind: 'call';
      /** `null` for a notification, which gets no answer. */
      readonly id: JsonRpcId | null;
      readonly method: string;
      /** Empty if none were sent. */
      readonly params: ReadonlyMap<string, unknown>;
    }
  /** A client's answer to a request of the server: its `result`, or its `error`. */
  | {
      readonly kind: 'answer';
      readonly id: JsonRpcId;
      readonly of: { readonly result: unknown } | { readonly error: unknown };
    };

/** Longest message, in bytes; more is `request.too-large`. */
export const MAX_MESSAGE_BYTES = 1_048_576;

const MAX_ID_CHARS = 128;
const MEMBERS: ReadonlySet<string> = new Set(['jsonrpc', 'id', 'method', 'params', 'result', 'error']);

/**
 * Parses the JSON-RPC message in a call's body. Denies with `request.unsupported` a batch and a body that is not plain JSON
 * (content type, content encoding), `request.body-incomplete` a body the proxy did not send, `request.too-large` more than 1
 * MiB, `request.not-canonical` a member that a lenient parser takes for another, and `request.malformed` every other invalid
 * message: duplicate members, invalid UTF-8, deep nesting, unknown members. Pure, never throws.
 *
 * @see https://www.jsonrpc.org/specification sections 4 and 5
 */
export function jsonRpcFrom(call: HttpCall): JsonRpcMessage | Deny {
  if (!isPlainJson(call)) return deny('request.unsupported', 'the body is not declared as plain `application/json`');
  if (call.body === null) return deny('request.body-incomplete', 'the body was not sent to the check');
  if (call.body.length > MAX_MESSAGE_BYTES) {
    return deny('request.too-large', `the message is longer than ${MAX_MESSAGE_BYTES} bytes`);
  }
  const read = exactJsonFrom(call.body);
  if (isProblem(read)) return malformed(read.problem);
  if (Array.isArray(read.value)) return deny('request.unsupported', 'the message is a batch');
  const members = objectMembers(read.value);
  return members === null ? malformed('must be an object') : messageFrom(members);
}

/** The own members of a JSON object; `null` for any other value. */
export const objectMembers = (value: unknown): ReadonlyMap<string, unknown> | null =>
  typeof value === 'object' && value !== null && !Array.isArray(value) ? new Map(Object.entries(value)) : null;

/**
 * A name among `names` that some parsers read as a name of `known`: equal except for case or underscores, as in Go's decoder and protobuf
 * JSON. `null` if there is none.
 */
export function lookalike(names: Iterable<string>, known: Iterable<string>): string | null {
  const exact = new Set(known);
  const folded = new Map([...exact].map((name) => [protobufFolded(name), name]));
  for (const name of names) {
    const other = exact.has(name) ? undefined : folded.get(protobufFolded(name));
    if (other !== undefined) return other;
  }
  return null;
}

const malformed = (problem: string): Deny => deny('request.malformed', `the JSON-RPC message ${problem}`);

function isPlainJson({ headers }: HttpCall): boolean {
  const types = headers.get('content-type') ?? [];
  const encodings = headers.get('content-encoding') ?? ['identity'];
  return (
    types.length === 1 &&
    /^application\/json[ \t]*(;[ \t]*charset="?utf-8"?[ \t]*)?$/i.test(types[0] ?? '') &&
    encodings.length === 1 &&
    encodings[0]?.toLowerCase() === 'identity'
  );
}

function messageFrom(members: ReadonlyMap<string, unknown>): JsonRpcMessage | Deny {
  const taken = lookalike(members.keys(), MEMBERS);
  if (taken !== null) {
    return deny('request.not-canonical', `a member of the JSON-RPC message can be taken for \`${taken}\``);
  }
  if ([...members.keys()].some((name) => !MEMBERS.has(name)))
    return malformed('has a member that JSON-RPC does not have');
  if (members.get('jsonrpc') !== '2.0') return malformed('is not of version 2.0');
  const id = idFrom(members);
  if (isProblem(id)) return malformed(id.problem);
  return members.has('method') ? callFrom(members, id.value) : answerFrom(members, id.value);
}

function idFrom(
  members: ReadonlyMap<string, unknown>,
): { readonly value: JsonRpcId | null } | { readonly problem: string } {
  if (!members.has('id')) return { value: null };
  const id = members.get('id');
  const isId =
    (typeof id === 'string' && id.length <= MAX_ID_CHARS) || (typeof id === 'number' && Number.isSafeInteger(id));
  return isId
    ? { value: id }
    : { problem: `has an invalid id: must be a safe integer or text of at most ${MAX_ID_CHARS} characters` };
}

function callFrom(members: ReadonlyMap<string, unknown>, id: JsonRpcId | null): JsonRpcMessage | Deny {
  const method = members.get('method');
  if (members.has('result') || members.has('error')) return malformed('is both a call and an answer');
  if (typeof method !== 'string' || !/^[\x21-\x7e]{1,128}$/.test(method)) {
    return malformed('has an invalid method: must be plain text of 1 to 128 characters');
  }
  const params = members.has('params') ? objectMembers(members.get('params')) : new Map<string, unknown>();
  return params === null ? malformed('has params that are not an object') : { kind: 'call', id, method, params };
}

function answerFrom(members: ReadonlyMap<string, unknown>, id: JsonRpcId | null): JsonRpcMessage | Deny {
  const isAnswer = members.has('result') !== members.has('error') && !members.has('params');
  if (!isAnswer || id === null) return malformed('must be a call or an answer');
  if (!isAnswerId(id)) return malformed('has an id that some parsers read as another');
  const of = members.has('result') ? { result: members.get('result') } : { error: members.get('error') };
  return { kind: 'answer', id, of };
}

/**
 * Whether an answer's id has only one reading. SDKs turn the id into a number, so `0x1`, `01`, ` 1`, `1_0` and the empty text
 * would hit a pending request.
 */
function isAnswerId(id: JsonRpcId): boolean {
  if (typeof id === 'number') return id >= 0;
  if (/^(0|[1-9]\d{0,15})$/.test(id)) return true;
  return /^[\x21-\x7e]+$/.test(id) && Number.isNaN(Number(id)) && !/^[+-]?[\d_]+$/.test(id);
}

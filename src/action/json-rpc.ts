import { deny } from '../decision/decision.ts';
import type { Deny } from '../decision/decision.ts';
import { isProblem } from '../token/members.ts';
import type { HttpCall } from './call.ts';
import { exactJsonFrom, protobufFolded } from './json-arguments.ts';

/** What a request can be matched to its answer by. */
export type JsonRpcId = string | number;

/** One JSON-RPC message, in the one reading it has. */
export type JsonRpcMessage =
  | {
      readonly kind: 'call';
      /** `null` for a notification, which gets no answer. */
      readonly id: JsonRpcId | null;
      readonly method: string;
      /** Empty where none were sent. */
      readonly params: ReadonlyMap<string, unknown>;
    }
  /** What a client answers to a request that the server made of it. */
  | { readonly kind: 'answer'; readonly id: JsonRpcId | null };

/** What a message may be at most, in bytes; more is `request.too-large`. */
export const MAX_MESSAGE_BYTES = 1_048_576;

const MAX_ID_CHARS = 256;
const MEMBERS: ReadonlySet<string> = new Set(['jsonrpc', 'id', 'method', 'params', 'result', 'error']);

/**
 * The JSON-RPC message that a call carries as its body. It denies with `request.unsupported` a body that is not plain JSON
 * (content type, content encoding) or a batch, `request.body-incomplete` one that was not sent along, `request.too-large`
 * one of more than 1 MiB, `request.not-canonical` one with a member that a careless reader takes for another, and
 * `request.malformed` all else that is no message: two members of one name, bytes that are no UTF-8, deep nesting,
 * members JSON-RPC does not have. Pure, never throws.
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
  return members === null ? malformed('is no object') : messageFrom(members);
}

/** The members of a JSON object, own ones alone; `null` for any other value. */
export const objectMembers = (value: unknown): ReadonlyMap<string, unknown> | null =>
  typeof value === 'object' && value !== null && !Array.isArray(value) ? new Map(Object.entries(value)) : null;

/**
 * A name among `names` that some readers take for one of `known`, and others do not: equal but for case or underscores, as
 * Go's decoder and the JSON form of protobuf have it. `null` where every reader agrees.
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
    : { problem: `has an id that is neither a safe integer nor text of ${MAX_ID_CHARS} characters` };
}

function callFrom(members: ReadonlyMap<string, unknown>, id: JsonRpcId | null): JsonRpcMessage | Deny {
  const method = members.get('method');
  if (members.has('result') || members.has('error')) return malformed('is both a call and an answer');
  if (typeof method !== 'string' || !/^[\x21-\x7e]{1,128}$/.test(method)) {
    return malformed('has a method that is no plain text of 1 to 128 characters');
  }
  const params = members.has('params') ? objectMembers(members.get('params')) : new Map<string, unknown>();
  return params === null ? malformed('has params that are no object') : { kind: 'call', id, method, params };
}

function answerFrom(members: ReadonlyMap<string, unknown>, id: JsonRpcId | null): JsonRpcMessage | Deny {
  const isAnswer = members.has('result') !== members.has('error') && !members.has('params');
  return isAnswer && (id !== null || members.has('error'))
    ? { kind: 'answer', id }
    : malformed('is neither a call nor an answer');
}

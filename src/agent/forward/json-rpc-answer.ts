import type { DenialStyle } from '../../core/action/denial-style.ts';
import { objectMembers } from '../../core/action/json-rpc.ts';
import { isProblem } from '../../core/runtime/problem.ts';
import { strictJsonFrom } from '../../core/token/jose/strict-json.ts';
import { type LocalAnswer, messageOf } from './local/local-answer.ts';

/** An answer to a JSON-RPC message: with HTTP 200, or 202 without a body for a notification; in the style `http` with the status of the answer. */
export interface JsonRpcAnswer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
}

/** As in Remit's denials: an error code that no SDK of MCP uses and A2A leaves free. */
const CODE = -32_010;

/**
 * The forwarder's own answer in JSON-RPC, so that a client keeps its session. It has the form of a denial by Remit: by default the failed result of an
 * MCP tool, whose text frameworks hand to the model, else an error. `null` if the body is not a JSON-RPC message.
 *
 * @param style how the upstream answers denied calls
 */
export function jsonRpcAnswer(
  answer: LocalAnswer,
  body: Uint8Array,
  style: DenialStyle = 'result',
): JsonRpcAnswer | null {
  const read = strictJsonFrom(body);
  const message = isProblem(read) ? null : objectMembers(read.value);
  if (message?.get('jsonrpc') !== '2.0') return null;
  const id = message.get('id');
  const method = message.get('method');
  // A message without a method is a response to a request of the server; responses are not answered.
  const isRequest = (typeof id === 'string' || typeof id === 'number') && typeof method === 'string';
  if (!isRequest && style !== 'http') return { status: 202, headers: {}, body: '' };
  const isToolCall = method === 'tools/call' && objectMembers(message.get('params'))?.has('task') !== true;
  const isResult = isToolCall && (style === 'result' || style === 'text');
  const outcome = isResult ? { result: toolResult(answer, style === 'result') } : { error: errorOf(answer) };
  return {
    status: style === 'http' ? answer.status : 200,
    headers: {
      'content-type': 'application/json',
      'cache-control': 'no-store',
      ...(style === 'http' && answer.next === 'retry_later' ? { 'retry-after': '1' } : {}),
    },
    body: JSON.stringify({ jsonrpc: '2.0', id: isRequest ? id : null, ...outcome }),
  };
}

const toolResult = (answer: LocalAnswer, isError: boolean): object => {
  const { reason, next } = answer;
  return {
    content: [{ type: 'text', text: `Denied: ${messageOf(answer)}\nreason: ${reason}, next: ${next}` }],
    isError,
    resultType: 'complete',
    _meta: { 'remit.dev/denial': { reason, next } },
  };
};

const errorOf = (answer: LocalAnswer): object => {
  const { reason, next } = answer;
  return { code: CODE, message: messageOf(answer), data: { reason, next } };
};

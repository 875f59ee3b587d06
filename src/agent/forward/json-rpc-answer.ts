import { objectMembers } from '../../core/action/json-rpc.ts';
import { isProblem } from '../../core/runtime/problem.ts';
import { strictJsonFrom } from '../../core/token/jose/strict-json.ts';
import { type LocalAnswer, messageOf } from './local/local-answer.ts';

/** An answer to a JSON-RPC message, with HTTP 200, or 202 without a body for a notification. */
export interface JsonRpcAnswer {
  readonly status: 200 | 202;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
}

/** As in Remit's denials: an error code that no SDK of MCP uses and A2A leaves free. */
const CODE = -32_010;

/**
 * The forwarder's own answer in JSON-RPC, so that a client keeps its session. Like a denial by Remit, it is the failed result of an MCP
 * tool, whose text frameworks hand to the model, else an error. `null` if the body is not a JSON-RPC message.
 */
export function jsonRpcAnswer(answer: LocalAnswer, body: Uint8Array): JsonRpcAnswer | null {
  const read = strictJsonFrom(body);
  const message = isProblem(read) ? null : objectMembers(read.value);
  if (message?.get('jsonrpc') !== '2.0') return null;
  const id = message.get('id');
  const method = message.get('method');
  if (typeof id !== 'string' && typeof id !== 'number') return { status: 202, headers: {}, body: '' };
  // The body is a response to a request of the server; responses are not answered.
  if (typeof method !== 'string') return { status: 202, headers: {}, body: '' };
  const { reason, next } = answer;
  const data = { reason, next };
  const text = messageOf(answer);
  const isToolCall = method === 'tools/call' && objectMembers(message.get('params'))?.has('task') !== true;
  const outcome = isToolCall
    ? {
        result: {
          content: [{ type: 'text', text: `Denied: ${text}\nreason: ${reason}, next: ${next}` }],
          isError: true,
          resultType: 'complete',
          _meta: { 'remit.dev/denial': data },
        },
      }
    : { error: { code: CODE, message: text, data } };
  const written = JSON.stringify({ jsonrpc: '2.0', id, ...outcome });
  const headers = { 'content-type': 'application/json', 'cache-control': 'no-store' };
  return { status: 200, headers, body: written };
}

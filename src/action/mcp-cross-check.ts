import { deny } from '../decision/decision.ts';
import type { Deny } from '../decision/decision.ts';
import { objectMembers } from './json-rpc.ts';
import type { JsonRpcMessage } from './json-rpc.ts';
import type { McpReading, McpScalar } from './mcp-reading.ts';

/** The method the filter gives to what a client answers. */
const ANSWER = '__jsonrpc_response';

/**
 * Why a message and what the proxy’s MCP filter read are not one thing: whatever else of the proxy obeys the filter must see
 * what the server acts on. `request.body-incomplete` where the filter did not read to the end, `request.not-canonical` where
 * it takes the request for something else, found a fault, or read another method, id (a number is compared as the double
 * that the filter makes of it, which every id that is let in has), or member of `params` or `params.ref`. `null` where all
 * readings agree with the message, and so with each other, and where there are none.
 *
 * @param message `null` where the request has none, as a `GET` or `DELETE`: then the filter may not have read one
 */
export function mcpReadingProblem(readings: readonly McpReading[], message: JsonRpcMessage | null): Deny | null {
  for (const reading of readings) {
    const problem = faultOf(reading) ?? difference(reading, message);
    if (problem !== null) return problem;
  }
  return null;
}

function faultOf({ isMcp, isCut, fault }: McpReading): Deny | null {
  if (isCut) return deny('request.body-incomplete', 'the MCP filter of the proxy did not read the whole message');
  if (!isMcp) return deny('request.not-canonical', 'the MCP filter of the proxy does not take the request for MCP');
  return fault === null ? null : deny('request.not-canonical', `the MCP filter of the proxy found \`${fault}\``);
}

function difference({ envelope, params, ref }: McpReading, message: JsonRpcMessage | null): Deny | null {
  if (message === null) {
    return envelope.size + params.size + ref.size === 0
      ? null
      : deny('request.not-canonical', 'the MCP filter of the proxy read a message where there is none');
  }
  if (envelope.get('method') !== methodOf(message)) return differs('method');
  if ((envelope.get('id') ?? null) !== message.id) return differs('id');
  const sent = message.kind === 'call' ? message.params : new Map<string, unknown>();
  const inParams = differing(params, sent);
  if (inParams !== null) return differs(`params.${inParams}`);
  const inRef = differing(ref, objectMembers(sent.get('ref')));
  return inRef === null ? null : differs(`params.ref.${inRef}`);
}

/** `undefined`, which no filter says, for a call that has the name of an answer. */
function methodOf(message: JsonRpcMessage): string | undefined {
  if (message.kind === 'answer') return ANSWER;
  return message.method === ANSWER ? undefined : message.method;
}

function differing(read: ReadonlyMap<string, McpScalar>, sent: ReadonlyMap<string, unknown> | null): string | null {
  for (const [name, value] of read) if (sent?.get(name) !== value) return name.slice(0, MAX_SHOWN).toWellFormed();
  return null;
}

const MAX_SHOWN = 100;

const differs = (what: string): Deny =>
  deny('request.not-canonical', `the MCP filter of the proxy read another \`${what}\``);

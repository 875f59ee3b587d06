import { deny } from '../../decision/decision.ts';
import type { Deny } from '../../decision/decision.ts';
import { objectMembers } from '../json-rpc.ts';
import type { JsonRpcMessage } from '../json-rpc.ts';
import type { McpReading, McpScalar } from './mcp-reading.ts';

/** The method that the filter reports for an answer of a client. */
const ANSWER = '__jsonrpc_response';

/**
 * Cross-checks the message against what the proxy's MCP filter read, so that proxy features based on the filter see what the
 * server acts on. Denies with `request.body-incomplete` if the filter did not read to the end, and with
 * `request.not-canonical` if it found a fault, did not recognise the request as MCP, or read another method, id (a double in
 * the filter, as every accepted id is), or member of `params` or `params.ref`. `null` if all readings agree, or there are none.
 *
 * @param message `null` if the request has none, such as a `GET` or `DELETE`; the filter must not have read a message then
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
  if (!isMcp) return deny('request.not-canonical', 'the MCP filter of the proxy does not recognise the request as MCP');
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

/** The method to compare; `undefined`, which no filter reports, for a call named like an answer. */
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

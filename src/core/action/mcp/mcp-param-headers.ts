import { deny } from '../../decision/decision.ts';
import type { Deny } from '../../decision/decision.ts';
import type { ArgumentValue } from '../arguments/argument.ts';
import type { HttpCall } from '../http/call.ts';
import type { ArgumentSpec } from '../catalog/catalog-arguments.ts';
import { mcpHeaderText } from './mcp-header-text.ts';
import { headerOf, WITH_MCP_HEADERS } from './mcp-headers.ts';

/** The arguments of a tool call. */
export interface SentArguments {
  /** As in the message. */
  readonly sent: ReadonlyMap<string, unknown>;
  /** The declared arguments, parsed. */
  readonly args: ReadonlyMap<string, ArgumentValue>;
  readonly specs: readonly ArgumentSpec[];
}

const PREFIX = 'mcp-param-';
const MAX_SHOWN = 100;

/** Whether a header mirrors an argument of a tool. */
export const isMcpParamHeader = (name: string): boolean => name.startsWith(PREFIX);

/**
 * Checks that the `Mcp-Param-*` headers agree with the message, so that anything that routes by them sees what the server acts
 * on. The tool's schema, which Remit does not see, says which argument a header mirrors; here the catalog does (`header` of an
 * argument), else the argument of that name, ignoring case. Refused in every revision: a header that matches no argument or several, a
 * header without a tool call, a repeated header. Refused from revision 2026-07-28 on: a missing header that the catalog
 * names. Text must be equal, whole numbers equal as numbers (`42.0` is 42); other values have no header. `null` if all agree.
 *
 * @param called `null` if no tool is called
 * @see
 * https://modelcontextprotocol.io/specification/2026-07-28/basic/transports/streamable-http#custom-headers-from-tool-parameters
 */
export function mcpParamProblem(headers: HttpCall['headers'], called: SentArguments | null): Deny | null {
  const sentHeaders = [...headers].filter(([name]) => isMcpParamHeader(name));
  if (called === null) {
    const [first] = sentHeaders;
    return first === undefined ? null : notCanonical(first[0], 'is only valid with a tool call');
  }
  const named = namedHeaders(called);
  if (headerOf(headers, 'mcp-protocol-version') === WITH_MCP_HEADERS) {
    const missing = [...named].find(([name, value]) => value !== undefined && !headers.has(name));
    if (missing !== undefined)
      return deny('request.malformed', `revision ${WITH_MCP_HEADERS} requires the header \`${missing[0]}\``);
  }
  if (sentHeaders.length === 0) return null;
  const alike = argumentsByLowerName(called.sent);
  for (const [name, values] of sentHeaders) {
    const mirrored = named.has(name) ? [named.get(name)] : (alike.get(name.slice(PREFIX.length)) ?? []);
    const problem = valuesProblem(values, mirrored);
    if (problem !== null) return notCanonical(name, problem);
  }
  return null;
}

/** The headers that the catalog names, each with the argument it mirrors. */
function namedHeaders({ specs, args }: SentArguments): ReadonlyMap<string, unknown> {
  const named = new Map<string, unknown>();
  for (const spec of specs) {
    if (spec.from === 'body' && spec.header !== undefined) named.set(`${PREFIX}${spec.header}`, args.get(spec.name));
  }
  return named;
}

function argumentsByLowerName(sent: ReadonlyMap<string, unknown>): ReadonlyMap<string, readonly unknown[]> {
  const alike = new Map<string, unknown[]>();
  for (const [name, value] of sent) {
    const lower = name.toLowerCase();
    const others = alike.get(lower);
    if (others === undefined) alike.set(lower, [value]);
    else others.push(value);
  }
  return alike;
}

function valuesProblem(headerValues: readonly string[], mirrored: readonly unknown[]): string | null {
  const [value = '', ...others] = headerValues;
  if (others.length > 0) return 'has more than one value';
  if (mirrored.length !== 1) return mirrored.length === 0 ? 'mirrors no argument' : 'mirrors more than one argument';
  const text = mcpHeaderText(value);
  if (text === undefined) return 'is not well formed';
  return isMirror(text, mirrored[0]) ? null : 'differs from the message';
}

/** A whole number as a safe integer is written; zeros may follow the point. */
const WHOLE = /^-?\d{1,16}(\.0{1,16})?$/;

function isMirror(text: string, value: unknown): boolean {
  if (typeof value === 'string') return text === value;
  if (typeof value === 'boolean') return text === String(value);
  return Number.isSafeInteger(value) && WHOLE.test(text) && Number(text) === value;
}

const notCanonical = (name: string, problem: string): Deny =>
  deny('request.not-canonical', `the header \`${name.slice(0, MAX_SHOWN)}\` ${problem}`);

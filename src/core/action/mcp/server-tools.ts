import { isObject } from '../../runtime/fields.ts';
import { isProblem, type Problem } from '../../runtime/problem.ts';

/** A request to an MCP server. `message` is absent for the end of a session. */
export interface McpRequest {
  readonly method: 'POST' | 'DELETE';
  readonly headers: Readonly<Record<string, string>>;
  readonly message?: object;
}

/** Its answer. */
export interface McpReply {
  readonly status: number;
  /** Names in lower case. */
  readonly headers: Readonly<Record<string, string | readonly string[] | undefined>>;
  readonly body: string;
}

/** Why there is no list of tools. */
export interface NoList extends Problem {
  /** Whether the server answered, but not with a list that can be read. Otherwise it was not reached, or is overloaded. */
  readonly isAnswered: boolean;
}

/** Sends a request; a problem if there is no answer within the bounds of the sender. */
export type AskMcp = (request: McpRequest) => Promise<McpReply | NoList>;

/** The revision that is offered first, and the one for servers without sessions. */
const OFFERED = '2025-11-25';
const STATELESS = '2026-07-28';
const MAX_PAGES = 64;
/** Most tools of a server. */
const MAX_TOOLS = 4_096;
/** Most events of an answer, of which each costs a parse. */
const MAX_EVENTS = 1_024;

const CLIENT = { name: 'remit', version: '1' };

/**
 * All tools that an MCP server lists, of all pages, as parsed from JSON: in a session, or by revision 2026-07-28 if the server
 * has none. A problem if it does not answer, or lists more than 4,096 tools or 64 pages.
 */
export async function serverTools(ask: AskMcp): Promise<readonly unknown[] | NoList> {
  const opened = await opening(ask);
  if (isProblem(opened)) return opened;
  const listed = await pages(ask, opened);
  const session = opened.headers['mcp-session-id'];
  // Otherwise each look-up would leave a session at the server. The answer does not matter.
  if (session !== undefined) await ask({ method: 'DELETE', headers: opened.headers });
  return listed;
}

/** How requests to a server are sent. */
interface Opened {
  readonly headers: Readonly<Record<string, string>>;
  /** Members of `params` that each request has. */
  readonly params: object;
}

async function opening(ask: AskMcp): Promise<Opened | NoList> {
  const params = { protocolVersion: OFFERED, capabilities: {}, clientInfo: CLIENT };
  const reply = await ask(posted({}, { jsonrpc: '2.0', id: 0, method: 'initialize', params }));
  if (isProblem(reply)) return reply;
  const opened = resultOf(reply, 0);
  const revision = isProblem(opened) ? null : opened.result['protocolVersion'];
  if (typeof revision !== 'string' || revision === STATELESS) return stateless;
  const session = reply.headers['mcp-session-id'] ?? null;
  // A value that no header can have would make each request fail as if the server were unreachable.
  if (!isVisible(revision)) return unreadable('a revision that is not visible ASCII of at most 8,192 characters');
  if (session !== null && !isVisible(session))
    return unreadable('a session id that is not visible ASCII of at most 8,192 characters');
  const headers = {
    'mcp-protocol-version': revision,
    ...(session === null ? {} : { 'mcp-session-id': session }),
  };
  const ready = await ask(posted(headers, { jsonrpc: '2.0', method: 'notifications/initialized' }));
  return isProblem(ready) ? ready : { headers, params: {} };
}

/** The rule of MCP for a session id, up to 8,192 characters. */
const isVisible = (value: unknown): value is string => typeof value === 'string' && /^[\x21-\x7e]{1,8192}$/.test(value);

const stateless: Opened = {
  headers: { 'mcp-protocol-version': STATELESS, 'mcp-method': 'tools/list' },
  params: {
    _meta: {
      'io.modelcontextprotocol/protocolVersion': STATELESS,
      'io.modelcontextprotocol/clientCapabilities': {},
      'io.modelcontextprotocol/clientInfo': CLIENT,
    },
  },
};

const posted = (headers: McpRequest['headers'], message: object): McpRequest => ({
  method: 'POST',
  headers: { 'content-type': 'application/json', accept: 'application/json, text/event-stream', ...headers },
  message,
});

async function pages(ask: AskMcp, { headers, params }: Opened): Promise<readonly unknown[] | NoList> {
  const tools: unknown[] = [];
  let cursor: string | null = null;
  for (let page = 1; page <= MAX_PAGES; page += 1) {
    const asked: object = { ...params, ...(cursor === null ? {} : { cursor }) };
    const reply = await ask(posted(headers, { jsonrpc: '2.0', id: page, method: 'tools/list', params: asked }));
    if (isProblem(reply)) return reply;
    const answered = resultOf(reply, page);
    if (isProblem(answered)) return answered;
    const { tools: listed, nextCursor } = answered.result;
    if (!Array.isArray(listed)) return unreadable('the answer to tools/list has no `tools`');
    if (tools.length + listed.length > MAX_TOOLS) return unreadable(`the server lists more than ${MAX_TOOLS} tools`);
    for (const tool of listed as readonly unknown[]) tools.push(tool);
    if (typeof nextCursor !== 'string') return tools;
    if (nextCursor === cursor) return unreadable('the server gives the same page again');
    cursor = nextCursor;
  }
  return unreadable(`the server lists its tools in more than ${MAX_PAGES} pages`);
}

const unreadable = (problem: string): NoList => ({ problem, isAnswered: true });

/** The result in the reply to a request. Wrapped in an object, since a result may have any members. */
function resultOf(
  { status, headers, body }: McpReply,
  id: number,
): { readonly result: Readonly<Record<string, unknown>> } | NoList {
  // The answer of a gateway for an absent or overloaded server says nothing about its tools.
  if (status !== 200) return { problem: `status ${status}`, isAnswered: status < 500 && status !== 429 };
  const isEvents = String(headers['content-type'] ?? '').startsWith('text/event-stream');
  const texts = isEvents ? eventData(body) : [body];
  if (texts.length > MAX_EVENTS) return unreadable(`an answer of more than ${MAX_EVENTS} events`);
  for (const text of texts) {
    const message = parsed(text);
    if (!isObject(message) || message['id'] !== id) continue;
    const { result, error } = message;
    if (isObject(result)) return { result };
    const code = isObject(error) ? error['code'] : null;
    return unreadable(`the server answers with the error ${typeof code === 'number' ? code : 'of no code'}`);
  }
  return unreadable('the answer is no JSON-RPC message');
}

/** The `data` of each event of a stream, of at most `MAX_EVENTS` + 1 events. */
const eventData = (body: string): readonly string[] =>
  body.split(/\r\n\r\n|\n\n|\r\r/, MAX_EVENTS + 1).map((event) =>
    event
      .split(/\r\n|\n|\r/)
      .flatMap((line) => (line.startsWith('data:') ? [line.slice('data:'.length)] : []))
      .join('\n'),
  );

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}

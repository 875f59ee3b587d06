import { MCP_REVISIONS } from './mcp-headers.ts';
import type { McpRevision } from './mcp-headers.ts';
import { objectMembers } from '../json-rpc.ts';

/** Whether a value is what the specification says, bounded. */
type Fits = (value: unknown) => boolean;

/** From the first to the last revision that has it, both included. */
type Span = readonly [from: McpRevision, to: McpRevision];

/** A member of `params`: what fits, and the revisions that have it. */
type Member = readonly [fits: Fits, span?: Span];

/** The `params` of a method. Each method also has `_meta`. */
interface MethodParams {
  readonly span: Span;
  readonly members: ReadonlyMap<string, Member>;
}

const ALL: Span = ['2025-03-26', '2026-07-28'];
/** The revisions with sessions, in which servers send requests and clients post answers. */
const SESSIONS: Span = ['2025-03-26', '2025-11-25'];
const FROM_06: Span = ['2025-06-18', '2026-07-28'];
const ONLY_11: Span = ['2025-11-25', '2025-11-25'];
const FROM_11: Span = ['2025-11-25', '2026-07-28'];
const ONLY_26: Span = ['2026-07-28', '2026-07-28'];

/** Longest text that people read, in bytes of UTF-8: it reaches the server, and no policy reads it. */
const MAX_NOTE_BYTES = 256;
/** Longest opaque text that a server made and reads again, in bytes. */
const MAX_CURSOR_BYTES = 1024;
const MAX_STATE_BYTES = 8192;
const MAX_LISTED = 16;

const bytes =
  (max: number): Fits =>
  (value) =>
    typeof value === 'string' && Buffer.byteLength(value) <= max;
const anyText: Fits = (value) => typeof value === 'string';
const anyObject: Fits = (value) => objectMembers(value) !== null;
const note = bytes(MAX_NOTE_BYTES);
const cursor = bytes(MAX_CURSOR_BYTES);
const number: Fits = (value) => typeof value === 'number' && Number.isFinite(value);
const isTrueOrFalse: Fits = (value) => typeof value === 'boolean';
/** An id or a progress token. */
const id: Fits = (value) => note(value) || Number.isSafeInteger(value);
const listOf =
  (fits: Fits): Fits =>
  (value) =>
    Array.isArray(value) && value.length <= MAX_LISTED && value.every(fits);

const LEVELS = new Set(['debug', 'info', 'notice', 'warning', 'error', 'critical', 'alert', 'emergency']);
/** A level of log messages. */
export const isLogLevel: Fits = (value) => typeof value === 'string' && LEVELS.has(value);

/** Whether a value is an object with no other members than these, each of which fits if present. */
const objectOf =
  (members: Readonly<Record<string, Fits>>): Fits =>
  (value) => {
    const sent = objectMembers(value);
    if (sent === null) return false;
    const known = new Map(Object.entries(members));
    return [...sent].every(([name, of]) => known.get(name)?.(of) === true);
  };

const method = (span: Span, members: Readonly<Record<string, Member>> = {}): MethodParams => ({
  span,
  members: new Map(Object.entries(members)),
});

/** The answers to the questions of a server, and its own state, in the next round of the same request. */
const ROUNDS: Readonly<Record<string, Member>> = {
  inputResponses: [anyObject, ONLY_26],
  requestState: [bytes(MAX_STATE_BYTES), ONLY_26],
};
const CURSOR: Readonly<Record<string, Member>> = { cursor: [cursor] };
const URI: Readonly<Record<string, Member>> = { uri: [anyText] };
const TASK: Readonly<Record<string, Member>> = { taskId: [note] };

/**
 * Every member of `params` that a client may send, by method and revision; all others are refused. Taken from the schema of each
 * revision, and from the tasks extension. For `_meta`, which every method has, see `mcp-meta.ts`.
 *
 * @see https://modelcontextprotocol.io/specification
 */
const PARAMS: ReadonlyMap<string, MethodParams> = new Map<string, MethodParams>([
  [
    'tools/call',
    method(ALL, {
      name: [anyText],
      arguments: [anyObject],
      task: [objectOf({ ttl: number }), ONLY_11],
      ...ROUNDS,
    }),
  ],
  ['prompts/get', method(ALL, { name: [anyText], arguments: [anyObject], ...ROUNDS })],
  ['resources/read', method(ALL, { ...URI, ...ROUNDS })],
  ['resources/subscribe', method(SESSIONS, URI)],
  ['resources/unsubscribe', method(SESSIONS, URI)],
  [
    'completion/complete',
    method(ALL, {
      ref: [objectOf({ type: anyText, name: anyText, uri: anyText, title: note })],
      argument: [objectOf({ name: anyText, value: anyText })],
      context: [objectOf({ arguments: anyObject }), FROM_06],
    }),
  ],
  ['tools/list', method(ALL, CURSOR)],
  ['resources/list', method(ALL, CURSOR)],
  ['resources/templates/list', method(ALL, CURSOR)],
  ['prompts/list', method(ALL, CURSOR)],
  ['initialize', method(SESSIONS, { protocolVersion: [note], capabilities: [anyObject], clientInfo: [anyObject] })],
  ['ping', method(SESSIONS)],
  ['logging/setLevel', method(SESSIONS, { level: [isLogLevel] })],
  ['server/discover', method(ONLY_26)],
  [
    'subscriptions/listen',
    method(ONLY_26, {
      notifications: [
        objectOf({
          toolsListChanged: isTrueOrFalse,
          promptsListChanged: isTrueOrFalse,
          resourcesListChanged: isTrueOrFalse,
          resourceSubscriptions: listOf(anyText),
          taskIds: listOf(note),
        }),
      ],
    }),
  ],
  ['tasks/list', method(ONLY_11, CURSOR)],
  ['tasks/get', method(FROM_11, TASK)],
  ['tasks/result', method(ONLY_11, TASK)],
  ['tasks/cancel', method(FROM_11, TASK)],
  ['tasks/update', method(ONLY_26, { ...TASK, inputResponses: [anyObject] })],
  ['notifications/initialized', method(SESSIONS)],
  ['notifications/roots/list_changed', method(SESSIONS)],
  // Clients of 2026-07-28 close the stream instead, but some post it too.
  ['notifications/cancelled', method(ALL, { requestId: [id], reason: [note] })],
  [
    'notifications/progress',
    method(ALL, { progressToken: [id], progress: [number], total: [number], message: [note] }),
  ],
  [
    'notifications/tasks/status',
    method(ONLY_11, {
      taskId: [note],
      status: [note],
      statusMessage: [note],
      createdAt: [note],
      lastUpdatedAt: [note],
      ttl: [(value) => value === null || number(value)],
      pollInterval: [number],
    }),
  ],
]);

/** What is wrong with the `params` of a message: `member` names a member that the method does not have in that revision. */
export type ParamsProblem = { readonly problem: string; readonly member: string | null };

/**
 * Why the `params` of a method are refused: the revision has no such method, a member that the method does not have there, or a
 * value that does not fit; `null` if they are accepted. A method that is not in the table is not checked: it passes only as
 * `other` of the catalog.
 */
export function paramsProblem(
  name: string,
  params: ReadonlyMap<string, unknown>,
  revision: McpRevision,
): ParamsProblem | null {
  const known = PARAMS.get(name);
  if (known === undefined) return null;
  if (!isIn(known.span, revision))
    return { problem: `revision ${revision} does not have the method \`${name}\``, member: null };
  for (const [member, value] of params) {
    if (member === '_meta') continue;
    const [fits, span = ALL] = known.members.get(member) ?? [];
    if (fits === undefined || !isIn(span, revision)) return { problem: 'has another member', member };
    if (!fits(value)) return { problem: `the parameter \`${member}\` of \`${name}\` is not valid`, member: null };
  }
  return null;
}

function isIn([from, to]: Span, revision: McpRevision): boolean {
  const at = MCP_REVISIONS.indexOf(revision);
  return at >= MCP_REVISIONS.indexOf(from) && at <= MCP_REVISIONS.indexOf(to);
}

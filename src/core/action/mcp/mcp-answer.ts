import type { Problem } from '../../runtime/problem.ts';
import { objectMembers } from '../json-rpc.ts';

/** What a client answers to a question of a server, in its only reading. */
export type McpAnswer =
  /** Nothing: declined or cancelled, or the answer to a ping. */
  | { readonly kind: 'nothing' }
  /** What a person entered or accepted; empty if there was nothing to enter. */
  | { readonly kind: 'content'; readonly content: ReadonlyMap<string, unknown> }
  /** What the client's model wrote. */
  | { readonly kind: 'text'; readonly text: string }
  /** The URIs of the client's folders. */
  | { readonly kind: 'roots'; readonly uris: readonly string[] };

/** Members by which servers tell what an answer is: an answer with two of them has two meanings. */
const MARKS = ['action', 'role', 'roots'] as const;
type Mark = (typeof MARKS)[number];
type Members = ReadonlyMap<string, unknown>;

const MAX_NAME_BYTES = 256;
const MAX_ROOTS = 64;
const TWO_MEANINGS: Problem = { problem: 'can be read as two kinds of answers' };

/**
 * Reads the answer to one question: the result of an elicitation, of sampling or of a list of roots, as a JSON-RPC response has
 * it, or as an entry of `inputResponses`. A problem, as a clause, for everything that the specification does not define, and for
 * what no argument of a catalog can hold: images, audio and the tools of a model. Pure, linear time.
 */
export function mcpAnswerFrom(value: unknown): McpAnswer | Problem {
  const members = objectMembers(value);
  if (members === null) return { problem: 'is not an object' };
  const [mark, second] = MARKS.filter((name) => members.has(name));
  if (second !== undefined) return TWO_MEANINGS;
  const reader = mark === undefined ? readers.none : readers[mark];
  const other = [...members.keys()].find((name) => !reader.members.includes(name));
  if (other !== undefined) return { problem: 'has a member that its kind of answer does not have' };
  if (!isPlainMeta(members.get('_meta'))) return { problem: 'has a `_meta` with other keys' };
  return reader.read(members);
}

interface AnswerReader {
  readonly members: readonly string[];
  readonly read: (members: Members) => McpAnswer | Problem;
}

const readers: Readonly<Record<Mark | 'none', AnswerReader>> = {
  none: { members: ['_meta'], read: () => ({ kind: 'nothing' }) },
  action: { members: ['action', 'content', '_meta'], read: elicited },
  role: { members: ['role', 'model', 'stopReason', 'content', '_meta'], read: sampled },
  roots: { members: ['roots', '_meta'], read: rooted },
};

function elicited(members: Members): McpAnswer | Problem {
  const content = members.get('content');
  const isEmpty = content === undefined || content === null;
  const entered = isEmpty ? new Map<string, unknown>() : objectMembers(content);
  if (entered === null) return { problem: 'has a `content` that is not an object' };
  switch (members.get('action')) {
    case 'accept':
      return { kind: 'content', content: entered };
    case 'decline':
    case 'cancel':
      return entered.size === 0 ? { kind: 'nothing' } : { problem: 'refuses the question, and has content' };
    default:
      return { problem: 'has an unknown `action`' };
  }
}

function sampled(members: Members): McpAnswer | Problem {
  const role = members.get('role');
  if (role !== 'assistant' && role !== 'user') return { problem: 'has an unknown `role`' };
  if (!isName(members.get('model')) || !(members.get('stopReason') === undefined || isName(members.get('stopReason'))))
    return { problem: 'has an invalid `model` or `stopReason`' };
  const content = members.get('content');
  const blocks: readonly unknown[] = Array.isArray(content) ? content : [content];
  const block = blocks.length === 1 ? objectMembers(blocks[0]) : null;
  const text = block?.get('text');
  return block?.size === 2 && block.get('type') === 'text' && typeof text === 'string'
    ? { kind: 'text', text }
    : { problem: 'is not one text of a model' };
}

function rooted(members: Members): McpAnswer | Problem {
  const roots = members.get('roots');
  if (!Array.isArray(roots) || roots.length > MAX_ROOTS)
    return { problem: `is not a list of at most ${MAX_ROOTS} roots` };
  const uris: string[] = [];
  for (const root of roots) {
    const parts = objectMembers(root);
    const uri = parts?.get('uri');
    const isNamed = parts?.has('name') === true;
    if (typeof uri !== 'string' || parts?.size !== (isNamed ? 2 : 1) || (isNamed && !isName(parts.get('name'))))
      return { problem: 'has a root that is not a URI with a name' };
    uris.push(uri);
  }
  return { kind: 'roots', uris };
}

const isName = (value: unknown): boolean => typeof value === 'string' && Buffer.byteLength(value) <= MAX_NAME_BYTES;

const RELATED_TASK = 'io.modelcontextprotocol/related-task';

/** Whether a `_meta` has at most `related-task`: an answer to a question about a task names the task. */
function isPlainMeta(meta: unknown): boolean {
  if (meta === undefined) return true;
  const keys = objectMembers(meta);
  if (keys === null || keys.size > 1) return false;
  const task = objectMembers(keys.get(RELATED_TASK));
  return keys.size === 0 || (task?.size === 1 && isName(task.get('taskId')));
}

const MAX_MESSAGE_BYTES = 256;

/** Whether an error that a client answers with carries nothing but its code and a short text. */
export function isPlainError(error: unknown): boolean {
  const members = objectMembers(error);
  const message = members?.get('message');
  return (
    members?.size === 2 &&
    Number.isSafeInteger(members.get('code')) &&
    typeof message === 'string' &&
    Buffer.byteLength(message) <= MAX_MESSAGE_BYTES
  );
}

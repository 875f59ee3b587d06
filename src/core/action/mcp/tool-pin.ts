import { createHash } from 'node:crypto';
import canonicalize from 'canonicalize';
import { isProblem, type Problem } from '../../runtime/problem.ts';

/** The members of a tool's definition that its pin covers: all that tells a model what a tool is and takes. */
export const PINNED_MEMBERS = ['name', 'description', 'inputSchema', 'outputSchema', 'annotations'] as const;

/** Whether a text is a pin: `sha-256:` and the base64url digest. */
export const isToolPin = (text: string): boolean => /^sha-256:[\w-]{43}$/.test(text);

/**
 * The pin of a tool as an MCP server lists it: `sha-256:` and the base64url SHA-256 of the canonical JSON of its pinned members. A member that is
 * `null` counts as absent, since servers of one SDK write either. A problem if the tool has no canonical JSON.
 *
 * @see RFC 8785
 */
export function toolPin(tool: Readonly<Record<string, unknown>>): string | Problem {
  const unnamed = unnamedPin(tool);
  return isProblem(unnamed) ? unnamed : unnamed.pinAs(tool['name']);
}

/** The pins that a definition has under other names. */
export interface UnnamedPin {
  /** Bytes that each pin digests, without those of the name. */
  readonly bytes: number;
  /** Its pin under a name. A problem if the name has no canonical JSON. */
  readonly pinAs: (name: unknown) => string | Problem;
}

/** The other members around the name, in the order of RFC 8785: by UTF-16 code units. */
const BEFORE_NAME = PINNED_MEMBERS.filter((member) => member < 'name');
const AFTER_NAME = PINNED_MEMBERS.filter((member) => member > 'name');

/** The pins of a definition under any name: the canonical JSON of its other members is made once. A problem if it has none. */
export function unnamedPin(tool: Readonly<Record<string, unknown>>): UnnamedPin | Problem {
  const before = membersText(tool, BEFORE_NAME);
  const after = membersText(tool, AFTER_NAME);
  if (isProblem(before)) return before;
  if (isProblem(after)) return after;
  return {
    bytes: Buffer.byteLength(before.text) + Buffer.byteLength(after.text),
    pinAs: (name) => {
      const own = membersText({ name }, ['name']);
      if (isProblem(own)) return own;
      const text = [before, own, after].flatMap((part) => (part.text === '' ? [] : [part.text])).join(',');
      return `sha-256:${createHash('sha256').update(`{${text}}`, 'utf8').digest('base64url')}`;
    },
  };
}

/** The pinned members of a tool, without its other members. */
export const pinnedMembers = (
  tool: Readonly<Record<string, unknown>>,
  names: readonly (typeof PINNED_MEMBERS)[number][] = PINNED_MEMBERS,
): Readonly<Record<string, unknown>> =>
  Object.fromEntries(names.flatMap((name) => ((tool[name] ?? null) === null ? [] : [[name, tool[name]]])));

/** Members in canonical JSON, without the braces. */
function membersText(
  tool: Readonly<Record<string, unknown>>,
  names: readonly (typeof PINNED_MEMBERS)[number][],
): { readonly text: string } | Problem {
  const text = canonicalText(pinnedMembers(tool, names));
  return isProblem(text) ? text : { text: text.slice(1, -1) };
}

/** Deepest nesting of a definition, well below the stack limit. */
const MAX_DEPTH = 64;

/** The canonical JSON of a value that was read from JSON. */
export function canonicalText(value: unknown): string | Problem {
  const problem = canonicalProblem(value, MAX_DEPTH);
  return problem === null ? (canonicalize(value) ?? 'null') : { problem };
}

function canonicalProblem(value: unknown, depthLeft: number): string | null {
  if (typeof value === 'string') return value.isWellFormed() ? null : 'a string contains a lone surrogate';
  if (typeof value === 'number') return Number.isFinite(value) ? null : 'a number is not finite';
  if (typeof value !== 'object' || value === null) return null;
  if (depthLeft === 0) return `it is nested deeper than ${MAX_DEPTH} levels`;
  for (const [name, member] of Object.entries(value)) {
    const problem = name.isWellFormed() ? canonicalProblem(member, depthLeft - 1) : 'a name contains a lone surrogate';
    if (problem !== null) return problem;
  }
  return null;
}

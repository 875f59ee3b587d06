import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { isProblem, type Problem } from '../../core/runtime/problem.ts';
import {
  authorizationDetailsFrom,
  authorizationDetailsLimits,
  type Constraints,
  unconstrained,
} from '../../core/token/authorization-details.ts';
import { type AccessEntry, type IntentFile, intentFileFrom } from '../task/intent.ts';
import type { TaskRequest } from './task-request.ts';

/** The intents of a folder, by the names of their files. */
export type Templates = ReadonlyMap<string, IntentFile>;

const MAX_TEMPLATES = 256;

/**
 * Reads all intents of a folder, 1 to 256: each file whose name ends in `.yaml`, `.yml` or `.json`. An invalid file makes the
 * whole folder a problem.
 */
export async function templatesIn(folder: string): Promise<Templates | Problem> {
  const names = await readdir(folder).catch((error: NodeJS.ErrnoException) => ({
    problem: `the folder of intents \`${folder}\` cannot be read: ${error.code ?? 'unknown error'}`,
  }));
  if (isProblem(names)) return names;
  const files = names.filter((name) => /^[\w-][\w.-]*\.(?:ya?ml|json)$/.test(name)).toSorted();
  if (files.length === 0) return { problem: `the folder \`${folder}\` has no intent: a file in YAML or JSON for each` };
  if (files.length > MAX_TEMPLATES)
    return { problem: `the folder \`${folder}\` has more than ${MAX_TEMPLATES} intents` };
  const templates = new Map<string, IntentFile>();
  for (const name of files) {
    const file = join(folder, name);
    const text = await readFile(file, 'utf8').catch((error: NodeJS.ErrnoException) => ({
      problem: `the intent \`${file}\` cannot be read: ${error.code ?? 'unknown error'}`,
    }));
    if (isProblem(text)) return text;
    const intent = intentFileFrom(text, file);
    if ('findings' in intent) return { problem: findingsText(file, intent.findings) };
    templates.set(name, intent);
  }
  return templates;
}

const findingsText = (
  file: string,
  findings: readonly { readonly line: number; readonly column: number; readonly message: string }[],
): string => findings.map(({ column, line, message }) => `${file}:${line}:${column}: ${message}`).join('\n');

/** The intent of a request: that of its template narrowed by the request, or its own. */
export function requestedIntent(
  { constraints, expiresInSeconds, intent: asked, purpose }: TaskRequest,
  templates: Templates,
): IntentFile | Problem {
  const template = typeof asked === 'string' ? templates.get(asked) : ownIntent(asked);
  if (template === undefined)
    return { problem: `there is no intent of this name; there are ${[...templates.keys()].join(', ') || 'none'}` };
  if (isProblem(template)) return template;
  const longest = template.expiresInSeconds;
  if (longest !== null && expiresInSeconds !== null && expiresInSeconds > longest)
    return { problem: `\`expires_in\` is longer than the ${longest} s of the intent` };
  const access: AccessEntry[] = [];
  for (const entry of template.access) {
    const narrowed = narrowedEntry(entry, constraints ?? {});
    if (isProblem(narrowed)) return narrowed;
    access.push(purposed(narrowed, template.purpose, purpose));
  }
  const read = authorizationDetailsFrom(access.map(({ detail }) => detail));
  if (isProblem(read)) return { problem: `the intent ${read.problem}` };
  return { ...template, access, expiresInSeconds: expiresInSeconds ?? longest };
}

function ownIntent(asked: Readonly<Record<string, unknown>>): IntentFile | Problem {
  const intent = intentFileFrom(JSON.stringify(asked), 'intent');
  return 'findings' in intent
    ? { problem: `the intent: ${intent.findings.map(({ message }) => message).join('; ')}` }
    : intent;
}

/** The purpose of the template stays: a request says more, not something else. What does not fit is cut off: it may be the URL that a user called. */
function purposed({ resource, detail }: AccessEntry, own: string, more: string | null): AccessEntry {
  const room = authorizationDetailsLimits.maxCharacters - own.length - ': '.length;
  if (more === null || room < 1) return { resource, detail };
  // Does not cut a surrogate pair in half.
  const fitting = more.length <= room ? more : `${more.slice(0, room - 1).replace(/[\uD800-\uDBFF]$/, '')}…`;
  return { resource, detail: { ...detail, purpose: `${own}: ${fitting}` } };
}

/** An entry with the limits of the request, or why one of them is wider. */
function narrowedEntry(
  { resource, detail }: AccessEntry,
  asked: Readonly<Record<string, unknown>>,
): AccessEntry | Problem {
  // The parser of the intent accepts only a mapping.
  const own = (detail['constraints'] ?? {}) as Readonly<Record<string, unknown>>;
  const constraints = { ...own, ...asked };
  const next = { ...detail, ...(Object.keys(constraints).length === 0 ? {} : { constraints }) };
  const read = authorizationDetailsFrom([next]);
  if (isProblem(read)) return { problem: read.problem.replace(/^entry 0 /, '') };
  const wider = widened(constraintsOf(next), constraintsOf(detail));
  return wider === null
    ? { resource, detail: next }
    : { problem: `\`constraints\` would widen \`${wider}\` of the intent; a request can only narrow it` };
}

function constraintsOf(detail: AccessEntry['detail']): Constraints {
  const read = authorizationDetailsFrom([detail]);
  return (isProblem(read) ? undefined : read[0]?.constraints) ?? unconstrained;
}

/** The constraint that is wider than the intent has it; `null` if none is. */
function widened(next: Constraints, own: Constraints): string | null {
  if (own.maxCalls !== null && (next.maxCalls ?? Infinity) > own.maxCalls) return 'max_calls';
  if (own.notAfterMs !== null && (next.notAfterMs ?? Infinity) > own.notAfterMs) return 'not_after';
  if (own.notBeforeMs !== null && (next.notBeforeMs ?? 0) < own.notBeforeMs) return 'not_before';
  if (own.singleUse && !next.singleUse) return 'single_use';
  return own.maxAmount === null || isWithin(next.maxAmount, own.maxAmount) ? null : 'max_amount';
}

type Amount = Constraints['maxAmount'];

function isWithin(next: Amount, own: NonNullable<Amount>): boolean {
  if (next === null || next.argument !== own.argument || next.isDecimal !== own.isDecimal || next.limit > own.limit)
    return false;
  const { currency } = own;
  return currency === null || (next.currency?.argument === currency.argument && next.currency.value === currency.value);
}

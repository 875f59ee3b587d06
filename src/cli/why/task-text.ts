/** The intent of a call and those above it, as text. */
import { isObject } from '../../core/runtime/fields.ts';
import type { PoliciesThen } from './policies-then.ts';
import type { ReadEnd, ReadIntent } from './read-record.ts';
import type { ChainedTask } from './task-chain.ts';

const instant = (ms: number): string => new Date(ms).toISOString();

/** The intent of the task of a call, what it was granted, and what became of the task. */
export function intentLines([own]: readonly ChainedTask[], granting: PoliciesThen | null): readonly string[] {
  if (own === undefined) return ['none: the call was in no task'];
  const by = granting?.policies.map(({ id }) => id).join(', ') ?? '';
  return taskLines(own, by === '' ? '' : `, granted by ${by}`);
}

/** A task above that of a call: who delegated a part of it, and by which intent. */
export function delegationLines(above: ChainedTask): readonly string[] {
  const { delegated, intent } = above;
  const by = intent?.value.agent ?? 'the agent of the task above';
  const when = delegated === null ? '' : `, by a token of ${instant(delegated.value.at)}`;
  return [`by ${by}${when}, as a part of:`, ...taskLines(above)];
}

function taskLines({ task, intent, end }: ChainedTask, granted = ''): readonly string[] {
  if (intent === null)
    return [`task ${task}, whose intent is not in these records`, ...(end === null ? [] : [endLine(end.value)])];
  const { purpose, at, agent, subject, intentHash, traceId, details } = intent.value;
  return [
    `"${purpose ?? ''}", as ${agent ?? 'its agent'} declared ${instant(at)}${granted}`,
    `task ${task}  ${intentHash ?? '-'}  trace ${traceId}`,
    ...grantedLines(details),
    ...(subject === null || subject === agent ? [] : [`on behalf of ${subject}`]),
    ...lastLines(intent.value, end?.value ?? null),
  ];
}

function lastLines({ deadline }: ReadIntent, end: ReadEnd | null): readonly string[] {
  if (end !== null) return [endLine(end)];
  return deadline === null ? [] : [`no end is recorded; until ${instant(deadline)} at the latest`];
}

const endLine = ({ state, at, by, note }: ReadEnd): string =>
  `${state} ${instant(at)} by ${by}${note === '' ? '' : `: ${note}`}`;

/** What an intent was granted, an entry of its `authorization_details` a line. */
function grantedLines(details: unknown): readonly string[] {
  if (!Array.isArray(details)) return [];
  return (details as readonly unknown[]).filter(isObject).map(({ actions, locations, constraints }) => {
    const limits = constraints === undefined ? '' : `, within ${JSON.stringify(constraints)}`;
    return `may ${listed(actions)} at ${listed(locations)}${limits}`;
  });
}

const listed = (value: unknown): string => (Array.isArray(value) && value.length > 0 ? value.join(', ') : '-');

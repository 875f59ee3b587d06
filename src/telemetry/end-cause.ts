import type { EndRecord } from '../ledger/record.ts';

/** What kind of thing ended a task: a label, so a closed set. */
export type EndCause =
  'agent' | 'operator' | 'deadline' | 'idle' | 'parent' | 'signal' | 'context' | 'binding-violation' | 'other';

/** How the text of each cause begins, where it is made: `task/task.ts`, `store/task-change.ts`, `task/binding-violation.ts`, the issuer. */
const beginnings: readonly (readonly [text: string, cause: EndCause])[] = [
  ['deadline reached', 'deadline'],
  ['idle limit reached', 'idle'],
  ['it is part of task ', 'parent'],
  ['signal ', 'signal'],
  ['the context changed: ', 'context'],
  ['the token was presented by ', 'binding-violation'],
  ['completed by the agent', 'agent'],
  ['cancelled by the agent', 'agent'],
  ['revoked by the agent', 'agent'],
  ['cancelled by an operator', 'operator'],
];

/** The kind of the cause of an end, whose text is for people and free where an operator wrote it. */
export function endCauseOf({ by, cause }: Pick<EndRecord, 'by' | 'cause'>): EndCause {
  const [, found] = beginnings.find(([text]) => cause.startsWith(text)) ?? [];
  return found ?? (by === 'operator' ? 'operator' : 'other');
}

import { type EvidenceMembers, fieldText } from './record-members.ts';

/** What an operator did, by the cause of a record; `null` if it is no manual act, or this version does not know the cause. */
export function operatorAct(record: EvidenceMembers): string | null {
  const cause = fieldText(record, 'cause');
  if (cause === null || !['end', 'event'].includes(fieldText(record, 'kind') ?? '')) return null;
  // The end of an order by its time is no act, and its receipt has no cause.
  return operatorActs.get(cause) ?? null;
}

const operatorActs: ReadonlyMap<string, string> = new Map([
  ['operator.completed', 'ended a task as completed'],
  ['operator.cancelled', 'cancelled a task'],
  ['operator.revoked', 'revoked a task'],
  ['operator.suspended', 'suspended a task'],
  ['operator.resumed', 'resumed a task'],
  ['operator.allowed', 'let an agent declare like tasks again'],
  ['operator.stopped', 'stopped more than one task'],
  ['operator.observed', 'began an emergency: calls only observed'],
  ['operator.lifted', 'lifted a stop or an emergency'],
]);

import { hash } from 'node:crypto';
import { isPermitted, shownCheck } from '../../core/decide/decided-check.ts';
import type { DecidedCheck } from '../../core/decide/decided-check.ts';
import { deny, isDeny } from '../../core/decision/decision.ts';
import type { Deny } from '../../core/decision/decision.ts';
import { encodedRecord } from '../../core/ledger/encoded-record.ts';
import type { EncodedRecord } from '../../core/ledger/encoded-record.ts';
import type { SettledRecord } from '../../core/ledger/record.ts';
import { useRecord } from '../../core/ledger/use.ts';
import { isProblem } from '../../core/runtime/problem.ts';
import type { DecidedUse } from './decide-now.ts';
import type { CheckServices } from './services.ts';

/** Whether a check is an allowed use of high risk, whose record must be durable before the answer. */
export const isHighRiskUse = ({ decision, facts: { action } }: Pick<DecidedCheck, 'decision' | 'facts'>): boolean =>
  isPermitted({ decision }) && !isDeny(action) && action.risk === 'high';

/** The denial of a use that could not be recorded. */
export const unrecorded = deny('ledger.unavailable', 'the use could not be recorded');

/**
 * The record that a sidecar sends with the settlement of a use of high risk, so that it outlives the machine of the sidecar; `null` for any other
 * use.
 */
export function recordToSend(
  { sidecar, digestOf }: Pick<CheckServices, 'sidecar' | 'digestOf'>,
  { check, use }: Pick<DecidedUse, 'check' | 'use'>,
): EncodedRecord | null | Deny {
  if (sidecar === null || !isHighRiskUse(check)) return null;
  const record = encodedRecord({ ...useRecord(shownCheck(check, digestOf), use.place), origin: sidecar.origin });
  return isProblem(record) ? unrecorded : record;
}

/** The sidecar's log keeps a link to the record instead of the record. */
export const linkTo = ({ at, task, bytes }: EncodedRecord, decisionId: string): SettledRecord => ({
  kind: 'settled',
  at,
  task,
  decisionId,
  digest: hash('sha256', bytes, 'base64url'),
});

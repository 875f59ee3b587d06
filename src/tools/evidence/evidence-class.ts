import { reasons } from '../../core/decision/reasons.ts';
import { operatorAct } from './operator-act.ts';
import { type EvidenceMembers, fieldText } from './record-members.ts';

/** The id of an evidence class. */
export type ClassId = (typeof evidenceClasses)[number]['id'];

/** An evidence class. `matches` selects records; `exceptionOf` returns a code for those an auditor should look at. */
interface ClassEntry {
  readonly id: string;
  readonly title: string;
  /** What such a record shows to have been enforced or observed. */
  readonly shows: string;
  readonly matches: (record: EvidenceMembers) => boolean;
  readonly exceptionOf: (record: EvidenceMembers) => string | null;
}

const isKind = (record: EvidenceMembers, ...kinds: readonly string[]): boolean =>
  kinds.includes(fieldText(record, 'kind') ?? '');
const isUse = (record: EvidenceMembers, decision: 'allow' | 'deny'): boolean =>
  isKind(record, 'use') && record['decision'] === decision;
/** Whether a call was only observed: it was let through by no policy. */
export const isObserved = (record: EvidenceMembers): boolean => record['mode'] === 'observe';
const reasonOf = (record: EvidenceMembers): string =>
  fieldText(record, 'reason') ?? fieldText(record, 'error') ?? 'no reason';
const isFinding = (record: EvidenceMembers, ...findings: readonly string[]): boolean =>
  isKind(record, 'finding') && findings.includes(fieldText(record, 'finding') ?? '');
const isEvent = (record: EvidenceMembers, ...events: readonly string[]): boolean =>
  isKind(record, 'event') && events.includes(fieldText(record, 'event') ?? '');

/** Reason codes of fail-closed denials: the check itself could not be done. */
const FAULTS: ReadonlySet<string> = new Set(
  Object.entries(reasons).flatMap(([code, { httpStatus }]) => (httpStatus === 503 ? [code] : [])),
);
const MISUSES: ReadonlySet<string> = new Set(['token.binding', 'token.proof', 'token.static-secret']);
const MISUSE_CLASSES: ReadonlySet<string> = new Set(['other-identity', 'after-end']);

const misuseOf = (record: EvidenceMembers): string | null => {
  const reason = fieldText(record, 'reason');
  const classes = Array.isArray(record['reuse']) ? record['reuse'].map(String) : [];
  // Its own agent after a renewal of its SVID.
  if (reason === 'token.binding' && classes.includes('other-certificate')) return null;
  if (reason !== null && MISUSES.has(reason)) return reason;
  const found = classes.find((name) => MISUSE_CLASSES.has(name));
  return found === undefined ? null : `reuse ${found}`;
};

/** The record of an emergency that an operator started. */
const isEmergencyStart = (record: EvidenceMembers): boolean =>
  isEvent(record, 'order-made') && record['cause'] === 'operator.observed';

/** All evidence classes. A record can belong to several. */
export const evidenceClasses = [
  {
    id: 'E1',
    title: 'workload authentication',
    shows: 'the caller of each check proved a SPIFFE identity by mutual TLS, or was denied',
    matches: (record) =>
      isKind(record, 'use') && (record['agent'] !== null || reasonOf(record).startsWith('identity.')),
    exceptionOf: (record) => (reasonOf(record).startsWith('identity.') ? reasonOf(record) : null),
  },
  {
    id: 'E2',
    title: 'credential issuance',
    shows:
      'a token was issued only for a declared intent, bound to its workload, for one audience and a short time, or refused',
    matches: (record) => isKind(record, 'intent', 'token'),
    exceptionOf: (record) => (record['decision'] === 'deny' ? reasonOf(record) : null),
  },
  {
    id: 'E3',
    title: 'calls allowed',
    shows: 'each allowed call was decided by itself, against task, intent and policy set, and recorded with all three',
    matches: (record) => isUse(record, 'allow') && !isObserved(record),
    exceptionOf: () => null,
  },
  {
    id: 'E4',
    title: 'calls denied',
    shows: 'calls outside identity, task, intent or policy were denied, each with a reason of a closed list',
    matches: (record) => isUse(record, 'deny') || isEvent(record, 'refused') || isFinding(record, 'denied-but-served'),
    exceptionOf: (record) =>
      fieldText(record, 'finding') ?? (isKind(record, 'event') ? 'refused without a check' : reasonOf(record)),
  },
  {
    id: 'E5',
    title: 'end and suspension of credentials',
    shows: 'tasks were ended, suspended and resumed, by whom and why; their tokens were refused from then on',
    matches: (record) =>
      isKind(record, 'end') ||
      isEvent(record, 'suspended', 'resumed', 'risk', 'token-revoked', 'key-revoked', 'signal'),
    exceptionOf: (record) =>
      record['state'] === 'revoked' || isEvent(record, 'suspended', 'token-revoked', 'key-revoked')
        ? fieldText(record, 'cause')
        : null,
  },
  {
    id: 'E6',
    title: 'policy in force',
    shows: 'each policy set that came into force has an instant, a hash, an origin and the key that signed it',
    matches: (record) => isKind(record, 'policy'),
    exceptionOf: (record) => (record['isTextKept'] === true ? null : 'text not kept'),
  },
  {
    id: 'E7',
    title: 'misuse of credentials',
    shows:
      'tokens presented by others, after their end, or without proof of possession were denied, and static secrets stopped',
    matches: (record) => isEvent(record, 'binding-violation') || (isKind(record, 'use') && misuseOf(record) !== null),
    exceptionOf: (record) => (isKind(record, 'event') ? 'binding violation' : misuseOf(record)),
  },
  {
    id: 'E8',
    title: 'integrity of the record',
    shows: 'records are chained, under a Merkle tree whose heads were signed; the verdict above says how far that goes',
    matches: (record) => isKind(record, 'checkpoint') || isEvent(record, 'restored'),
    exceptionOf: (record) => (isEvent(record, 'restored') ? 'restored from a backup' : null),
  },
  {
    id: 'E9',
    title: 'inventory of tasks and agents',
    shows: 'each task has an agent, a subject, a purpose and a deadline',
    matches: (record) => isKind(record, 'intent') && record['task'] !== null,
    exceptionOf: () => null,
  },
  {
    id: 'E10',
    title: 'failing closed',
    shows: 'if a check could not be done, the call was denied',
    matches: (record) =>
      (isUse(record, 'deny') && FAULTS.has(reasonOf(record))) ||
      isFinding(record, 'failure-mode-allowed') ||
      isEmergencyStart(record),
    exceptionOf: (record) =>
      fieldText(record, 'finding') ?? (isEmergencyStart(record) ? 'emergency: calls only observed' : reasonOf(record)),
  },
  {
    id: 'E11',
    title: 'what Envoy observed',
    shows:
      "each decision is compared with Envoy's own access log: calls without a check, and denials that were served, are found",
    matches: (record) => isKind(record, 'outcome', 'finding'),
    exceptionOf: (record) => fieldText(record, 'finding'),
  },
  {
    id: 'E12',
    title: 'acts of operators',
    shows:
      'operators stopped agents, ended, suspended and resumed tasks, began and lifted emergencies; whether a SPIFFE ID stands for a person, the ledger does not know',
    matches: (record) => operatorAct(record) !== null,
    exceptionOf: () => null,
  },
] as const satisfies readonly ClassEntry[];

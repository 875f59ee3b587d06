import type { CatalogAction } from '../../../core/action/catalog/catalog.ts';
import type { UseRecord } from '../../../core/ledger/record.ts';
import type { UnknownValue } from './partial.ts';
import { unrecordedArguments } from './recorded-case.ts';
import type { Doubt } from './recorded-task.ts';

const value = (name: string, ...path: readonly string[]): UnknownValue => ({ path, name });

const OF_TOKENS = [
  value('binding of the token', 'credential', 'binding'),
  value('scope of the token', 'credential', 'scope'),
  value('lifetime of the token', 'credential', 'secondsLeft'),
];

const OF_DOUBT: Readonly<Record<Doubt, readonly UnknownValue[]>> = {
  task: [
    value('purpose of the task', 'intent', 'purpose'),
    value('grant of the task', 'intent', 'actions'),
    value('age of the task', 'intent', 'ageSeconds'),
    value('subject of the token', 'subject'),
    value('attributes of the subject', 'subjectAttributes'),
  ],
  actors: [value('actors of the token', 'actors')],
  risk: [value('risk of the task', 'risk')],
  context: [value('claims of the agent', 'claimed'), value('attested values of the task', 'attested')],
  history: [value('history of the task', 'task', 'actions'), value('history of the task', 'task', 'labels')],
};

/**
 * Values that policies can read but that neither the record of a use nor its task contains; arguments are those of its action.
 */
export const unknownValues = (
  record: UseRecord,
  doubts: ReadonlySet<Doubt>,
  action: CatalogAction | undefined,
): readonly UnknownValue[] => [
  ...unrecordedArguments(action, record).map(({ name }) => value(`argument ${name}`, 'args', name)),
  ...(record.credential === 'workload-identity' ? [] : OF_TOKENS),
  ...(record.credential === 'external-token' ? [value('subject of the token', 'subject')] : []),
  ...Array.from(doubts).flatMap((doubt) => OF_DOUBT[doubt]),
];

/**
 * Names of unrecorded facts on which two catalogs may disagree for the same call: arguments declared differently, secrets that
 * may pass, the scope of a grant or the audience of a token.
 */
export function unknownToCatalogs(
  { credential }: UseRecord,
  [former, other]: readonly [CatalogAction | null, CatalogAction | null],
  doubts: ReadonlySet<Doubt>,
): readonly string[] {
  if (former === null || other === null) return other === null ? [] : declaredOtherwise(null, other);
  const isElsewhere = former.server.audience !== other.server.audience;
  const isOtherGrant = doubts.has('task') && (isElsewhere || former.id !== other.id);
  return [
    ...declaredOtherwise(former, other),
    ...(isSame(former.staticSecrets, other.staticSecrets) ? [] : ['secrets in the call']),
    ...(isOtherGrant ? ['grant of the task'] : []),
    ...(isElsewhere && credential === 'external-token' ? ['audience of the token'] : []),
  ];
}

function declaredOtherwise(former: CatalogAction | null, other: CatalogAction): readonly string[] {
  const [before, after] = [former ?? undefined, other].map(
    (action) => new Map((action?.args ?? []).flatMap((spec) => (spec.from === 'path' ? [] : [[spec.name, spec]]))),
  );
  const names = new Set([...(before?.keys() ?? []), ...(after?.keys() ?? [])]);
  return Array.from(names)
    .filter((name) => !isSame(before?.get(name), after?.get(name)))
    .map((name) => `argument ${name}`);
}

const isSame = (left: unknown, right: unknown): boolean => JSON.stringify(left) === JSON.stringify(right);

import { decimalText } from '../../core/action/budget/decimal.ts';
import { inlineYaml } from '../policy/write/new-intent.ts';
import type { NewEntry, NewIntent } from '../policy/write/new-intent.ts';
import { summedArgument } from './beside/summed-argument.ts';
import { isAmountName } from '../policy/lint/amount-names.ts';
import { serverAudience } from './learnt-action.ts';
import type { LearntAction, LearntServer } from './learnt-action.ts';
import type { LearntPermit, PermitLine } from './learnt-permits.ts';
import type { SeenAgent } from './seen/seen-agent.ts';
import { sightingsText } from './sightings.ts';
import type { Sightings } from './sightings.ts';

/** The most that was seen and half as much again, rounded up. */
const withRoom = (most: number): number => most + Math.ceil(most / 2);

/**
 * The intent of an agent: the actions of its permits, in one entry for each server, and one for each action whose amount is
 * bounded. `max_calls` is half as many calls again as the agent made at most in one task, or in one hour without tasks. `null` if
 * the agent has no permit.
 */
export function learntIntent(
  agent: SeenAgent,
  permits: readonly LearntPermit[],
  servers: ReadonlyMap<string, LearntServer>,
): NewIntent | null {
  const own = permits.filter(({ agents }) => agents.includes(agent.id));
  const byServer = [...Map.groupBy(own, ({ server }) => server)];
  const entries = byServer.flatMap(([id, all]): readonly NewEntry[] => {
    const server = servers.get(id);
    return server === undefined ? [] : entriesAt(server, agent, all);
  });
  const [first] = entries;
  if (first === undefined) return null;
  return {
    head: [
      `What ${agent.id} was seen to do${agent.sightings === undefined ? '' : `: ${sightingsText(agent.sightings)}`}. Made by \`remit learn\`.`,
      'Leave out what one task does not need. A line that begins with `decide:` is not in force.',
    ],
    purpose: 'say what the task is for',
    resource: first.resource ?? '',
    entries: entries.toSorted((one, other) => Number(isOpen(one)) - Number(isOpen(other))),
    expiresIn: { value: '1h', note: 'the longest life of the task: calls without a task were counted by the hour' },
  };
}

/** One entry for the actions of a server, and one for each whose amount is bounded. */
function entriesAt(server: LearntServer, agent: SeenAgent, all: readonly LearntPermit[]): readonly NewEntry[] {
  const resource = serverAudience(server);
  const lines = all.flatMap(({ lines: own, undecided }) => own.map((line) => ({ line, undecided })));
  const entry = (of: typeof lines, amounts: NewEntry['constraints']): NewEntry => ({
    resource,
    actions: of.map(({ line, undecided }) => namedLine(line, undecided, agent.id)),
    constraints: [callsOf(agent), ...amounts],
  });
  const plain = lines.filter(({ line }) => amountOf(line, agent.id) === null);
  const bounded = lines.flatMap((one) => {
    const amount = amountOf(one.line, agent.id);
    return amount === null ? [] : [entry([one], [amount])];
  });
  return [...(plain.length === 0 ? [] : [entry(plain, [])]), ...bounded];
}

/** The bound on the amount of an action: half above the greatest sum in one task or hour; `null` unless each call has recorded it. */
function amountOf({ action: { known }, seen }: PermitLine, agent: string): NewEntry['constraints'][number] | null {
  const summed = known === undefined ? null : summedArgument(known.action);
  const sums = known?.sumsOf(agent) ?? null;
  if (summed === null || sums === null || sums.values < seen.count) return null;
  const written = (amount: number): number | string => (summed.type === 'decimal' ? decimalText(amount) : amount);
  const limit = withRoom(Math.max(0, sums.most));
  return Number.isSafeInteger(limit)
    ? {
        name: 'max_amount',
        value: inlineYaml({ argument: summed.name, limit: written(limit) }),
        note: `${written(sums.most)} was the most in one task or hour; half as much again`,
      }
    : null;
}

/** Whether none of its actions is in force. */
const isOpen = ({ actions }: NewEntry): boolean => actions.every(({ isToDecide }) => isToDecide === true);

/** Whether an intent has an action that is in force: otherwise its file is a comment as a whole. */
export const isIntentInForce = ({ entries }: NewIntent): boolean => entries.some((entry) => !isOpen(entry));

function namedLine({ action, seen }: PermitLine, undecided: string | null, agent: string): NewEntry['actions'][number] {
  const notes = [
    sightingsText(seen),
    ...(undecided === null ? [] : [undecided]),
    ...unboundedNote(action, { seen, agent }),
  ];
  return { id: action.id, note: notes.join('; '), ...(undecided === null ? {} : { isToDecide: true }) };
}

/** Why an action that has an amount is not bounded by it. */
function unboundedNote(
  { known, calls }: LearntAction,
  { seen, agent }: { readonly seen: Sightings; readonly agent: string },
): readonly string[] {
  const again = 'with `record: true` in the catalog, learn again for a `max_amount`';
  if (known === undefined) {
    const amount = Array.from(calls.members, ([way, kinds]) => ({ name: way.replaceAll('\0', '.'), kinds })).find(
      ({ name, kinds }) => isAmountName(name) && kinds.has('integer'),
    );
    return amount === undefined
      ? []
      : [`values of \`${amount.name}\` are never recorded of what no catalog knows: ${again}`];
  }
  const summed = summedArgument(known.action);
  if (summed === null || (known.sumsOf(agent)?.values ?? 0) >= seen.count) return [];
  return [`\`${summed.name}\` is not recorded of each call: ${again}`];
}

const callsOf = ({ mostCalls }: SeenAgent): NewEntry['constraints'][number] => ({
  name: 'max_calls',
  value: String(withRoom(mostCalls)),
  note: `${mostCalls} calls were the most in one task or hour; half as many again`,
});

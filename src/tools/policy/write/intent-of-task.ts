import { decimalFrom, decimalText, tenThousandthsOf } from '../../../core/action/budget/decimal.ts';
import type { IntentRecord, UseRecord } from '../../../core/ledger/record.ts';
import type { TimelineEntry } from '../../../core/ledger/timeline.ts';
import { isProblem, type Problem } from '../../../core/runtime/problem.ts';
import { authorizationDetailsFrom } from '../../../core/token/authorization-details.ts';
import type { AuthorizationDetail, MaxAmount } from '../../../core/token/authorization-details.ts';
import { inlineYaml } from './new-intent.ts';
import type { NewEntry, NewIntent } from './new-intent.ts';

/**
 * The intent that a recorded task would have needed: the actions that it was allowed, their number and their sums with half as
 * much again, never more than was granted. Calls that open or keep a session are in every intent, so they are left out.
 *
 * @param records of the task; a use that occurs twice counts once
 * @param isCut whether records are missing
 * @returns a problem if no intent was granted, or nothing was used
 */
export function intentOfTask(records: readonly TimelineEntry[], isCut: boolean): NewIntent | Problem {
  const intent = records.find((record): record is Granted => record.kind === 'intent' && record.decision === 'allow');
  if (intent === undefined) return { problem: 'there is no record of its intent' };
  const granted = authorizationDetailsFrom(intent.details);
  if (isProblem(granted)) return { problem: `its recorded authorization_details ${granted.problem}` };
  const decided = records.filter((record) => record.kind === 'use');
  const used = allowedUses(decided);
  const lastMs = Math.max(...used.map(({ at }) => at));
  const resource = granted[0]?.locations[0];
  if (used.length === 0 || resource === undefined) return { problem: 'the task was allowed no call' };
  const calls = withRoom(used.length);
  const most = Math.max(...granted.map(({ constraints }) => constraints.maxCalls ?? Infinity));
  const maxCalls = {
    name: 'max_calls',
    value: String(Math.min(calls, most)),
    note: `${counted(used.length, 'call')} in the task, ${most < calls ? 'and no more than was granted' : 'and half as many again'}`,
  };
  return {
    head: [
      `What the task ${String(intent.task)} used, of what it was granted.`,
      ...(isCut ? ['Some of its records are missing: it may have used more.'] : []),
      ...deniedLines(decided),
    ],
    purpose: intent.purpose ?? '',
    resource,
    entries: Array.from(byAmount(used, granted), ([, { maxAmount, uses }]): NewEntry => ({
      actions: actionsIn(uses),
      constraints: [maxCalls, ...(maxAmount === null ? [] : [amountOf(uses, maxAmount)])],
    })),
    expiresIn: lifeOf(intent, lastMs),
  };
}

type Granted = TimelineEntry & IntentRecord;
type Used = UseRecord & { readonly action: string };

/** Without uses whose allow was withdrawn before it was answered. */
function allowedUses(uses: readonly UseRecord[]): readonly Used[] {
  const withdrawn = new Set(uses.map(({ withdraws }) => withdraws));
  const allowed = uses.filter(
    (use): use is Used =>
      use.decision === 'allow' &&
      use.action !== null &&
      !use.action.endsWith('.mcp.session') &&
      !withdrawn.has(use.decisionId),
  );
  return [...new Map(allowed.map((use) => [use.decisionId, use])).values()];
}

/** Half as much again. */
const withRoom = (n: number): number => n + Math.ceil(n / 2);

const counted = (n: number, what: string): string => `${n} ${what}${n === 1 ? '' : 's'}`;

interface Bounded {
  readonly maxAmount: MaxAmount | null;
  readonly uses: readonly Used[];
}

/** The uses by the `max_amount` that bounded them. */
function byAmount(used: readonly Used[], granted: readonly AuthorizationDetail[]): ReadonlyMap<string, Bounded> {
  const groups = new Map<string, Bounded>();
  for (const use of used) {
    const maxAmount = granted.find(({ actions }) => actions.includes(use.action))?.constraints.maxAmount ?? null;
    const key = JSON.stringify(maxAmount);
    groups.set(key, { maxAmount, uses: [...(groups.get(key)?.uses ?? []), use] });
  }
  return groups;
}

function actionsIn(uses: readonly Used[]): NewEntry['actions'] {
  const ids = [...new Set(uses.map(({ action }) => action))].toSorted();
  return ids.map((id) => {
    const own = uses.filter(({ action }) => action === id);
    return { id, note: [counted(own.length, 'call'), ...sumsOf(own)].join('; ') };
  });
}

/** Recorded arguments that are whole numbers; decimals are recorded as text. */
function sumsOf(uses: readonly Used[]): readonly string[] {
  const names = new Set(uses.flatMap(({ args = {} }) => Object.keys(args)));
  return [...names].toSorted().flatMap((name) => {
    const values = valuesOf(uses, name);
    return values.length === 0 ? [] : [`\`${name}\` at most ${Math.max(...values)}, ${sumOf(values)} in all`];
  });
}

const valuesOf = (uses: readonly Used[], name: string): readonly number[] =>
  uses.flatMap(({ args = {} }) => {
    const value = Object.hasOwn(args, name) ? args[name] : undefined;
    return typeof value === 'number' ? [value] : [];
  });

const sumOf = (values: readonly number[]): number => values.reduce((sum, value) => sum + value, 0);

/** Recorded amounts in the unit of a limit: decimals in ten-thousandths. */
const amountsOf = (uses: readonly Used[], { argument, isDecimal }: MaxAmount): readonly number[] =>
  isDecimal !== true
    ? valuesOf(uses, argument)
    : uses.flatMap(({ args = {} }) => {
        const decimal = decimalFrom(Object.hasOwn(args, argument) ? args[argument] : undefined);
        return decimal === null ? [] : [tenThousandthsOf(decimal)];
      });

/** As granted if the argument is not recorded with each call. */
function amountOf(uses: readonly Used[], maxAmount: MaxAmount): NewEntry['constraints'][number] {
  const { argument, limit, isDecimal, currency } = maxAmount;
  const values = amountsOf(uses, maxAmount);
  const isKnown = values.length === uses.length;
  const needed = isKnown ? Math.min(limit, withRoom(sumOf(values))) : limit;
  const written = (amount: number): number | string => (isDecimal === true ? decimalText(amount) : amount);
  const value = inlineYaml({ argument, limit: written(needed), ...(currency === null ? {} : { currency }) });
  const note = isKnown
    ? `${written(sumOf(values))} in the task, ${needed === limit ? 'and no more than was granted' : 'and half as much again'}`
    : `as granted, since \`${argument}\` is not recorded: \`record: true\` in the catalog`;
  return { name: 'max_amount', value, note };
}

/** From the declaration to the last call and half as long again, in whole minutes, at most as long as was granted. */
function lifeOf({ at, deadline }: Granted, lastMs: number): NewIntent['expiresIn'] {
  const usedSeconds = Math.max(1, Math.ceil((lastMs - at) / 1_000));
  const minutes = Math.ceil(withRoom(usedSeconds) / 60);
  const grantedSeconds = deadline === null ? Infinity : Math.max(1, Math.floor((deadline - at) / 1_000));
  const took = `the last call was after ${counted(usedSeconds, 'second')}`;
  return minutes * 60 < grantedSeconds
    ? { value: `${minutes}m`, note: `${took}; half as long again, in whole minutes` }
    : { value: `${grantedSeconds}s`, note: `${took}; as long as was granted` };
}

/** Denied calls, by action and reason. */
function deniedLines(uses: readonly UseRecord[]): readonly string[] {
  const counts = new Map<string, number>();
  for (const { action, decision, reason } of uses) {
    if (decision !== 'deny') continue;
    const what = `${action ?? 'a call of no action'}: ${reason ?? 'no reason'}`;
    counts.set(what, (counts.get(what) ?? 0) + 1);
  }
  return Array.from(counts, ([what, count]) => `Denied ${count === 1 ? 'once' : `${count} times`}: ${what}`).toSorted();
}

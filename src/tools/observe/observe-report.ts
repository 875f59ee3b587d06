import { DAY_MS, dayOf } from '../../core/runtime/day.ts';
import type { ObserveEntry } from '../../core/policy/enforcement.ts';
import type { ReadCounts, Span } from '../learn/record-window.ts';
import type { ObservedAgent } from './observed-agent.ts';
import type { ActionSeen, ObservedUses } from './observed-uses.ts';
import { notReady } from './readiness.ts';
import type { NotReady, ReadinessRule } from './readiness.ts';

/** Calls and first-seen actions of a day (UTC). */
export interface ObservedDay {
  readonly day: string;
  readonly calls: number;
  /** Actions that were seen for the first time. */
  readonly new: number;
}

/** One agent under one entry. */
export interface ReportedAgent {
  /** SPIFFE ID; `null` for calls without an identity. */
  readonly agent: string | null;
  readonly calls: number;
  readonly first: string;
  readonly last: string;
  /** Number of days (UTC) on which it was seen. */
  readonly days: number;
  /** Each of the last days, oldest first. */
  readonly lastDays: readonly ObservedDay[];
  /** Distinct actions, those that are new first. */
  readonly actions: readonly {
    readonly name: string;
    readonly calls: number;
    readonly first: string;
    readonly last: string;
  }[];
  readonly wouldBeDenied: readonly {
    readonly reason: string;
    readonly calls: number;
    /** Of them those that are decided. */
    readonly decided: number;
    /** Those within `--clean` that are not decided. */
    readonly recent: number;
    readonly examples: readonly {
      readonly decisionId: string;
      readonly at: string;
      readonly what: string;
      readonly detail: string | null;
    }[];
  }[];
  /** Calls that were denied although they are observed. */
  readonly denied: readonly { readonly reason: string; readonly calls: number }[];
  readonly isReady: boolean;
  readonly notReady: readonly NotReady[];
}

/** An entry with the agents that records show under it. */
export interface ReportedEntry {
  readonly id: string;
  /** The entry of the policy folder; `null` if the folder does not have it. */
  readonly entry: {
    readonly until: string;
    readonly daysLeft: number;
    readonly owner: string;
    readonly because: string;
  } | null;
  readonly agents: readonly ReportedAgent[];
  /** Number of its agents that are ready. */
  readonly ready: number;
}

/** What `remit observe` reports. */
export interface ObserveReport {
  readonly from: string;
  readonly to: string;
  readonly rule: { readonly days: number; readonly quietSeconds: number; readonly cleanSeconds: number };
  readonly read: ReadCounts;
  /** Observed calls that were not counted for want of room. */
  readonly left: number;
  readonly entries: readonly ReportedEntry[];
}

/** Days of the curve of new actions. */
export const CURVE_DAYS = 7;

interface Observed {
  readonly uses: ObservedUses;
  /** Entries of the policy folder; `null` if none is known. */
  readonly entries: readonly ObserveEntry[] | null;
  readonly counts: ReadCounts;
  readonly span: Span;
  readonly rule: ReadinessRule;
}

/** The report: entries in the order of the policy folder, then those that only records name; of each the agents by name. */
export function observeReport({ uses, entries, counts, span, rule }: Observed): ObserveReport {
  const byEntry = Map.groupBy(uses.agents(), ([{ entry }]) => entry);
  const known = new Map((entries ?? []).map((entry) => [entry.id, entry]));
  const ids = [...known.keys(), ...[...byEntry.keys()].filter((id) => !known.has(id)).toSorted()];
  return {
    from: new Date(span.fromMs).toISOString(),
    to: new Date(span.toMs).toISOString(),
    rule: { days: rule.days, quietSeconds: rule.quietMs / 1_000, cleanSeconds: rule.cleanMs / 1_000 },
    read: counts,
    left: uses.left,
    entries: ids.map((id) => {
      const agents = (byEntry.get(id) ?? [])
        .map(([agent, actions]) => reportedAgent(agent, actions, rule))
        .toSorted((one, other) => ((one.agent ?? '') < (other.agent ?? '') ? -1 : 1));
      return {
        id,
        entry: reportedEntry(known.get(id), rule.nowMs),
        agents,
        ready: agents.filter(({ isReady }) => isReady).length,
      };
    }),
  };
}

const reportedEntry = (entry: ObserveEntry | undefined, nowMs: number): ReportedEntry['entry'] =>
  entry === undefined
    ? null
    : {
        until: dayOf(entry.untilMs),
        daysLeft: Math.max(0, Math.ceil((entry.untilMs - nowMs) / DAY_MS)),
        owner: entry.owner,
        because: entry.because,
      };

function reportedAgent(agent: ObservedAgent, actions: readonly ActionSeen[], rule: ReadinessRule): ReportedAgent {
  const reasons = notReady(agent, actions, rule);
  const { count, firstMs, lastMs } = agent.seen;
  return {
    agent: agent.agent,
    calls: count,
    first: instant(firstMs),
    last: instant(lastMs),
    days: agent.days.size,
    lastDays: lastDays(agent, actions, rule.nowMs),
    actions: actions
      .toSorted((one, other) => other.seen.firstMs - one.seen.firstMs || (one.name < other.name ? -1 : 1))
      .map(({ name, seen: { count: calls, firstMs: first, lastMs: last } }) => ({
        name,
        calls,
        first: instant(first),
        last: instant(last),
      })),
    wouldBeDenied: agent.would.map(({ reason, seen, decided, recent, examples }) => ({
      reason,
      calls: seen.count,
      decided,
      recent,
      examples: examples.map(({ decisionId, atMs, what, detail }) => ({ decisionId, at: instant(atMs), what, detail })),
    })),
    denied: Array.from(agent.denied, ([reason, calls]) => ({ reason, calls })),
    isReady: reasons.length === 0,
    notReady: reasons,
  };
}

const instant = (ms: number): string => new Date(ms).toISOString();

function lastDays({ days }: ObservedAgent, actions: readonly ActionSeen[], nowMs: number): readonly ObservedDay[] {
  const fresh = Map.groupBy(actions, ({ seen }) => dayOf(seen.firstMs));
  return Array.from({ length: CURVE_DAYS }, (_, index) => {
    const day = dayOf(nowMs - (CURVE_DAYS - 1 - index) * DAY_MS);
    return { day, calls: days.get(day) ?? 0, new: fresh.get(day)?.length ?? 0 };
  });
}

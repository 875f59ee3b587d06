import { serverAudience } from './learnt-action.ts';
import type { LearntAction } from './learnt-action.ts';
import type { Widened } from './beside/widened.ts';
import type { Learnt } from './learn.ts';
import type { DeniedCalls } from './judge.ts';
import type { LearntFolder } from './learnt-folder.ts';
import type { LearntPermit } from './learnt-permits.ts';
import { allSeen } from './sightings.ts';
import type { Sightings } from './sightings.ts';

/** Something that a person has to decide. */
export interface OpenDecision {
  readonly what: string;
  readonly risk: LearntAction['risk'];
  readonly agents: readonly string[];
  readonly why: string;
  readonly seen: Sightings;
  /** Whether it is in no permit of a group: not all agents of a group did it. */
  readonly isAlone: boolean;
  /** The file in which its lines are. */
  readonly file: string;
}

/** What `remit learn` did, for a reviewer and as JSON. */
export interface LearnReport {
  readonly from: string;
  readonly to: string;
  readonly judgedFrom: string;
  readonly read: {
    readonly records: number;
    readonly uses: number;
    readonly learnt: number;
    readonly foreign: number;
    readonly missing: number;
    readonly left: readonly { readonly why: string; readonly count: number }[];
  };
  readonly judged: { readonly calls: number; readonly allowed: number; readonly denied: readonly DeniedCalls[] };
  /** Greatest risk first. */
  readonly toDecide: readonly OpenDecision[];
  /** What is in force for a single agent of a group, because not every agent of the group did it. */
  readonly alone: readonly { readonly agent: string; readonly actions: readonly string[]; readonly seen: Sightings }[];
  /** What existing policies permit of the actions that were added, although nobody was seen to do it. */
  readonly widened: readonly Widened[];
  readonly groups: readonly { readonly id: string; readonly agents: readonly string[]; readonly actions: number }[];
  readonly servers: readonly {
    readonly id: string;
    readonly audience: string;
    readonly actions: number;
    readonly described: number;
    readonly undecided: number;
  }[];
  readonly refusedServers: readonly { readonly server: string; readonly why: string }[];
  readonly agents: readonly {
    readonly id: string;
    readonly calls: number;
    readonly mostCalls: number;
    readonly intent: string | null;
  }[];
  readonly files: readonly string[];
}

const RANK = { high: 0, medium: 1, low: 2 } as const;

const isoOf = (ms: number): string => new Date(ms).toISOString();

/** The report of what was learnt. */
export function learnReport({ span, judgedFromMs, counts, seen, folder, judge, widened }: Learnt): LearnReport {
  const { permits, groups, accepted, files, intents } = folder;
  return {
    from: isoOf(span.fromMs),
    to: isoOf(span.toMs),
    judgedFrom: isoOf(judgedFromMs),
    read: {
      ...counts,
      learnt: seen.learnt,
      left: Array.from(seen.left, ([why, count]) => ({ why, count })).toSorted((one, other) => other.count - one.count),
    },
    judged: { calls: judge.calls, allowed: judge.allowed, denied: judge.denied },
    toDecide: permits.flatMap((permit) => openDecision(permit, folder.policyFiles)).toSorted(byRisk),
    alone: aloneIn(permits.filter(isAloneInGroup(groups))),
    widened,
    groups: groups.map(({ id, agents }) => ({ id, agents, actions: actionsOf(id, permits) })),
    servers: accepted.servers.map((server) => ({
      id: server.id,
      audience: serverAudience(server),
      actions: server.actions.filter(({ section }) => section !== 'known').length,
      described: server.actions.filter(({ isDescribed }) => isDescribed).length,
      undecided: server.actions.filter(({ undecided }) => undecided !== null).length,
    })),
    refusedServers: accepted.refused,
    agents: [...seen.agents.values()]
      .map(({ id, sightings, mostCalls }) => ({
        id,
        calls: sightings?.count ?? 0,
        mostCalls,
        intent: intents.get(id) ?? null,
      }))
      .toSorted((one, other) => other.calls - one.calls || (one.id < other.id ? -1 : 1)),
    files: [...files.keys()],
  };
}

function openDecision(
  { agents, group, lines, undecided, server }: LearntPermit,
  policyFiles: LearntFolder['policyFiles'],
): readonly OpenDecision[] {
  if (undecided === null) return [];
  return lines.map(({ action, seen }) => ({
    what: action.id,
    risk: action.risk,
    agents,
    why: undecided,
    seen,
    isAlone: group === null,
    file: policyFiles.get(server) ?? '',
  }));
}

/** By agent: the agent with the most such actions comes first, and its actions of the greatest risk before others. */
function aloneIn(permits: readonly LearntPermit[]): LearnReport['alone'] {
  return [...Map.groupBy(permits, ({ agents }) => agents[0] ?? '')]
    .map(([agent, own]) => {
      const lines = own.flatMap((permit) => permit.lines).toSorted((a, b) => RANK[a.action.risk] - RANK[b.action.risk]);
      return { agent, actions: lines.map(({ action }) => action.id), seen: allSeen(lines.map(({ seen }) => seen)) };
    })
    .toSorted((one, other) => other.actions.length - one.actions.length || (one.agent < other.agent ? -1 : 1));
}

/** High risk first; then what is in no permit of a group, then what was seen most seldom. */
const byRisk = (one: OpenDecision, other: OpenDecision): number =>
  RANK[one.risk] - RANK[other.risk] ||
  Number(other.isAlone) - Number(one.isAlone) ||
  one.seen.count - other.seen.count ||
  (one.what < other.what ? -1 : 1);

const isAloneInGroup =
  (groups: Learnt['folder']['groups']) =>
  ({ group, agents, undecided, isGiven }: LearntPermit): boolean =>
    group === null &&
    undecided === null &&
    isGiven !== true &&
    groups.some((one) => one.agents.includes(agents[0] ?? ''));

const actionsOf = (group: string, permits: readonly LearntPermit[]): number =>
  permits
    .filter((permit) => permit.group?.id === group && permit.undecided === null)
    .reduce((sum, { lines }) => sum + lines.length, 0);

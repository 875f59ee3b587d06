import { yamlComment } from '../policy/write/comment.ts';
import type { AttemptKind } from './beside/widened.ts';
import { flowYaml, TO_DECIDE } from './catalog-text.ts';
import type { LearntAction, LearntServer } from './learnt-action.ts';
import type { LearntPermit } from './learnt-permits.ts';
import { sampleOfCalls, sampleQuery } from './sample-call.ts';

/** Most agents that one case names. */
const AGENTS_A_CASE = 100;
/** Most unlisted attempts that the suites cause, below the 50,000 that `remit policy test` makes at most. */
const MAX_UNLISTED = 40_000;
const ATTEMPTS_AN_ACTION = 4;
/** Most actions of other agents, per server, that a case expects to be denied to an agent. */
const CROSSED = 5;

/** Whether an agent may use an action, or may be given a token for it. */
export type Allows = (agent: string, action: string, kind: AttemptKind) => boolean;

/** What suites are made by. */
export interface SuiteRules {
  /** Number of actions of the existing catalog. */
  readonly otherActions: number;
  /** What the loaded policies allow: the existing policies have permits and forbids of their own. */
  readonly allows: Allows;
}

/**
 * The suites of a learnt folder by server: what was seen is allowed, and tokens for it are issued; what an agent never did, and others do, is
 * denied. If there are too many agents and actions for `remit policy test`, fewer agents of each group are named.
 */
export function learntSuites(
  servers: readonly LearntServer[],
  permits: readonly LearntPermit[],
  { otherActions, allows }: SuiteRules,
): ReadonlyMap<string, string> {
  const written = permits.filter(({ isGiven }) => isGiven !== true);
  const actions = servers.flatMap((server) => server.actions.filter(({ undecided }) => undecided === null));
  const named = namedAgents(written, actions.length + otherActions);
  const suites = new Map<string, string>();
  for (const server of servers) {
    const own = written.filter((permit) => permit.server === server.id);
    const lines = [
      ...own.flatMap((permit) => allowedCases(permit, { server, named, allows })),
      ...crossedCases(server, { permits, named, allows, isAlone: otherActions === 0 }),
    ];
    if (lines.some((line) => !line.trimStart().startsWith('#')))
      suites.set(server.id, [yamlComment(HEAD), 'cases:', ...lines, ''].join('\n'));
  }
  return suites;
}

const HEAD = 'Made by `remit learn`: what was seen, and what agents never did. Values in bodies are made up.';

/** As many agents as `remit policy test` can try at all actions, the first of each group first. */
function namedAgents(permits: readonly LearntPermit[], actions: number): ReadonlySet<string> {
  const most = Math.max(1, Math.floor(MAX_UNLISTED / Math.max(1, actions * ATTEMPTS_AN_ACTION)));
  const lists = permits.filter(({ undecided }) => undecided === null).map(({ agents }) => agents);
  const named = new Set<string>();
  const longest = Math.max(0, ...lists.map(({ length }) => length));
  for (let at = 0; at < longest && named.size < most; at += 1) {
    for (const agents of lists) {
      const agent = agents[at];
      if (agent !== undefined && named.size < most) named.add(agent);
    }
  }
  return named;
}

interface Suite {
  readonly server: LearntServer;
  readonly named: ReadonlySet<string>;
  readonly allows: Allows;
}

function allowedCases(
  { id, agents, lines, undecided }: LearntPermit,
  { server, named, allows }: Suite,
): readonly string[] {
  const who = agents.filter((agent) => named.has(agent));
  const prefix = undecided === null ? '' : TO_DECIDE;
  return chunksOf(who).flatMap((chunk) => {
    const kept = lines.filter(
      ({ action }) =>
        undecided !== null ||
        chunk.every((agent) => allows(agent, action.id, 'use') && allows(agent, action.id, 'issue')),
    );
    const ids = kept.map(({ action }) => action.id);
    if (ids.length === 0) return [];
    const together = [
      caseLine(prefix, { name: `${id}: what was seen`, agents: chunk, action: ids, expect: 'allow' }),
      caseLine(prefix, { name: `${id}: tokens for it`, agents: chunk, issue: ids, expect: 'allow' }),
    ];
    return together.concat(
      kept.flatMap(({ action }) => {
        const attempt = attemptOf(action, server);
        const name = `${action.id} as it was seen`;
        return attempt === null ? [] : [caseLine(prefix, { name, agents: chunk, ...attempt, expect: 'allow' })];
      }),
    );
  });
}

const caseLine = (prefix: string, test: object): string => `  ${prefix}- ${flowYaml(test)}`;

const chunksOf = (agents: readonly string[]): readonly (readonly string[])[] =>
  Array.from({ length: Math.ceil(agents.length / AGENTS_A_CASE) }, (_, at) =>
    agents.slice(at * AGENTS_A_CASE, (at + 1) * AGENTS_A_CASE),
  );

/** A call like the first that was recorded, with made-up values; `null` if the case by action id is all there is. */
function attemptOf({ section, calls, entry, name }: LearntAction, { id, host }: LearntServer): object | null {
  if (section === 'tools') return { mcp: { server: id, tool: name, arguments: sampleOfCalls(calls) } };
  if (section !== 'routes' || calls.path === '') return null;
  const body = calls.members.size === 0 ? {} : { body: sampleOfCalls(calls) };
  return {
    call: { method: entry['method'], url: `https://${host}${calls.path}${sampleQuery(calls.query)}`, ...body },
  };
}

interface Crossing extends Omit<Suite, 'server'> {
  readonly permits: readonly LearntPermit[];
  /** Whether there are no policies but the learnt policies, which forbid nothing. */
  readonly isAlone: boolean;
}

/** What an agent never did at a server, and others do. */
function crossedCases({ id, actions }: LearntServer, { permits, named, allows, isAlone }: Crossing): readonly string[] {
  const usable = actions.filter(({ undecided, section }) => undecided === null && section !== 'known');
  return [...named].toSorted().flatMap((agent, at) => {
    const mine = new Set(
      permits
        .filter(({ agents }) => agents.includes(agent))
        .flatMap(({ lines }) => lines.map(({ action }) => action.id)),
    );
    const others = usable.filter((action) => !mine.has(action.id)).map((action) => action.id);
    // Each agent begins at another action, so that together they try all.
    const start = at % Math.max(1, others.length);
    const turned = [...others.slice(start), ...others.slice(0, start)]
      .values()
      .filter((action) => !allows(agent, action, 'use'))
      .take(CROSSED)
      .toArray();
    if (turned.length === 0) return [];
    const name = `${id}: what ${agent} never did`;
    const reason = isAlone ? { reason: 'policy.not-permitted' } : {};
    return [`  - ${flowYaml({ name, agent, action: turned, expect: 'deny', ...reason })}`];
  });
}

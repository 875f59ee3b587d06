import { yamlComment } from '../policy/write/comment.ts';
import { flowYaml, TO_DECIDE } from './catalog-text.ts';
import type { LearntAction, LearntServer } from './learnt-action.ts';
import type { LearntPermit } from './learnt-permits.ts';
import { sampleOfCalls, sampleQuery } from './sample-call.ts';

/** Most agents that one case names. */
const AGENTS_A_CASE = 100;
/** Calls that `remit policy test` makes beside the cases, of which it makes at most 50,000. */
const MAX_UNLISTED = 40_000;
const ATTEMPTS_AN_ACTION = 4;
/** Actions of others that an agent is tried at. */
const CROSSED = 5;

/**
 * The suites of a learnt folder by server: what was seen is allowed, and tokens for it are issued; what an agent never did, and others do, is
 * denied. If there are too many agents and actions for `remit policy test`, fewer agents of each group are named.
 */
export function learntSuites(
  servers: readonly LearntServer[],
  permits: readonly LearntPermit[],
): ReadonlyMap<string, string> {
  const actions = servers.flatMap((server) => server.actions.filter(({ undecided }) => undecided === null));
  const named = namedAgents(permits, actions.length);
  const suites = new Map<string, string>();
  for (const server of servers) {
    const own = permits.filter((permit) => permit.server === server.id);
    const lines = [
      ...own.flatMap((permit) => allowedCases(permit, { server, named })),
      ...crossedCases(server, { permits, named }),
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
}

function allowedCases({ id, agents, lines, undecided }: LearntPermit, { server, named }: Suite): readonly string[] {
  const who = agents.filter((agent) => named.has(agent));
  const prefix = undecided === null ? '' : TO_DECIDE;
  const ids = lines.map(({ action }) => action.id);
  return chunksOf(who).flatMap((chunk) => {
    const together = [
      caseLine(prefix, { name: `${id}: what was seen`, agents: chunk, action: ids, expect: 'allow' }),
      caseLine(prefix, { name: `${id}: tokens for it`, agents: chunk, issue: ids, expect: 'allow' }),
    ];
    return together.concat(
      lines.flatMap(({ action }) => {
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

/** The last call as its record has it, with made-up values; `null` for what is called by its action. */
function attemptOf({ section, calls, entry, name }: LearntAction, { id, host }: LearntServer): object | null {
  if (section === 'tools') return { mcp: { server: id, tool: name, arguments: sampleOfCalls(calls) } };
  if (section !== 'routes') return null;
  const body = calls.members.size === 0 ? {} : { body: sampleOfCalls(calls) };
  return {
    call: { method: entry['method'], url: `https://${host}${calls.path}${sampleQuery(calls.query)}`, ...body },
  };
}

/** What an agent never did at a server, and others do. */
function crossedCases(
  { id, actions }: LearntServer,
  { permits, named }: { readonly permits: readonly LearntPermit[]; readonly named: ReadonlySet<string> },
): readonly string[] {
  const usable = actions.filter(({ undecided }) => undecided === null);
  return [...named].toSorted().flatMap((agent, at) => {
    const mine = new Set(
      permits
        .filter(({ agents }) => agents.includes(agent))
        .flatMap(({ lines }) => lines.map(({ action }) => action.id)),
    );
    const others = usable.filter((action) => !mine.has(action.id)).map((action) => action.id);
    // Each agent begins at another action, so that together they try all.
    const turned = [...others.slice(at % Math.max(1, others.length)), ...others].slice(
      0,
      Math.min(CROSSED, others.length),
    );
    if (turned.length === 0) return [];
    const name = `${id}: what ${agent} never did`;
    return [
      `  - ${flowYaml({ name, agent, action: [...new Set(turned)], expect: 'deny', reason: 'policy.not-permitted' })}`,
    ];
  });
}

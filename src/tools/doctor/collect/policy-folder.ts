import type { Catalog, Server } from '../../../core/action/catalog/catalog.ts';
import { writablePathProblem } from '../../../core/config/writable-path.ts';
import { lintingOf } from '../../policy/lint/lint.ts';
import { freshCedar } from '../../../core/policy/cedar.ts';
import { compileForTool } from '../../../core/policy/loading/compile.ts';
import { withFormsOnce } from '../../../core/policy/loading/policy-json.ts';
import { whileProved } from '../../../core/policy/loading/proved-set.ts';
import { readPolicySource } from '../../../core/policy/loading/source.ts';
import { systemPorts } from '../../../core/runtime/ports.ts';
import type { PolicyFolder, StreamedPath } from '../remit/remit-facts.ts';
import { namedAgents } from './named-agents.ts';
import { pathsBelow } from './paths-below.ts';

const MAX_PROBLEMS = 20;

/** Loads a policy folder as Remit would, and lints it. */
export async function policyFolderOf(folder: string): Promise<PolicyFolder> {
  const none = {
    folder,
    hash: null,
    permits: 0,
    forbids: 0,
    lints: 0,
    openPermits: [],
    agents: [],
    audiences: [],
    servers: [],
    observed: [],
    hosts: [],
    streamed: [],
    asking: [],
    writable: await writableIn(folder),
  };
  const source = await readPolicySource(folder);
  if ('unreadable' in source) return { ...none, problems: [`it cannot be read: ${source.unreadable}`] };
  if ('findings' in source) return { ...none, problems: textsOf(source.findings) };
  const proved = await whileProved(source, compileForTool(), (set) => ({
    findingsAfter: lintingOf(source, set.catalog, { nowMs: systemPorts.nowMs(), loaded: set }),
    agents: namedAgents({ ...set, entities: source.entities }, withFormsOnce(freshCedar())),
  }));
  if ('findings' in proved) return { ...none, problems: textsOf(proved.findings) };
  const { done, set } = proved;
  const enforced = set.policies.filter(({ shadow }) => !shadow);
  const permits = enforced.filter(({ effect }) => effect === 'permit').length;
  const findings = done.findingsAfter(set.warnings);
  return {
    ...none,
    hash: set.hash,
    problems: [],
    permits,
    forbids: enforced.length - permits,
    lints: findings.filter(({ level }) => level !== 'note').length,
    openPermits: findings.flatMap(({ policy, rule }) => (OPEN.has(rule) ? [{ policy: policy ?? '', rule }] : [])),
    agents: done.agents,
    audiences: [...set.catalog.servers.values()].map(({ audience }) => audience),
    servers: [...set.catalog.servers.values()].map(({ id, hosts }) => ({ id, hosts: [...hosts] })),
    observed: set.observed,
    hosts: [...new Set([...set.catalog.servers.values()].flatMap(hostsOf))],
    streamed: streamedIn(set.catalog),
    asking: askingIn(set.catalog),
  };
}

/** Rules of `remit policy lint` whose findings are more than a mistake of style. */
const OPEN: ReadonlySet<string> = new Set(['permit-any-agent', 'high-risk-any-intent']);

const MAX_FILES = 2_000;

/** Why others can write a folder, or one of its first 2,000 entries; `null` if they cannot. */
async function writableIn(folder: string): Promise<string | null> {
  for (const path of [folder, ...insideOf(folder)]) {
    const problem = await writablePathProblem(path);
    if (problem?.includes('can be changed by others') === true) return problem;
  }
  return null;
}

function insideOf(folder: string): readonly string[] {
  try {
    return pathsBelow(folder, MAX_FILES);
  } catch {
    return [];
  }
}

const hostsOf = ({ hosts }: Pick<Server, 'hosts'>): readonly string[] => [...hosts];

function streamedIn({ actions }: Catalog): readonly StreamedPath[] {
  const paths = new Map<string, StreamedPath>();
  for (const { kind, server, template } of actions.values()) {
    if (kind === 'mcp' || kind === 'a2a')
      paths.set(`${server.id} ${template}`, { hosts: [...server.hosts], path: template });
  }
  return [...paths.values()];
}

const askingIn = ({ actions }: Catalog): readonly string[] => [
  ...new Set(
    [...actions.values()].flatMap(({ server, carries: { hasTasks, inputs } }) =>
      hasTasks || inputs.size > 0 ? [server.id] : [],
    ),
  ),
];

const textsOf = (
  findings: readonly {
    readonly file: string;
    readonly line: number;
    readonly column: number;
    readonly message: string;
  }[],
): readonly string[] =>
  findings.slice(0, MAX_PROBLEMS).map(({ file, line, column, message }) => `${file}:${line}:${column}: ${message}`);

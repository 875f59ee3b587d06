import type { Catalog } from '../../action/catalog.ts';
import { lintingOf } from '../../policy-tools/lint/lint.ts';
import { compileForTool } from '../../policy/loading/compile.ts';
import { whileProved } from '../../policy/loading/proved-set.ts';
import { readPolicySource } from '../../policy/loading/source.ts';
import type { PolicyFolder, StreamedPath } from '../remit/remit-facts.ts';

const MAX_PROBLEMS = 20;

/** Loads a policy folder as Remit would, and lints it. */
export async function policyFolderOf(folder: string): Promise<PolicyFolder> {
  const none = { folder, hash: null, permits: 0, forbids: 0, lints: 0, streamed: [] };
  const source = await readPolicySource(folder);
  if ('unreadable' in source) return { ...none, problems: [`it cannot be read: ${source.unreadable}`] };
  if ('findings' in source) return { ...none, problems: textsOf(source.findings) };
  const proved = await whileProved(source, compileForTool(), (set) => lintingOf(source, set.catalog, set));
  if ('findings' in proved) return { ...none, problems: textsOf(proved.findings) };
  const { done, set } = proved;
  const enforced = set.policies.filter(({ shadow }) => !shadow);
  const permits = enforced.filter(({ effect }) => effect === 'permit').length;
  return {
    folder,
    hash: set.hash,
    problems: [],
    permits,
    forbids: enforced.length - permits,
    lints: done(set.warnings).filter(({ level }) => level !== 'note').length,
    streamed: streamedIn(set.catalog),
  };
}

function streamedIn({ actions }: Catalog): readonly StreamedPath[] {
  const paths = new Map<string, StreamedPath>();
  for (const { kind, server, template } of actions.values()) {
    if (kind === 'mcp' || kind === 'a2a')
      paths.set(`${server.id} ${template}`, { hosts: [...server.hosts], path: template });
  }
  return [...paths.values()];
}

const textsOf = (
  findings: readonly {
    readonly file: string;
    readonly line: number;
    readonly column: number;
    readonly message: string;
  }[],
): readonly string[] =>
  findings.slice(0, MAX_PROBLEMS).map(({ file, line, column, message }) => `${file}:${line}:${column}: ${message}`);

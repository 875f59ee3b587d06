import { cp, writeFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { measure } from './bench.ts';
import type { Bench } from './bench.ts';
import { startEnvoy } from './envoy-under-test.ts';
import { newDecisions, reuse } from './loads.ts';
import { RemitUnderTest } from './remit-under-test.ts';
import { wrk } from './wrk.ts';

/** Sizes of the compared sets. */
export const policyCounts = [10, 100, 1_000, 10_000] as const;

/** The scenarios of one size: repeated decisions, and a new one each time. */
export const withPolicies = (count: number): { readonly hit: string; readonly miss: string } => ({
  hit: `reuse, ${count} policies`,
  miss: `new decision, ${count} policies`,
});

export const POLICIES_CONTENDER = 'Remit';

const examples = resolve(import.meta.dirname, '../../cedar-policies');
const SHIPPED = ['files.cedar', 'issue.cedar'];
const SHIPPED_COUNT = 6;
const MISSES_PER_SECOND = 3_000;
/** Few connections, so that even a slow check is not late in the queue. */
const CONNECTIONS = 4;

/** The cost of many policies: a Remit for each size of the set, in turn. */
export async function measurePolicies(bench: Bench): Promise<void> {
  const { collectorPort, domain, effort, stage } = bench;
  const asked: { readonly count: number; readonly remit: RemitUnderTest; readonly port: number }[] = [];
  for (const count of policyCounts) {
    const policies = await policyFolder(stage.folder, count);
    const remit = await RemitUnderTest.start(stage, domain, { name: `policies-${count}`, collectorPort, policies });
    const envoy = await startEnvoy(stage, { socket: remit.socket, collectorPort, tellsOutcomes: true });
    await wrk(stage, await reuse(bench, remit), { port: envoy.address.port, seconds: 1, connections: CONNECTIONS });
    asked.push({ count, remit, port: envoy.address.port });
  }
  for (let round = 0; round < effort.rounds; round += 1) {
    for (const { count, remit, port } of asked) {
      const { hit, miss } = withPolicies(count);
      const of = { contender: POLICIES_CONTENDER, pid: remit.pid };
      const again = await reuse(bench, remit);
      await measure(bench, { ...of, scenario: hit }, () =>
        wrk(stage, again, { port, seconds: effort.seconds, connections: CONNECTIONS }),
      );
      const anew = await newDecisions(bench, remit, MISSES_PER_SECOND * effort.seconds);
      await measure(bench, { ...of, scenario: miss }, () =>
        wrk(stage, anew, { port, seconds: effort.seconds, connections: CONNECTIONS }),
      );
    }
  }
  for (const { remit } of asked) await remit.end();
}

const isTaken = (source: string): boolean =>
  !source.endsWith('.cedar') || SHIPPED.some((name) => source.endsWith(name));

/** The shipped policies of one server, plus policies of other agents and teams up to `count`. */
export async function policyFolder(folder: string, count: number): Promise<string> {
  const path = join(folder, `cedar-${count}`);
  await cp(examples, path, { recursive: true, filter: isTaken });
  const written = Array.from({ length: count - SHIPPED_COUNT }, (_, index) => policyOf(index));
  await writeFile(join(path, 'policies', 'others.cedar'), written.join('\n'));
  return path;
}

/** Two permits of one agent each, then a forbid of one team, as in a typical shared set. */
const policyOf = (index: number): string =>
  index % 3 === 2
    ? `@id("other-${index}")
forbid (principal in Remit::AgentGroup::"team-${index}", action == Remit::Action::"files.delete", resource)
when { context.args.name like "team-${index}-*" };
`
    : `@id("other-${index}")
permit (
  principal == Remit::Agent::"spiffe://acme.test/ns/agents/sa/agent-${index}",
  action in [Remit::Action::"files.list", Remit::Action::"files.read"],
  resource in Remit::Server::"files"
)
when { context.intent.purpose != "" };
`;

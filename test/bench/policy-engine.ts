import { DecisionCache } from '../../src/core/policy/answers/cache.ts';
import { compileInWorker } from '../../src/core/policy/loading/compile.ts';
import { Engine } from '../../src/core/policy/engine.ts';
import type { EngineOptions, Keep } from '../../src/core/policy/engine.ts';
import { policySetFrom } from '../../src/core/policy/loading/load.ts';
import type { Question } from '../../src/core/policy/question.ts';
import { folderWith } from '../builders/policy-folder.ts';
import { policyFrom } from '../core/policy/policies.ts';

/**
 * What a decision costs with 10 to 10,000 policies, on a hit and on a miss, beside the same engine without slices; what it
 * costs to load 10,000 policies, and what 100,000 kept answers weigh. The sizes take turns in one run; medians count.
 * `node --expose-gc test/bench/policy-engine.ts`
 */
const SIZES = [10, 100, 1000, 10_000];
const ROUNDS = 9;
const CALLS = 200;
const ACTIONS = 100;
const SERVER = {
  id: 'payments',
  hosts: new Set(['a.test']),
  audience: 'https://a.test',
  transactionToken: false,
  exactPaths: false,
  paths: [],
  attributes: new Map(),
  externalUrl: 'https://a.test',
};

const median = (values: readonly number[]): number =>
  values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? NaN;
const agentAt = (index: number) => `spiffe://acme.test/ns/agents/sa/agent-${index}`;
const say = (text: string): void => void process.stdout.write(`${text}\n`);

/** Ten policies of every set concern the call; the others are about other agents and actions. */
const policyText = (index: number): string => {
  const isAsked = index < 10;
  const principal = isAsked
    ? 'principal in Remit::TrustDomain::"acme.test"'
    : `principal == Remit::Agent::"${agentAt(index)}"`;
  const action = isAsked ? 'a0' : `a${index % ACTIONS}`;
  return `permit (${principal}, action == Remit::Action::"${action}", resource) when { context.args.amount <= ${index} && context.intent.purpose != "" };`;
};

const question = (amount: number, unread: number): Question => ({
  principal: agentAt(0) as Question['principal'],
  action: 'a0',
  server: SERVER,
  endpoint: 'POST /v1/payments',
  context: {
    intent: { purpose: 'pay', actions: ['payments.create'], ageSeconds: unread },
    subject: 'user',
    actors: [],
    credential: {
      kind: 'task-token',
      binding: 'certificate',
      scope: ['x'],
      secondsLeft: 300 - unread,
      uses: unread,
      reuse: [],
    },
    request: { method: 'POST', host: 'a.test', path: `/v1/payments/${unread}` },
    claimed: [],
    attested: [],
    task: { actions: [], labels: [] },
    labels: [],
    risk: 'low',
    now: { __extn: { fn: 'datetime', arg: '2026-11-24T12:00:00Z' } },
    args: { amount },
  },
});

const all = Array.from({ length: SIZES.at(-1) ?? 0 }, (_, index) => policyFrom(`p${index}`, policyText(index)));
const actionGroups = new Map(Array.from({ length: ACTIONS }, (_, index) => [`a${index}`, ['low']]));
const engineOf = (size: number, options: EngineOptions): Engine =>
  new Engine({ generation: 'g', policies: all.slice(0, size), entities: new Map(), actionGroups }, options);

const keep: Keep = { nowMs: 0, untilMs: 60_000, onCache: () => {} };
let turn = 0;
const contenders = SIZES.flatMap((size) => {
  const [hit, sliced, whole] = [
    engineOf(size, {}),
    engineOf(size, { cache: null }),
    engineOf(size, { slices: false, cache: null }),
  ];
  return [
    { size, name: 'hit', calls: CALLS, run: () => hit.ask(question(5, (turn += 1) % 100), keep) },
    { size, name: 'miss', calls: CALLS, run: () => sliced.ask(question(5, (turn += 1) % 100), keep) },
    { size, name: 'without slices', calls: size > 1000 ? 1 : 10, run: () => whole.ask(question(5, (turn += 1) % 100)) },
  ];
});
const results = contenders.map(() => [] as number[]);
for (const { run } of contenders) run();
for (let round = 0; round < ROUNDS; round += 1) {
  for (const [index, { run, calls }] of contenders.entries()) {
    const startMs = performance.now();
    for (let call = 0; call < calls; call += 1) run();
    results[index]?.push(((performance.now() - startMs) * 1000) / calls);
  }
}
say('policies      hit us   miss us   without slices us');
for (const size of SIZES) {
  const of = (name: string) =>
    median(results[contenders.findIndex((one) => one.size === size && one.name === name)] ?? []);
  say(
    `${String(size).padStart(8)}${[of('hit'), of('miss'), of('without slices')].map((us) => us.toFixed(1).padStart(10)).join('')}`,
  );
}
const ratio = (name: string): string => {
  const of = (size: number) =>
    median(results[contenders.findIndex((one) => one.size === size && one.name === name)] ?? []);
  return (of(10_000) / of(10)).toFixed(2);
};
say(`10,000 to 10: hit ${ratio('hit')}, miss ${ratio('miss')}`);

const weigh = (): number => {
  globalThis.gc?.();
  globalThis.gc?.();
  return process.memoryUsage().heapUsed / 1024 / 1024;
};
const before = weigh();
const cache = new DecisionCache();
const full = engineOf(10, { cache });
for (let index = 0; index < 100_000; index += 1) {
  full.ask({ ...question(5, 0), endpoint: `POST /v1/payments/${index}` }, keep);
}
say(`${cache.sizes.allows} kept answers: ${(weigh() - before).toFixed(1)} MiB of heap`);

const text = all
  .map(({ text: policy }, index) => `@id("p${index}") ${policy.replace(/"a\d+"/, '"payments.create"')}\n`)
  .join('');
const heap = weigh();
const startMs = performance.now();
const busy = process.cpuUsage();
const set = await policySetFrom(folderWith(text.replaceAll(/context\.args\.amount <= \d+ && /g, '')), {
  compile: compileInWorker(),
});
const { user, system } = process.cpuUsage(busy);
if ('findings' in set) throw new Error(JSON.stringify(set.findings.slice(0, 2)));
say(
  `load of ${set.policyCount} policies: ${((performance.now() - startMs) / 1000).toFixed(1)} s, ` +
    `${((user + system) / 1e6).toFixed(1)} s of processor, ${(weigh() - heap).toFixed(1)} MiB of heap`,
);

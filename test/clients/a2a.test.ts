import { beforeAll, describe, expect, it } from '@jest/globals';
import { both, clientPart, describeWith, envoyPart } from '../parts.ts';
import { until } from '../until.ts';
import { AFTER_STOP, deniedOf } from './agent-domain.ts';
import { type AgentEnd, type AgentProgram, ranAgent, ranAlone } from './agents.ts';
import type { Handed, ToolCall } from './scripted-model.ts';
import { startedOnce } from './started-once.ts';
import { ADVICE, ASKS, startTripsDomain } from './trips-domain.ts';

const AGENTS: readonly (readonly [name: string, agent: AgentProgram])[] = [
  ['the Python SDK of A2A', { program: 'a2a_client.py', packages: 'a2a-python' }],
  ['the JavaScript SDK of A2A', { program: 'a2a-client.mjs', packages: null }],
];

const ask = (kind: string): ToolCall => ({ tool: 'ask', args: { words: 'a trip', kind } });

/** What the model is handed: words of the answer, or the public text of the denial's reason and its advice. */
const EXPECTED: readonly (readonly [title: string, call: ToolCall, words: readonly string[]])[] = [
  ['an allowed message', ask('trip'), ['events']],
  ['a message that a policy forbids', ask('payment'), ['a policy forbids the action', ADVICE]],
  ['an allowed message after it', ask('trip'), ['events']],
  [
    'a method that no policy permits',
    { tool: 'look_up', args: { id: 't-1' } },
    ['no policy permits the action', 'Ask the person'],
  ],
  ['an allowed message after it', ask('trip'), ['events']],
  [
    'a message that a limit over all tasks refuses, with the end of its window',
    ask('hotel'),
    ['1 of 1 (different kind) of `kinds-a-day` are used until 2', 'T00:00:00Z', 'Ask the person'],
  ],
  ['an allowed message after it', ask('trip'), ['events']],
  ['a message beyond the budget of the task', ask('trip'), [`${ASKS} of ${ASKS} are used`, 'Ask the person']],
];
const REASONS = ['policy.forbidden', 'policy.not-permitted', 'limit.exceeded', 'task.exhausted'];
const STOPPED = ['the task is suspended', 'Stop this task'];

const started = startedOnce((envoy) => startTripsDomain(envoy));

/** Each client below `remit run`, with a real Envoy and Remit before an A2A agent, which it finds by its card. */
describe.each(AGENTS)('an agent on %s', (_name, agent) => {
  const packages = agent.packages === null ? null : clientPart(agent.packages);
  const part = packages === null ? envoyPart() : both(packages, envoyPart());
  describeWith<string | readonly [string, string]>(part, 'with Remit', () => {
    let end: AgentEnd;
    let alone: AgentEnd;
    let handed: readonly Handed[];
    let tasks: ReadonlySet<string>;
    let denials: readonly string[];

    beforeAll(async () => {
      const { domain, model } = await started();
      const deniedBefore = domain.denials.length;
      const before = domain.server.tasks.length;
      const stopped = { ...ask('trip'), before: domain.suspendTask };
      const got = model.follow([...EXPECTED.map(([, call]) => call), stopped]);
      const { place, urlWithoutToken: url } = domain;
      end = await ranAgent(agent, { ...place, modelUrl: model.url });
      handed = got();
      tasks = new Set(domain.server.tasks.slice(before));
      const denied = (): readonly string[] => deniedOf(domain.denials.slice(deniedBefore), tasks);
      // The log may have a denial a moment after the client. Where it never comes, the tests say what came.
      await until(() => denied().includes('task.suspended'), { withinMs: 20_000 }).catch(() => undefined);
      denials = denied();
      alone = await ranAlone(agent, { folder: place.folder, url: `${url}/`, modelUrl: model.url });
    });

    it.each(EXPECTED.map((row, index) => [index + 1, row[0], row[2], index] as const))(
      'call %i: hands the model the answer to %s',
      (_number, _title, words, index) => {
        const text = handed[index] ?? `nothing: ${end.err.slice(-600)}`;
        expect(words.filter((word) => !text.includes(word)).map((word) => `${word} in ${text}`)).toEqual([]);
      },
    );

    it('repeats no denied call', () => {
      const stops = denials.lastIndexOf(REASONS.at(-1) ?? '') + 1;
      expect(denials.slice(0, stops)).toEqual(REASONS);
      expect(AFTER_STOP).toContainEqual([...new Set(denials.slice(stops))]);
    });

    it('ends at the card of the agent if it has a certificate and no token, and says why', () => {
      expect(alone.code).not.toBe(0);
      expect(`${alone.out}${alone.err}`).toMatch(/\b401\b/);
    });

    it('stops if its task is suspended, and declares no other', () => {
      const text = handed.at(-1) ?? '';
      expect(STOPPED.filter((word) => !text.includes(word)).map((word) => `${word} in ${text}`)).toEqual([]);
      expect([end.code, tasks.size]).toEqual([0, 1]);
    });
  });
});

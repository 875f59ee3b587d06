import { readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { beforeAll, describe, expect, it } from '@jest/globals';
import { both, clientPart, describeWith, envoyPart } from '../parts.ts';
import { thoroughly } from '../thoroughly.ts';
import { until } from '../until.ts';
import { AFTER_STOP, deniedOf } from './agent-domain.ts';
import { type AgentEnd, type AgentProgram, ranAgent, ranAlone, ranByHand } from './agents.ts';
import type { Handed, ToolCall } from './scripted-model.ts';
import { startedOnce } from './started-once.ts';
import { ADVICE, startToolsDomain } from './tools-domain.ts';

/** Clients of MCP by name, and the framework that has shown what no other has: it lists the tools again before each turn. */
const CLIENTS: readonly (readonly [name: string, agent: AgentProgram])[] = [
  ['the Python SDK 1.x', { program: 'mcp_1.py', packages: 'mcp-python-1' }],
  ['the Python SDK 2.x', { program: 'mcp_2.py', packages: 'mcp-python-2' }],
  ['the TypeScript SDK 1.x', { program: 'mcp-typescript-1.mjs', packages: null }],
  ['the TypeScript SDK 2.x', { program: 'mcp-typescript-2.mjs', packages: 'mcp-typescript-2' }],
  ['openai-agents', { program: 'openai_agents.py', packages: 'openai-agents' }],
  ['mcp-remote, below the TypeScript SDK 1.x', { program: 'mcp-remote.mjs', packages: 'mcp-remote' }],
];

/** Frameworks that start slowly: what they showed of their own, that they call no tool that is not listed, openai-agents shows too. */
const FRAMEWORKS: typeof CLIENTS = [
  ['fastmcp', { program: 'fastmcp_client.py', packages: 'fastmcp' }],
  ['LangChain with langchain-mcp-adapters', { program: 'langchain_adapters.py', packages: 'langchain' }],
  ['LangChain with langchain.mcp', { program: 'langchain_mcp.py', packages: 'langchain-mcp' }],
  ['pydantic-ai', { program: 'pydantic_agent.py', packages: 'pydantic-ai' }],
  ['the Vercel AI SDK', { program: 'vercel-ai.mjs', packages: 'vercel-ai' }],
];
const AGENTS = thoroughly([...CLIENTS, ...FRAMEWORKS], CLIENTS);

/** It lists the tools again before each turn of the model, and ends itself where that is denied. */
const LISTS_AGAIN: ReadonlySet<string> = new Set(['openai-agents']);

const read: ToolCall = { tool: 'read_file', args: { name: 'trip' } };
const share = (days: unknown): ToolCall => ({ tool: 'share_file', args: { name: 'trip', days } });
const lend = (days: number): ToolCall => ({ tool: 'lend_file', args: { days } });

/** What the model is handed: the text of the tool, or the reason of a denial and its advice. */
type Expected = readonly [title: string, call: ToolCall, words: readonly string[]];
const EXPECTED: readonly Expected[] = [
  ['an allowed tool', read, ['read_file was run']],
  ['a tool that a policy forbids', { tool: 'delete_file', args: { name: 'trip' } }, ['policy.forbidden', ADVICE]],
  ['an allowed tool after it', read, ['read_file was run']],
  ['a tool that the catalog does not have', { tool: 'format_disk', args: {} }, ['action.unknown', 'Change the call']],
  ['an allowed tool after it', read, ['read_file was run']],
  ['an argument of another type', share('ninety'), ['action.arguments', '`days` must be', 'Change the call']],
  ['an allowed tool after it', read, ['read_file was run']],
  ['an amount beyond its limit', lend(90), ['task.exhausted', '30 left of 30', 'Change the call']],
  ['an amount within it', lend(20), ['lend_file was run']],
  ['a tool with a budget', share(20), ['share_file was run']],
  ['a spent budget', share(20), ['task.exhausted', '1 of 1', 'Ask the person']],
  ['an allowed tool after it', read, ['read_file was run']],
  [
    'a call that a limit over all tasks refuses, with the end of its window',
    { tool: 'read_file', args: { name: 'hotel' } },
    ['limit.exceeded', '1 of 1 (different name) of `files-a-day` are used until 2', 'T00:00:00Z', 'Ask the person'],
  ],
  ['an allowed tool after it', read, ['read_file was run']],
];
/** The reasons of the denials among them. */
const reasonsOf = (rows: readonly Expected[]): readonly string[] =>
  rows.flatMap(([, , [reason = '']]) => (/^[a-z]+\.[a-z-]+$/.test(reason) ? [reason] : []));
const WITHOUT_TOKEN = 'token.missing';
const STOPPED = ['the task is suspended', 'Stop this task'];

/** Frameworks that call no tool which was not listed, as `format_disk` is not (issue 44, point 5): their model cannot reach it. */
const CALLS_LISTED_ALONE: ReadonlySet<string> = new Set([
  'LangChain with langchain-mcp-adapters',
  'LangChain with langchain.mcp',
  'openai-agents',
  'pydantic-ai',
  'the Vercel AI SDK',
]);
const UNLISTED = 'format_disk';

const started = startedOnce((envoy) => startToolsDomain(envoy));

/** Each client below `remit run`, with a real Envoy and Remit before an MCP server with sessions, and a model that asks for tools by a script. */
describe.each(AGENTS)('an agent on %s', (name, agent) => {
  const packages = agent.packages === null ? null : clientPart(agent.packages);
  const part = packages === null ? envoyPart() : both(packages, envoyPart());
  describeWith<string | readonly [string, string]>(part, 'with Remit', () => {
    let end: AgentEnd;
    let alone: AgentEnd;
    let handed: readonly Handed[];
    const expected = CALLS_LISTED_ALONE.has(name) ? EXPECTED.filter(([, { tool }]) => tool !== UNLISTED) : EXPECTED;
    const reasons = reasonsOf(expected);
    const sessions: (string | string[] | undefined)[] = [];
    let tasks: ReadonlySet<string>;
    let denials: readonly string[];

    beforeAll(async () => {
      const { domain, model } = await started();
      const deniedBefore = domain.denials.length;
      const before = domain.server.requests.length;
      const noteSession = async (): Promise<void> =>
        void sessions.push(domain.server.requests.at(-1)?.headers['mcp-session-id']);
      const [first, ...others] = expected.map(([, call]) => call);
      const stopped = async (): Promise<void> => {
        await noteSession();
        await domain.suspendTask();
      };
      const [second, ...later] = others;
      if (first === undefined || second === undefined) throw new Error('the model needs calls');
      const calls = [first, { ...second, before: noteSession }, ...later, { ...read, before: stopped }];
      const got = model.follow(calls);
      const { place, urlWithoutToken: url } = domain;
      [end, alone] = await Promise.all([
        ranAgent(agent, { ...place, modelUrl: model.url }),
        ranAlone(agent, { folder: place.folder, url, modelUrl: model.url }),
      ]);
      handed = got();
      const headers = domain.server.requests.slice(before).map(({ headers }) => headers);
      tasks = new Set(headers.map((one) => String(one['x-remit-task'])));
      const denied = (): readonly string[] => deniedOf(domain.denials.slice(deniedBefore), tasks);
      // The log may have a denial a moment after the client. Where it never comes, the tests say what came.
      const hasAll = (): boolean => ['task.suspended', WITHOUT_TOKEN].every((reason) => denied().includes(reason));
      await until(hasAll, { withinMs: 20_000 }).catch(() => undefined);
      denials = denied();
    });

    it.each(expected.map((row, index) => [index + 1, row[0], row[2], index] as const))(
      'call %i: hands the model the answer to %s',
      (_number, _title, words, index) => {
        const text = handed[index] ?? `nothing: ${end.err.slice(-600)}`;
        expect(words.filter((word) => !text.includes(word)).map((word) => `${word} in ${text}`)).toEqual([]);
      },
    );

    it('has one session and one task from its first call to its last', () => {
      expect([sessions, tasks.size]).toEqual([[expect.any(String), sessions[0]], 1]);
    });

    it('repeats no denied call', () => {
      const withToken = denials.filter((reason) => reason !== WITHOUT_TOKEN);
      const stops = withToken.lastIndexOf(reasons.at(-1) ?? '') + 1;
      expect(withToken.slice(0, stops)).toEqual(reasons);
      expect(AFTER_STOP).toContainEqual([...new Set(withToken.slice(stops))]);
    });

    it('ends as it connects if it has a certificate and no token, and says why', () => {
      expect(alone.code).not.toBe(0);
      // The last is what mcp-remote says, which would open a page where somebody signs in.
      expect(`${alone.out}${alone.err}`).toMatch(/\b401\b|a task token is required|Discovering OAuth/);
      // Clients of two revisions ask by each of them.
      expect([1, 2]).toContain(denials.filter((reason) => reason === WITHOUT_TOKEN).length);
    });

    it('stops if its task is suspended, and declares no other', () => {
      const text = LISTS_AGAIN.has(name) ? end.err : handed.at(-1);
      expect(STOPPED.filter((word) => text?.includes(word) !== true).map((word) => `${word} in ${text}`)).toEqual([]);
    });
  });
});

const GUIDE = resolve(import.meta.dirname, '../../deploy/guide/reference/clients.md');
const python = (name: string): readonly string[] =>
  readFileSync(join(import.meta.dirname, 'python', name), 'utf8').split('\n');

/** What an agent needs that cannot have a forwarder. */
describeWith(both(clientPart('mcp-python-1'), envoyPart()), 'an agent on the Python SDK 1.x by hand', () => {
  it('gets the same answers with a token and a certificate of its own, in as many lines as the guide says', async () => {
    const { domain, model } = await started();
    const got = model.follow(EXPECTED.slice(0, 3).map(([, call]) => call));
    const { code, err } = await ranByHand(
      { program: 'mcp_1_by_hand.py', packages: 'mcp-python-1' },
      { ...domain.place, modelUrl: model.url },
    );
    expect([code, code === 0 ? '' : err]).toEqual([0, '']);
    for (const [index, [, , words]] of EXPECTED.slice(0, 3).entries())
      for (const word of words) expect(got()[index]).toContain(word);

    const plain = new Set(python('mcp_1.py'));
    const added = python('mcp_1_by_hand.py').filter((line) => line.trim() !== '' && !plain.has(line));
    const page = readFileSync(GUIDE, 'utf8');
    expect(page).toContain(`${added.length} lines of Python by hand, none with the forwarder`);
    for (const line of added) expect(page).toContain(line.trim());
  });
});

/** The story of how Remit is brought in: observed, learnt from, enforced. */
import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import { AGENT_PROGRAM } from './agent-program.ts';
import { STRAYS, throughEnvoy, workOf } from './desk-calls.ts';
import type { DeskCall } from './desk-calls.ts';
import { AGENTS, TOOLS } from './observed-host.ts';
import type { AgentName, ObservedHost } from './observed-host.ts';
import type { RanCommand } from './ran-command.ts';

/** One step, played. */
export interface ShownStep {
  readonly title: string;
  /** What the command printed, or what was seen. */
  readonly lines: readonly string[];
  /** What is not as it should be; `null` if all is. */
  readonly problem: string | null;
}

/** What was shown, for the last line. */
export interface ObserveStory {
  readonly steps: readonly ShownStep[];
  readonly observedCalls: number;
  readonly enforcedCalls: number;
  readonly denied: readonly string[];
}

/** The six commands from nothing to enforced. All others of the story only look. */
export const SIX_COMMANDS = ['init', 'serve', 'learn', 'policy test', 'mv', 'observe end'] as const;

const ROUNDS = 6;
/** Most lines that a step shows; a last line says how many more there are. */
const MAX_LINES = 30;
const POLICIES = 'remit-host/policies';
const CONFIG = ['--config', 'remit-host/remit.yaml'] as const;

/** Plays how Remit is brought in, step by step, reporting each; ends after the first step that is not as it should be. */
export async function playObserveStory(host: ObservedHost, show: (step: ShownStep) => void): Promise<ObserveStory> {
  const story: Playing = { host, observedCalls: 0, enforcedCalls: 0, denied: [] };
  const steps: ShownStep[] = [];
  for (const { title, play } of acts) {
    const shown = await play(story).catch((error: unknown) => ({
      lines: [],
      problem: error instanceof Error ? error.message : String(error),
    }));
    const step = { title, ...shown };
    steps.push(step);
    show(step);
    if (step.problem !== null) break;
  }
  const { observedCalls, enforcedCalls, denied } = story;
  return { steps, observedCalls, enforcedCalls, denied };
}

/** Whether all acts were played as they should be. */
export const isWhole = ({ steps }: ObserveStory): boolean =>
  steps.length === acts.length && steps.every(({ problem }) => problem === null);

interface Playing {
  readonly host: ObservedHost;
  observedCalls: number;
  enforcedCalls: number;
  denied: readonly string[];
}

type Shown = Omit<ShownStep, 'title'>;

interface Act {
  readonly title: string;
  readonly play: (story: Playing) => Promise<Shown>;
}

const good = (...lines: readonly string[]): Shown => ({ lines, problem: null });

/** What a command printed; a problem if it did not end with 0, or lacks a text. */
function shownCommand({ typed, code, out, err }: RanCommand, wanted = ''): Shown {
  const all = [...out, ...err];
  const cut = all.length > MAX_LINES ? [`… ${all.length - MAX_LINES} more lines`] : [];
  const lines = [`$ ${typed}`, ...all.slice(0, MAX_LINES), ...cut];
  if (code !== 0) return { lines, problem: `exit code ${code}` };
  return all.some((line) => line.includes(wanted))
    ? good(...lines)
    : { lines, problem: `it does not say \`${wanted}\`` };
}

const acts: readonly Act[] = [
  {
    title: 'command 1 of 6: a folder to start with, in which everything is observed',
    play: async ({ host }) => {
      const { listen, issuer } = host.ports;
      const where = ['--listen', `127.0.0.1:${listen}`, '--issuer', `https://localhost:${issuer}`];
      const words = ['--trust-domain', 'acme.test', '--upstream', `127.0.0.1:${host.desk.address.port}`, ...where];
      const init = await host.ran(['init', 'remit-host', ...words, '--observe', '--owner', 'team-desk', '--yes']);
      return shownCommand(init, 'policies/enforcement.yaml');
    },
  },
  {
    title: 'command 2 of 6: Remit serves, and Envoy asks it about every call',
    play: async ({ host }) => {
      await host.useFiles();
      await host.serve();
      await host.startEnvoy('envoy.yaml');
      return good(
        '$ remit serve --config remit-host/remit.yaml',
        '$ envoy -c remit-host/envoy.yaml',
        'ready; certificates are from files here, since SPIRE may be missing on this machine',
      );
    },
  },
  {
    title: 'agents that know nothing of Remit work as ever: HTTP and MCP, with their SVIDs and no token',
    play: observeWork,
  },
  {
    title: 'command 3 of 6: policies are learnt from what was recorded',
    play: async ({ host }) =>
      shownCommand(await host.ran(['learn', ...CONFIG, '--since', '1h', '--out', 'learnt']), 'would be allowed'),
  },
  {
    title: 'command 4 of 6: what was learnt is reviewed, and passes its own tests',
    play: async ({ host }) => {
      const report = await readFile(host.at('learnt', 'report.md'), 'utf8');
      const tested = shownCommand(await host.ran(['policy', 'test', 'learnt']));
      return { ...tested, lines: [...tested.lines, 'report.md begins:', ...beginningOf(report)] };
    },
  },
  {
    title: 'command 5 of 6: the reviewed folder replaces the first folder; all is still observed',
    play: async ({ host }) => {
      await host.applyPolicies(host.at('learnt'));
      return good(
        `$ cp ${POLICIES}/enforcement.yaml learnt/ && mv ${POLICIES} remit-host/first-policies && mv learnt ${POLICIES}`,
        'remit serve has loaded it',
      );
    },
  },
  {
    title: 'to look at it: which agents, tools and grants exist, and when each was last used',
    play: async ({ host }) => shownCommand(await host.ran(['inventory', POLICIES, ...CONFIG]), 'agents/digest'),
  },
  {
    title: 'each agent is started by `remit run` with its learnt intent; its code is as it was',
    play: (story) => workInTasks(story, 1),
  },
  {
    title: 'to look at it: which agents are ready to be enforced; by the rule of a week none is, and the demo goes on',
    play: async ({ host }) => shownCommand(await host.ran(['observe', ...CONFIG]), 'agents/triage-1'),
  },
  {
    title: 'before anything is enforced Envoy refuses calls while Remit is away',
    play: async ({ host }) => {
      await host.startEnvoy('enforcing/envoy.yaml');
      return good('$ envoy -c remit-host/enforcing/envoy.yaml');
    },
  },
  {
    title: 'command 6 of 6: the entry of the agents ends: from now on they are enforced',
    play: async ({ host }) => {
      const ended = await host.reloadedAfter(() => host.ran(['observe', 'end', 'agents', '--write', ...CONFIG]));
      return shownCommand(ended, '-  - id: agents');
    },
  },
  {
    title: 'the work of the agents goes on, now by their policies',
    play: (story) => workInTasks(story, 2),
  },
  {
    title: 'an agent that goes astray is denied, with the reason',
    play: goAstray,
  },
];

const beginningOf = (report: string): readonly string[] =>
  report
    .split('\n')
    .filter((line) => line !== '')
    .slice(0, 8)
    .map((line) => `  ${line}`);

async function observeWork(story: Playing): Promise<Shown> {
  const { host } = story;
  const statuses: number[] = [];
  for (let round = 1; round <= ROUNDS; round += 1) {
    for (const name of AGENTS) {
      for (const call of workOf(name, round)) {
        const reply = await host.agents.get(name)?.call(host.ports.listen, throughEnvoy(call));
        statuses.push(reply?.status ?? 0);
      }
    }
  }
  const blocked = statuses.filter((status) => status !== 200);
  story.observedCalls = statuses.length - blocked.length;
  const would = [...(await host.observed())];
  const recorded = would.reduce((sum, [, count]) => sum + count, 0);
  const lines = [
    `${statuses.length} calls of ${AGENTS.length} agents, ${blocked.length} blocked; ${host.desk.received} reached the tool server`,
    ...would.map(([what, count]) => `recorded: ${count} calls that enforcing would answer with ${what}`),
  ];
  if (blocked.length > 0) return { lines, problem: `answers ${[...new Set(blocked)].join(', ')}` };
  return recorded === statuses.length ? good(...lines) : { lines, problem: `${recorded} calls were recorded` };
}

/** What the agent program printed of one call. */
interface Answered {
  readonly name: string;
  readonly status: number;
  readonly decision: string | null;
  readonly body: string;
}

/** Runs an agent under `remit run` with its learnt intent; gives its task and the answers. */
async function runAgent(
  { host }: Playing,
  agent: AgentName,
  calls: readonly DeskCall[],
): Promise<{ readonly ran: RanCommand; readonly task: string; readonly answers: readonly Answered[] }> {
  const intents = await readdir(host.at('remit-host', 'policies', 'intents'));
  const intent = intents.find((name) => name.includes(agent)) ?? '';
  await mkdir(host.at('work'), { recursive: true });
  await writeFile(host.at('work', 'agent.mjs'), AGENT_PROGRAM);
  await writeFile(host.at('work', `${agent}.json`), JSON.stringify(calls));
  const svid = [
    '--svid-cert',
    `svids/${agent}.pem`,
    '--svid-key',
    `svids/${agent}.key`,
    '--bundle',
    'svids/bundle.pem',
  ];
  const issuer = ['--issuer', `https://localhost:${host.ports.issuer}`];
  const forward = ['--forward', `TOOLS=https://${TOOLS},connect=127.0.0.1:${host.ports.listen}`];
  const program = ['--', host.node, 'work/agent.mjs', `work/${agent}.json`];
  const words = ['run', '--intent', `${POLICIES}/intents/${intent}`, ...issuer, ...svid, ...forward, ...program];
  const ran = await host.ran(words);
  const printed = ran.out.map((line): Partial<Answered & { readonly task: string }> => JSON.parse(line));
  return {
    ran,
    task: printed.find(({ task }) => task !== undefined)?.task ?? '',
    answers: printed.flatMap(({ name, status, decision = null, body = '' }) =>
      name === undefined || status === undefined ? [] : [{ name, status, decision, body }],
    ),
  };
}

async function workInTasks(story: Playing, round: number): Promise<Shown> {
  const { host } = story;
  const lines: string[] = [];
  for (const agent of AGENTS) {
    const { ran, task, answers } = await runAgent(story, agent, workOf(agent, round));
    if (lines.length === 0) lines.push(`$ ${ran.typed.replace(host.node, 'node')}`);
    lines.push(`${agent}, task ${task}: ${answers.map(({ name, status }) => `${name} ${status}`).join(', ')}`);
    const isGood = ran.code === 0 && answers.length > 0 && answers.every(({ status }) => status === 200);
    if (!isGood) return { lines: [...lines, ...ran.err], problem: `${agent} ended with ${ran.code}` };
    if (round > 1) story.enforcedCalls += answers.length;
  }
  return good(...lines);
}

async function goAstray(story: Playing): Promise<Shown> {
  const { host } = story;
  const lines: string[] = [];
  const before = host.desk.received;
  const strays = [
    ['triage-1', STRAYS['triage-1']],
    ['digest', STRAYS.digest],
  ] as const;
  for (const [agent, calls] of strays) {
    const { task, answers } = await runAgent(story, agent, calls);
    for (const [at, { name }] of calls.entries()) {
      const { denied, decision, trace } = denialOf(answers[at]);
      lines.push(`${agent}: ${denied}`, `  decision ${decision}, trace ${trace}, task ${task}`);
      if (decision === '') return { lines, problem: `${name} was not denied` };
      story.denied = [...story.denied, denied];
      if (story.denied.length > 1) continue;
      const explained = shownCommand(await host.ran(['explain', decision, ...CONFIG]), decision);
      const shown = shownCommand(await host.ran(['task', 'show', task, ...CONFIG]), trace);
      lines.push(...explained.lines, ...shown.lines);
      const problem = explained.problem ?? shown.problem;
      if (problem !== null) return { lines, problem };
    }
  }
  const reached = host.desk.received - before;
  return reached === 0 ? good(...lines) : { lines, problem: `${reached} calls reached the tool server` };
}

/** A denied call with its reason, and the ids of its decision and trace; these are empty if it was not denied by Remit. */
function denialOf(answer: Answered | undefined): {
  readonly denied: string;
  readonly decision: string;
  readonly trace: string;
} {
  const { name = '', status = 0, body = '', decision: header } = answer ?? {};
  const reason = /"reason":"([a-z.-]+)"/.exec(body)?.[1] ?? '';
  const [, decision = '', trace = ''] = /;id="([^"]+)";trace="([0-9a-f]{32})"/.exec(header ?? '') ?? [];
  return { denied: `${name} ${status} ${reason}`, decision: reason === '' ? '' : decision, trace };
}

import { setTimeout as delay } from 'node:timers/promises';
import type { Ports } from '../../core/runtime/ports.ts';
import type { Problem } from '../../core/runtime/problem.ts';
import type { After } from '../../core/runtime/timers.ts';
import { childExitCode, exitCodeOfSignal, startChild } from '../run/child.ts';
import type { OAuthDeclaration } from './declaration.ts';
import { openForwarders } from '../forward/forwarders.ts';
import type { ForwardTarget } from '../forward/forward-target.ts';
import { handOver, type Handover, type HandoverForm } from './handover.ts';
import { handOverSvid, svidFilesIn } from '../run/handed-svid.ts';
import type { IssuerPlace } from './issuer-call.ts';
import { IssuerClient } from './issuer-client.ts';
import type { TaskCredential, TaskView } from './issuer-client.ts';
import { isIssuerProblem, type IssuerProblem, problemLines } from './issuer-problem.ts';
import { reachingLoopback } from '../run/loopback-environment.ts';
import type { McpServers } from '../run/mcp-servers.ts';
import { OwnSvid } from '../run/own-svid.ts';
import { RunGroup } from '../run/run-group.ts';
import { SignalRelay, type OnSignal } from '../run/signal-relay.ts';
import { KeptTools } from './kept-tools.ts';
import { ProofKey } from './proof-key.ts';
import { TokenKeeper } from './token-keeper.ts';
import { tracedBy } from '../run/trace.ts';
import { Watcher } from '../run/watched.ts';

/** A command and the tasks it runs under. */
export interface RunPlan {
  readonly issuer: IssuerPlace;
  /** At least one, each for another resource. The first is the task of the handover and of `REMIT_TASK_ID`. */
  readonly declarations: readonly OAuthDeclaration[];
  /** How long to wait for an issuer that cannot be reached yet; 0: not at all. */
  readonly waitMs: number;
  /** Whether tokens are bound to a key of the run, by which the forwarders sign each call. */
  readonly hasProofs: boolean;
  /** The command and its arguments. */
  readonly command: readonly string[];
  /** The inherited environment; the run's variables are added. */
  readonly environment: Readonly<Record<string, string>>;
  readonly handover: HandoverForm;
  /** The folder with the SVID as files, for the command; `null` for none. */
  readonly svidFolder: string | null;
  /** Upstreams that get a local address; their resources are among those declared. */
  readonly forwards: readonly ForwardTarget[];
  /** Servers that MCP clients of the command are to have besides the upstreams; `null` without any. */
  readonly mcpServers: McpServers | null;
}

/** What a run uses besides files, the issuer and its command. */
export interface RunWorld {
  readonly ports: Ports;
  readonly after: After;
  readonly onSignal: OnSignal;
  /** Prints a line for the person at the terminal; never a secret. */
  readonly tell: (line: string) => void;
}

/** Exit code if no command was started. */
const REFUSED = 1;

/**
 * Runs a command under its own tasks, one for each declaration: declares them, hands over their tokens, and ends them with the
 * command: completed if the command exits with 0 by itself, cancelled otherwise. If a task is refused, the others are
 * cancelled and the command is not started.
 *
 * @returns the exit code of the command; 128 plus the number of a signal; 126 or 127 if it cannot be started; 1 if the
 * issuer refused a task
 */
export async function runTask(plan: RunPlan, world: RunWorld): Promise<number> {
  const relay = new SignalRelay(world.onSignal);
  const watcher = new Watcher(plan.issuer, () =>
    world.tell('the watcher has ended: if this process is killed now, only the deadline ends the task'),
  );
  const svid = await OwnSvid.open(plan.issuer.svid, world.ports);
  const proofKey = plan.hasProofs ? new ProofKey(world.ports) : null;
  const client = new IssuerClient(plan.issuer, { svid, nowMs: world.ports.nowMs, proofKey });
  try {
    return await runUnderTasks({ plan, world, relay, watcher, svid, client, proofKey });
  } finally {
    svid.close();
    watcher.dismiss();
    relay.close();
  }
}

interface Run {
  readonly plan: RunPlan;
  readonly world: RunWorld;
  readonly relay: SignalRelay;
  readonly watcher: Watcher;
  readonly svid: OwnSvid;
  readonly client: IssuerClient;
  readonly proofKey: ProofKey | null;
}

/** A task of a run. */
interface RunTask {
  readonly resource: string;
  readonly credential: TaskCredential;
  readonly view: TaskView;
}

/** INVARIANT: once there is a task it is ended, whatever happens. */
async function runUnderTasks(run: Run): Promise<number> {
  const declared: string[] = [];
  let by: 'complete' | 'cancel' = 'cancel';
  try {
    const tasks = await declaredTasks(run, (taskId) => {
      declared.push(taskId);
      run.watcher.tell({ tasks: declared });
    });
    const { stoppedBy } = run.relay;
    if (tasks === null) return stoppedBy === null ? REFUSED : exitCodeOfSignal(stoppedBy);
    const exitCode = await runCommand(run, tasks);
    if (exitCode === 0 && run.relay.endedBy === null) by = 'complete';
    return exitCode;
  } finally {
    await Promise.all(declared.map((taskId) => endTask(run, { taskId, by })));
  }
}

/** Declares all tasks; `null` if a task was refused, which has been reported. */
async function declaredTasks(run: Run, onTask: (taskId: string) => void): Promise<readonly RunTask[] | null> {
  const { plan, world, client } = run;
  const tasks: RunTask[] = [];
  const refused = (problem: IssuerProblem, resource: string): null => {
    const prefix = plan.declarations.length > 1 ? `${resource}: ` : '';
    for (const line of problemLines(problem)) world.tell(`${prefix}${line}`);
    return null;
  };
  for (const declaration of plan.declarations) {
    const { resource } = declaration;
    const credential = await declaredOnceReached(run, declaration);
    if (isIssuerProblem(credential)) return refused(credential, resource);
    onTask(credential.taskId);
    const view = await client.task(credential.taskId);
    if (isIssuerProblem(view)) return refused(view, resource);
    tasks.push({ resource, credential, view });
  }
  return tasks;
}

/** The wait before the second attempt to reach the issuer; each further wait is twice as long, up to the maximum below. */
const FIRST_PAUSE_MS = 250;
const LONGEST_PAUSE_MS = 2_000;

/**
 * Declares a task, again while no connection can be made: the issuer, or the proxy of the mesh on the way to it, may start later than this
 * command. What may have arrived is not sent again, since it may have made a task.
 */
async function declaredOnceReached(
  { plan, world, client, relay }: Run,
  declaration: OAuthDeclaration,
): Promise<TaskCredential | IssuerProblem> {
  const { monotonicMs } = world.ports;
  const endMs = monotonicMs() + plan.waitMs;
  for (let pauseMs = FIRST_PAUSE_MS, isTold = false; ; pauseMs = Math.min(2 * pauseMs, LONGEST_PAUSE_MS)) {
    const answer = await client.declare(declaration, plan.environment['TRACEPARENT'] ?? null);
    if (!isIssuerProblem(answer) || answer.isUnsent !== true) return answer;
    if (relay.stoppedBy !== null || monotonicMs() + pauseMs > endMs) return answer;
    if (!isTold) world.tell(`waiting for the issuer, at most ${plan.waitMs / 1_000} s (--wait): ${answer.description}`);
    isTold = true;
    await delay(pauseMs);
  }
}

async function runCommand(run: Run, tasks: readonly RunTask[]): Promise<number> {
  const { plan, world, relay, watcher } = run;
  const [{ view } = noTask()] = tasks;
  const opened: Handover[] = [];
  const open = async (handover: Promise<Handover | Problem>): Promise<Handover['variables'] | null> => {
    const made = await handover;
    if ('problem' in made) world.tell(made.problem);
    else opened.push(made);
    return 'problem' in made ? null : made.variables;
  };
  try {
    const keepers = new Map<string, TokenKeeper>();
    const token = await open(tokenHandover(run, tasks, keepers));
    const svidFiles = token && (await open(svidHandover(run)));
    const variables = { REMIT_TASK_ID: view.id, ...token, ...svidFiles };
    const forwarders = svidFiles && (await open(forwarderHandover(run, { keepers, variables })));
    if (forwarders === null) return REFUSED;
    if (relay.stoppedBy !== null) return exitCodeOfSignal(relay.stoppedBy);
    for (const { resource, view: task } of tasks) {
      const what = tasks.length > 1 ? ` for ${resource}` : '';
      world.tell(`task ${task.id}${what}, until ${task.deadline} at the latest`);
    }
    const child = startChild(plan.command, {
      ...reachingLoopback(tracedBy(plan.environment, view.traceparent)),
      ...variables,
      ...forwarders,
    });
    relay.passTo(child);
    if (child.pid !== undefined) watcher.tell({ pid: child.pid });
    const end = await child.ended;
    if (end.kind === 'not-started') world.tell(end.problem);
    return childExitCode(end);
  } finally {
    // The last opened uses the others.
    for (const handover of opened.toReversed()) await handover.close();
  }
}

const noTask = (): never => {
  throw new Error('a run has at least one declaration');
};

const nothing = async (): Promise<void> => undefined;

/** Hands over the token of the first task, and keeps those of all that are forwarded. */
async function tokenHandover(
  { plan, world, watcher, svid, client }: Run,
  tasks: readonly RunTask[],
  keepers: Map<string, TokenKeeper>,
): Promise<Handover | Problem> {
  if (plan.handover !== 'endpoint' && plan.handover !== 'variable') watcher.tell(plan.handover);
  const { tell, ports, after } = world;
  const group = new RunGroup(
    tasks.map(({ view }) => view.id),
    { client, tell },
  );
  const onState = group.changed.bind(group);
  const options = { client, svid, nowMs: ports.nowMs, after, ports, onState };
  const [first = noTask()] = tasks;
  const firstOf = ({ credential, view }: RunTask) => ({ credential, generation: view.generation });
  const tellOf = ({ resource }: RunTask) => (tasks.length > 1 ? (line: string) => tell(`${resource}: ${line}`) : tell);
  const handover = await handOver(plan.handover, firstOf(first), { ...options, tell: tellOf(first) });
  if ('problem' in handover) return handover;
  if (handover.keeper !== null) keepers.set(first.resource, handover.keeper);
  for (const task of tasks) {
    const { resource } = task;
    if (keepers.has(resource) || !plan.forwards.some((forward) => forward.resource === resource)) continue;
    keepers.set(resource, new TokenKeeper(firstOf(task), { ...options, tell: tellOf(task), onToken: nothing }));
  }
  return {
    variables: handover.variables,
    close: async () => {
      for (const keeper of keepers.values()) keeper.close();
      await group.close();
      await handover.close();
    },
  };
}

function forwarderHandover(
  { plan, world, watcher, svid, client, proofKey }: Run,
  {
    keepers,
    variables,
  }: { readonly keepers: ReadonlyMap<string, TokenKeeper>; readonly variables: Handover['variables'] },
): Promise<Handover | Problem> {
  const tools = new KeptTools(client, world.ports);
  return openForwarders(plan.forwards, {
    mcpServers: plan.mcpServers,
    variables,
    svid,
    keeperOf: (resource) => keepers.get(resource) ?? noTask(),
    // A run has one task for each resource.
    listedOf: (resource, taskId) => tools.of(taskId, { resource, grant: resource }),
    denialsOf: (resource) => tools.denialsOf(resource),
    proofKey,
    ports: world.ports,
    tell: world.tell,
    onFolder: (privateFolder) => watcher.tell({ privateFolder }),
  });
}

/** The files of the SVID, if the plan wants them. The watcher removes them if this process is killed. */
async function svidHandover({ plan: { svidFolder }, world, watcher, svid }: Run): Promise<Handover | Problem> {
  if (svidFolder === null) return { variables: {}, close: async () => undefined };
  watcher.tell({ svidFiles: svidFilesIn(svidFolder) });
  return handOverSvid(svidFolder, svid, world);
}

/** Back-off between attempts to end the task, in milliseconds. */
const PAUSES_MS = [250, 500, 1_000, 2_000];

async function endTask(
  { client, world: { tell } }: Run,
  { taskId, by }: { readonly taskId: string; readonly by: 'complete' | 'cancel' },
): Promise<void> {
  let ended: TaskView | IssuerProblem = await client.end(taskId, by);
  for (const pauseMs of PAUSES_MS) {
    if (!isIssuerProblem(ended) || !ended.isTransient) break;
    await delay(pauseMs);
    ended = await client.end(taskId, by);
  }
  if (!isIssuerProblem(ended)) return tell(`task ${taskId} is ${ended.state}`);
  if (ended.error === 'task_ended') return tell(ended.description);
  tell(`task ${taskId} could not be ended and lives until its deadline: ${problemLines(ended)[0]}`);
}

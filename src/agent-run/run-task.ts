import { setTimeout as delay } from 'node:timers/promises';
import type { Ports } from '../runtime/ports.ts';
import type { Problem } from '../runtime/problem.ts';
import type { After } from '../runtime/timers.ts';
import { exitCodeOf, exitCodeOfSignal, startChild } from './child.ts';
import type { OAuthDeclaration } from './declaration.ts';
import { handOver, type Handover, type HandoverForm } from './handover.ts';
import { handOverSvid, svidFilesIn } from './handed-svid.ts';
import type { IssuerPlace } from './issuer-call.ts';
import { IssuerClient } from './issuer-client.ts';
import type { TaskCredential, TaskView } from './issuer-client.ts';
import { isIssuerProblem, type IssuerProblem, problemLines } from './issuer-problem.ts';
import { OwnSvid } from './own-svid.ts';
import { SignalRelay, type OnSignal } from './signal-relay.ts';
import { tracedBy } from './trace.ts';
import { Watcher } from './watched.ts';

/** A command and the task it runs under. */
export interface RunPlan {
  readonly issuer: IssuerPlace;
  readonly declaration: OAuthDeclaration;
  /** The command and its arguments. */
  readonly command: readonly string[];
  /** The inherited environment; the run's variables are added. */
  readonly environment: Readonly<Record<string, string>>;
  readonly handover: HandoverForm;
  /** Where the command finds the SVID as files; `null`: nowhere. */
  readonly svidFolder: string | null;
}

/** What a run uses besides files, the issuer and its command. */
export interface RunWorld {
  readonly ports: Ports;
  readonly after: After;
  readonly onSignal: OnSignal;
  /** Prints a line for the person at the terminal; never a secret. */
  readonly tell: (line: string) => void;
}

/** Exit code where no command was started. */
const REFUSED = 1;

/**
 * Runs a command under its own task: declares the task, hands over its tokens, and ends it with the command: completed where
 * the command exits with 0 by itself, cancelled otherwise.
 *
 * @returns the exit code of the command; 128 plus the number of a signal; 126 or 127 where it cannot be started; 1 where the
 * issuer refused the task
 */
export async function runTask(plan: RunPlan, world: RunWorld): Promise<number> {
  const relay = new SignalRelay(world.onSignal);
  const watcher = new Watcher(plan.issuer, () =>
    world.tell('the watcher has ended: if this process is killed now, only the deadline ends the task'),
  );
  const svid = await OwnSvid.open(plan.issuer.svid, world.ports);
  try {
    const client = new IssuerClient(plan.issuer, { svid, nowMs: world.ports.nowMs });
    const credential = await client.declare(plan.declaration, plan.environment['TRACEPARENT'] ?? null);
    if (!isIssuerProblem(credential))
      return await runDeclared({ plan, world, relay, watcher, svid, client }, credential);
    for (const line of problemLines(credential)) world.tell(line);
    return REFUSED;
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
}

/** INVARIANT: once there is a task it is ended, whatever happens. */
async function runDeclared(run: Run, credential: TaskCredential): Promise<number> {
  run.watcher.tell({ task: credential.taskId });
  let by: 'complete' | 'cancel' = 'cancel';
  try {
    const exitCode = await runCommand(run, credential);
    if (exitCode === 0 && run.relay.endedBy === null) by = 'complete';
    return exitCode;
  } finally {
    await endTask(run, { taskId: credential.taskId, by });
  }
}

async function runCommand(
  { plan, world, relay, watcher, svid, client }: Run,
  credential: TaskCredential,
): Promise<number> {
  const { tell, ports, after } = world;
  const task = await client.task(credential.taskId);
  if (isIssuerProblem(task)) {
    for (const line of problemLines(task)) tell(line);
    return REFUSED;
  }
  if (plan.handover !== 'endpoint' && plan.handover !== 'variable') watcher.tell(plan.handover);
  const handover = await handOver(
    plan.handover,
    { credential, generation: task.generation },
    { client, svid, nowMs: ports.nowMs, after, tell, ports },
  );
  if ('problem' in handover) {
    tell(handover.problem);
    return REFUSED;
  }
  const svidFiles = await svidHandover({ plan, world, watcher, svid });
  try {
    if ('problem' in svidFiles) {
      tell(svidFiles.problem);
      return REFUSED;
    }
    if (relay.stoppedBy !== null) return exitCodeOfSignal(relay.stoppedBy);
    tell(`task ${task.id}, until ${task.deadline} at the latest`);
    const variables = {
      ...tracedBy(plan.environment, task.traceparent),
      REMIT_TASK_ID: task.id,
      ...handover.variables,
      ...svidFiles.variables,
    };
    const child = startChild(plan.command, variables);
    relay.passTo(child);
    if (child.pid !== undefined) watcher.tell({ pid: child.pid });
    const end = await child.ended;
    if (end.kind === 'not-started') tell(end.problem);
    return exitCodeOf(end);
  } finally {
    if (!('problem' in svidFiles)) await svidFiles.close();
    await handover.close();
  }
}

/** The files of the SVID, where the plan wants them. The watcher removes them where this process is killed. */
async function svidHandover({
  plan: { svidFolder },
  world,
  watcher,
  svid,
}: Pick<Run, 'plan' | 'world' | 'watcher' | 'svid'>): Promise<Handover | Problem> {
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

import { join } from 'node:path';
import { isProblem, type Problem } from '../../core/runtime/problem.ts';
import type { Ports } from '../../core/runtime/ports.ts';
import { unixSocketProblem } from '../../core/runtime/system/unix-socket.ts';
import type { ForwardTarget } from '../forward/forward-target.ts';
import { OwnSvid } from '../run/own-svid.ts';
import { Watcher } from '../run/watched.ts';
import type { IssuerPlace } from '../task/issuer-call.ts';
import { ProofKey } from '../task/proof-key.ts';
import { admittedCalls } from './admitted-call.ts';
import { TaskJournal } from './journal.ts';
import { localSecret } from './local-secret.ts';
import {
  earlierAddress,
  forgetAddress,
  type PrivateFolder,
  privateFolder,
  removedFolder,
  writeEnvironment,
} from './private-folder.ts';
import { type ServiceBounds, TaskService } from './task-service.ts';
import { TasksApi } from './tasks-api.ts';
import type { Templates } from './templates.ts';
import { openDoor, type UpstreamDoor } from './upstream-door.ts';

/** A helper as it was asked for. */
export interface HelperPlan {
  readonly issuer: IssuerPlace;
  readonly templates: Templates;
  readonly takesOwnIntents: boolean;
  /** At least one. */
  readonly forwards: readonly ForwardTarget[];
  /** The folder of its sockets and its journal; `null`: a new folder, removed at the end. */
  readonly folder: string | null;
  /** The port of its API; `null`: the port of the last run, otherwise a free port. */
  readonly port: number | null;
  readonly hasProofs: boolean;
  readonly bounds: ServiceBounds;
}

/** What a helper uses besides files, the issuer and its upstreams. */
export interface HelperWorld {
  readonly ports: Ports;
  /** Prints a line for people; never a secret. */
  readonly tell: (line: string) => void;
}

/** A running helper. */
export interface Helper {
  /** For the environment of the service: `REMIT_TASKS`, a URL with a secret, and `REMIT_TASKS_SOCKET`. */
  readonly variables: Readonly<Record<string, string>>;
  /** Its folder, which has the variables as a file too: `environment`. */
  readonly folder: string;
  /** Names the command, so that it is ended if this process is killed. */
  readonly watch: (pid: number) => void;
  /** Takes no further task, cancels all and stops. */
  readonly close: () => Promise<void>;
}

/** Time for the ends of all tasks at the end of the helper. */
const ENDS_MS = 15_000;
const MARK_BYTES = 9;

/** Opens a helper: its API, a local address for each upstream, and a watcher that cancels its tasks if this process is killed. */
export async function openHelper(plan: HelperPlan, world: HelperWorld): Promise<Helper | Problem> {
  const folder = await privateFolder(plan.folder);
  if (isProblem(folder)) return folder;
  const closers: (() => Promise<unknown>)[] = [];
  const opened = await openedIn(folder, plan, { ...world, closers });
  if (!isProblem(opened)) return opened;
  for (const close of closers.toReversed()) await close();
  return opened;
}

async function openedIn(
  folder: PrivateFolder,
  plan: HelperPlan,
  world: HelperWorld & { readonly closers: (() => Promise<unknown>)[] },
): Promise<Helper | Problem> {
  const { closers, ports, tell } = world;
  const { bounds, hasProofs, issuer, takesOwnIntents, templates } = plan;
  // If false, some tasks are not ended: the watcher cancels them by the journal, and removes the folder if it is our own.
  let isClean = true;
  closers.push(async () => (isClean && folder.isOwn ? removedFolder(folder.path) : undefined));
  // It has a dot, which no name of an upstream has.
  const socketPath = join(folder.path, 'remit.tasks.sock');
  // INVARIANT: of two helpers with one folder the second does not start: it would cancel the tasks of the first.
  const taken = await unixSocketProblem(socketPath);
  if (taken !== null) return { problem: taken };
  const mark = Buffer.from(ports.randomBytes(MARK_BYTES)).toString('base64url');
  const { journal, left } = await TaskJournal.open(folder.path, mark);
  closers.push(() => journal.close());
  const watcher = new Watcher(issuer, () =>
    tell('the watcher has ended: if this process is killed now, only a restart or their deadline ends its tasks'),
  );
  closers.push(async () => (isClean ? watcher.dismiss() : undefined));
  watcher.tell({ journal: journal.path });
  if (folder.isOwn) watcher.tell({ privateFolder: folder.path });
  const svid = await OwnSvid.open(issuer.svid, ports);
  closers.push(async () => svid.close());
  const proofKey = hasProofs ? new ProofKey(ports) : null;
  const service = new TaskService({
    issuer,
    svid,
    proofKey,
    templates,
    takesOwnIntents,
    bounds,
    journal,
    ports,
    tell,
  });
  closers.push(async () => {
    const unended = await service.close(ENDS_MS);
    isClean = unended === 0;
    if (!isClean) tell(`${unended} tasks could not be ended: a watcher goes on, and their deadline ends them`);
  });
  const doors = await openDoors(plan.forwards, { folder, service, ...world });
  if (isProblem(doors)) return doors;
  service.serve(doors);
  const apis = await openApis(service, { folder, socketPath, port: plan.port, ...world });
  if (isProblem(apis)) return apis;
  const variables = { REMIT_TASKS: apis.url, REMIT_TASKS_SOCKET: socketPath };
  await writeEnvironment(folder.path, variables);
  if (left.length > 0) tell(`ends ${left.length} tasks that an earlier process has left`);
  void service.endLeft(left);
  return {
    variables,
    folder: folder.path,
    watch: (pid) => watcher.tell({ pid }),
    close: async () => {
      for (const close of closers.toReversed()) await close();
    },
  };
}

interface Opening extends HelperWorld {
  readonly folder: PrivateFolder;
  readonly closers: (() => Promise<unknown>)[];
}

async function openDoors(
  forwards: readonly ForwardTarget[],
  { closers, folder, service, tell }: Opening & { readonly service: TaskService },
): Promise<readonly UpstreamDoor[] | Problem> {
  const doors: UpstreamDoor[] = [];
  for (const target of forwards) {
    const door = await openDoor(target, { folder: folder.path, tell, admit: admittedCalls(service) });
    if (isProblem(door)) return door;
    closers.push(() => door.close());
    doors.push(door);
  }
  return doors;
}

/** Opens the API at a port and at the socket. */
async function openApis(
  service: TaskService,
  { closers, folder, port, ports, socketPath }: Opening & { readonly socketPath: string; readonly port: number | null },
): Promise<{ readonly url: string } | Problem> {
  const known = await earlierAddress(folder.path);
  const earlier = port === null || port === known?.port ? known : null;
  let secret = earlier?.secret ?? localSecret(ports);
  let tcp = await TasksApi.open(service, { kind: 'tcp', port: port ?? earlier?.port ?? 0, secret });
  if (isProblem(tcp)) {
    // INVARIANT: the old secret is not used again. Another user may have taken the old port, and the service may have sent the secret there.
    await forgetAddress(folder.path);
    if (port !== null) return tcp;
    secret = localSecret(ports);
    tcp = await TasksApi.open(service, { kind: 'tcp', port: 0, secret });
    if (isProblem(tcp)) return tcp;
  }
  closers.push(() => tcp.close());
  const origin = `http://127.0.0.1:${tcp.port}`;
  const socket = await TasksApi.open(service, { kind: 'socket', path: socketPath, origin });
  if (isProblem(socket)) return socket;
  closers.push(() => socket.close());
  return { url: `${origin}/${secret}/tasks` };
}

/** `remit agent`: a helper beside a service, with a task for each of its requests. */
import { resolve } from 'node:path';
import { forwardOptionsFrom, upstreamUrlFrom, type ForwardOption } from '../../agent/forward/forward-option.ts';
import { type ForwardTarget, forwardTargetsFrom } from '../../agent/forward/forward-target.ts';
import { childExitCode, exitCodeOfSignal, startChild } from '../../agent/run/child.ts';
import { DURATION_RULE, secondsFrom } from '../../agent/run/duration.ts';
import { reachingLoopback } from '../../agent/run/loopback-environment.ts';
import { isNamePattern, NAME_PATTERN_RULE } from '../../agent/run/name-pattern.ts';
import { scrubbed } from '../../agent/run/secrets.ts';
import { SignalRelay } from '../../agent/run/signal-relay.ts';
import { type Helper, type HelperPlan, openHelper } from '../../agent/service/helper.ts';
import { type Templates, templatesIn } from '../../agent/service/templates.ts';
import { printable } from '../../core/ledger/timeline-text.ts';
import { systemPorts } from '../../core/runtime/ports.ts';
import { isProblem } from '../../core/runtime/problem.ts';
import { EXIT, type Command, type CommandIo, refused } from '../command.ts';
import { issuerFrom, issuerOptions, placeHelp } from '../intent/issuer-options.ts';
import { optionsFrom } from '../options.ts';
import { isCommandRefusal, type CommandRefusal, taskRefusal } from '../task/task-source.ts';

const help = `usage: remit agent --forward NAME[=URL] ... (--intents DIR | --own-intents) [OPTION ...] [-- COMMAND [ARGUMENT ...]]

Helps a service that acts for many users: each request of the service gets a task of its own. The service posts to $REMIT_TASKS and
gets local URLs; whoever calls such a URL acts within that task, without a certificate or a token. With COMMAND the helper runs
around the service; otherwise it runs beside it, and the service finds the variables in DIR/environment of --folder.

  remit agent --intents intents/ --forward tools=https://tools.acme.test --config remit.yaml -- python service.py
  remit agent --intents intents/ --forward tools=https://tools.acme.test --config remit.yaml --folder /run/agent/remit

  POST $REMIT_TASKS {"intent": "refund.yaml", "purpose": "order 4711", "subject_token": "…", "expires_in": "5m"}
    201 {"task": "0199…", "forward": {"tools": "http://127.0.0.1:PORT/SECRET"}, "end": "http://127.0.0.1:PORT/SECRET", …}
  DELETE (end) completes the task, POST (end)/cancel cancels it

  --intents DIR     the intents by which the service declares tasks: a file in YAML or JSON for each, named by the service. Its access
                    is fixed; a request says more of its purpose, and may narrow its limits and its duration
  --own-intents     a request may bring an intent of its own: {purpose, access, expires_in}
  --forward NAME[=URL][,KEY=VALUE ...]
                    an upstream, as in \`remit run\`; each task whose intent has its resource gets a URL for it; may be repeated, or
                    several separated by spaces
  --folder DIR      a folder of mode 0700 for the sockets, for the file \`environment\`, and for the journal by which a restart ends the tasks
                    that a crash left; made if missing. Default: a new one, removed at the end
  --port N          the port of $REMIT_TASKS. Default: that of the time before in this folder, else a free one
  --idle DURATION   a task without a call for so long is cancelled: default 5m; a request may ask for less
  --max-tasks N     most tasks at once: default 5000. A further one is answered 503 with retry-after
  --max-tasks-per-user N
                    most tasks at once for one user, as the subject_token names it: default 100
  --dpop            bind the tokens to a key of this process instead of the certificate, as in \`remit run\`
  --scrub, --keep, --take
                    with COMMAND: what of the environment is passed on, as in \`remit run\`
${placeHelp.replace(/^ {2}--ttl .*\n/, '')}

The command finds
  REMIT_TASKS         the URL to post to, with a secret path
  REMIT_TASKS_SOCKET  the same API at a Unix socket: POST http://localhost/tasks

At SIGTERM, and when the command ends, all tasks are cancelled. If this process is killed, a watcher cancels them.

exit codes: 0 it was asked to end, or that of the command, 128 plus the number of the signal that ended it, 126 or 127 if it cannot be
started; 1 it cannot listen, 2 bad use or bad input`;

const options = {
  ...issuerOptions,
  intents: { type: 'string' },
  'own-intents': { type: 'boolean' },
  forward: { type: 'string', multiple: true },
  folder: { type: 'string' },
  port: { type: 'string' },
  idle: { type: 'string' },
  'max-tasks': { type: 'string' },
  'max-tasks-per-user': { type: 'string' },
  dpop: { type: 'boolean' },
  scrub: { type: 'string' },
  keep: { type: 'string', multiple: true },
  take: { type: 'string', multiple: true },
} as const;

/** `remit agent`. */
export const agentCommand: Command = {
  name: 'agent',
  help,
  run: (args, io) => withTasks(args, { io, name: 'agent' }),
};

/** Runs a helper, with or without a command. @param name of the command of `remit` for messages: `agent`, or `run` for `remit run --tasks` */
export async function withTasks(
  args: readonly string[],
  { io, name }: { readonly io: CommandIo; readonly name: 'agent' | 'run' },
): Promise<number> {
  const tell = (line: string): void => io.err(`remit ${name}: ${line}`);
  const asked = await askedFrom(args, { io, name });
  if (isCommandRefusal(asked)) return refused(io, `remit ${name}`, asked);
  const { command, environment, plan } = asked;
  const relay = command.length > 0 ? new SignalRelay(io.onSignal) : null;
  const ended = relay === null ? io.ended() : null;
  const helper = await openHelper(plan, { ports: systemPorts, tell });
  if (isProblem(helper)) {
    relay?.close();
    return refused(io, `remit ${name}`, taskRefusal(helper.problem, EXIT.no));
  }
  try {
    if (relay !== null) return await commandBeside(helper, { command, environment, relay, tell });
    tell(`ready; the variables for the service are in ${helper.folder}/environment`);
    await ended;
    return EXIT.good;
  } finally {
    await helper.close();
    relay?.close();
  }
}

async function commandBeside(
  { variables, watch }: Helper,
  {
    command,
    environment,
    relay,
    tell,
  }: Pick<Asked, 'command' | 'environment'> & { readonly relay: SignalRelay; readonly tell: (line: string) => void },
): Promise<number> {
  if (relay.stoppedBy !== null) return exitCodeOfSignal(relay.stoppedBy);
  const child = startChild(command, { ...reachingLoopback(environment), ...variables });
  relay.passTo(child);
  if (child.pid !== undefined) watch(child.pid);
  const end = await child.ended;
  if (end.kind === 'not-started') tell(end.problem);
  return childExitCode(end);
}

interface Asked {
  readonly plan: HelperPlan;
  /** Empty without a command. */
  readonly command: readonly string[];
  readonly environment: Readonly<Record<string, string>>;
}

const DEFAULT_IDLE_SECONDS = 300;
const DEFAULT_TASKS = 5_000;
const DEFAULT_TASKS_PER_USER = 100;
const MOST_TASKS = 5_000;
const MAX_PORT = 65_535;

async function askedFrom(
  args: readonly string[],
  { io, name }: { readonly io: CommandIo; readonly name: 'agent' | 'run' },
): Promise<Asked | CommandRefusal> {
  const split = args.includes('--') ? args.indexOf('--') : args.length;
  const command = args.slice(split + 1);
  const read = optionsFrom(args.slice(0, split), options, 0);
  if (typeof read === 'string') return taskRefusal(read);
  const { values } = read;
  if (io.platform === 'win32')
    return taskRefusal(`remit ${name} does not work on Windows, where modes of files do not hold what it promises`);
  if (name === 'run' && (command[0] ?? '') === '') return taskRefusal('a command is required after `--`');
  if (values.intent !== undefined || values.resource !== undefined || values.ttl !== undefined)
    return taskRefusal('a helper has no intent of its own: name the folder of the intents of its tasks with --intents');
  const { 'own-intents': takesOwnIntents = false, intents, folder, idle, port } = values;
  if (intents === undefined && !takesOwnIntents) return taskRefusal('--intents DIR is required, or --own-intents');
  const templates = intents === undefined ? new Map<string, never>() : await templatesIn(resolve(intents));
  if (isProblem(templates)) return taskRefusal(templates.problem);
  const forwards = forwardsFrom((values.forward ?? []).flatMap(separated), templates);
  if (isCommandRefusal(forwards)) return forwards;
  const issuer = await issuerFrom(values, io);
  if (isCommandRefusal(issuer)) return issuer;
  const idleSeconds = idle === undefined ? DEFAULT_IDLE_SECONDS : secondsFrom(idle);
  if (idleSeconds === null) return taskRefusal(`--idle must be ${DURATION_RULE}`);
  const maxTasks = countFrom(values['max-tasks'], DEFAULT_TASKS, MOST_TASKS);
  const maxTasksPerUser = countFrom(values['max-tasks-per-user'], DEFAULT_TASKS_PER_USER, MOST_TASKS);
  if (maxTasks === null || maxTasksPerUser === null)
    return taskRefusal(`--max-tasks and --max-tasks-per-user must be whole numbers from 1 to ${MOST_TASKS}`);
  const portNumber = port === undefined ? null : countFrom(port, 0, MAX_PORT);
  if (port !== undefined && portNumber === null) return taskRefusal('--port must be a port, 1 to 65535');
  const environment = environmentFrom(values, io);
  if (isCommandRefusal(environment)) return environment;
  return {
    plan: {
      issuer,
      templates,
      takesOwnIntents,
      forwards,
      folder: folder === undefined ? null : resolve(folder),
      port: portNumber,
      hasProofs: values.dpop ?? false,
      bounds: { maxTasks, maxTasksPerUser, idleSeconds },
    },
    command,
    environment,
  };
}

/** A container passes all of its upstreams in one variable, so one word may hold several, separated by spaces. */
const separated = (word: string): readonly string[] => word.trim().split(/\s+/);

/** A whole number from 1 to `most`; `null` for any other word. */
function countFrom(word: string | undefined, byDefault: number, most: number): number | null {
  if (word === undefined) return byDefault;
  return /^[1-9]\d{0,4}$/.test(word) && Number(word) <= most ? Number(word) : null;
}

/** The upstreams. Resources that no intent of the folder has are for intents that requests bring (`--own-intents`). */
function forwardsFrom(words: readonly string[], templates: Templates): readonly ForwardTarget[] | CommandRefusal {
  const forwards = forwardOptionsFrom(words);
  if (isProblem(forwards)) return taskRefusal(forwards.problem);
  if (forwards.length === 0) return taskRefusal('--forward NAME[=URL] is required: an upstream of the tasks');
  const named = [...templates.values()].flatMap(({ access }) => access.map(({ resource }) => resource));
  const own = named.length === 0 ? forwards.flatMap(resourceOf) : forwards.flatMap(({ resource }) => resource ?? []);
  const targets = forwardTargetsFrom(forwards, [...new Set([...named, ...own])]);
  return isProblem(targets) ? taskRefusal(targets.problem) : targets;
}

function resourceOf({ resource, url }: ForwardOption): readonly string[] {
  const written = resource ?? url;
  const place = written === null ? null : upstreamUrlFrom(written);
  return place === null || isProblem(place) ? [resource ?? []].flat() : [written ?? place];
}

function environmentFrom(
  values: {
    readonly scrub?: string | undefined;
    readonly keep?: string[] | undefined;
    readonly take?: string[] | undefined;
  },
  io: Pick<CommandIo, 'environment' | 'err'>,
): Readonly<Record<string, string>> | CommandRefusal {
  const { keep = [], scrub = 'default', take = [] } = values;
  const unfit = [...keep, ...take].find((pattern) => !isNamePattern(pattern));
  if (unfit !== undefined) return taskRefusal(`--keep and --take: \`${printable(unfit)}\` is not ${NAME_PATTERN_RULE}`);
  if (scrub !== 'default' && scrub !== 'off') return taskRefusal('--scrub must be `default` or `off`');
  const { environment, removed } = scrubbed(io.environment, { scrub: scrub === 'default', keep, take });
  if (removed.length > 0) io.err(`not passed on: ${removed.map(printable).join(', ')} (--keep NAME passes one on)`);
  return environment;
}

/** `remit run`: run a command under a task of its own. */
import { resolve } from 'node:path';
import { printable } from '../core/ledger/timeline-text.ts';
import { systemPorts } from '../core/runtime/ports.ts';
import type { HandoverForm } from '../agent/task/handover.ts';
import type { OAuthDeclaration } from '../agent/task/declaration.ts';
import { DURATION_RULE, secondsFrom } from '../agent/run/duration.ts';
import { forwardOptionsFrom } from '../agent/forward/forward-option.ts';
import { forwardTargetsFrom } from '../agent/forward/forward-target.ts';
import type { IntentFile } from '../agent/task/intent.ts';
import { mcpServersIn } from '../agent/run/mcp-servers.ts';
import { type RunPlan, runTask } from '../agent/task/run-task.ts';
import { isProblem } from '../core/runtime/problem.ts';
import { isNamePattern, NAME_PATTERN_RULE } from '../agent/run/name-pattern.ts';
import { scrubbed } from '../agent/run/secrets.ts';
import { after } from '../core/runtime/timers.ts';
import type { Command, CommandIo } from './command.ts';
import { declarationFor, intentFromOptions, issuerFrom, issuerHelp, issuerOptions } from './intent/issuer-options.ts';
import { optionsFrom } from './options.ts';
import { isCommandRefusal, type CommandRefusal, taskRefusal } from './task/task-source.ts';

const help = `usage: remit run --intent FILE [OPTION ...] -- COMMAND [ARGUMENT ...]
       remit run --tasks --intents DIR --forward NAME[=URL] ... [OPTION ...] -- COMMAND [ARGUMENT ...]

Runs a command under a task of its own: declares the intent with the SVID of this workload, hands the command the tokens of
the task while it runs, completes the task when the command exits with 0, and cancels it otherwise.

  remit run --intent report.yaml --config remit.yaml -- python agent.py
  remit run --intent report.yaml --issuer https://localhost:9472 --svid-cert svid.pem --svid-key svid.key \\
    --bundle bundle.pem --token-file /run/agent/token -- ./agent

${issuerHelp}
  --token-file FILE pass the token in a file of mode 0600 that is replaced by rename, instead of by the endpoint
  --env             pass it in REMIT_TOKEN, which is not renewed, instead of by the endpoint
  --svid-folder DIR keep the SVID in this folder while the command runs, for a client that needs files: svid.pem (certificate
                    and key, mode 0600) and bundle.pem, replaced at each renewal
  --scrub WORD      default: take secrets from the environment, by name and by the shape of the value, and the password from the
                    address of a proxy, and print the names; off: take only what --take names
  --keep NAME       pass this variable on, whatever it looks like: a name, or a pattern such as 'OPENAI_*'; may be repeated, and
                    listed as \`keep\` in the intent
  --take NAME       do not pass this variable on, whatever it looks like; likewise, \`take\` in the intent. It wins over --keep
  --forward NAME[=URL][,KEY=VALUE ...]
                    give the command a local address for this upstream, which adds the token and the SVID to each call, so that
                    the command needs neither; may be repeated. Without URL: the resource of the intent. Keys: port=N a fixed
                    local port; connect=HOST:PORT connect there instead; resource=URL the resource of the token, if the URL does
                    not tell; ca=bundle|system|FILE what verifies the upstream's certificate, default the bundle of the SVID;
                    id=spiffe://… its SPIFFE ID instead of the host of the URL; upgrade=websocket pass WebSocket on. An http: URL
                    is for a service of a mesh: each connection is made sure to end at the sidecar of this pod, which speaks TLS
  --dpop            bind the tokens to a key that this process makes and keeps (DPoP, RFC 9449) instead of the certificate; each call
                    by a forwarder is signed with it, so a token that gets out is of no use. Takes --forward: the command itself
                    cannot use such tokens
  --wait DURATION   how long to wait for an issuer to which no connection can be made yet, such as one behind a proxy of the pod
                    that starts later: default 30s; 0: end at once
  --mcp-servers FILE
                    a file {"mcpServers": {…}} of an MCP host: $REMIT_MCP_SERVERS has its servers too, and each that is a program
                    gets the variables of the run in its \`env\`, which the MCP SDKs do not pass on
  --tasks           for a service with many users: no task for the command, but $REMIT_TASKS, where it gets a task for each of its
                    requests; with the options of \`remit agent\`
  --child           inside another run: take part of its task (not supported yet)

The command finds REMIT_TASK_ID, TRACEPARENT, and one of
  REMIT_TOKEN_URL   GET it with \`Authorization: Bearer $REMIT_TOKEN_URL_AUTH\`: {"access_token", "token_type", "expires_in"};
                    the token is renewed, and bound to each new SVID, so ask again instead of keeping it
  REMIT_TOKEN_FILE  the file of --token-file; read it again for each call
  REMIT_TOKEN       with --env
With --forward also
  REMIT_FORWARD_NAME         the local URL of the upstream NAME, with a secret path: http://127.0.0.1:PORT/SECRET
  REMIT_FORWARD_NAME_SOCKET  the same as a Unix socket, for gRPC too: unix:$REMIT_FORWARD_NAME_SOCKET
  REMIT_MCP_SERVERS          a file that lists the local URLs for MCP clients: {"mcpServers": {…}}; also with --mcp-servers
and REMIT_SVID and REMIT_BUNDLE with --svid-folder: the paths of the two files; read them again for each connection

Stdin, stdout and stderr go to the command; other open files do not. Signals are passed on. Ctrl-C reaches the command as
if it had been started directly, and the command decides what it means. SIGTERM and SIGHUP also cancel the task. If this
process is killed, a watcher cancels the task and sends SIGTERM to the command; if that fails too, the deadline of the
task ends it.

exit codes: that of the command, 128 plus the number of the signal that ended it, 126 or 127 if it cannot be started; before
it was started: 1 the issuer refused the task, 2 bad use or bad input`;

const options = {
  ...issuerOptions,
  'token-file': { type: 'string' },
  env: { type: 'boolean' },
  'svid-folder': { type: 'string' },
  scrub: { type: 'string' },
  keep: { type: 'string', multiple: true },
  take: { type: 'string', multiple: true },
  child: { type: 'boolean' },
  forward: { type: 'string', multiple: true },
  'mcp-servers': { type: 'string' },
  wait: { type: 'string' },
  dpop: { type: 'boolean' },
} as const;

const DEFAULT_WAIT_SECONDS = 30;

const WINDOWS =
  'remit run does not work on Windows: modes of files and signals do not hold what it promises there: use it in WSL or in a container';

/** `remit run`. */
export const run: Command = {
  name: 'run',
  help,
  run: async (args, io) => {
    const tell = (line: string): void => io.err(`remit run: ${line}`);
    const result = await runWith(args, io, tell);
    if (!isCommandRefusal(result)) return result;
    for (const line of result.message.split('\n')) tell(line);
    return result.exit;
  },
};

async function runWith(
  args: readonly string[],
  io: CommandIo,
  tell: (line: string) => void,
): Promise<number | CommandRefusal> {
  const split = args.includes('--') ? args.indexOf('--') : args.length;
  if (args.indexOf('--tasks') !== -1 && args.indexOf('--tasks') < split) {
    const nested = nestingProblem(io.environment, false);
    if (nested !== null) return nested;
    const { withTasks } = await import('./agent/agent.ts');
    return withTasks(args.toSpliced(args.indexOf('--tasks'), 1), { io, name: 'run' });
  }
  const command = args.slice(split + 1);
  const read = optionsFrom(args.slice(0, split), options, 0);
  if (typeof read === 'string')
    return taskRefusal(split === args.length ? `${read}; the command comes after \`--\`` : read);
  const { values } = read;
  if (io.platform === 'win32') return taskRefusal(WINDOWS);
  if ((command[0] ?? '') === '') return taskRefusal('a command is required after `--`');
  const nested = nestingProblem(io.environment, values.child === true);
  if (nested !== null) return nested;
  const handover = handoverFrom(values);
  if (isCommandRefusal(handover)) return handover;
  const { scrub = 'default', keep = [], take = [] } = values;
  const unfit = [...keep, ...take].find((pattern) => !isNamePattern(pattern));
  if (unfit !== undefined) return taskRefusal(`--keep and --take: \`${printable(unfit)}\` is not ${NAME_PATTERN_RULE}`);
  if (scrub !== 'default' && scrub !== 'off') return taskRefusal('--scrub must be `default` or `off`');
  const { dpop: hasProofs = false, wait } = values;
  const waitSeconds = wait === undefined ? DEFAULT_WAIT_SECONDS : wait === '0' ? 0 : secondsFrom(wait);
  if (waitSeconds === null) return taskRefusal(`--wait must be 0 or ${DURATION_RULE}`);
  const waitMs = waitSeconds * 1_000;
  const folder = values['svid-folder'];
  const svidFolder = folder === undefined ? null : resolve(folder);
  const issuer = await issuerFrom(values, io);
  if (isCommandRefusal(issuer)) return issuer;
  const intent = await intentFromOptions(values);
  if (isCommandRefusal(intent)) return intent;
  const listed = values['mcp-servers'];
  const mcpServers = listed === undefined ? null : await mcpServersIn(listed);
  if (isProblem(mcpServers)) return taskRefusal(mcpServers.problem);
  const planned = plannedFrom(intent, values, tell);
  if (isCommandRefusal(planned)) return planned;
  const { environment, removed, shortened, kept } = scrubbed(io.environment, {
    scrub: scrub === 'default',
    keep: [...intent.keep, ...keep],
    take: [...intent.take, ...take],
  });
  if (removed.length > 0) tell(`not passed on: ${namesOf(removed)} (--keep NAME passes one on)`);
  if (shortened.length > 0) tell(`passed on without user and password: ${namesOf(shortened)} (--keep NAME keeps them)`);
  if (kept.length > 0) tell(`passed on, though secret: ${namesOf(kept)}`);
  if (handover === 'variable') {
    tell('warning: REMIT_TOKEN is not renewed and every process of the command can read it; the endpoint is better');
  }
  return runTask(
    { issuer, ...planned, waitMs, hasProofs, command, environment, handover, svidFolder, mcpServers },
    { ports: systemPorts, after, onSignal: io.onSignal, tell },
  );
}

/**
 * The upstreams, and a declaration for each of their resources: that of `--resource` first. Without upstreams, a
 * declaration for `--resource` or the only resource of the intent.
 */
function plannedFrom(
  intent: IntentFile,
  values: {
    readonly forward?: string[] | undefined;
    readonly resource?: string | undefined;
    readonly ttl?: string | undefined;
  },
  tell: (line: string) => void,
): Pick<RunPlan, 'declarations' | 'forwards'> | CommandRefusal {
  const named = [...new Set(intent.access.map(({ resource }) => resource))];
  const options = forwardOptionsFrom(values.forward ?? []);
  if (isProblem(options)) return taskRefusal(options.problem);
  const forwards = forwardTargetsFrom(options, named);
  if (isProblem(forwards)) return taskRefusal(forwards.problem);
  const chosen = [values.resource ?? [], forwards.map(({ resource }) => resource)].flat();
  const declarations: OAuthDeclaration[] = [];
  for (const resource of chosen.length === 0 ? [null] : new Set(chosen)) {
    const declaration = declarationFor(intent, { values, nowMs: systemPorts.nowMs(), resource });
    if (isCommandRefusal(declaration)) return declaration;
    declarations.push(declaration);
  }
  const left = chosen.length === 0 ? [] : named.filter((resource) => !chosen.includes(resource));
  if (left.length > 0) tell(`no task for ${left.map(printable).join(', ')}: no --forward is for it`);
  return { declarations, forwards };
}

const namesOf = (names: readonly string[]): string => names.map(printable).join(', ');

function nestingProblem({ REMIT_TASK_ID: outer }: CommandIo['environment'], isChild: boolean): CommandRefusal | null {
  if (isChild) return taskRefusal('--child is not supported yet: the issuer cannot delegate part of a task');
  if (outer === undefined || outer === '') return null;
  return taskRefusal(
    `already inside the task ${printable(outer)}: a task within a task is refused; call the command as it is, or unset REMIT_TASK_ID`,
  );
}

function handoverFrom(values: {
  readonly env?: boolean | undefined;
  readonly 'token-file'?: string | undefined;
  readonly dpop?: boolean | undefined;
  readonly forward?: readonly string[] | undefined;
}): HandoverForm | CommandRefusal {
  const file = values['token-file'];
  const { dpop = false, env = false, forward = [] } = values;
  if (dpop && (env || file !== undefined || forward.length === 0))
    return taskRefusal('--dpop needs --forward, and no --env or --token-file: only a forwarder can use the tokens');
  if (values.env === true)
    return file === undefined ? 'variable' : taskRefusal('--env and --token-file exclude each other');
  return file === undefined ? 'endpoint' : { file: resolve(file) };
}

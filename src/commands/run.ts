import { resolve } from 'node:path';
import { printable } from '../ledger/timeline-text.ts';
import { systemPorts } from '../runtime/ports.ts';
import type { HandoverForm } from '../agent-run/handover.ts';
import { runTask } from '../agent-run/run-task.ts';
import { scrubbed } from '../agent-run/secrets.ts';
import { after } from '../runtime/timers.ts';
import type { Command, CommandIo } from './command.ts';
import { declaredFrom, issuerFrom, issuerHelp, issuerOptions } from './issuer-options.ts';
import { optionsFrom } from './options.ts';
import { isCommandRefusal, type CommandRefusal, refusal } from './task-source.ts';

const help = `usage: remit run --intent FILE [OPTION ...] -- COMMAND [ARGUMENT ...]

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
  --scrub WORD      default: remove secrets from the environment and print their names; off: keep them
  --keep NAME       keep this variable; may be repeated
  --child           inside another run: take part of its task (not supported yet)

The command finds REMIT_TASK_ID, TRACEPARENT, and one of
  REMIT_TOKEN_URL   GET it with \`Authorization: Bearer $REMIT_TOKEN_URL_AUTH\`: {"access_token", "token_type", "expires_in"};
                    the token is renewed, and bound to each new SVID, so ask again instead of keeping it
  REMIT_TOKEN_FILE  the file of --token-file; read it again for each call
  REMIT_TOKEN       with --env
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
  child: { type: 'boolean' },
} as const;

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
  const command = args.slice(split + 1);
  const read = optionsFrom(args.slice(0, split), options, 0);
  if (typeof read === 'string')
    return refusal(split === args.length ? `${read}; the command comes after \`--\`` : read);
  const { values } = read;
  if ((command[0] ?? '') === '') return refusal('a command is required after `--`');
  const nested = nestingProblem(io.environment, values.child === true);
  if (nested !== null) return nested;
  const handover = handoverFrom(values);
  if (isCommandRefusal(handover)) return handover;
  const { scrub = 'default', keep = [] } = values;
  if (scrub !== 'default' && scrub !== 'off') return refusal('--scrub must be `default` or `off`');
  const folder = values['svid-folder'];
  const svidFolder = folder === undefined ? null : resolve(folder);
  const issuer = await issuerFrom(values, io);
  if (isCommandRefusal(issuer)) return issuer;
  const declaration = await declaredFrom(values, systemPorts.nowMs());
  if (isCommandRefusal(declaration)) return declaration;
  const { environment, removed } = scrubbed(io.environment, { scrub: scrub === 'default', keep: new Set(keep) });
  if (removed.length > 0) tell(`not passed on: ${removed.map(printable).join(', ')} (--keep NAME passes one on)`);
  if (handover === 'variable') {
    tell('warning: REMIT_TOKEN is not renewed and every process of the command can read it; the endpoint is better');
  }
  return runTask(
    { issuer, declaration, command, environment, handover, svidFolder },
    { ports: systemPorts, after, onSignal: io.onSignal, tell },
  );
}

function nestingProblem({ REMIT_TASK_ID: outer }: CommandIo['environment'], isChild: boolean): CommandRefusal | null {
  if (isChild) return refusal('--child is not supported yet: the issuer cannot delegate part of a task');
  if (outer === undefined || outer === '') return null;
  return refusal(
    `already inside the task ${printable(outer)}: a task within a task is refused; call the command as it is, or unset REMIT_TASK_ID`,
  );
}

function handoverFrom(values: {
  readonly env?: boolean | undefined;
  readonly 'token-file'?: string | undefined;
}): HandoverForm | CommandRefusal {
  const file = values['token-file'];
  if (values.env === true)
    return file === undefined ? 'variable' : refusal('--env and --token-file exclude each other');
  return file === undefined ? 'endpoint' : { file: resolve(file) };
}

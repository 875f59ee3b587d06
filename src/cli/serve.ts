/** `remit serve`: run the roles named in the configuration. */
import { readFile } from 'node:fs/promises';
import { dirname, resolve } from 'node:path';
import { configFrom, configProblemText } from '../core/config/config.ts';
import type { Config, ReadConfig } from '../core/config/config.ts';
import { LiveConfig } from '../core/config/live-config.ts';
import { ACCEPT_WRITABLE, anyPath, writablePathProblem } from '../core/config/writable-path.ts';
import type { PathGuard } from '../core/config/writable-path.ts';
import { remitVersion } from '../core/config/version.ts';
import { systemPorts } from '../core/runtime/ports.ts';
import { collectOnceIdle } from '../core/runtime/system/garbage.ts';
import { after } from '../core/runtime/timers.ts';
import { startRemit } from '../serve/remit.ts';
import type { StartProblem } from '../serve/start-problem.ts';
import type { StartRehearsal } from '../serve/start-rehearsal.ts';
import type { Remit } from '../serve/remit.ts';
import { messageOfFault } from '../core/runtime/repeatedly.ts';
import { nodeFaults } from '../core/runtime/system/node-faults.ts';
import { lowerCompilers } from '../core/runtime/system/thread-priority.ts';
import { settingsMissing } from '../core/runtime/system/v8-flags.ts';
import { tellTermination } from '../core/runtime/system/termination-message.ts';
import { logTo } from '../core/telemetry/log.ts';
import type { Log } from '../core/telemetry/log.ts';
import { EXIT, refused } from './command.ts';
import type { Command, CommandIo } from './command.ts';
import { optionsFrom } from './options.ts';

const help = `usage: remit serve [--config FILE] [--check] [--accept-writable-files]

Runs every role the configuration names, in one process: the ext_authz server that Envoy asks, the token issuer, and
liveness, readiness and metrics.

  remit serve                       with /etc/remit/remit.yaml
  remit serve --config remit.yaml
  remit serve --check               check whether it would start: exit 0, or 2 or 3 with the reasons; it changes nothing

Policies are loaded again when their files change. SIGHUP reloads policies, certificates, keys, key sets and the
configuration. Invalid ones are refused and the former ones stay in force; the log names each key that needs a restart:
deploy/guide/operate/start-and-reload.md.
SIGTERM and SIGINT drain: for \`drainSeconds\` (5) \`/readyz\` and the gRPC health service say "not serving" while requests are
still answered; then requests in progress are answered, and the process ends. A second signal ends the drain.
For more cores of one host, run one authority and more processes as its sidecars: deploy/guide/install/processes.md.
Configuration, policies and key sets are refused, at the start and at each reload, if others than their owner can write them
or a folder above them; --accept-writable-files accepts them.
A variable overrides a scalar of the file: REMIT_EXT_AUTHZ_CHECKS_IN_FLIGHT overrides \`extAuthz.checksInFlight\`.
Denied checks are logged as JSON lines on standard output: \`decisionLog: denials\`; \`stdout\` logs all checks, \`none\` none.
Events are lines of text or JSON on standard error: \`log: { format: json, level: info }\`, REMIT_LOG_FORMAT, REMIT_LOG_LEVEL.
Spans go to the destination of the standard OTEL_* variables, and nowhere without them; so do checkpoints, as log records.

exit codes: 0 ended by a signal, 1 the state file or the ledger failed while serving, 2 the configuration, a policy or an
address is invalid, 3 the ledger differs from what was signed: deploy/guide/watch/ledger.md`;

/** Exit code of this command only; equal to that of `remit ledger verify`. */
const SERVE_EXIT = { tampered: 3 } as const;

const DEFAULT_CONFIG = '/etc/remit/remit.yaml';

/** `remit serve`. */
export const serve: Command = {
  name: 'serve',
  help,
  run: async (args, io) => {
    const options = optionsFrom(
      args,
      {
        config: { type: 'string', short: 'c' },
        check: { type: 'boolean', default: false },
        [ACCEPT_WRITABLE]: { type: 'boolean', default: false },
      },
      0,
    );
    if (typeof options === 'string') return refused(io, 'remit serve', options);
    const file = resolve(options.values.config ?? DEFAULT_CONFIG);
    const guard = options.values[ACCEPT_WRITABLE] ? anyPath : writablePathProblem;
    const readConfig = (): ReturnType<typeof configIn> => configIn(file, { guard, environment: io.environment });
    const read = await readConfig();
    if ('problem' in read) return refused(io, 'remit serve', read.problem);
    const live = new LiveConfig(read);
    const log = logTo(io.err, { config: () => live.now.log, nowMs: systemPorts.nowMs });
    logStart(file, io, log);
    if (options.values.check) return checked(read.value, { io, guard });
    const ended = io.ended();
    const fatal = Promise.withResolvers<string>();
    const reloads = new Reloads(log, async () => logReread(await readConfig(), { live, log }));
    io.onReload(() => reloads.ask());
    const remit = await startRemit(read.value, {
      ports: systemPorts,
      environment: io.environment,
      log,
      stdout: io.stdout,
      onFatal: fatal.resolve,
      guard,
      live: () => live.now,
      stop: abortedBy(ended),
      rehearse: () => rehearsed(read.value, { io, guard }),
    });
    if ('problem' in remit) return notStarted(remit, { io, log });
    // Not before: a start waits for what they compile.
    lowerCompilers();
    reloads.started(remit);
    collectOnceIdle({ after });
    const end = await Promise.race([ended, fatal.promise.then((detail) => ({ detail }))]);
    return endServing(remit, end, { io, log });
  },
};

/** Logs version and file, and which properties of the runtime make this process slower or less safe. */
function logStart(file: string, { command, environment, runtimeVersion }: CommandIo, log: Log): void {
  const version = remitVersion();
  log(`remit ${version} starts by \`${file}\``, 'start', { version, node: runtimeVersion });
  for (const fault of nodeFaults(runtimeVersion)) log(`warning: ${fault}`, 'runtime');
  const missing = settingsMissing({ execArgv: command.slice(1, -1), environment });
  if (missing.length > 0) log(`warning: ${slowerWithout(missing)}`, 'runtime');
}

/**
 * Reloads at each SIGHUP, one reload at a time, so that the last configuration read wins. While the process starts, only the configuration is read
 * again, and the rest once it has started: a start may have read any of it before it changed.
 */
class Reloads {
  readonly #log: Log;
  readonly #reread: () => Promise<void>;
  #remit: Pick<Remit, 'reload'> | null = null;
  #isDue = false;
  #last = Promise.resolve();

  constructor(log: Log, reread: () => Promise<void>) {
    this.#log = log;
    this.#reread = reread;
  }

  ask(): void {
    this.#inTurn('SIGHUP: reloading', async () => {
      await this.#reread();
      if (this.#remit === null) this.#isDue = true;
      else await this.#remit.reload();
    });
  }

  /** The process has started. */
  started(remit: Pick<Remit, 'reload'>): void {
    this.#remit = remit;
    if (this.#isDue) this.#inTurn('SIGHUP during the start: reloading', () => remit.reload());
  }

  #inTurn(line: string, reload: () => Promise<void>): void {
    const failed = (error: unknown): void => this.#log(`reload failed: ${messageOfFault(error)}`, 'fault');
    this.#last = this.#last
      .then(() => {
        this.#log(line, 'reload');
        return reload();
      })
      .catch(failed);
  }
}

function abortedBy(ended: Promise<unknown>): AbortSignal {
  const stop = new AbortController();
  void ended.then(() => stop.abort());
  return stop.signal;
}

/** Says why a process did not start. A start that a signal interrupted is not a failure. */
async function notStarted(
  { problem, isStopped, isTampered }: StartProblem,
  { io, log }: { readonly io: CommandIo; readonly log: Log },
): Promise<number> {
  if (isStopped === true) {
    log(problem, 'drain');
    await tellTermination(io.environment, problem);
    return EXIT.good;
  }
  const exit = refused(io, 'remit serve', problem);
  return isTampered === true ? SERVE_EXIT.tampered : exit;
}

/** Drains after a signal, or stops at once if the state file or the ledger failed. */
async function endServing(
  remit: Remit,
  end: string | { readonly detail: string },
  { io, log }: { readonly io: CommandIo; readonly log: Log },
): Promise<number> {
  if (typeof end === 'string') {
    log(`${end}: draining`, 'drain', { signal: end });
    const unmet = remit.unmet();
    if (unmet.length > 0) await tellTermination(io.environment, `ended while not ready: ${unmet.join('; ')}`);
    await drained(remit, io);
  } else log(`remit: stopping: ${end.detail}`, 'fatal');
  await remit.close();
  log('remit ended', 'drain');
  return typeof end === 'string' ? EXIT.good : EXIT.no;
}

/** The warning about missing settings, which the image and the systemd units have. */
const slowerWithout = (missing: readonly string[]): string =>
  `started without settings of a server, so calls wait longer while memory is collected, and more memory is kept: ` +
  `\`${missing.join(' ')}\`; start it as deploy/systemd/system/remit.service does`;

/** The configuration in a file that others cannot write. */
async function configIn(
  file: string,
  { guard, environment }: { readonly guard: PathGuard; readonly environment: CommandIo['environment'] },
): Promise<ReadConfig | { readonly problem: string }> {
  const text = await readFile(file, 'utf8').catch((error: NodeJS.ErrnoException) => error);
  if (typeof text !== 'string') return { problem: `cannot read the configuration \`${file}\`: ${text.code}` };
  const writable = await guard(file);
  if (writable !== null) return { problem: writable };
  const read = configFrom(text, { file, folder: dirname(file), environment });
  return 'problems' in read ? { problem: read.problems.map(configProblemText).join('\n') } : read;
}

/** Applies a configuration that was read again, and logs for each changed key whether it is in effect. */
function logReread(
  read: ReadConfig | { readonly problem: string },
  { live, log }: { readonly live: LiveConfig; readonly log: Log },
): void {
  if ('problem' in read) {
    for (const line of read.problem.split('\n'))
      log(`configuration: ${line}; the previous configuration stays`, 'config-refused');
    return;
  }
  const { applied, waiting } = live.take(read);
  for (const key of applied) log(`\`${key}\` has changed and is now in effect`, 'config-applied', { key });
  for (const key of waiting) log(`\`${key}\` has changed: restart to apply it`, 'config-waiting', { key });
}

/** Starts a process with this configuration and ends it again, without a trace. */
async function rehearsed(
  config: Config,
  { io, guard }: { readonly io: CommandIo; readonly guard: PathGuard },
): Promise<StartRehearsal> {
  const { rehearseStart } = await import('../serve/rehearsal.ts');
  return rehearseStart(config, { ports: systemPorts, guard, environment: io.environment });
}

/** Says whether a process with this configuration would start. */
async function checked(
  config: Config,
  { io, guard }: { readonly io: CommandIo; readonly guard: PathGuard },
): Promise<number> {
  const { problems, waits, warnings, isTampered } = await rehearsed(config, { io, guard });
  for (const warning of warnings) io.err(`remit serve: ${warning}`);
  for (const wait of waits) io.err(`remit serve: warning: it would start, but wait: ${wait}`);
  if (problems.length > 0) {
    const exit = refused(io, 'remit serve', problems.join('\n'));
    return isTampered ? SERVE_EXIT.tampered : exit;
  }
  io.out(`${config.file}: it would start`);
  return EXIT.good;
}

/** Waits for the drain, or for a second signal; a third ends the process at once. */
async function drained(remit: Remit, io: CommandIo): Promise<void> {
  const hurry = new AbortController();
  const stopHearing = io.onHurry(() => hurry.abort());
  await remit.drain(hurry.signal);
  stopHearing();
}

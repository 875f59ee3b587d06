/** `remit healthcheck`: ask a running Remit whether it is ready. */
import { readFile } from 'node:fs/promises';
import { dirname, resolve } from 'node:path';
import { configFrom, configProblemText } from '../core/config/config.ts';
import { addressText } from '../core/config/values.ts';
import type { Address } from '../core/config/values.ts';
import { printable } from '../core/ledger/timeline-text.ts';
import { isProblem } from '../core/runtime/problem.ts';
import type { Problem } from '../core/runtime/problem.ts';
import { adminAnswer } from './admin-answer.ts';
import { EXIT, refused } from './command.ts';
import type { Command, CommandIo } from './command.ts';
import { optionsFrom } from './options.ts';

const DEFAULT_CONFIG = '/etc/remit/remit.yaml';

const help = `remit healthcheck: ask a running Remit whether it is ready, if nothing else can ask it

usage: remit healthcheck [--config FILE | --admin URL] [--live]

  --config FILE  the configuration whose \`admin.listen\` is asked; default ${DEFAULT_CONFIG}
  --admin URL    the admin address itself
  --live         ask \`/livez\`, which is 200 while the process responds, instead of \`/readyz\`

A container image without a shell has no curl: this is its HEALTHCHECK. Variables override the file, as they do for \`remit serve\`. An
answer that takes more than 3 s counts as none.

  remit healthcheck
  remit healthcheck --admin http://127.0.0.1:9471

exit codes: 0 ready, 1 not ready (with what is missing) or no answer, 2 bad use or an invalid configuration`;

const TIMEOUT_MS = 3_000;

/** `remit healthcheck`. */
export const healthcheckCommand: Command = { name: 'healthcheck', help, run: healthcheck };

async function healthcheck(
  args: readonly string[],
  io: Pick<CommandIo, 'out' | 'err' | 'environment'>,
): Promise<number> {
  const options = optionsFrom(
    args,
    {
      config: { type: 'string', short: 'c' },
      admin: { type: 'string' },
      live: { type: 'boolean', default: false },
    },
    0,
  );
  if (typeof options === 'string') return refused(io, 'remit healthcheck', options);
  const { admin, config, live } = options.values;
  if (admin !== undefined && config !== undefined)
    return refused(io, 'remit healthcheck', 'use --admin or --config, not both');
  const asked = admin ?? (await adminIn(resolve(config ?? DEFAULT_CONFIG), io.environment));
  if (isProblem(asked)) return refused(io, 'remit healthcheck', asked.problem);
  const answer = await adminAnswer(asked, live ? '/livez' : '/readyz', { timeoutMs: TIMEOUT_MS });
  if (isProblem(answer)) {
    io.err(`remit healthcheck: ${printable(answer.problem)}`);
    return EXIT.no;
  }
  io.out(printable(answer.trim()));
  return EXIT.good;
}

/** The admin address in a configuration. */
async function adminIn(file: string, environment: CommandIo['environment']): Promise<string | Problem> {
  const text = await readFile(file, 'utf8').catch((error: NodeJS.ErrnoException) => error);
  if (typeof text !== 'string')
    return {
      problem: `cannot read the configuration \`${file}\`: ${text.code}: name one with --config, or use --admin URL`,
    };
  const read = configFrom(text, { file, folder: dirname(file), environment });
  return 'problems' in read
    ? { problem: read.problems.map(configProblemText).join('\n') }
    : urlOf(read.value.admin.listen);
}

/** The URL of a listener from its own host: a listener on all addresses answers on loopback. */
function urlOf(listen: Address): string | Problem {
  if (listen.kind === 'tcp' && listen.port === 0)
    return { problem: '`admin.listen` has port 0, so its port is unknown: use --admin URL' };
  if (listen.kind === 'unix')
    return { problem: `\`admin.listen\` must be \`host:port\`, got \`${addressText(listen)}\`` };
  const loopback = { '0.0.0.0': '127.0.0.1', '::': '::1' }[listen.host];
  return `http://${addressText({ ...listen, host: loopback ?? listen.host })}`;
}

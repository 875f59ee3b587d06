/** `remit token`: print one token for other tools. */
import { printable } from '../core/ledger/timeline-text.ts';
import { systemPorts } from '../core/runtime/ports.ts';
import { IssuerClient } from '../agent/task/issuer-client.ts';
import { isIssuerProblem, problemLines } from '../agent/task/issuer-problem.ts';
import { OwnSvid } from '../agent/run/own-svid.ts';
import { isInsideRun, outerToken } from '../agent/run/outer-run.ts';
import { isProblem } from '../core/runtime/problem.ts';
import { EXIT, refused } from './command.ts';
import type { Command, CommandIo } from './command.ts';
import { declaredFrom, issuerFrom, issuerHelp, issuerOptions } from './intent/issuer-options.ts';
import { optionsFrom } from './options.ts';
import { isCommandRefusal, type CommandRefusal, taskRefusal } from './task/task-source.ts';

const help = `usage: remit token [--format FORM]
       remit token --intent FILE [OPTION ...] [--format FORM]

Prints one token for other tools. Inside \`remit run\` it is the current token of that run. Otherwise a task is declared for it,
which stays open until somebody ends it or until its deadline: prefer \`remit run\`, which ends its task.

  remit token --format headers                  in .mcp.json as a headersHelper, inside \`remit run\`
  TOKEN=$(remit token --intent report.yaml --config remit.yaml)

  --format FORM     raw      the token (default)
                    headers  {"Authorization":"Bearer …"}
                    json     {"access_token", "token_type", "expires_in", "txn"}, if known
                    env      REMIT_TOKEN=… and REMIT_TASK_ID=…, one a line
${issuerHelp}

exit codes: 0 success, 1 there is no token: the issuer refused it, or the run has none now, 2 bad use or bad input`;

const options = { ...issuerOptions, format: { type: 'string' } } as const;

/** A token to be printed. */
interface Printed {
  readonly token: string;
  readonly expiresIn: number | null;
  readonly taskId: string | null;
}

/** The output formats. A token contains no character that any of them must escape. */
const formats: ReadonlyMap<string, (printed: Printed) => string> = new Map([
  ['raw', ({ token }) => token],
  ['headers', ({ token }) => JSON.stringify({ Authorization: `Bearer ${token}` })],
  [
    'json',
    ({ token, expiresIn, taskId }) =>
      JSON.stringify({
        access_token: token,
        token_type: 'Bearer',
        ...(expiresIn === null ? {} : { expires_in: expiresIn }),
        ...(taskId === null ? {} : { txn: taskId }),
      }),
  ],
  [
    'env',
    ({ token, taskId }) => [`REMIT_TOKEN=${token}`, ...(taskId === null ? [] : [`REMIT_TASK_ID=${taskId}`])].join('\n'),
  ],
]);

/** `remit token`. */
export const token: Command = {
  name: 'token',
  help,
  run: async (args, io) => {
    const printed = await tokenWith(args, io);
    if (!isCommandRefusal(printed)) {
      io.out(printed);
      return EXIT.good;
    }
    return refused(io, 'remit token', printed);
  },
};

async function tokenWith(args: readonly string[], io: CommandIo): Promise<string | CommandRefusal> {
  const read = optionsFrom(args, options, 0);
  if (typeof read === 'string') return taskRefusal(read);
  const { format: name = 'raw', ...values } = read.values;
  const format = formats.get(name);
  if (format === undefined) return taskRefusal(`--format must be one of ${[...formats.keys()].join(', ')}`);
  const printed = isInsideRun(io.environment) ? await inherited(values, io) : await declared(values, io);
  return isCommandRefusal(printed) ? printed : format(printed);
}

type Values = Parameters<typeof issuerFrom>[0];

async function inherited(values: Values, { environment }: CommandIo): Promise<Printed | CommandRefusal> {
  const of = (['intent', 'resource', 'ttl'] as const).find((name) => values[name] !== undefined);
  if (of !== undefined) {
    return taskRefusal(`--${of} is not accepted inside \`remit run\`, whose task is already declared: leave it out`);
  }
  const outer = await outerToken(environment);
  if (isProblem(outer)) return taskRefusal(printable(outer.problem), EXIT.no);
  // It is printed unescaped, so it must be nothing but a token.
  if (!/^[A-Za-z0-9._~+/=-]+$/.test(outer.token)) return taskRefusal('the run handed over an invalid token', EXIT.no);
  return { ...outer, taskId: environment['REMIT_TASK_ID'] ?? null };
}

async function declared(values: Values, io: CommandIo): Promise<Printed | CommandRefusal> {
  const issuer = await issuerFrom(values, io);
  if (isCommandRefusal(issuer)) return issuer;
  const nowMs = systemPorts.nowMs();
  const declaration = await declaredFrom(values, nowMs);
  if (isCommandRefusal(declaration)) return declaration;
  const svid = await OwnSvid.open(issuer.svid, systemPorts);
  const client = new IssuerClient(issuer, { svid, nowMs: systemPorts.nowMs });
  const given = await client.declare(declaration, io.environment['TRACEPARENT'] ?? null);
  svid.close();
  if (isIssuerProblem(given)) return taskRefusal(problemLines(given).join('\n'), EXIT.no);
  io.err(
    `remit token: task ${given.taskId} is open: end it by \`remit task end ${given.taskId} --cause …\`, or by POST ${issuer.url}/tasks/${given.taskId}/complete with the same SVID`,
  );
  const expiresIn = Math.max(0, Math.floor((given.expiresAtMs - systemPorts.nowMs()) / 1_000));
  return { token: given.token, expiresIn, taskId: given.taskId };
}

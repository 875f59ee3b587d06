/** `remit intent new`: write an intent from a catalog, or from what a task used. */
import { writeFile } from 'node:fs/promises';
import type { CatalogAction } from '../../core/action/catalog/catalog.ts';
import { nearestId } from '../../core/action/catalog/nearest.ts';
import { recordBytesIn } from '../../core/ledger/proof/leaf.ts';
import { foundInReceived } from '../../authority/records/received-search.ts';
import { printable } from '../../core/ledger/timeline-text.ts';
import { catalogOf } from '../../core/policy/loading/source-catalog.ts';
import { readPolicySource } from '../../core/policy/loading/source.ts';
import { intentOfCatalog } from '../../tools/policy/write/intent-of-catalog.ts';
import { intentOfTask } from '../../tools/policy/write/intent-of-task.ts';
import { intentText } from '../../tools/policy/write/new-intent.ts';
import type { NewIntent } from '../../tools/policy/write/new-intent.ts';
import { isProblem } from '../../core/runtime/problem.ts';
import { EXIT, refused } from '../command.ts';
import type { Command, CommandIo } from '../command.ts';
import { findingLines } from '../policy/finding-lines.ts';
import { LEDGER_HELP, ledgerOptions, withRecords } from '../ledger/ledger-source.ts';
import { optionsFrom } from '../options.ts';
import { RECEIVED_HELP, receivedOf, receivedOptions } from '../ledger/received-source.ts';
import { readable, recordedTasks } from '../policy/recorded-tasks.ts';
import { isCommandRefusal, type CommandRefusal, taskRefusal } from '../task/task-source.ts';

const NAME = 'remit intent new';

const help = `${NAME}: write an intent from a catalog, or from what a task used

usage: ${NAME} [FILE] --policies FOLDER [--resource URL] [--action ID ...] [--purpose TEXT]
       ${NAME} [FILE] --from-task ID [--config FILE | --state FILE | --ledger DIR] [--received DIR]

  FILE                the file to write, which must not exist; default standard output
  --policies FOLDER   the policy folder whose actions.yaml has the actions
  --resource URL      the server, by its \`audience\`; may be left out if the actions or the catalog have one server
  --action ID         an action of it; may be repeated; default all of the server
  --purpose TEXT      what the task is for
  --from-task ID      the actions that this task was allowed, with their number and sums as recorded and half as much again
${LEDGER_HELP}
${RECEIVED_HELP}

Comments say where each value comes from. Read them, then ask \`remit intent check\` what would be granted.

  ${NAME} report.yaml --policies cedar-policies --action payments.read --action payments.create --purpose "pay invoices"
  ${NAME} report.yaml --from-task 019ab77e-5d3c-7a41-9f60-2f0b8c1d7e55

exit codes: 0 written, 1 no such task, or it used nothing, 2 bad use, an unknown action, an unreadable folder, or a file that exists`;

const OPTIONS = {
  ...ledgerOptions,
  ...receivedOptions,
  policies: { type: 'string' },
  resource: { type: 'string' },
  action: { type: 'string', multiple: true },
  purpose: { type: 'string' },
  'from-task': { type: 'string' },
} as const;

type Values = Exclude<ReturnType<typeof optionsOf>, string>['values'];
const optionsOf = (args: readonly string[]) => optionsFrom(args, OPTIONS, 1);

/** `remit intent new`. */
export const intentNew: Command = {
  name: 'intent new',
  help,
  run: async (args, io) => {
    const done = await written(args, io);
    return isCommandRefusal(done) ? refused(io, NAME, done) : EXIT.good;
  },
};

async function written(args: readonly string[], io: CommandIo): Promise<null | CommandRefusal> {
  const options = optionsOf(args);
  if (typeof options === 'string') return taskRefusal(options);
  const { values, operands } = options;
  const [file] = operands;
  const task = values['from-task'];
  if ((task === undefined) === (values.policies === undefined))
    return taskRefusal('one of --policies FOLDER and --from-task ID is required');
  const ofCatalog = values.resource ?? values.action ?? values.purpose;
  if (task !== undefined && ofCatalog !== undefined)
    return taskRefusal('--resource, --action and --purpose go with --policies');
  const intent = task === undefined ? await fromCatalog(values) : await fromTask(task, values, io);
  if (isCommandRefusal(intent)) return intent;
  const text = intentText(intent);
  if (file === undefined) {
    io.out(text.trimEnd());
    return null;
  }
  // `wx` follows no link and replaces nothing.
  return writeFile(file, text, { flag: 'wx' }).then(
    () => null,
    ({ code }: NodeJS.ErrnoException) =>
      taskRefusal(
        code === 'EEXIST'
          ? `\`${file}\` exists: it is not overwritten`
          : `\`${file}\` cannot be written: ${String(code)}`,
      ),
  );
}

async function fromCatalog({
  policies = '',
  resource,
  action: named = [],
  purpose = '',
}: Values): Promise<NewIntent | CommandRefusal> {
  const source = await readPolicySource(policies);
  if ('unreadable' in source)
    return taskRefusal(`the policy folder \`${policies}\` could not be read: ${source.unreadable}`);
  if ('findings' in source)
    return taskRefusal(source.findings.flatMap((one) => findingLines(one, { files: new Map() })).join('\n'));
  const catalog = await catalogOf(source);
  if ('findings' in catalog)
    return taskRefusal(catalog.findings.flatMap((one) => findingLines(one, { files: new Map() })).join('\n'));
  const all = [...catalog.actions.values()].filter(({ isSession }) => !isSession);
  const known = all.filter(({ server }) => resource === undefined || server.audience === resource);
  if (known.length === 0)
    return taskRefusal(`no server with actions has the resource \`${resource}\`: ${[...catalog.audiences].join(', ')}`);
  const chosen = named.length === 0 ? known : known.filter(({ id }) => named.includes(id));
  const missing = named.find((id) => chosen.every((action) => action.id !== id));
  if (missing !== undefined) return taskRefusal(unknown(missing, known));
  const [first, ...others] = chosen;
  const audiences = new Set(chosen.map(({ server }) => server.audience));
  if (first === undefined || audiences.size > 1)
    return taskRefusal(`a task is for one resource: choose it with --resource, one of ${[...audiences].join(', ')}`);
  return intentOfCatalog([first, ...others], purpose === '' ? 'say what the task is for' : purpose);
}

function unknown(id: string, known: readonly CatalogAction[]): string {
  const ids = known.map((action) => action.id);
  const near = nearestId(id, ids);
  return near === null
    ? `the catalog has no action \`${printable(id)}\` there; it has ${ids.join(', ')}`
    : `the catalog has no action \`${printable(id)}\` there; did you mean \`${near}\`?`;
}

/** Most records that are read from the logs of sidecars. */
const MAX_RECEIVED = 10_000;

async function fromTask(id: string, values: Values, io: CommandIo): Promise<NewIntent | CommandRefusal> {
  const received = await receivedOf(values, io);
  if (isCommandRefusal(received)) return received;
  return withRecords<NewIntent>(values, io, async (records) => {
    const own = recordedTasks(records)(id);
    const found = foundInReceived(received.values(), { task: id }, { limit: MAX_RECEIVED + 1, isNewestFirst: false });
    const others = readable(found.map(({ seq, bytes }) => ({ seq, bytes: recordBytesIn(bytes) })));
    const isCut = own?.isCut === true || !others.isWhole || found.length > MAX_RECEIVED;
    const intent = intentOfTask([...(own?.records ?? []), ...others.entries], isCut);
    return isProblem(intent) ? taskRefusal(`the task \`${printable(id)}\`: ${intent.problem}`, EXIT.no) : intent;
  });
}

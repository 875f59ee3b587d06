import { isDeny } from '../../core/decision/decision.ts';
import { spiffeIdFrom } from '../../core/identity/spiffe-id.ts';
import type { SpiffeId } from '../../core/identity/spiffe-id.ts';
import type { ObserveEntry } from '../../core/policy/enforcement.ts';
import { DAY_MS } from '../../core/runtime/day.ts';
import { systemPorts } from '../../core/runtime/ports.ts';
import { counted } from '../../tools/doctor/counted.ts';
import { editedEnforcement } from '../../tools/observe/edited-enforcement.ts';
import { coversAgent, withoutAgent, withoutServer } from '../../tools/observe/narrowed-entry.ts';
import type { NarrowedEntry } from '../../tools/observe/narrowed-entry.ts';
import type { ObservedFolder } from '../../tools/observe/observed-folder.ts';
import { SeenNames } from '../../tools/observe/seen-names.ts';
import { unifiedDiff } from '../../tools/observe/unified-diff.ts';
import { EXIT } from '../command.ts';
import { ledgerOptions } from '../ledger/ledger-source.ts';
import { receivedOptions } from '../ledger/received-source.ts';
import { optionsFrom } from '../options.ts';
import { replaceFile } from '../replaced-file.ts';
import { isCommandRefusal, taskRefusal } from '../task/task-source.ts';
import type { CommandRefusal } from '../task/task-source.ts';
import { observedFolderOf, readingUses } from './observed-records.ts';
import type { ObserveIo, PlaceValues } from './observed-records.ts';

const OPTIONS = {
  ...ledgerOptions,
  ...receivedOptions,
  policies: { type: 'string' },
  agent: { type: 'string' },
  server: { type: 'string' },
  write: { type: 'boolean', default: false },
} as const;

/** Most names of an entry. */
const MAX_NAMES = 64;
/** The longest life of an entry: agents and servers without a call in that time are not named. */
const SEEN_DAYS = 90;
const NAME = 'remit observe end';

/** `remit observe end`: prints what changes in `enforcement.yaml`, or writes it. */
export async function observeEnd(args: readonly string[], io: ObserveIo): Promise<number | CommandRefusal> {
  const options = optionsFrom(args, OPTIONS, 1);
  if (typeof options === 'string') return taskRefusal(options);
  const { values, operands } = options;
  const asked = askedFrom({ id: operands[0], agent: values.agent, server: values.server });
  if (isCommandRefusal(asked)) return asked;
  const nowMs = systemPorts.nowMs();
  const policies = await observedFolderOf(values, { io, nowMs });
  if (isCommandRefusal(policies)) return policies;
  if (policies === null) return taskRefusal('name the policy folder with --policies');
  const { file, catalog } = policies;
  const entries = coveredBy(policies, asked);
  if (file === null || entries.length === 0) return taskRefusal(nothingText(policies, asked), EXIT.no);
  const narrowed = await narrowedBy(entries, asked, { values, policies, nowMs, io });
  if (isCommandRefusal(narrowed)) return narrowed;
  const edited = editedEnforcement(file, narrowed, { catalog, nowMs });
  if (typeof edited !== 'string') return taskRefusal(edited.problem);
  for (const entry of narrowed) tell(entry, io);
  const diff = unifiedDiff(file.name, file.text, edited);
  for (const line of diff.split('\n')) io.out(line);
  if (!values.write) return EXIT.good;
  try {
    await replaceFile(file.file, edited, '.remit-observe');
  } catch (error) {
    return taskRefusal(`\`${file.file}\` could not be written: ${(error as NodeJS.ErrnoException).code ?? ''}`);
  }
  io.err(`${NAME}: written; a running Remit enforces it at its next look at the folder`);
  return EXIT.good;
}

/** What is to be enforced: an entry, an agent of one or of all entries, or a server of an entry. */
interface Asked {
  readonly id: string | undefined;
  readonly agent: SpiffeId | undefined;
  readonly server: string | undefined;
}

function askedFrom({ id, agent, server }: Readonly<Record<keyof Asked, string | undefined>>): Asked | CommandRefusal {
  if (agent !== undefined && server !== undefined)
    return taskRefusal('--agent and --server exclude each other: an agent at one server is an entry of its own');
  if (id === undefined && agent === undefined)
    return taskRefusal('the id of an entry is required, or --agent; see `remit observe --help`');
  if (agent === undefined) return { id, agent, server };
  const caller = spiffeIdFrom(agent);
  return isDeny(caller) ? taskRefusal('--agent must be a SPIFFE ID') : { id, agent: caller, server };
}

const coveredBy = ({ entries }: ObservedFolder, { id, agent }: Asked): readonly ObserveEntry[] =>
  entries.filter(
    (entry) => (id === undefined || entry.id === id) && (agent === undefined || coversAgent(entry, agent)),
  );

function nothingText({ entries }: ObservedFolder, { id, agent }: Asked): string {
  const ids = entries.map((entry) => `\`${entry.id}\``).join(', ');
  const known = entries.length === 0 ? 'nothing is observed' : `the entries are ${ids}`;
  if (agent === undefined || !entries.some((entry) => entry.id === id || id === undefined))
    return `there is no entry \`${id ?? ''}\`: ${known}`;
  return `no such entry is of the agent: ${known}`;
}

interface Given {
  readonly values: PlaceValues;
  readonly policies: ObservedFolder;
  readonly nowMs: number;
  readonly io: ObserveIo;
}

/** The entries after the change. Records are read only if a pattern must be replaced by the names that were seen. */
async function narrowedBy(
  entries: readonly ObserveEntry[],
  { agent, server }: Asked,
  given: Given,
): Promise<readonly NarrowedEntry[] | CommandRefusal> {
  if (agent === undefined && server === undefined)
    return entries.map(({ id }) => ({ id, key: 'agents', names: [], replaced: [] }));
  const blind = narrowedWith(entries, { agent, server }, null);
  if (isCommandRefusal(blind) || blind.every(({ replaced }) => replaced.length === 0)) return blind;
  const { values, policies, nowMs, io } = given;
  const seen = new SeenNames(policies.catalog);
  const span = { fromMs: nowMs - SEEN_DAYS * DAY_MS, toMs: nowMs };
  const counts = await readingUses(values, { span, io, name: NAME }, (record) => seen.add(record));
  if (isCommandRefusal(counts)) return counts;
  if (seen.isCut)
    return taskRefusal('records show more agents or servers than an entry can name: write the entry by hand');
  return narrowedWith(entries, { agent, server }, seen);
}

function narrowedWith(
  entries: readonly ObserveEntry[],
  { agent, server }: Pick<Asked, 'agent' | 'server'>,
  seen: SeenNames | null,
): readonly NarrowedEntry[] | CommandRefusal {
  const left = entries.map((entry) =>
    agent === undefined
      ? withoutServer(entry, server ?? '', [...(seen?.servers ?? [])])
      : withoutAgent(entry, agent, [...(seen?.agents ?? [])]),
  );
  const found = left.filter((entry) => entry !== null);
  if (found.length === 0) return taskRefusal(`the entry has no server \`${server ?? ''}\``, EXIT.no);
  const wide = found.find(({ names }) => names.length > MAX_NAMES);
  if (wide === undefined) return found;
  return taskRefusal(
    `the entry \`${wide.id}\` would name ${wide.names.length} ${wide.key}, at most ${MAX_NAMES}: write narrower patterns by hand`,
  );
}

/** Says what a reader of the diff could overlook. */
function tell({ id, key, names, replaced }: NarrowedEntry, io: ObserveIo): void {
  if (names.length === 0) io.err(`${NAME}: the entry \`${id}\` goes: all its calls are enforced`);
  else if (replaced.length > 0)
    io.err(
      `${NAME}: in \`${id}\` ${replaced.join(', ')} becomes the ${counted(names.length, key.slice(0, -1))} that records of ${SEEN_DAYS} days show; all others are enforced too`,
    );
}

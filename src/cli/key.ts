/** `remit key`: list or revoke the signing keys of authorities on a PostgreSQL. */
import { receiptText } from '../core/fleet/receipt.ts';
import { encodedRecord } from '../core/ledger/encoded-record.ts';
import type { EncodedRecord } from '../core/ledger/encoded-record.ts';
import { recordText } from '../core/ledger/record.ts';
import { printable } from '../core/ledger/timeline-text.ts';
import { printableJson } from '../core/ledger/printable-json.ts';
import { isProblem } from '../core/runtime/problem.ts';
import { isStoreFailure } from '../core/runtime/store-failure.ts';
import { KEYS_ROOT } from '../core/state/shared-keys.ts';
import type { SharedKey } from '../core/state/shared-keys.ts';
import { causeOf } from '../core/task/cause.ts';
import { askedReceipt } from './task/asked-receipt.ts';
import { EXIT } from './command.ts';
import type { Command, CommandIo } from './command.ts';
import { usingPostgres } from './state/opened-state.ts';
import { operationOf, operatorOptions } from './operator.ts';
import { optionsFrom } from './options.ts';
import { withSubcommands } from './subcommands.ts';
import { isCommandRefusal, taskRefusal, sourceOf } from './task/task-source.ts';
import type { CommandRefusal } from './task/task-source.ts';

const help = `remit key: list or revoke the signing keys of authorities on a PostgreSQL

usage: remit key list [--json]
       remit key revoke KID --cause TEXT [--by NAME] [--wait enforced|committed] [--json]

  --config FILE      the configuration of an authority; default /etc/remit/remit.yaml
  --cause TEXT       revoke: why, for readers of the record; required
  --by NAME          revoke: who does it, for the record; default the caller of sudo, else the account, which is always recorded
  --wait committed   revoke: do not wait for the sidecars
  --json             list: an array of {kid, replica, published_at, seen_at, revoked_at}; revoke: {kid, enforcement}

Each authority makes a key of its own, which never leaves its memory; the database has the public keys. A revoked key verifies no token
any more. \`revoke\` asks the authority of this host, and waits until no sidecar and no authority accepts a token of that key: each has
applied the change, or its lease is over. The authority whose key it was makes a new one and signs with it 10 s later; the others go on
meanwhile. The ledger has an event \`key-revoked\`. Run it again if the receipt is not known. With a state file, remove the key file instead: deploy/guide/operate/rotation.md.

  remit key list
  remit key revoke 1sCdSUOXxk1ToHYCXQW8kPhWvlnKtWYb7oiXLnkcCEY --cause 'memory of authority-2 was read'

exit codes: 0 good, 1 no such key, or not enforced in time, 2 bad use or a database that cannot be used`;

const options = { config: { type: 'string', short: 'c' }, json: { type: 'boolean', default: false } } as const;

async function list(args: readonly string[], io: Pick<CommandIo, 'environment'>): Promise<string | CommandRefusal> {
  const asked = optionsFrom(args, options, 0);
  if (typeof asked === 'string') return taskRefusal(asked);
  const source = await databaseOf(asked.values, io);
  if (isCommandRefusal(source)) return source;
  return usingPostgres<string>(source.database, async ({ keys }) => {
    const found = await keys.listed();
    if (isStoreFailure(found)) return taskRefusal(found.detail);
    if (asked.values.json) return printableJson(found.map(keyJson));
    return found.length === 0 ? 'no keys' : found.map(lineOf).join('\n');
  });
}

async function revoke(args: readonly string[], io: Pick<CommandIo, 'environment'>): Promise<string | CommandRefusal> {
  const asked = optionsFrom(args, { ...options, ...operatorOptions, wait: { type: 'string', default: 'enforced' } }, 1);
  if (typeof asked === 'string') return taskRefusal(asked);
  const [kid] = asked.operands;
  const { json, wait } = asked.values;
  if (kid === undefined) return taskRefusal('the `kid` of a key is required');
  const operation = operationOf(asked.values, io.environment);
  if (isCommandRefusal(operation)) return operation;
  if (wait !== 'enforced' && wait !== 'committed') return taskRefusal('--wait must be enforced or committed');
  const source = await databaseOf(asked.values, io);
  if (isCommandRefusal(source)) return source;
  const { database, sidecars } = source;
  return usingPostgres<string>(database, async ({ authority, keys }) => {
    const revoked = await keys.revoke(kid, revocationOf(kid, { ...operation, atMs: authority.nowMs() }));
    if (isStoreFailure(revoked)) return taskRefusal(revoked.detail);
    if (!revoked) return taskRefusal(`there is no key \`${printable(kid)}\``, EXIT.no);
    const receipt = wait === 'committed' || sidecars === null ? null : await askedReceipt(sidecars, KEYS_ROOT);
    if (isProblem(receipt))
      return taskRefusal(`${kid} is revoked, but whether sidecars know it is unknown: ${receipt.problem}`, EXIT.no);
    const line = receipt === null ? `${kid} is revoked` : `${kid} is revoked, ${receiptText(receipt)}`;
    const done = json ? printableJson({ kid, enforcement: receipt }) : line;
    return receipt === null || receipt.enforced
      ? done
      : { ...taskRefusal('sidecars may still accept its tokens', EXIT.no), done };
  });
}

/** The record of the revocation for the ledger. */
function revocationOf(
  kid: string,
  { cause, by, atMs }: { readonly cause: string; readonly by: string; readonly atMs: number },
): EncodedRecord {
  const record = encodedRecord({
    kind: 'event',
    at: atMs,
    task: null,
    event: 'key-revoked',
    cause: causeOf('operator.revoked').code,
    note: recordText(cause),
    by: recordText(by),
    details: { kid: recordText(kid) },
  });
  if ('problem' in record) throw new Error(`the record of a revoked key cannot be encoded: ${record.problem}`);
  return record;
}

/** The PostgreSQL of a configuration, and the authority to ask for receipts. */
async function databaseOf(values: { readonly config?: string | undefined }, io: Pick<CommandIo, 'environment'>) {
  const source = await sourceOf(values, io);
  if (isCommandRefusal(source)) return source;
  const { sidecars, state } = source;
  return state.kind === 'postgres'
    ? { database: state, sidecars }
    : taskRefusal('the state is in a file: its signing keys are files, see deploy/guide/operate/rotation.md');
}

const instant = (ms: number): string => new Date(ms).toISOString();

const keyJson = ({ keyId, replica, publishedAtMs, seenAtMs, revokedAtMs }: SharedKey) => ({
  kid: keyId,
  replica,
  published_at: instant(publishedAtMs),
  seen_at: instant(seenAtMs),
  revoked_at: revokedAtMs === null ? null : instant(revokedAtMs),
});

const lineOf = ({ keyId, replica, publishedAtMs, seenAtMs, revokedAtMs }: SharedKey): string => {
  const state = revokedAtMs === null ? `last seen ${instant(seenAtMs)}` : `revoked ${instant(revokedAtMs)}`;
  return printable(`${keyId}  ${replica}  published ${instant(publishedAtMs)}  ${state}`);
};

/** `remit key`. */
export const keyCommand: Command = {
  name: 'key',
  help,
  run: withSubcommands(
    'key',
    new Map([
      ['list', list],
      ['revoke', revoke],
    ]),
  ),
};

/** `remit migrate`: make or update the tables of the state in a PostgreSQL. */
import { postgresTargetFrom } from '../../core/config/postgres-url.ts';
import { isProblem } from '../../core/runtime/problem.ts';
import { systemPorts } from '../../core/runtime/ports.ts';
import { isStoreFailure } from '../../core/runtime/store-failure.ts';
import { stateKeyFrom } from '../../serve/state/state-key.ts';
import { migratePostgres } from '../../authority/state/postgres/migrate.ts';
import type { MigratedDatabase } from '../../authority/state/postgres/migrate.ts';
import { EXIT, refused } from '../command.ts';
import type { Command, CommandIo } from '../command.ts';
import { optionsFrom } from '../options.ts';
import { isCommandRefusal, taskRefusal, type CommandRefusal } from '../task/task-source.ts';

const help = `remit migrate: make or update the tables of the state in a PostgreSQL

usage: remit migrate --state URL [OPTION ...]

  --state URL     the database, with the role that owns the tables: postgres://OWNER@HOST[:PORT][,HOST ...]/DATABASE?passwordfile=/FILE
  --grant ROLE    the role of the authorities, which gets what serving takes: rows of these tables, and no DDL
  --seal FILE     seal the tasks, tokens and stops that have no seal, by the key of \`authority.stateKey\`; stop all authorities before
  --forget-fleet  free the database for a fleet of another issuer or trust domain
  --json          print what was done, as JSON

Makes the schema \`remit\`, or brings it to the version of this build, in one transaction, forward only. Nothing changes if it is up to
date. Run it before the authorities of a new release start; those of the release before go on. \`remit serve\` never migrates a
PostgreSQL, and a state file migrates itself.

A database belongs to the fleet whose authority first started on it. Authorities with another \`issuer.url\`, or with none of its trust
domains, refuse it, until \`--forget-fleet\` lets the next one claim it.

With \`authority.stateKey\` a task or token without a seal is not there, and nobody known has made such a stop. \`--seal\` keeps those of before: whatever their rows say counts from then on, so
look at them first. Then start each authority with the key: one without it writes rows that have no seal.

TLS is on and verified; options of the URL: \`sslrootcert\`, \`sslcert\` and \`sslkey\`, \`passwordfile\`, \`sslmode=disable\`, and \`host=/FOLDER\` for
a socket. A password in the URL is refused.

  remit migrate --state 'postgres://remit_owner@db.acme.test/remit?passwordfile=/run/secrets/owner' --grant remit_authority

exit codes: 0 the tables are of this version, 1 they could not be migrated and are unchanged, 2 bad use`;

/** `remit migrate`. */
export const migrateCommand: Command = {
  name: 'migrate',
  help,
  run: async (args, io) => {
    const done = await migrated(args);
    if (isCommandRefusal(done)) return refused(io, 'remit migrate', done);
    say(io, done);
    return EXIT.good;
  },
};

async function migrated(
  args: readonly string[],
): Promise<(MigratedDatabase & { readonly isJson: boolean }) | CommandRefusal> {
  const options = optionsFrom(
    args,
    {
      state: { type: 'string' },
      grant: { type: 'string' },
      seal: { type: 'string' },
      'forget-fleet': { type: 'boolean', default: false },
      json: { type: 'boolean', default: false },
    },
    0,
  );
  if (typeof options === 'string') return taskRefusal(options);
  const { 'forget-fleet': forgetsFleet, grant = null, json, seal, state } = options.values;
  if (state === undefined) return taskRefusal('--state is required: the URL of the database');
  const target = postgresTargetFrom(state);
  if (isProblem(target)) return taskRefusal(`--state ${target.problem}`);
  const sealKey = seal === undefined ? null : stateKeyFrom(seal);
  if (isProblem(sealKey)) return taskRefusal(sealKey.problem);
  const done = await migratePostgres(target, { grant, forgetsFleet, sealKey, randomBytes: systemPorts.randomBytes });
  if (isStoreFailure(done)) return taskRefusal(done.detail, EXIT.no);
  return { ...done, isJson: json };
}

function say(
  { out }: CommandIo,
  { isJson, from, granted, sealed, to }: MigratedDatabase & { readonly isJson: boolean },
): void {
  if (isJson) return out(JSON.stringify({ from, to, granted, sealed }));
  const what = from === 0 ? `made the tables of version ${to}` : `migrated from version ${from} to ${to}`;
  out(from === to ? `the tables have version ${to} already` : what);
  if (sealed !== null)
    out(`sealed ${sealed.tasks} tasks, ${sealed.tokens} tokens and ${sealed.stops} stops that had no seal`);
  if (granted !== null) out(`granted to \`${granted}\`: what serving takes`);
}

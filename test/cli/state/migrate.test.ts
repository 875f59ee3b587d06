import { expect, it } from '@jest/globals';
import { migrateCommand } from '../../../src/cli/state/migrate.ts';
import { openPostgresState } from '../../../src/authority/state/postgres/postgres-state.ts';
import { SCHEMA, SCHEMA_VERSION } from '../../../src/authority/state/postgres/schema.ts';
import { commandRun } from '../../builders/command-run.ts';
import { must } from '../../builders/must.ts';
import { testFolders } from '../../builders/test-folders.ts';
import { agreeing } from '../../builders/state-file.ts';
import { describeWith, postgresPart } from '../../parts.ts';
import { openingOf } from '../../postgres/opening.ts';
import { OWNER, RUNTIME, startedPlaces } from '../../postgres/places.ts';

const folder = testFolders();

const acme = { issuer: 'https://issuer.acme.test', trustDomains: ['acme.test'] };

async function migrate(
  ...args: readonly string[]
): Promise<{ readonly code: number; readonly said: readonly string[] }> {
  const { code, out, err } = await commandRun(migrateCommand.run, args);
  return { code, said: [...out, ...err] };
}

const open = (url: string) => openPostgresState(openingOf(url, { clocks: agreeing() }));

describeWith(postgresPart(), 'remit migrate', (binaries) => {
  const places = startedPlaces(binaries, folder());

  /** URLs of an empty database, by its owner and by the role that serves. */
  async function empty(name: string): Promise<{ owner: string; runtime: string }> {
    await places.postgres.sql(`CREATE DATABASE ${name} OWNER ${OWNER}`);
    return { owner: places.url(name, OWNER), runtime: places.url(name) };
  }

  it('makes the tables, changes nothing the second time, and grants what serving takes but no DDL', async () => {
    const { owner, runtime } = await empty('fresh');
    expect(await open(runtime)).toMatchObject({
      code: 'unusable',
      detail: expect.stringContaining('run `remit migrate`'),
    });
    expect(await migrate('--state', owner, '--grant', RUNTIME)).toEqual({
      code: 0,
      said: [`made the tables of version ${SCHEMA_VERSION}`, `granted to \`${RUNTIME}\`: what serving takes`],
    });
    const key = await places.sql(owner, 'SELECT key FROM remit.digest_key');
    expect(await migrate('--state', owner)).toEqual({
      code: 0,
      said: [`the tables have version ${SCHEMA_VERSION} already`],
    });
    expect(await places.sql(owner, 'SELECT key FROM remit.digest_key')).toEqual(key);
    const rights = `SELECT has_schema_privilege('${RUNTIME}', 'remit', 'CREATE') AS ddl,
      has_table_privilege('${RUNTIME}', 'remit.version', 'UPDATE') AS version, has_table_privilege('${RUNTIME}', 'remit.tasks', 'TRUNCATE') AS truncate`;
    expect(await places.sql(owner, rights)).toEqual([{ ddl: false, version: false, truncate: false }]);
    const state = must(await open(runtime));
    await state.close();
  });

  it('does nothing with the role that serves, and says so', async () => {
    const { runtime } = await empty('not_owned');
    const { code, said } = await migrate('--state', runtime);
    expect(code).toBe(1);
    expect(said.join('\n')).toContain('the role lacks a privilege');
    expect(await places.sql(runtime, "SELECT to_regclass('remit.tasks') AS tasks")).toEqual([{ tasks: null }]);
  });

  it('refuses tables of a later version, and so does an authority, which also names the command for earlier versions', async () => {
    const { owner, runtime } = await empty('later');
    await migrate('--state', owner, '--grant', RUNTIME);
    await places.sql(owner, 'UPDATE remit.version SET version = 99');
    const later = `the tables have version 99, which a later release made, and this build knows ${SCHEMA_VERSION}: run that release`;
    expect(await migrate('--state', owner)).toEqual({ code: 1, said: [`remit migrate: ${later}`] });
    expect(await open(runtime)).toMatchObject({ code: 'later', detail: later });
    await places.sql(owner, 'UPDATE remit.version SET version = 0');
    expect(await open(runtime)).toMatchObject({
      code: 'unusable',
      detail: `the tables have version 0, and this build needs ${SCHEMA_VERSION}: run \`remit migrate\` with the role that owns them`,
    });
  });

  it('refuses a database of another encoding, and so does an authority', async () => {
    await places.postgres.sql(
      `CREATE DATABASE latin OWNER ${OWNER} ENCODING 'LATIN1' LC_COLLATE 'C' LC_CTYPE 'C' TEMPLATE template0`,
    );
    const { code, said } = await migrate('--state', places.url('latin', OWNER));
    expect({ code, said }).toEqual({
      code: 1,
      said: ["remit migrate: the database has the encoding `LATIN1`: create it with `ENCODING 'UTF8'`"],
    });
    // As a dump that was restored into it.
    const { owner, runtime } = await empty('utf8');
    await migrate('--state', owner, '--grant', RUNTIME);
    await places.postgres.sql('UPDATE pg_database SET encoding = pg_char_to_encoding($1) WHERE datname = $2', [
      'SQL_ASCII',
      'utf8',
    ]);
    expect(await open(runtime)).toMatchObject({
      code: 'unusable',
      detail: "the database has the encoding `SQL_ASCII`: create it with `ENCODING 'UTF8'`",
    });
  });

  it('gives tables of version 1 what later versions have, and keeps their rows', async () => {
    const { owner, runtime } = await empty('older');
    const version = 'CREATE TABLE remit.version (id smallint PRIMARY KEY CHECK (id = 1), version integer NOT NULL)';
    const rows =
      "INSERT INTO version VALUES (1, 1); INSERT INTO digest_key VALUES (1, decode(repeat('ab', 32), 'hex'))";
    await places.sql(
      owner,
      `SET ROLE ${OWNER}; CREATE SCHEMA remit; SET search_path TO remit; ${version}; ${SCHEMA}; ${rows}`,
    );
    const key = await places.sql(owner, 'SELECT key FROM remit.digest_key');
    expect(await migrate('--state', owner, '--grant', RUNTIME)).toMatchObject({
      code: 0,
      said: [`migrated from version 1 to ${SCHEMA_VERSION}`, expect.stringContaining('granted')],
    });
    expect(await places.sql(owner, 'SELECT key FROM remit.digest_key')).toEqual(key);
    const state = must(await open(runtime));
    expect(await state.claim(acme)).toBeNull();
    await state.close();
    const rights = `SELECT has_table_privilege('${RUNTIME}', 'remit.received', 'INSERT') AS adds,
      has_table_privilege('${RUNTIME}', 'remit.received', 'UPDATE') AS changes`;
    expect(await places.sql(owner, rights)).toEqual([{ adds: true, changes: false }]);
    await places.sql(owner, 'UPDATE remit.feed_head SET restored_ms = 2');
    await expect(places.sql(owner, 'UPDATE remit.feed_head SET restored_ms = NULL')).rejects.toThrow('only rises');
  });

  it('keeps a database for the fleet that claimed it, until `--forget-fleet`', async () => {
    const { owner, runtime } = await empty('claimed');
    await migrate('--state', owner, '--grant', RUNTIME);
    const state = must(await open(runtime));
    expect(await state.fleetProblem(acme)).toBeNull();
    expect(await places.sql(owner, 'SELECT 1 FROM remit.fleet')).toEqual([]);
    const others = [
      { ...acme, issuer: 'https://issuer.test.test' },
      { ...acme, trustDomains: ['test.test'] },
    ];
    // Two that start at the same time.
    const [first, second] = await Promise.all([state.claim(acme), state.claim({ ...acme, issuer: 'https://other' })]);
    expect([first, second].filter((answer) => answer === null)).toHaveLength(1);
    await places.sql(owner, 'DELETE FROM remit.fleet');
    expect(await state.claim(acme)).toBeNull();
    for (const other of others) {
      const refused = {
        code: 'unusable',
        detail:
          `the database belongs to the fleet of issuer \`${acme.issuer}\` in \`acme.test\`, and this process to that of issuer ` +
          `\`${other.issuer}\` in ${other.trustDomains.map((domain) => `\`${domain}\``).join(', ')}: give each fleet a database of its own, ` +
          'or run `remit migrate --forget-fleet` if the fleet itself has changed',
      };
      expect([await state.claim(other), await state.fleetProblem(other)]).toMatchObject([refused, refused]);
    }
    // A trust domain more is no other fleet.
    expect(await state.claim({ ...acme, trustDomains: ['partner.test', 'acme.test'] })).toBeNull();
    // Neither the role that serves nor a later migration frees it.
    const role = await places.sql(
      runtime,
      `SELECT has_table_privilege('${RUNTIME}', 'remit.fleet', 'UPDATE, DELETE, TRUNCATE') AS has`,
    );
    expect(role).toEqual([{ has: false }]);
    await migrate('--state', owner, '--grant', RUNTIME);
    expect(await state.claim(others[0] ?? acme)).toMatchObject({ code: 'unusable' });
    expect(await migrate('--state', owner, '--forget-fleet')).toMatchObject({ code: 0 });
    expect(await state.claim(others[0] ?? acme)).toBeNull();
    await state.close();
  });

  it('is bad use without a database, or with a password in its URL', async () => {
    expect(await migrate()).toEqual({ code: 2, said: ['remit migrate: --state is required: the URL of the database'] });
    const { code, said } = await migrate('--state', 'postgres://a:hunter2@db/remit');
    expect(code).toBe(2);
    expect(said.join()).toMatch(/has a password/);
    expect(said.join()).not.toContain('hunter2');
  });
});

import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from '@jest/globals';
import { postgresTargetFrom } from '../../../../src/core/config/postgres-url.ts';
import { DevProcess } from '../../../../src/dev/child.ts';
import { openPostgresState } from '../../../../src/authority/state/postgres/postgres-state.ts';
import { must } from '../../../builders/must.ts';
import { testFolders } from '../../../builders/test-folders.ts';
import { agreeing } from '../../../builders/state-file.ts';
import { byOperator, issuer, taskNumber, tokenNumber } from '../../../builders/task.ts';
import { freePort } from '../../../free-port.ts';
import { both, describeWith, pgbouncerPart, postgresPart } from '../../../parts.ts';
import { openingOf } from '../../../postgres/opening.ts';
import { PostgresPlaces } from '../../../postgres/places.ts';
import { asDatabaseUser } from '../../../../src/dev/postgres/database-user.ts';
import { until } from '../../../until.ts';

const folder = testFolders();
const key = { issuer, id: taskNumber(1).id };

describeWith(both(postgresPart(), pgbouncerPart()), 'the state behind PgBouncer', ([binaries, pgbouncer]) => {
  const places = new PostgresPlaces(binaries, folder());
  let bouncer: DevProcess;
  let port: number;
  beforeAll(async () => {
    await places.start();
    port = await freePort();
    const at = folder();
    writeFileSync(join(at, 'users'), '"postgres" ""\n');
    writeFileSync(
      join(at, 'pgbouncer.ini'),
      [
        '[databases]',
        `* = host=${places.postgres.sockets} port=${places.postgres.port}`,
        '[pgbouncer]',
        `listen_addr = 127.0.0.1\nlisten_port = ${port}\nunix_socket_dir =`,
        `auth_type = trust\nauth_file = ${join(at, 'users')}`,
        // Two servers for many clients, so that each transaction gets any of them.
        'pool_mode = transaction\ndefault_pool_size = 2\nserver_reset_query_always = 1',
      ].join('\n'),
    );
    bouncer = new DevProcess(...asDatabaseUser(pgbouncer, [join(at, 'pgbouncer.ini')]));
  });
  afterAll(async () => {
    await bouncer.end();
    await places.stop();
  });

  it('settles, issues, ends and follows in transaction mode, for two replicas at once', async () => {
    const { database } = must(postgresTargetFrom(await places.next()));
    const url = `postgres://postgres@127.0.0.1:${port}/${database}?sslmode=disable`;
    const open = () => openPostgresState(openingOf(url, { clocks: agreeing() }));
    const one = await until(async () => {
      const state = await open();
      return 'authority' in state && state;
    });
    const two = must(await open());
    const { authority } = one;
    expect(await authority.insertTask(taskNumber(1), tokenNumber(1), [])).toBeNull();
    const uses = Array.from({ length: 100 }, (_, n) =>
      [one, two].map(({ settling }, at) =>
        settling.settle({
          decisionId: `${at}-${n}`,
          key,
          jtiDigest: 'digest-1',
          spends: [{ kind: 'calls', limit: 90 }],
        }),
      ),
    );
    const answers = await Promise.all([...uses.flat(), ...Array.from({ length: 50 }, () => two.feed.beat())]);
    expect(answers.filter((answer) => answer === null)).toHaveLength(90);
    expect(await two.authority.applyTaskEvent(key, byOperator('complete'), 'ada')).toMatchObject({ changed: true });
    expect(await one.feed.feedAfter(0)).toEqual({ changes: [{ root: key.id, part: 'task' }], position: 1 });
    expect(await authority.prune(0)).toEqual({ tasks: 0, isMore: false });
    await Promise.all([one.close(), two.close()]);
  });
});

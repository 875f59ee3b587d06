import { generateKeyPairSync, hash, randomUUID } from 'node:crypto';
import { join } from 'node:path';
import { expect, it, jest } from '@jest/globals';
import { calculateJwkThumbprint, decodeJwt, exportJWK, SignJWT } from 'jose';
import { Client } from 'pg';
import { postgresTargetFrom } from '../../src/core/config/postgres-url.ts';
import { refreshTokenOf } from '../../src/authority/issuer/token/refresh-token.ts';
import { connectionOf } from '../../src/authority/state/postgres/primary.ts';
import { must, mustFind } from '../builders/must.ts';
import { testFolders } from '../builders/test-folders.ts';
import { withClosers, type Closers } from '../builders/with-closers.ts';
import { both, describeWith, envoyPart, postgresPart } from '../parts.ts';
import { startedPlaces } from '../postgres/places.ts';
import { until } from '../until.ts';
import { RealFleet } from './matrix/real-fleet.ts';

jest.setTimeout(600_000);

const folder = testFolders();

// Issue 37, point 11: whoever has the login of the authorities, and nothing else of them.
describeWith(both(envoyPart(), postgresPart()), 'the login of the authorities alone', ([envoy, binaries]) => {
  const places = startedPlaces(binaries, folder());

  /** A fleet, and an attacker with the login of its authorities. */
  const attacked = async (closers: Closers) => {
    const database = await places.next();
    const fleet = await RealFleet.start({
      envoy,
      folder: join(folder(), 'fleet'),
      database,
      authorities: ['authority-1'],
      sidecars: ['sidecar-1'],
      configure: (party) => (party === 'authority-1' ? { durability: 'single' } : {}),
    });
    closers.push(() => fleet.stop());
    const target = must(postgresTargetFrom(database));
    const client = new Client(connectionOf(target, mustFind(target.hosts[0])));
    await client.connect();
    closers.push(() => client.end());
    /** What became of a statement: the rows that it concerned, or why the database refuses it. */
    const attack = async (text: string, ...values: readonly unknown[]): Promise<string> => {
      try {
        return `${(await client.query(text, [...values])).rowCount} rows`;
      } catch (error) {
        return error instanceof Error ? error.message : String(error);
      }
    };
    const call = (token: string): Promise<string> => fleet.call('sidecar-1', token);
    const allowed = (token: string): Promise<unknown> =>
      until(async () => (await call(token)) === '200', { what: 'a use is allowed' });
    return { fleet, attack, call, allowed };
  };

  it(
    'brings no ended task back to life',
    withClosers(async (closers) => {
      const { fleet, attack, call, allowed } = await attacked(closers);
      const { token, taskId } = await fleet.declare();
      await allowed(token);
      await attack(`CREATE TEMP TABLE before_its_end AS SELECT * FROM remit.tasks WHERE id = '${taskId}'`);
      await attack(`CREATE TEMP TABLE tokens_before AS SELECT * FROM remit.tokens WHERE task = '${taskId}'`);
      await fleet.complete(taskId);
      expect(await call(token)).not.toBe('200');
      const done = [
        await attack('DELETE FROM remit.token_uses'),
        await attack('DELETE FROM remit.tokens WHERE task = $1', taskId),
        await attack('DELETE FROM remit.histories WHERE task = $1', taskId),
        await attack('DELETE FROM remit.budgets WHERE task = $1', taskId),
        await attack('DELETE FROM remit.outbox WHERE task = $1', taskId),
        await attack('DELETE FROM remit.tasks WHERE id = $1', taskId),
        await attack('INSERT INTO remit.tasks SELECT * FROM before_its_end'),
        await attack('INSERT INTO remit.tokens SELECT * FROM tokens_before'),
        await attack(
          `UPDATE remit.tasks SET state = 'active', ended_ms = NULL, cause = NULL, cause_note = NULL WHERE id = $1`,
          taskId,
        ),
        await attack(
          `WITH h AS (UPDATE remit.feed_head SET seq = seq + 1 WHERE part = 0 RETURNING seq)
             INSERT INTO remit.feed (part, seq, root, is_history) SELECT 0, h.seq, $1, false FROM h`,
          taskId,
        ),
      ];
      // A sidecar that has never heard of it asks for it anew.
      await fleet.kill('sidecar-1');
      await fleet.serve('sidecar-1');
      const answers: string[] = [];
      await until(async () => answers.push(await call(token)) >= 20 && answers.at(-1)?.startsWith('403'), {
        what: 'the sidecar knows its state',
      });
      expect(answers).not.toContain('200');
      expect(answers.at(-1)).toMatch(/^403 task\.completed/);
      expect(done).toContain('a token is not deleted before it expires');
      expect(done).toContain('an ended task does not change');
    }),
  );

  it(
    'makes no key sign, not with the proof of another key either',
    withClosers(async (closers) => {
      const { fleet, attack, call, allowed } = await attacked(closers);
      const { token, taskId } = await fleet.declare();
      await allowed(token);
      const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
      const jwk = await exportJWK(publicKey);
      const kid = await calculateJwkThumbprint(jwk);
      const jti = randomUUID();
      const forged = await new SignJWT({ ...decodeJwt(token), jti })
        .setProtectedHeader({ typ: 'at+jwt', alg: 'ES256', kid })
        .sign(privateKey);
      const written = [
        await attack(
          `INSERT INTO remit.tokens SELECT (json_populate_record(t, json_build_object('jti_digest', $2::text))).* FROM remit.tokens t WHERE task = $1 LIMIT 1`,
          taskId,
          hash('sha256', jti, 'base64url'),
        ),
        await attack(
          `INSERT INTO remit.signing_keys SELECT (json_populate_record(k, json_build_object('kid', $1::text, 'jwk', $2::text))).* FROM remit.signing_keys k LIMIT 1`,
          kid,
          JSON.stringify({ ...jwk, kid, alg: 'ES256', use: 'sig' }),
        ),
        await attack(
          `WITH h AS (UPDATE remit.feed_head SET seq = seq + 1 WHERE part = 0 RETURNING seq)
             INSERT INTO remit.feed (part, seq, root, is_history) SELECT 0, h.seq, 'keys', false FROM h`,
        ),
      ];
      expect(written).toEqual(['1 rows', '1 rows', '1 rows']);
      const log = (): string => fleet.process('authority-1').err() + fleet.process('authority-1').out();
      const answers: string[] = [];
      await until(
        async () => {
          answers.push(await call(forged));
          return answers.includes('200') || log().includes('a key in the database has the proof of another key');
        },
        { what: 'the authority names the key that is not of an authority' },
      );
      for (let n = 0; n < 20; n += 1) answers.push(await call(forged));
      expect(answers).not.toContain('200');
      // Nobody else suffers from it.
      await allowed(token);
      await allowed((await fleet.declare()).token);
    }),
  );

  it(
    'declares no task',
    withClosers(async (closers) => {
      const { fleet, attack, allowed } = await attacked(closers);
      const { token, taskId } = await fleet.declare();
      await allowed(token);
      const id = randomUUID();
      const row = { id, root: id, subject: 'alice@acme.test', seal: null };
      const copy = `INSERT INTO remit.tasks SELECT (json_populate_record(t, $2::json)).* FROM remit.tasks t WHERE id = $1`;
      expect(await attack(copy, taskId, JSON.stringify(row))).toBe('1 rows');
      const renewed = async (of: string): Promise<number> => {
        const body = new URLSearchParams({ grant_type: 'refresh_token', refresh_token: of }).toString();
        const headers = { 'content-type': 'application/x-www-form-urlencoded' };
        return (await fleet.ask('authority-1', '/oauth/token', { headers, body })).status;
      };
      expect(await renewed(refreshTokenOf(taskId))).toBe(200);
      expect(await renewed(refreshTokenOf(id))).toBe(400);
      const log = fleet.process('authority-1').err() + fleet.process('authority-1').out();
      expect(log).toContain(`task ${id} is not as an authority wrote it`);
    }),
  );
});

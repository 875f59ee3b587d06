import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { Agent } from '../../src/dev/agent.ts';
import type { DevDomain } from '../../src/dev/domain.ts';
import { systemPorts } from '../../src/core/runtime/ports.ts';
import { IDP, idpJwks, introspected, RECEIVER, withdrawals } from '../builders/withdrawals.ts';
import type { Declared, Withdrawing } from '../builders/withdrawals.ts';
import { describeWith, envoyPart } from '../parts.ts';
import { until } from '../until.ts';
import { testFolder } from '../builders/test-folders.ts';
import { callPayments, mustDeclare, startDomain } from './domain.ts';

const SECOND_MS = 1_000;
const HOUR_MS = 3_600_000;

/** Issue 37, point 4: what an authority whose wall clock is off answers with 2xx has happened, on one SQLite file. */
describeWith(envoyPart(), 'a request that takes rights away, through Envoy', (envoy) => {
  const scratch = testFolder(async () => {
    at?.agent.close();
    at?.operator.close();
    await domain?.stop();
  });
  let domain: DevDomain;
  let at: Withdrawing;
  const clock = { offMs: 0 };

  beforeAll(async () => {
    await writeFile(join(scratch.folder, 'idp.json'), JSON.stringify(idpJwks));
    domain = await startDomain(envoy, {
      folder: scratch.folder,
      ports: { ...systemPorts, nowMs: () => Date.now() + clock.offMs },
      settings: {
        issuer: {
          // Each test stops tasks of the same agent.
          stoppedTaskWaitSeconds: 'off',
          operators: ['spiffe://acme.test/ns/ops/sa/desk'],
          signals: { transmitters: [{ issuer: IDP, audience: RECEIVER, jwks: 'idp.json' }] },
        },
      },
    });
    // Valid by each of the clocks.
    const valid = { notBeforeMs: Date.now() - 2 * HOUR_MS, ttlSeconds: 4 * 3_600 };
    const { authority, stage } = domain;
    const [agent, operator] = await Promise.all(
      ['/ns/agents/sa/planner', '/ns/ops/sa/desk'].map(
        async (path) => new Agent(await authority.svid(path, valid), authority.bundlePem),
      ),
    );
    if (agent === undefined || operator === undefined) throw new Error('no agents');
    at = { agent, operator, port: stage.issuerPort, host: stage.issuerHost };
  });
  afterEach(() => {
    clock.offMs = 0;
  });

  /** Status and reason of a use. On a loaded machine Envoy may give up on a check. */
  const used = (task: Declared): Promise<readonly [number, string | null]> =>
    until(
      async () => {
        const [status, reason] = await callPayments(at.agent, domain, task);
        return reason?.startsWith('envoy.') !== true && ([status, reason] as const);
      },
      { what: 'an answer of Remit' },
    );

  describe.each([
    { by: 'right', offMs: 0 },
    { by: '3 s ahead', offMs: 3 * SECOND_MS },
    { by: '3 s behind', offMs: -3 * SECOND_MS },
    // The token has expired by it, and its task lives.
    { by: '6 min ahead', offMs: 360 * SECOND_MS },
    { by: '1 h ahead', offMs: HOUR_MS },
    { by: '1 h behind', offMs: -HOUR_MS },
  ])('by a clock that is $by', ({ offMs }) => {
    it.each(withdrawals)('$name: has its effect on every later use', async ({ ask, says, reason }) => {
      const task = await mustDeclare(at.agent, domain);
      expect(await used(task)).toEqual([200, null]);
      clock.offMs = offMs;
      const answer = await ask(at, task);
      clock.offMs = 0;
      expect([answer.status, answer.body === '' ? {} : JSON.parse(answer.body)]).toEqual([
        answer.body === '' ? 202 : 200,
        expect.objectContaining(says),
      ]);
      expect((await used(task))[1]).toBe(reason);
    });
  });

  it('revokes the task of a token that introspection calls inactive', async () => {
    const task = await mustDeclare(at.agent, domain);
    clock.offMs = 360 * SECOND_MS;
    expect(await introspected(at, task)).toBe(false);
    const { ask } = withdrawals.find(({ name }) => name === 'revoke a task by its token') ?? {};
    expect(JSON.parse((await ask?.(at, task))?.body ?? '')).toEqual({ revoked: true });
    clock.offMs = 0;
    expect(await introspected(at, task)).toBe(false);
    expect((await used(task))[1]).toBe('task.revoked');
  });
});

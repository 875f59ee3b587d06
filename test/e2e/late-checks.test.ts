import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { beforeAll, expect, it } from '@jest/globals';
import { ledgerQuery } from '../../src/cli/ledger/ledger-query.ts';
import type { DevDomain } from '../../src/dev/domain.ts';
import { ran } from '../cli/ledgers.ts';
import { describeWith, envoyPart } from '../parts.ts';
import { until } from '../until.ts';
import { testFolder } from '../builders/test-folders.ts';
import { callPayments, mustDeclare, startDomain } from './domain.ts';
import { Fleet } from './fleet.ts';

/** Less than a settlement waits for its authority, so that a check is over before that. */
const ENVOY_TIMEOUT = '0.24s';

/** Issue 37, point 14: what a sidecar answers that cannot know yet, or in time. */
describeWith(envoyPart(), 'a sidecar that cannot decide yet, through Envoy', (envoy) => {
  const scratch = testFolder(() => fleet?.stop());
  let fleet: Fleet;

  beforeAll(async () => {
    fleet = await Fleet.start(envoy, scratch.folder, {
      envoyConfig: (text) => text.replace(/^( +)timeout: 10s$/m, `$1timeout: ${ENVOY_TIMEOUT}`),
    });
  });

  const allowed = (token: string): Promise<unknown> =>
    until(async () => (await fleet.call('local', token)) === '200', { what: 'a use' });

  it('answers a good token with 503, not 401, until it has heard its authority', async () => {
    const { token } = await fleet.declare();
    await allowed(token);
    fleet.signal('local', 'SIGKILL');
    fleet.signal('authority', 'SIGSTOP');
    try {
      await fleet.serve('local', { isReady: false });
      const answers = new Set<string>();
      await until(
        async () => {
          answers.add(await fleet.call('local', token));
          return [...answers].some((answer) => !answer.includes('envoy.'));
        },
        { what: 'an answer of the sidecar' },
      );
      for (let n = 0; n < 5; n += 1) answers.add(await fleet.call('local', token));
      expect([...answers].filter((answer) => !answer.includes('envoy.'))).toEqual(['503 token.keys-unavailable']);
    } finally {
      fleet.signal('authority', 'SIGCONT');
    }
    await allowed(token);
  });

  it('has one id and one reason for a check that is not decided in time: in the answer, the record and the log', async () => {
    const { token, taskId } = await fleet.declare({ max_calls: 1_000_000 });
    const config = ['--config', join(fleet.folder, 'authority.yaml')];
    /** Each use settles at the authority, which does not answer. */
    const lateId = async (): Promise<string | undefined> => {
      await allowed(token);
      fleet.signal('authority', 'SIGSTOP');
      try {
        const reply = await fleet.agent.call(fleet.envoyPort('local'), {
          host: 'payments.acme.test',
          path: '/v1/payments/p-1',
          headers: { authorization: `Bearer ${token}` },
        });
        const { reason, decision } = JSON.parse(reply.body);
        return reason === 'check.deadline' ? String(decision) : undefined;
      } finally {
        fleet.signal('authority', 'SIGCONT');
      }
    };
    const id = await until(lateId, { what: 'a check that is over before it is decided' });
    const recorded = async () => {
      const { out } = await ran(ledgerQuery, ...config, '--decision-id', id, '--kind', 'use', '--json');
      return out.split('\n').flatMap((line) => (line === '' ? [] : JSON.parse(line)));
    };
    const found = await until(async () => ((await recorded()).length > 0 ? recorded() : undefined), {
      what: 'the record',
    });
    expect(found).toMatchObject([{ decision: 'deny', reason: 'check.deadline', task: taskId }]);
    await until(() => fleet.wrote('local').includes(id), { what: 'the line of the log' });
    expect(fleet.wrote('local')).toMatch(new RegExp(`not decided within its deadline: .*\`${id}\``));
  });
});

describeWith(envoyPart(), 'a use that is decided too late, through Envoy', (envoy) => {
  const scratch = testFolder(() => domain?.stop());
  let domain: DevDomain;

  beforeAll(async () => {
    domain = await startDomain(envoy, {
      folder: scratch.folder,
      envoyConfig: (text) => text.replace(/^( +)timeout: 10s$/m, `$1timeout: ${ENVOY_TIMEOUT}`),
    });
  });

  it('gets its budget back once the log of Envoy says that its call was not let through', async () => {
    const { planner } = domain.stage;
    const lateToken = async (): Promise<string | undefined> => {
      const { token } = await mustDeclare(planner, domain, { constraints: { max_calls: 1 } });
      const beside = new DatabaseSync(join(scratch.folder, 'state.db'));
      try {
        // Another process writes, and its commit takes longer than a check may.
        beside.exec('BEGIN IMMEDIATE');
        const [, reason] = await callPayments(planner, domain, { token });
        beside.exec('ROLLBACK');
        return reason === 'check.deadline' ? token : undefined;
      } finally {
        beside.close();
      }
    };
    const token = await until(lateToken, { what: 'a use that is decided too late' });
    // It was settled after that, so that the budget of one call is used up until then.
    await until(async () => (await callPayments(planner, domain, { token }))[0] === 200, {
      what: 'the budget is back',
    });
    await until(async () => (await callPayments(planner, domain, { token }))[1] === 'task.exhausted', {
      what: 'it is used up by the only call that was let through',
    });
    expect(domain.payments.received().length).toBe(1);
  });
});

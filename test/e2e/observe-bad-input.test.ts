import { cp, readFile, rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { beforeAll, expect, it } from '@jest/globals';
import { ledgerQuery } from '../../src/cli/ledger/ledger-query.ts';
import { Agent } from '../../src/dev/agent.ts';
import type { DevDomain } from '../../src/dev/domain.ts';
import { systemPorts } from '../../src/core/runtime/ports.ts';
import { ran } from '../cli/ledgers.ts';
import { describeWith, envoyPart } from '../parts.ts';
import { testFolder } from '../builders/test-folders.ts';
import { callPayments, examples, mustDeclare, startDomain } from './domain.ts';
import { Processes } from './processes.ts';
import { until } from '../until.ts';

const DAY_MS = 86_400_000;
const inDays = (days: number): string => new Date(Date.now() + days * DAY_MS).toISOString().slice(0, 10);
const entry = (id: string, agent: string, until: string): string =>
  `  - { id: ${id}, agents: ['spiffe://acme.test/ns/agents/sa/${agent}'], servers: [payments], until: ${until}, owner: us, because: CHG-1 }\n`;

/** What agents send that know nothing of Remit. */
const UPSTREAMS = { token: 'of-the-upstream' };
/** The answer to an enforced call with such a token. */
const DENIED = [401, 'token.malformed'];

/** Issue 41, "Bad input": entries and clocks. */
describeWith(
  envoyPart(),
  'entries that have ended, that contradict, and a clock that steps, through Envoy',
  (envoy) => {
    const scratch = testFolder(async () => {
      for (const agent of agents) agent.close();
      await domain?.stop();
    });
    let domain: DevDomain;
    const clock = { offMs: 0 };
    const agents: Agent[] = [];

    /** An agent whose certificate is valid for days before and after today. */
    const longLived = async (name: string): Promise<Agent> => {
      const days = { notBeforeMs: Date.now() - 6 * DAY_MS, ttlSeconds: (12 * DAY_MS) / 1_000 };
      const svid = await domain.authority.svid(`/ns/agents/sa/${name}`, days);
      const agent = new Agent(svid, domain.authority.bundlePem);
      agents.push(agent);
      return agent;
    };

    beforeAll(async () => {
      const policies = join(scratch.folder, 'policies');
      await cp(examples, policies, { recursive: true });
      const entries = [
        entry('over', 'planner', inDays(-1)),
        entry('short', 'planner', inDays(2)),
        entry('long', 'planner', inDays(30)),
        entry('ended', 'reporter', inDays(-2)),
        entry('brief', 'thief', inDays(2)),
      ];
      await writeFile(join(policies, 'enforcement.yaml'), `observe:\n${entries.join('')}`);
      const ports = { ...systemPorts, nowMs: () => Date.now() + clock.offMs };
      domain = await startDomain(envoy, { folder: scratch.folder, policies, ports });
    });

    it('observes by the first entry that has not ended, and enforces from its day on until the clock is set back', async () => {
      const planner = await longLived('planner');
      const reporter = await longLived('reporter');
      const brief = await longLived('thief');
      expect(await callPayments(planner, domain, UPSTREAMS)).toEqual([200, null]);
      expect(await callPayments(brief, domain, UPSTREAMS)).toEqual([200, null]);
      expect(await callPayments(reporter, domain, UPSTREAMS)).toEqual(DENIED);
      clock.offMs = 3 * DAY_MS;
      expect(await callPayments(planner, domain, UPSTREAMS)).toEqual([200, null]);
      expect(await callPayments(brief, domain, UPSTREAMS)).toEqual(DENIED);
      clock.offMs = 0;
      expect(await callPayments(brief, domain, UPSTREAMS)).toEqual([200, null]);
      // A clock that is set back opens no entry again.
      clock.offMs = -4 * DAY_MS;
      expect(await callPayments(reporter, domain, UPSTREAMS)).toEqual(DENIED);
      expect(await callPayments(planner, domain, UPSTREAMS)).toEqual([200, null]);
      clock.offMs = 0;
    });

    // Issue 39, point 1: the SPIFFE ID is the same, so it is no theft.
    it('lets a token pass that its agent presents with another certificate, and does not revoke it', async () => {
      const { planner } = domain.stage;
      const renewed = await longLived('planner');
      const { token, taskId } = await mustDeclare(planner, domain);
      expect(await callPayments(renewed, domain, { token })).toEqual([200, null]);
      expect(await callPayments(planner, domain, { token })).toEqual([200, null]);
      const { issuerPort, issuerHost } = domain.stage;
      const ended = { host: issuerHost, method: 'POST', path: `/tasks/${taskId}/complete` };
      expect((await planner.call(issuerPort, ended)).status).toBe(200);
      expect(await callPayments(renewed, domain, { token })).toEqual([403, 'task.completed']);
      await domain.stop();
      const { out } = await ran(ledgerQuery, '--ledger', join(scratch.folder, 'ledger'), '--kind', 'use', '--json');
      const uses = out
        .trim()
        .split('\n')
        .map((line) => JSON.parse(line))
        .toReversed();
      expect(uses.slice(-3).map(({ decision, would }) => [decision, would.reason])).toEqual([
        ['allow', 'token.binding'],
        ['allow', null],
        ['deny', 'task.completed'],
      ]);
      // The calls of the test before come first.
      const entries = ['short', 'brief', null, 'long', null, 'brief', null, 'short', 'short', 'short', 'short'];
      expect(uses.map(({ entry: id }) => id ?? null)).toEqual(entries);
    });
  },
);

/** Issue 41, "Bad input": an authority that is away. */
describeWith(envoyPart(), 'an observed agent at a sidecar whose authority is away, through Envoy', (envoy) => {
  const scratch = testFolder(() => processes?.stop());
  let processes: Processes;

  beforeAll(async () => {
    processes = await Processes.start(envoy, scratch.folder);
    const text = `observe:\n${entry('legacy', 'planner', inDays(10))}`;
    await writeFile(join(scratch.folder, 'policies', 'enforcement.yaml'), text);
    const sidecar = join(scratch.folder, 'sidecar.yaml');
    const aging = 'policies: { folder: policies, lookSeconds: 1, maxAgeSeconds: 10 }';
    await writeFile(sidecar, (await readFile(sidecar, 'utf8')).replace('policies: policies', aging));
    await processes.serve('authority');
    await processes.serve(1);
  });

  const call = async (token: string): Promise<string> => {
    const headers = { authorization: `Bearer ${token}` };
    const asked = { host: 'payments.acme.test', path: '/v1/payments/p-1', headers };
    const { status, body } = await processes.agent.call(processes.envoyPort, asked);
    return status === 200 ? '200' : `${status} ${JSON.parse(body).reason}`;
  };

  const used = async (token: string): Promise<void> => {
    await until(async () => (await call(token)) === '200', { what: 'a use' });
  };

  /** Ends a task that the sidecar holds; resolves once that knows. */
  const end = async ({ token, taskId }: { readonly token: string; readonly taskId: string }): Promise<void> => {
    await processes.complete(taskId, 'committed');
    await until(async () => (await call(token)) === '403 task.completed', { what: 'the end at the sidecar' });
  };

  // Issue 41: observing must never be the outage, also of the policies themselves.
  it('passes once its policies are stale, but with an ended token it is denied', async () => {
    const [live, ended] = [await processes.declare(), await processes.declare()];
    await used(live.token);
    await used(ended.token);
    await end(ended);
    const policies = join(scratch.folder, 'policies');
    await rename(policies, `${policies}-away`);
    const isStale = (): boolean =>
      processes.decided(1).some((line) => Object(Reflect.get(line, 'would')).reason === 'policy.stale');
    await until(async () => (await call(live.token)) === '200' && isStale(), { what: 'a stale set' });
    expect(await call('of-the-upstream')).toBe('200');
    expect(await call(ended.token)).toBe('403 task.completed');
    await rename(`${policies}-away`, policies);
  });

  it('passes without a token of Remit, with a live token and one that nobody knows, but not with one that is known to be ended', async () => {
    const [live, ended, unknown] = [await processes.declare(), await processes.declare(), await processes.declare()];
    await used(live.token);
    await used(ended.token);
    await end(ended);
    await processes.end('authority', 'SIGKILL');
    expect(await call('of-the-upstream')).toBe('200');
    expect(await call(live.token)).toBe('200');
    expect(await call(ended.token)).toBe('403 task.completed');
    // Only the authority knows whether its task has ended: what Remit cannot decide for want of itself passes.
    expect(await call(unknown.token)).toBe('200');
  });
});

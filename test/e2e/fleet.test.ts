import { createHash } from 'node:crypto';
import { rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { beforeAll, expect, it } from '@jest/globals';
import { fleetCommand } from '../../src/cli/fleet.ts';
import { ledgerCheckProof } from '../../src/cli/ledger/ledger-check-proof.ts';
import { ledgerEvidence } from '../../src/cli/ledger/ledger-evidence.ts';
import { ledgerProve } from '../../src/cli/ledger/ledger-prove.ts';
import { ledgerQuery } from '../../src/cli/ledger/ledger-query.ts';
import { ledgerVerify } from '../../src/cli/ledger/ledger-verify.ts';
import { task } from '../../src/cli/task/task.ts';
import type { EvidenceReport } from '../../src/tools/evidence/report.ts';
import { canonicalJson } from '../../src/core/ledger/canonical-json.ts';
import { must } from '../builders/must.ts';
import { ran } from '../cli/ledgers.ts';
import { describeWith, envoyPart } from '../parts.ts';
import { until } from '../until.ts';
import { testFolder } from '../builders/test-folders.ts';
import { Fleet, LEASE_SECONDS, SIDECARS } from './fleet.ts';
import type { SidecarName } from './fleet.ts';

/** The record of a lost log, as far as it is looked at here. */
interface Lost {
  readonly event: string;
  readonly origin: string;
  readonly size: number;
}

const UNAVAILABLE = '503 task.state-unavailable';

/** The names of all series that a process exports. */
const metricNames = async (admin: string): Promise<readonly string[]> =>
  (await (await fetch(`${admin}/metrics`)).text()).split('\n').flatMap((line) => /^remit_\w+/.exec(line) ?? []);

const commandTask = (args: readonly string[], io: Parameters<Parameters<typeof ran>[0]>[1]) =>
  task(args, { ...io, environment: { SUDO_USER: 'ada' } });

const forbidding = (agent: string): string =>
  `@id("more") forbid (principal == Remit::Agent::"spiffe://acme.test/${agent}", action, resource);\n`;

describeWith(envoyPart(), 'two sidecars, over TLS and on a Unix socket, and their authority', (envoy) => {
  const scratch = testFolder(() => fleet?.stop());
  let fleet: Fleet;
  /** The log of a sidecar that was killed, and whose disk is lost. */
  let killed = '';

  /** Calls until a sidecar allows one: on a loaded machine an answer of the authority may be late, and the call is denied. */
  const allowed = (name: SidecarName, token: string): Promise<unknown> =>
    until(async () => (await fleet.call(name, token)) === '200', { what: `a use at ${name}` });

  beforeAll(async () => {
    fleet = await Fleet.start(envoy, scratch.folder);
  });

  it('use a task that was declared at the authority, and refuse it once it ended there', async () => {
    const { token, taskId } = await fleet.declare();
    for (const name of SIDECARS) await allowed(name, token);
    const { enforcement } = await fleet.complete(taskId);
    expect(enforcement).toMatchObject({ enforced: true, holders: 2 });
    // At once: from the receipt on, no use is allowed. On a loaded machine a lease may be over instead.
    for (const name of SIDECARS) expect(await fleet.call(name, token)).not.toBe('200');
    for (const name of SIDECARS) {
      await until(async () => (await fleet.call(name, token)) === '403 task.completed', { what: `a lease of ${name}` });
    }
  });

  it('know a change by `remit task` once it prints its receipt, which `remit task show` has too', async () => {
    const of = ['--config', join(fleet.folder, 'authority.yaml'), '--cause', 'by hand'];
    const { token, taskId } = await fleet.declare();
    for (const name of SIDECARS) await allowed(name, token);
    const changed = async (what: string) => {
      const { exit, out, err } = await ran(commandTask, what, taskId, ...of, '--json');
      expect({ exit, err }).toEqual({ exit: 0, err: '' });
      expect(JSON.parse(out)).toMatchObject({ enforcement: { enforced: true, holders: 2 } });
    };
    await changed('suspend');
    for (const name of SIDECARS) expect(await fleet.call(name, token)).not.toBe('200');
    await changed('end');
    for (const name of SIDECARS) {
      await until(async () => (await fleet.call(name, token)) === '403 task.revoked', { what: `a lease of ${name}` });
    }
    const { out } = await ran(commandTask, 'show', taskId, ...of.slice(0, 2));
    expect(out).toMatch(/receipt by remit: suspended enforced after \d+ ms: 2 sidecars held it/);
    expect(out).toMatch(/receipt by remit: revoked enforced after \d+ ms: 2 sidecars held it/);
  });

  it('go on to the end of their lease if the authority is killed, then deny, and recover with it', async () => {
    const { token } = await fleet.declare();
    for (const name of SIDECARS) {
      await allowed(name, token);
      // Until the entry that a first use adds to the history has come back, uses are settled.
      const isPlain = async () => {
        const before = await fleet.settled(name);
        return (await fleet.call(name, token)) === '200' && (await fleet.settled(name)) === before;
      };
      await until(isPlain, { what: `a use at ${name} that settles nothing` });
    }
    fleet.signal('authority', 'SIGKILL');
    for (const name of SIDECARS) {
      const answers: string[] = [];
      const isOver = async () =>
        (await fleet.readiness(name)).includes('no authority has confirmed the state of tasks');
      const used = async () => answers.push(await fleet.call(name, token));
      await until(async () => (await used(), isOver()), { what: `the end of the lease of ${name}` });
      await used();
      // The lease of the second one may be over by now.
      const expected = name === 'remote' || answers[0] === '200' ? ['200', UNAVAILABLE] : [UNAVAILABLE];
      expect([...new Set(answers)]).toEqual(expected);
      expect(answers.at(-1)).toBe(UNAVAILABLE);
    }
    await fleet.serve('authority');
    for (const name of SIDECARS) await allowed(name, token);
  });

  it('have the record of a use of high risk at the authority before the answer, once, though the sidecar is killed then', async () => {
    const of = ['--config', join(fleet.folder, 'authority.yaml')];
    for (const name of SIDECARS) {
      const { token, taskId } = await fleet.declare(undefined, ['payments.refund']);
      const refunded = async () => (await fleet.call(name, token, '/v1/payments/p-1/refund', 'POST')) === '200';
      await until(refunded, { what: `a refund at ${name}` });
      fleet.signal(name, 'SIGKILL');
      // The machine of the sidecar is gone, and its disk.
      for (const lost of [`ledger-${name}`, `checkpoints-${name}.txt`]) {
        await rm(join(fleet.folder, lost), { recursive: true, force: true });
      }
      const { out } = await ran(commandTask, 'show', taskId, ...of, '--json');
      const records = (JSON.parse(out) as { readonly records: readonly Readonly<Record<string, unknown>>[] }).records;
      // On a loaded machine earlier attempts were denied, some of them by taking an allow back.
      const takenBack = new Set(records.map(({ withdraws }) => withdraws));
      const used = records.filter(
        ({ kind, decision, decisionId }) => kind === 'use' && decision === 'allow' && !takenBack.has(decisionId),
      );
      const by = name === 'local' ? 'unix' : 'spiffe://acme.test/ns/pay/sa/tools-1';
      expect(used).toMatchObject([{ decision: 'allow', action: 'payments.refund', by, origin: expect.any(String) }]);
      const found = async (...filter: readonly string[]) => {
        const id = String(used[0]?.['decisionId']);
        return (await ran(ledgerQuery, ...of, '--decision-id', id, ...filter, '--json')).out
          .split('\n')
          .filter(Boolean);
      };
      await until(async () => (await found('--kind', 'use')).length > 0, { what: 'the record in the ledger' });
      expect(await found('--kind', 'use')).toHaveLength(1);
      if (name === 'remote') killed = String(used[0]?.['origin']);
      await fleet.serve(name);
    }
  });

  it('leave their records at the authority, whose key alone verifies and proves them', async () => {
    const { token, taskId } = await fleet.declare();
    for (const name of SIDECARS) await allowed(name, token);
    const of = ['--config', join(fleet.folder, 'authority.yaml')];
    const used = async (): Promise<readonly { readonly log?: string; readonly decisionId: string }[]> => {
      const { out } = await ran(ledgerQuery, ...of, '--task', taskId, '--kind', 'use', '--decision', 'allow', '--json');
      return out.split('\n').flatMap((line) => (line.startsWith('{') ? JSON.parse(line) : []));
    };
    const names = async () => new Set((await used()).map(({ log }) => log?.split('/')[1]));
    await until(async () => (await names()).size === SIDECARS.length, { what: 'the uses of both sidecars' });
    expect(await names()).toEqual(new Set(SIDECARS));

    const key = fleet.ledgerKey();
    const verified = await ran(ledgerVerify, '--key', key, ...of, '--json');
    // 2: the last seconds of what goes on are under no checkpoint.
    expect([0, 2]).toContain(verified.exit);
    const { received } = JSON.parse(verified.out) as { readonly received: readonly { readonly id: string }[] };
    expect(new Set(received.map(({ id }) => id))).toEqual(new Set(['spiffe://acme.test/ns/pay/sa/tools-1', 'unix']));

    const [use] = await used();
    const proof = join(fleet.folder, 'use.proof');
    const prove = async () => (await ran(ledgerProve, use?.decisionId ?? '', ...of, '--out', proof)).exit === 0;
    await until(prove, { what: 'a checkpoint over the use' });
    expect(await ran(ledgerCheckProof, proof, '--key', key)).toMatchObject({
      exit: 0,
      out: expect.stringContaining('received  by an authority'),
    });
  });

  it('have a link in the log of the sidecar to the record of a use of high risk', async () => {
    const of = ['--config', join(fleet.folder, 'authority.yaml')];
    const { token, taskId } = await fleet.declare(undefined, ['payments.refund']);
    const refunded = async () => (await fleet.call('remote', token, '/v1/payments/p-1/refund', 'POST')) === '200';
    await until(refunded, { what: 'a refund' });
    const linked = async () => {
      const { out } = await ran(ledgerQuery, ...of, '--task', taskId, '--kind', 'settled', '--json');
      return out.split('\n').flatMap((line) => (line === '' ? [] : JSON.parse(line)));
    };
    const [link] = await until(async () => ((await linked()).length > 0 ? linked() : undefined), { what: 'the link' });
    const { out } = await ran(ledgerQuery, ...of, '--decision-id', link.decisionId, '--kind', 'use', '--json');
    const { seq: _seq, by: _by, ...sent } = JSON.parse(out);
    expect(sent.origin).toBe(link.log);
    expect(link.digest).toBe(
      createHash('sha256')
        .update(must(canonicalJson(sent)))
        .digest('base64url'),
    );
    expect((await ran(ledgerQuery, ...of, '--decision-id', link.decisionId)).out).toContain('recorded by an authority');
  });

  it('classify a use by those at the other sidecar, and link it with the last use that is known', async () => {
    const { token, taskId } = await fleet.declare();
    const reported = await fleet.toldUses('remote');
    await allowed('remote', token);
    await until(async () => (await fleet.toldUses('remote')) > reported, { what: 'the first use is told' });
    await allowed('local', token);
    // Another process under the same identity, as on another node. Then a workload that the token was not issued to.
    const twin = await fleet.workload('/ns/agents/sa/planner');
    const thief = await fleet.workload('/ns/agents/sa/thief');
    for (const by of [twin, thief])
      expect(await fleet.call('local', token, undefined, undefined, by)).toBe('401 token.binding');

    type Span = Readonly<{ spanId: string; traceId: string }>;
    type Use = Span &
      Readonly<{ log: string; reason: string; reuse: string[]; tokenUse: number; usedElsewhere?: Span }>;
    const of = ['--config', join(fleet.folder, 'authority.yaml'), '--task', taskId, '--kind', 'use', '--json'];
    const used = async (): Promise<readonly Use[]> => {
      const { out } = await ran(ledgerQuery, ...of);
      const all = out.split('\n').flatMap((line): Use[] => (line.startsWith('{') ? JSON.parse(line) : []));
      return all.toSorted((one, other) => one.tokenUse - other.tokenUse);
    };
    const refused = async () => (await used()).filter(({ reason }) => reason === 'token.binding');
    await until(async () => (await refused()).length === 2, { what: 'the records of both' });
    const all = await used();
    const there = all.filter(({ log }) => log.split('/')[1] === 'remote');
    const [first, ...later] = all.filter(({ log, reuse }) => log.split('/')[1] === 'local' && reuse.length > 0);
    expect(first?.reuse).toEqual(['other-trace', 'other-connection']);
    expect(first?.tokenUse).toBeGreaterThan(there.length);
    expect(there.map(({ spanId, traceId }) => ({ spanId, traceId }))).toContainEqual(first?.usedElsewhere);
    expect(later.filter(({ usedElsewhere }) => usedElsewhere !== undefined)).toEqual([]);
    expect((await refused()).map(({ reuse }) => reuse)).toEqual([
      ['other-certificate', 'other-node', 'other-trace', 'other-connection'],
      ['other-identity', 'other-node', 'other-trace', 'other-connection'],
    ]);
  });

  it('are shown by `remit fleet` with their leases and policies', async () => {
    const listed = async () =>
      JSON.parse((await ran(fleetCommand.run, '--admin', fleet.admin('authority'), '--json')).out).sidecars;
    // One that was killed before is shown until its lease is over.
    type Listed = readonly { readonly connected: boolean; readonly policy_set: string }[];
    const isWhole = (all: Listed): boolean => all.every((one) => one.connected && one.policy_set !== '');
    await until(async () => isWhole(await listed()), { what: 'what each sidecar says of itself' });
    const sidecars = await listed();
    expect(sidecars.map(({ peer }: { peer: string }) => peer).toSorted()).toEqual([
      'spiffe://acme.test/ns/pay/sa/tools-1',
      'unix',
    ]);
    expect(new Set(sidecars.map((one: { policy_set: string }) => one.policy_set)).size).toBe(1);
    for (const one of sidecars) expect(one).toMatchObject({ connected: true, lease_left_ms: expect.any(Number) });
    const { exit, out } = await ran(fleetCommand.run, '--admin', fleet.admin('remote'));
    expect([exit, out]).toEqual([2, '']);
  });

  it('have the signed policies of the authority, if their own key verifies them', async () => {
    type Told = Readonly<{ peer: string; policy_set: string; policy_generation: number }>;
    const set = async (peer: string): Promise<string> => {
      const { out } = await ran(fleetCommand.run, '--admin', fleet.admin('authority'), '--json');
      return (JSON.parse(out).sidecars as readonly Told[]).find((one) => one.peer === peer)?.policy_set ?? '';
    };
    const [remote, local] = ['spiffe://acme.test/ns/pay/sa/tools-1', 'unix'];
    // The other sidecar has the folder itself.
    const edited = async (agent: string): Promise<string> => {
      const before = await set(local);
      await writeFile(join(fleet.folder, 'policies', 'policies', 'more.cedar'), forbidding(agent));
      return until(async () => ((await set(local)) === before ? undefined : set(local)), { what: 'the folder' });
    };
    const next = await edited('no-one');
    await fleet.policies.publish(2);
    await until(async () => (await set(remote)) === next, { what: 'the next bundle at the sidecar' });

    // The authority trusts this key too, and serves what it has signed; the sidecar does not.
    const later = await edited('nobody');
    await fleet.policies.publish(3, 'second');
    await until(() => fleet.wrote('remote').includes('signed with a key that is not trusted'), { what: 'the refusal' });
    expect(await set(remote)).toBe(next);
    const { token } = await fleet.declare();
    await allowed('remote', token);
    await fleet.policies.publish(4);
    await until(async () => (await set(remote)) === later, { what: 'the same policies, signed by a trusted key' });
  });

  it('measure their lease and position, and the authority the logs that it receives, as the dashboards ask', async () => {
    for (const name of SIDECARS) {
      expect(await metricNames(fleet.admin(name))).toEqual(
        expect.arrayContaining([
          'remit_sidecar_lease_seconds',
          'remit_sidecar_following',
          'remit_sidecar_position',
          'remit_sidecar_cards',
          'remit_ledger_unacknowledged',
        ]),
      );
    }
    expect(await metricNames(fleet.admin('authority'))).toEqual(
      expect.arrayContaining(['remit_received_logs', 'remit_received_waiting_bytes', 'remit_emitter_events_total']),
    );
  });

  it('spend one budget together, to the last unit', async () => {
    const { token } = await fleet.declare({ max_calls: 25 });
    const answers: string[] = [];
    // In turns, since a use whose settlement is late is denied and counts nevertheless.
    for (let n = 0; n < 60; n += 1) answers.push(await fleet.call(n % 2 === 0 ? 'remote' : 'local', token));
    const late = answers.filter((answer) => answer === UNAVAILABLE).length;
    const spent = answers.filter((answer) => answer === '200').length;
    expect(spent).toBeLessThanOrEqual(25);
    expect(spent + late).toBeGreaterThanOrEqual(25);
    expect(answers.slice(-20)).not.toContain('200');
    const exhausted = async (name: SidecarName) => (await fleet.call(name, token)) === '403 task.exhausted';
    for (const name of SIDECARS) await until(() => exhausted(name), { what: `the end of the budget at ${name}` });
  });

  /** Pauses a sidecar for longer than its lease, while a task of which it has used a token ends. */
  const paused = async (name: SidecarName): Promise<void> => {
    const { token, taskId } = await fleet.declare();
    await allowed(name, token);
    fleet.signal(name, 'SIGSTOP');
    await new Promise((resolve) => setTimeout(resolve, LEASE_SECONDS * 1_000 + 500));
    await fleet.complete(taskId);
    const answers = Promise.all(Array.from({ length: 8 }, () => fleet.call(name, token)));
    fleet.signal(name, 'SIGCONT');
    expect((await answers).filter((answer) => answer === '200')).toEqual([]);
    await until(async () => (await fleet.call(name, token)) === '403 task.completed', { what: `a lease of ${name}` });
  };

  it('deny after a pause longer than the lease: the first answer is not made of what was true before', async () => {
    await Promise.all(SIDECARS.map(paused));
  });

  it('name the log of a sidecar that was killed as lost, with how much of it is kept', async () => {
    const of = ['--config', join(fleet.folder, 'authority.yaml')];
    const lost = async (): Promise<Lost | undefined> => {
      const { out } = await ran(ledgerQuery, ...of, '--kind', 'emitter', '--json');
      const records = out.split('\n').flatMap((line): Lost[] => (line.startsWith('{') ? JSON.parse(line) : []));
      return records.find(({ event, origin }) => event === 'lost' && origin === killed);
    };
    // An authority waits a minute for a log.
    const { size } = await until(lost, { what: 'the lost log', withinMs: 180_000 });
    const key = ['--key', fleet.ledgerKey()];
    const { exit, out } = await ran(ledgerVerify, ...key, ...of);
    // 2: the last seconds of what goes on are under no checkpoint.
    expect([0, 2]).toContain(exit);
    const block = out.split('\n\n').find((each) => each.includes(`received   ${killed}`));
    expect(block).toContain('state      LOST');
    expect(block).toContain(`${size} anchored, ${size} received, 0 missing`);
    const asked = ['--framework', 'csf-2.0', '--from', '-1h', ...key, '--format', 'json'];
    const { received } = JSON.parse((await ran(ledgerEvidence, ...of, ...asked)).out) as EvidenceReport;
    const remote = received?.filter(({ id }) => id === 'spiffe://acme.test/ns/pay/sa/tools-1');
    expect(remote?.map(({ state }) => state).toSorted()).toEqual(['lost', 'open']);
  });
});

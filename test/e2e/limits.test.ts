// Issue 42, points 6 and 8.
import { cp, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { beforeAll, expect, it } from '@jest/globals';
import type { UseRecord } from '../../src/core/ledger/record.ts';
import { describeWith, envoyPart } from '../parts.ts';
import { until } from '../until.ts';
import { testFolder } from '../builders/test-folders.ts';
import { Fleet, SIDECARS } from './fleet.ts';
import type { SidecarName } from './fleet.ts';
import { ran } from './process.ts';

/** Calls a day of each agent, over all its tasks. */
const CALLS = 60;
/** How much smaller the limit is that is tried beside it. */
const FEWER = 23;
const OVER = '403 limit.exceeded';
const limitsOf = (calls: number): string => `limits:
  - id: reads-a-day
    agents: ['spiffe://acme.test/ns/agents/*']
    actions: [payments.read]
    per: [agent]
    window: 1d
    calls: ${calls}
`;

describeWith(envoyPart(), 'a limit over all tasks at two sidecars', (envoy) => {
  const scratch = testFolder(() => fleet?.stop());
  let fleet: Fleet;
  let tokens: readonly string[] = [];
  /** When the race for the limit began, and how many calls it refused. */
  let from = '';
  let refusals = 0;

  beforeAll(async () => {
    fleet = await Fleet.start(envoy, scratch.folder, { limits: limitsOf(CALLS) });
    tokens = await Promise.all([1, 2, 3].map(async () => (await fleet.declare()).token));
  });

  const isOver = (name: SidecarName, token: string) =>
    until(async () => (await fleet.call(name, token)) === OVER, { what: `${OVER} at ${name}` });

  it('is never over, whichever tasks and sidecars race for it, and is used to the last call', async () => {
    const answers: string[] = [];
    from = new Date().toISOString();
    const caller = async (name: SidecarName, token: string): Promise<void> => {
      for (let answer = ''; answer !== OVER;) {
        answer = await fleet.call(name, token);
        answers.push(answer);
      }
    };
    await Promise.all(
      SIDECARS.flatMap((name) => tokens.flatMap((token) => [caller(name, token), caller(name, token)])),
    );
    expect(answers.filter((answer) => answer === '200')).toHaveLength(CALLS);
    refusals = answers.filter((answer) => answer === OVER).length;
    // Other actions are not limited.
    for (const name of SIDECARS) expect(await fleet.call(name, tokens[0] ?? '', '/v1/payments')).toBe('200');
  });

  const config = () => ['--config', join(fleet.folder, 'authority.yaml')];

  /** The recorded uses of the limited action since the race began; those that were taken back before they were answered took nothing. */
  async function recorded() {
    const of = ['--since', from, '--kind', 'use', '--action', 'payments.read', '--limit', '1000', '--json'];
    const { out } = await ran(['ledger', 'query', ...config(), ...of]);
    const uses = out.split('\n').flatMap((line): UseRecord[] => (line.startsWith('{') ? [JSON.parse(line)] : []));
    return {
      allowed: uses.filter(({ decision }) => decision === 'allow').map(({ limits }) => limits),
      denied: uses.filter(({ reason }) => reason === 'limit.exceeded').map(({ limits }) => limits),
      takenBack: uses.filter(({ withdraws }) => withdraws !== undefined).length,
    };
  }

  /** What limits would have denied since then. */
  async function tried(policies: string) {
    const { code, out, err } = await ran(['limits', 'try', policies, ...config(), '--since', from, '--json']);
    if (code !== 1) throw new Error(`exit code ${code}: ${err}`);
    return JSON.parse(out);
  }

  it('would have denied as many of the recorded uses as it did, and a smaller limit all that are beyond it', async () => {
    const { allowed, denied, takenBack } = await until(
      async () => {
        const uses = await recorded();
        return uses.allowed.length - uses.takenBack === CALLS && uses.denied.length >= refusals ? uses : false;
      },
      { what: 'the records of both sidecars' },
    );
    const own = join(fleet.folder, 'policies');
    const smaller = join(fleet.folder, 'smaller');
    await cp(own, smaller, { recursive: true });
    await writeFile(join(smaller, 'limits.yaml'), limitsOf(CALLS - FEWER));
    for (const [policies, fewer] of [
      [own, 0],
      [smaller, FEWER],
    ] as const) {
      const report = await tried(policies);
      const max = CALLS - fewer;
      const limits = [{ limit: 'reads-a-day', counts: 'calls', max, keys: [{ most: max }] }];
      expect(report).toMatchObject({ counted: allowed.length + denied.length, untried: [], limits });
      // What was taken back may have been beyond the limit.
      expect(report.denied).toBeGreaterThanOrEqual(denied.length + fewer);
      expect(report.denied).toBeLessThanOrEqual(denied.length + fewer + takenBack);
    }
  });

  it('is in the record of each use with what is left of it, or of the share of the sidecar', async () => {
    const { allowed, denied } = await recorded();
    const numbers = allowed.map((limits) => limits?.[0]?.left ?? limits?.[0]?.share);
    expect(allowed).toEqual(allowed.map(() => [expect.objectContaining({ id: 'reads-a-day', counts: 'calls' })]));
    expect(numbers.filter((number) => number === undefined || number < 0 || number >= CALLS)).toEqual([]);
    expect(denied.length).toBeGreaterThan(0);
    expect(denied).toEqual(denied.map(() => [{ id: 'reads-a-day', counts: 'calls', left: 0 }]));
  });

  it('is refilled by no new task, and by no restart of the authority and a sidecar', async () => {
    const { token } = await fleet.declare();
    for (const name of SIDECARS) await isOver(name, token);
    const killed = ['authority', 'remote'] as const;
    for (const name of killed) fleet.signal(name, 'SIGKILL');
    const isGone = (name: (typeof killed)[number]) =>
      fleet.readiness(name).then(
        () => false,
        () => true,
      );
    for (const name of killed) await until(() => isGone(name), { what: `the end of ${name}` });
    await Promise.all(killed.map((name) => fleet.serve(name)));
    for (const name of SIDECARS) await isOver(name, token);
  });
});

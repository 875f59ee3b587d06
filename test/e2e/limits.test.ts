// Issue 42, points 6 and 8.
import { afterAll, beforeAll, expect, it } from '@jest/globals';
import { describeWith, envoyPart } from '../parts.ts';
import { until } from '../until.ts';
import { scratchFolder } from './domain.ts';
import { Fleet, SIDECARS } from './fleet.ts';
import type { SidecarName } from './fleet.ts';

/** Calls a day of each agent, over all its tasks. */
const CALLS = 60;
const OVER = '403 limit.exceeded';
const LIMITS = `limits:
  - id: reads-a-day
    agents: ['spiffe://acme.test/ns/agents/*']
    actions: [payments.read]
    per: [agent]
    window: 1d
    calls: ${CALLS}
`;

describeWith(envoyPart(), 'a limit over all tasks at two sidecars', (envoy) => {
  let scratch: Awaited<ReturnType<typeof scratchFolder>>;
  let fleet: Fleet;
  let tokens: readonly string[] = [];

  beforeAll(async () => {
    scratch = await scratchFolder('remit-limits-');
    fleet = await Fleet.start(envoy, scratch.folder, { limits: LIMITS });
    tokens = await Promise.all([1, 2, 3].map(async () => (await fleet.declare()).token));
  });
  afterAll(async () => {
    await fleet?.stop();
    await scratch?.remove();
  });

  const isOver = (name: SidecarName, token: string) =>
    until(async () => (await fleet.call(name, token)) === OVER, { what: `${OVER} at ${name}` });

  it('is never over, whichever tasks and sidecars race for it, and is used to the last call', async () => {
    const answers: string[] = [];
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
    // Other actions are not limited.
    for (const name of SIDECARS) expect(await fleet.call(name, tokens[0] ?? '', '/v1/payments')).toBe('200');
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

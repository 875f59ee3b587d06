import { appendFile, cp, readdir, rename, truncate } from 'node:fs/promises';
import { join } from 'node:path';
import { beforeAll, expect, it } from '@jest/globals';
import { both, describeWith, envoyPart } from '../parts.ts';
import { thoroughly } from '../thoroughly.ts';
import { until } from '../until.ts';
import { testFolder } from '../builders/test-folders.ts';
import { ran } from './process.ts';
import { Processes } from './processes.ts';
import { SteadyCallers } from './steady-callers.ts';

/** A process indexes a minute after its start at the earliest, which nothing can set. */
const minutesPart = {
  name: 'two minutes',
  found: thoroughly<true | null>(true, null),
  enable: 'REMIT_THOROUGH=1 npm run jest',
  isOptional: true,
};

const names = (folder: string): Promise<readonly string[]> => readdir(folder).catch(() => []);

/** How many uses a policy decided, and what is said beside that. */
async function uses(at: string): Promise<readonly [number, string]> {
  const asked = ['--policy', 'payments-read', '--kind', 'use', '--json', '--limit', '100000'];
  const { out, err } = await ran(['ledger', 'query', '--ledger', at, ...asked]);
  return [out.split('\n').length - 1, err];
}

/** Issue 43, point 5: `remit serve` makes the index, and `remit ledger query` finds by it. */
describeWith(both(envoyPart(), minutesPart), 'a process that indexes its ledger', ([envoy]) => {
  const scratch = testFolder(() => processes?.stop());
  let processes: Processes;
  let calls = 0;
  const ledger = (): string => join(scratch.folder, 'ledger-1');

  beforeAll(async () => {
    processes = await Processes.start(envoy, scratch.folder, { kind: 'alone' });
    await appendFile(processes.config, 'ledger: { segmentMiB: 1 }\n');
    await processes.serve(1);
    const { token } = await processes.declare();
    const callers = new SteadyCallers(processes.envoyPort, [{ agent: processes.agent, token }]);
    // As soon as there is a second segment, the first is closed.
    await until(async () => (await names(ledger())).filter((name) => /^segment-\d+\.db$/.test(name)).length > 1, {
      what: 'a closed segment',
      withinMs: 240_000,
    });
    await callers.stop();
    calls = callers.calls.length;
    expect(callers.calls.filter(({ answer }) => answer !== '200')).toEqual([]);
  });

  it('makes the index of a closed segment within two minutes', async () => {
    await until(async () => (await names(join(ledger(), 'index'))).some((name) => name.endsWith('.index')), {
      what: 'a part of the index',
      withinMs: 200_000,
    });
    const { code, out } = await ran(['ledger', 'index', '--ledger', ledger(), '--json']);
    expect([code, JSON.parse(out)]).toEqual([0, expect.objectContaining({ made: 0, discarded: 0 })]);
    expect(JSON.parse(out).indexed).toBeGreaterThan(0);
  });

  it('finds the same by the index as without it, and reads the records if it is damaged', async () => {
    expect(await processes.end(1, 'SIGTERM')).toBe(0);
    expect(await uses(ledger())).toEqual([calls, '']);
    const copy = join(scratch.folder, 'copy');
    await cp(ledger(), copy, { recursive: true });
    for (const name of await names(join(copy, 'index'))) await truncate(join(copy, 'index', name), 100);
    expect(await uses(copy)).toEqual([calls, expect.stringMatching(/records were read instead/)]);
    await rename(join(copy, 'index'), join(scratch.folder, 'index-away'));
    expect(await uses(copy)).toEqual([calls, '']);
  });
});

import { readdirSync, readFileSync } from 'node:fs';
import { expect, it, jest } from '@jest/globals';
import { both, describeWith, envoyPart, postgresPart } from '../parts.ts';
import { thoroughly } from '../thoroughly.ts';
import { until } from '../until.ts';
import { testFolder } from '../builders/test-folders.ts';
import { ran, remit } from './process.ts';

jest.setTimeout(600_000);

/** Processes whose command line names a folder. */
const processesIn = (folder: string): readonly string[] =>
  readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .flatMap((pid) => {
      try {
        return [readFileSync(`/proc/${pid}/cmdline`, 'utf8').replaceAll('\0', ' ')];
      } catch {
        // It has ended meanwhile.
        return [];
      }
    })
    .filter((line) => line.includes(folder));

describeWith(both(envoyPart(), postgresPart()), 'remit demo --fleet', ([envoy, postgres]) => {
  const scratch = testFolder();
  const environment = (): Record<string, string> => ({ ENVOY_BIN: envoy, TMPDIR: scratch.folder });
  const words = ['demo', '--fleet', '--postgres', postgres];
  const expectNothingLeft = async (): Promise<void> => {
    await until(() => processesIn(scratch.folder).length === 0, { what: 'no process is left' });
    expect(readdirSync(scratch.folder)).toEqual([]);
  };

  it('plays every step as expected, with what each took, prints so last, and leaves nothing behind', async () => {
    const { code, out, err } = await ran(words, environment());
    expect(out).not.toContain('EXPECTED');
    expect(out.trimEnd().split('\n').at(-1)).toBe('demo: 26 of 26 steps as expected');
    expect(out).toMatch(/the agent completes it at authority 2: acknowledged after [\d,]+ ms: 3 of 3 sidecars/);
    expect(out).toMatch(/node [bc] takes over from node a: [\d,]+ ms without an allowed call/);
    expect(code).toBe(0);
    expect(`${out}${err}`).not.toMatch(/eyJ|PRIVATE KEY/);
    await expectNothingLeft();
  });

  // What is stopped in the middle is stopped after the last step too, above.
  const starting = ['while it starts', 'starting two authorities'] as const;
  it.each(thoroughly([starting, ['in the middle', ' 1. '] as const], [starting]))(
    'leaves nothing after Ctrl-C %s',
    async (_when, text) => {
      const running = remit(words, environment());
      await running.said(text);
      running.child.kill('SIGINT');
      expect(await running.exit).toBe(1);
      await expectNothingLeft();
    },
  );

  it.each([
    [
      ['--postgres', '/nowhere'],
      /the programs `initdb` and `postgres` of PostgreSQL 15 or later are not in `\/nowhere`/,
    ],
    [['--keep'], /`--keep` does not go with `--fleet`/],
  ])('%s: says what is wrong and starts nothing', async (more, problem) => {
    const { code, out, err } = await ran(['demo', '--fleet', ...more], environment());
    expect([code, out]).toEqual([2, '']);
    expect(err).toMatch(problem);
    expect(readdirSync(scratch.folder)).toEqual([]);
  });
});

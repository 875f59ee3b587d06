import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, it } from '@jest/globals';
import { describeWith, helmPart } from '../parts.ts';
import { caseFile, cases, chartFolder, mustTemplate, ran } from './chart.ts';

const golden = (name: string): string => join(import.meta.dirname, 'golden', `${name}.yaml`);

/** The text of each policy file is not worth keeping, nor is what differs between Helm 3 and 4: empty lines. */
const kept = (rendered: string): string => rendered.replaceAll(/\n\s*\n/g, '\n').trimEnd();

describeWith(helmPart(), 'the chart', ([helm4, helm3]) => {
  it.each([
    ['Helm 4', helm4],
    ['Helm 3', helm3],
  ])('passes `lint --strict` of %s', async (_version, helm) => {
    expect(await ran(helm, ['lint', '--strict', chartFolder])).toMatchObject({ code: 0 });
  });

  it.each(cases)('renders `%s` as in test/chart/golden, by Helm 4 and 3', async (name) => {
    const [by4, by3] = await Promise.all(
      [helm4, helm3].map(async (helm) => kept(await mustTemplate(helm, ['--values', caseFile(name)]))),
    );
    // `UPDATE_GOLDEN=1 npm run jest -- test/chart` writes them.
    if (process.env['UPDATE_GOLDEN'] === '1') await writeFile(golden(name), `${by4}\n`);
    expect(by4).toBe((await readFile(golden(name), 'utf8')).trimEnd());
    expect(by3).toBe(by4);
  });
});

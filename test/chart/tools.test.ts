import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from '@jest/globals';
import { describeWith, helmDocsPart, helmUnittestPart } from '../parts.ts';
import { chartFolder, ran } from './chart.ts';

describeWith(helmUnittestPart(), 'the rules of the chart', (helmUnittest) => {
  it('hold, in deploy/chart/tests by helm-unittest', async () => {
    const { code, stdout } = await ran(helmUnittest, ['--strict', '--color=false', chartFolder]);
    expect({ code, stdout }).toEqual({ code: 0, stdout: expect.stringMatching(/Tests: +[1-9]\d* passed, \d+ total/) });
  });
});

describeWith(helmDocsPart(), 'the README of the chart', (helmDocs) => {
  it('is as helm-docs makes it, and has every value', async () => {
    const { code, stdout } = await ran(helmDocs, ['--dry-run', '--sort-values-order=file']);
    const rows = stdout.split('\n').filter((line) => line.startsWith('| `'));
    expect(code).toBe(0);
    expect(rows.length).toBeGreaterThan(50);
    expect(rows.filter((row) => row.endsWith('|  |'))).toEqual([]);
    const file = join(chartFolder, 'README.md');
    // `UPDATE_GOLDEN=1 npm run jest -- test/chart` writes it.
    if (process.env['UPDATE_GOLDEN'] === '1') writeFileSync(file, stdout);
    expect(readFileSync(file, 'utf8')).toBe(stdout);
  });
});

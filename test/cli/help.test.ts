import { readdirSync, readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { describe, expect, it } from '@jest/globals';
import { parse } from 'yaml';
import { GUIDE_FOLDER, guideLink } from '../../src/core/config/guide.ts';
import { guidePage } from '../../src/cli/guide-page.ts';
import { codes, pageOf, type Code } from '../../src/tools/doctor/codes.ts';
import { isProblem } from '../../src/core/runtime/problem.ts';
import { ran } from '../e2e/process.ts';

const page = (topic: string) => guidePage(GUIDE_FOLDER, topic);

describe('guidePage', () => {
  it.each(['fix/reasons', 'reasons', 'Reasons', 'fix/reasons.md'])('finds a page by `%s`', async (topic) => {
    expect(await page(topic)).toBe(readFileSync(resolve(GUIDE_FOLDER, 'fix/reasons.md'), 'utf8'));
  });

  it('prints a section, with the sections below it', async () => {
    const section = await page('quick-starts#docker-compose');
    if (typeof section !== 'string') throw new Error(section.problem);
    const text = section.replaceAll(/^```[^]*?^```$/gm, '');
    const headings = text.split('\n').filter((line) => /^#+ /.test(line));
    expect(headings[0]).toMatch(/^#+ Docker Compose$/);
    const levels = headings.map((heading) => heading.indexOf(' '));
    for (const level of levels.slice(1)) expect(level).toBeGreaterThan(levels[0] ?? 0);
  });

  it.each([
    ['a page that is not there', 'reasosn', 'the guide has no page `reasosn`: did you mean `reasons`?'],
    ['a page outside of the guide', '../../README', 'the guide has no page `../../README`'],
    ['a section that is not there', 'fix/reasons#nothing', 'the page `fix/reasons` has no section `nothing`'],
    [
      'a name of several pages',
      'postgresql',
      'the guide has several pages `postgresql`: install/postgresql, operate/postgresql',
    ],
  ])('refuses %s', async (_name, topic, problem) => {
    expect(await page(topic)).toEqual({ problem });
  });
});

describe('links into the guide', () => {
  it('of each finding of the doctor lead to its section', async () => {
    const lost: string[] = [];
    for (const code of codes.keys()) {
      // The keys of the table are its codes.
      const link = pageOf(code as Code);
      if (isProblem(await page(link))) lost.push(link);
    }
    expect(lost).toEqual([]);
  });

  it('of each alert lead to its run-book', async () => {
    const alerts = parse(readFileSync(resolve(GUIDE_FOLDER, '../prometheus/alerts.yaml'), 'utf8'));
    const names: readonly string[] = alerts.groups.flatMap(({ rules }: { readonly rules: readonly object[] }) =>
      rules.flatMap((rule) => ('alert' in rule ? [String(rule.alert)] : [])),
    );
    expect(names.length).toBeGreaterThan(40);
    for (const name of names) expect(isProblem(await page(name))).toBe(false);
    expect(readdirSync(resolve(GUIDE_FOLDER, 'watch/runbooks')).toSorted()).toEqual(
      names.map((name) => `${name}.md`).toSorted(),
    );
  });

  it('are commands, or URLs below the single setting', () => {
    expect(guideLink('fix/reasons#tokenbinding', undefined)).toBe('remit help fix/reasons#tokenbinding');
    expect(guideLink('fix/reasons#tokenbinding', 'https://docs.acme.test/remit/')).toBe(
      'https://docs.acme.test/remit/fix/reasons.md#tokenbinding',
    );
  });
});

describe('remit help', () => {
  it('prints the installed page, the list, and help alone', async () => {
    const runbook = await ran(['help', 'RemitDown']);
    expect([runbook.code, runbook.out]).toEqual([0, expect.stringMatching(/^# RemitDown\n/)]);
    const list = await ran(['help', '--list']);
    expect([list.code, list.out]).toEqual([0, expect.stringMatching(/^fix\/reasons$/m)]);
    const alone = await ran(['help']);
    expect([alone.code, alone.out]).toEqual([0, expect.stringMatching(/^usage: remit COMMAND/m)]);
    const none = await ran(['help', 'nothing-like-it']);
    expect([none.code, none.err]).toEqual([
      1,
      'remit help: the guide has no page `nothing-like-it`; `remit help --list` prints the names of all pages\n',
    ]);
  });
});

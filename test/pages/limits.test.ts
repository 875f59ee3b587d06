import { readFileSync } from 'node:fs';
import { describe, expect, it } from '@jest/globals';
import { limitsFrom } from '../../src/core/policy/loading/limits-file.ts';
import { runSuites } from '../../src/tools/policy/cases/run-suites.ts';
import { mustCatalog } from '../builders/catalog.ts';
import { must } from '../builders/must.ts';
import { folderWith, mustLoad } from '../builders/policy-folder.ts';
import { mustCases } from '../tools/policy/cases/folder.ts';

const CATALOG = `servers:
  payments:
    hosts: [payments.acme.test]
    audience: https://payments.acme.test
    routes:
      - action: payments.create
        method: POST
        path: /v1/payments
        risk: high
        args:
          amount: { from: body, type: long, required: true }
          currency: { from: body, required: true }
          account: { from: body, required: true }
`;

const snippetsOf = (page: string): readonly string[] =>
  [...readFileSync(`deploy/guide/${page}`, 'utf8').matchAll(/^ *```yaml\n([^]*?)^ *```/gm)].map(([, text = '']) =>
    text.startsWith('   ') ? text.replaceAll(/^ {3}/gm, '') : text,
  );

const files = ['reference/limits.md', 'operate/limits.md'].flatMap((page) =>
  snippetsOf(page).flatMap((text) => (text.startsWith('limits:') ? [{ page, text }] : [])),
);
const suites = snippetsOf('operate/limits.md').filter((text) => text.startsWith('cases:'));

describe('the pages about limits', () => {
  it('have files and a case', () => {
    expect([files.length, suites.length]).toEqual([4, 1]);
  });

  it.each(files.map(({ page, text }) => [page, text]))('is a good `limits.yaml` in %s: %s', (page = '', text = '') => {
    const { findings, warnings } = limitsFrom({ file: page, text }, mustCatalog(CATALOG));
    expect([findings, warnings]).toEqual([[], []]);
  });

  it('has a case that its first recipe passes', async () => {
    const limits = files.find(({ page }) => page === 'operate/limits.md')?.text ?? '';
    const policies = '@id("all") permit (principal, action, resource);';
    const set = await mustLoad(folderWith(policies, { catalog: CATALOG, limits }));
    const options = { isUnlistedTried: false, onProgress: () => undefined };
    const result = must(runSuites({ files: 1, cases: mustCases(suites[0] ?? ''), cedarTests: [] }, set, options));
    expect(result.cases.map(({ status, messages }) => [status, messages])).toEqual([['passed', []]]);
  });

  it('names every key of a limit in the table', () => {
    const page = readFileSync('deploy/guide/reference/limits.md', 'utf8');
    const known = limitsFrom({ file: 'l', text: 'limits: [{ none: 1 }]' }, null).findings.find(({ help }) =>
      help?.startsWith('known: '),
    );
    const keys = known?.help?.slice('known: '.length).split(', ') ?? [];
    expect(keys.filter((key) => !new RegExp(`^\\| [^|]*\`${key}\``, 'm').test(page))).toEqual([]);
    expect(keys.length).toBe(11);
  });
});

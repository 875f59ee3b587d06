import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { tmpdir } from 'node:os';
import { describe, expect, it } from '@jest/globals';

const root = resolve(import.meta.dirname, '../..');

/** What oxlint says of the body of a function under this rule. */
function linted(body: string): string {
  const folder = mkdtempSync(join(tmpdir(), 'remit-lint-'));
  try {
    const config = { jsPlugins: [join(root, '.ci/lint/remit-plugin.ts')], rules: { 'remit/no-lone-expect': 'error' } };
    writeFileSync(join(folder, '.oxlintrc.json'), JSON.stringify(config));
    writeFileSync(join(folder, 'a.ts'), `export const a = (b: boolean, c: number[]) => { ${body} };`);
    const options = { cwd: folder, encoding: 'utf8' } as const;
    return execFileSync(join(root, 'node_modules/.bin/oxlint'), ['-f', 'unix', 'a.ts'], options);
  } catch (error) {
    return String((error as { readonly stdout?: unknown }).stdout);
  } finally {
    rmSync(folder, { recursive: true });
  }
}

/** Issue 40, point 8: 60 expectations were of conditions that nobody knew to hold. */
describe('the lint rule remit/no-lone-expect', () => {
  it.each([
    ['an expectation', 'if (b) expect(c).toEqual([]);'],
    ['one in a block', 'if (b) { c.pop(); expect(c).toEqual([]); }'],
    ['one for each', 'if (b) for (const d of c) expect(d).toBe(1);'],
    ['the last of several', 'if (b) expect(c).toEqual([]); else if (c.length > 2) expect(c).toEqual([1]);'],
  ])('refuses %s that a condition may skip', (_name, body) => {
    expect(linted(body)).toContain('nothing is expected if this condition does not hold');
  });

  it.each([
    ['what is expected otherwise', 'if (b) expect(c).toEqual([]); else expect(c).toEqual([1]);'],
    ['a way out', 'if (b) { expect(c).toEqual([]); return; } expect(c).toEqual([1]);'],
    ['one value', 'expect(b ? c : []).toEqual([]);'],
    ['a whole test', "if (b) it('is here', () => expect(c).toEqual([]));"],
  ])('accepts %s', (_name, body) => {
    expect(linted(body)).not.toContain('nothing is expected');
  });
});

import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { describe, expect, it } from '@jest/globals';
import { expressionProblem } from '../../.ci/lint/expression-cost.ts';

const root = resolve(import.meta.dirname, '../..');
const problemOf = ({ source, flags }: RegExp): string | null => expressionProblem(source, flags);

/** What oxlint says of a file under this rule. */
function linted(text: string): string {
  const folder = mkdtempSync(join(tmpdir(), 'remit-lint-'));
  try {
    const plugin = join(root, '.ci/lint/remit-plugin.ts');
    const rules = { 'remit/linear-expression': 'error' };
    writeFileSync(join(folder, '.oxlintrc.json'), JSON.stringify({ jsPlugins: [plugin], rules }));
    writeFileSync(join(folder, 'a.ts'), text);
    return execFileSync(join(root, 'node_modules/.bin/oxlint'), ['-f', 'unix', 'a.ts'], {
      cwd: folder,
      encoding: 'utf8',
    });
  } catch (error) {
    return String((error as { readonly stdout?: unknown }).stdout);
  } finally {
    rmSync(folder, { recursive: true });
  }
}

/** Issue 37, point 1: one expression of these stopped all checks for seconds. */
describe('expressionProblem', () => {
  it.each([
    ['the password of a URI, as it was', /[a-z][a-z0-9+.-]*:\/\/[^/?#@:]*:([^/?#@]{1,1024})@/i],
    ['an end that is not anchored', /\/+$/],
    ['a line end', /[ \t]+$/m],
    ['two neighbours that share characters', /^[a-z]+[a-z0-9]*x/],
    ['blanks around something optional', /^a\s*"?\s*=/],
    ['a repetition in a repetition', /^(?:a+)+$/],
    ['alternatives that share a beginning', /^(?:a|a)*$/],
    ['a bounded repetition of an endless one', /^(?:a*){0,20}b/],
    ['one branch that is anchored and one that is not', /^-+|-+$/],
    ['a bound too wide to try at each character', /a{1,1000}b/],
    ['a string that is looked for anywhere', /"[^"\\]*(?:\\.[^"\\]*)*"/],
    ['a look ahead at each place', /a(?=\w*b)/],
    ['a look behind over any length', /(?<=a[^b]*)b/],
    ['a reference to a group', /^(a+)\1$/],
  ])('finds %s: %s', (_name, expression) => {
    expect(problemOf(expression)).not.toBeNull();
  });

  it.each([
    ['an anchored one', /^[a-z][a-z0-9+.-]*:\/\//],
    ['a run with nothing behind it', /[A-Za-z0-9_~+/.-]+/g],
    ['a bounded one', /-----BEGIN (?:[A-Z0-9]{1,16} ){0,3}PRIVATE KEY-----/],
    ['a beginning that the run cannot contain', /:\/\/[^/?#@:]*:[^/?#@]{1,1024}@/],
    ['neighbours without a common character', /^application\/json[ \t]*(;[ \t]*charset="?utf-8"?[ \t]*)?$/i],
    ['a sticky one', /"(?:[^"\\]|\\[^])*"?/uy],
    ['looks ahead at one place', /^(?=.*[0-9])(?=.*[A-Za-z])[A-Za-z0-9_.+/=-]{20,}$/],
    ['labels with a separator', /^[0-9a-z_-]+(?:\.[0-9a-z_-]+)*$/],
    ['what matches the rest of any text', /^\/([^/?#]*)(.*)/s],
    ['what goes on behind the last of many', /^.*\bURI=([^;,"]*)/s],
  ])('lets %s be: %s', (_name, expression) => {
    expect(problemOf(expression)).toBeNull();
  });
});

describe('the lint rule remit/linear-expression', () => {
  it.each([
    ['a literal', 'export const a = /x+$/;', 'this expression is not linear'],
    ['a text', "export const a = new RegExp('x+$');", 'this expression is not linear'],
    ['a call', "export const a = RegExp('x+$', 'i');", 'this expression is not linear'],
    ['one made at run time', 'export const a = (b: string) => new RegExp(`${b}x`);', 'made at run time'],
  ])('refuses %s', (_name, text, message) => {
    expect(linted(text)).toContain(message);
  });

  it('accepts linear expressions', () => {
    expect(linted("export const a = [/^x+$/, new RegExp('^x+$'), new RegExp(/y/g)];")).not.toContain('linear');
  });

  it('is an error in src', () => {
    const config = execFileSync(join(root, 'node_modules/.bin/oxlint'), ['--print-config', 'src/main.ts'], {
      cwd: root,
      encoding: 'utf8',
    });
    expect(config).toContain('remit/linear-expression');
  });
});

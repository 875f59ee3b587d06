import { readFileSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { describe, expect, it } from '@jest/globals';
import { injectCommand } from '../../src/cli/inject.ts';
import { remitVersion } from '../../src/core/config/version.ts';
import { commandRun } from '../builders/command-run.ts';
import { testFolders } from '../builders/test-folders.ts';

const folder = testFolders();
const made = resolve(import.meta.dirname, '../../deploy/inject');

/** The command with these words, and `stdin` as its standard input. */
async function run(args: readonly string[], stdin: string | Uint8Array = '') {
  const { code, out, err } = await commandRun(injectCommand.run, args, {
    stdin: async function* () {
      yield Buffer.from(stdin);
    },
  });
  return { code, out: out.join('\n'), err };
}

const POD =
  'apiVersion: v1\nkind: Pod\nmetadata:\n  name: web\nspec:\n  containers:\n    - name: app\n      image: app\n';

describe('remit inject', () => {
  it.each([
    ['policy', 'admission-policy.yaml'],
    ['guard', 'guard.yaml'],
    ['istio', 'istio.yaml'],
    ['kustomize', 'kustomize/kustomization.yaml'],
    ['kustomize-agent', 'kustomize-agent/kustomization.yaml'],
  ])('--print %s prints what %s has', async (what, file) => {
    const { code, out, err } = await run(['--print', what]);
    expect({ code, err }).toEqual({ code: 0, err: [] });
    expect(`${out}\n`).toBe(readFileSync(join(made, file), 'utf8'));
    expect(out).toContain(`ghcr.io/remit-dev/remit:${remitVersion().replace(/\+.*/, '')}`);
  });

  it('reads a file or standard input, and tells what became of each object', async () => {
    const file = join(folder(), 'pod.yaml');
    writeFileSync(file, POD);
    const of = await run(['-f', file, '--image', 'registry.test/remit@sha256:0a']);
    expect({ ...of, out: of.out.includes('image: registry.test/remit@sha256:0a') }).toEqual({
      code: 0,
      out: true,
      err: ['Pod/web: injected'],
    });
    const again = await run(['-f', '-', '--image', 'registry.test/remit@sha256:0a'], `${of.out}\n`);
    expect(again).toEqual({ code: 0, out: of.out, err: ['Pod/web: has it already'] });
  });

  it('says that there is nothing to inject', async () => {
    const { code, out, err } = await run(['-f', '-'], 'kind: Service\napiVersion: v1\nmetadata: {name: s}\n');
    expect({ code, out, err }).toEqual({
      code: 0,
      out: 'kind: Service\napiVersion: v1\nmetadata: {name: s}',
      err: ['Service/s: skipped: it is no workload', 'nothing to inject'],
    });
  });

  it.each([
    ['no file', [], 'name either `-f FILE` or `--print`'],
    ['both', ['-f', '-', '--print', 'guard'], 'name either `-f FILE` or `--print`'],
    [
      'an unknown form',
      ['--print', 'helm'],
      '`--print` takes policy, guard, istio, kustomize, kustomize-agent; got "helm"',
    ],
    ['an image of two lines', ['--print', 'guard', '--image', 'a\nb'], 'invalid image "a\\nb"'],
    ['a file that is not there', ['-f', '/nowhere.yaml'], '`/nowhere.yaml`: ENOENT'],
    ['a folder', ['-f', '/tmp'], '`/tmp`: EISDIR'],
  ])('refuses %s', async (_row, args, message) => {
    expect(await run(args)).toEqual({ code: 2, out: '', err: [`remit inject: ${message}`] });
  });

  it('prints nothing of a text that is no YAML, no UTF-8 or too long', async () => {
    expect(await run(['-f', '-'], `${POD}---\na: 1\na: 2\n`)).toEqual({
      code: 2,
      out: '',
      err: ['remit inject: standard input:11: invalid YAML: Map keys must be unique'],
    });
    expect(await run(['-f', '-'], Uint8Array.of(0xff))).toEqual({
      code: 2,
      out: '',
      err: ['remit inject: standard input must be valid UTF-8'],
    });
    expect(await run(['-f', '-'], '#'.repeat(16 * 1024 * 1024 + 1))).toEqual({
      code: 2,
      out: '',
      err: ['remit inject: standard input is larger than 16777216 bytes'],
    });
  });
});

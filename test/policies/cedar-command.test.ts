import { execFile } from 'node:child_process';
import { cpSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, expect, it } from '@jest/globals';
import { policyImport } from '../../src/cli/policy/policy-import.ts';
import { policySchema } from '../../src/cli/policy/policy-schema.ts';
import { exampleFolder } from '../cli/example-folder.ts';
import { cedarPart, describeWith } from '../parts.ts';
import { CEDAR_VERSION } from '../parts/cache.ts';

const root = resolve(import.meta.dirname, '../..');
/** Exit code of `cedar validate` for policies that do not match the schema. */
const INVALID = 3;

const policy = (value: string): string =>
  `permit (principal, action == Remit::Action::"tracker.issues.create", resource) when { context.args.severity != ${value} };`;

describeWith(cedarPart(), 'the policy folder and the command of Cedar', (cedar) => {
  const folder = exampleFolder();
  afterAll(() => folder.remove());

  /** Runs a shell command with `cedar` in its path; returns exit code and output. */
  const shell = async (line: string, cwd = root): Promise<readonly [code: number, said: string]> => {
    const env = { ...process.env, PATH: `${dirname(cedar)}:${process.env['PATH'] ?? ''}` };
    try {
      const { stdout, stderr } = await promisify(execFile)('bash', ['-c', line], { cwd, env });
      return [0, stdout + stderr];
    } catch (error) {
      const { code, stdout, stderr } = error as {
        readonly code: number;
        readonly stdout: string;
        readonly stderr: string;
      };
      return [code, stdout + stderr];
    }
  };
  const POLICIES = 'cat policies/*.cedar';

  it('has the version of the engine', async () => {
    const engine = JSON.parse(readFileSync(join(root, 'node_modules/@cedar-policy/cedar-wasm/package.json'), 'utf8'));
    expect(engine.version).toBe(CEDAR_VERSION);
    expect(await shell('cedar --version')).toEqual([0, expect.stringContaining(CEDAR_VERSION)]);
  });

  it('validates the shipped folder as the page says', async () => {
    const page = readFileSync(join(root, 'cedar-policies/README.md'), 'utf8');
    const line = /^cat .* \| cedar validate .*$/m.exec(page)?.[0] ?? '';
    expect(await shell(line)).toEqual([0, expect.stringContaining('policy set validation passed')]);
  });

  it('accepts the shipped entities with that schema', async () => {
    const schema = '--schema cedar-policies/remit.cedarschema';
    const line = `cedar check-parse ${schema} --entities cedar-policies/entities.cedarentities.json`;
    expect(await shell(line)).toEqual([0, expect.not.stringContaining('failed')]);
  });

  it('refuses a policy that the schema refuses, and all actions with the base schema only', async () => {
    await folder.run(policySchema, folder.path, '--write');
    const wrong = `permit (principal, action == Remit::Action::"payments.create", resource) when { context.args.amout > 1 };`;
    const schema = '--schema remit.cedarschema';
    const [code, said] = await shell(`echo '${wrong}' | cedar validate ${schema}`, folder.path);
    expect([code, said]).toEqual([INVALID, expect.stringContaining('amout')]);
    expect((await shell(`${POLICIES} | cedar validate --schema base.cedarschema`, folder.path))[0]).toBe(INVALID);
  });

  it('validates policies for an import with the written schema', async () => {
    const imported = join(folder.path, 'imported');
    mkdirSync(imported);
    const tools = join(root, 'test/tools/policy/import/tracker.tools.json');
    const { out } = await folder.run(policyImport, 'mcp-tools', tools, '--server', 'tracker');
    writeFileSync(join(imported, 'actions.yaml'), out.filter((line) => !line.startsWith('#')).join('\n'));
    cpSync(join(root, 'cedar-policies/base.cedarschema'), join(imported, 'base.cedarschema'));
    expect((await folder.run(policySchema, imported, '--write')).code).toBe(0);
    const run = (text: string) => shell(`echo '${text}' | cedar validate --schema remit.cedarschema`, imported);
    expect((await run(policy('"high"')))[0]).toBe(0);
    expect((await run(policy('1')))[0]).toBe(INVALID);
  });
});

import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { policyValidate } from '../../../src/cli/policy/policy-validate.ts';
import { commandRun } from '../../builders/command-run.ts';

let folder: string;
beforeEach(() => {
  folder = join(mkdtempSync(join(tmpdir(), 'remit-validate-')), 'p');
  cpSync('cedar-policies', folder, { recursive: true, filter: (from) => !from.endsWith('remit.cedarschema') });
});
afterEach(() => rmSync(join(folder, '..'), { recursive: true }));

async function run(...args: readonly string[]) {
  const { code, out, err } = await commandRun(policyValidate, args, { environment: process.env });
  return {
    code,
    out: out.map((line) => line.replaceAll(folder, 'p')),
    err: err.map((line) => line.replaceAll(folder, 'p')),
  };
}

describe('remit policy validate', () => {
  it('names both places of what two files of the catalog define (issue 43, point 2)', async () => {
    mkdirSync(join(folder, 'actions'));
    const again =
      'servers:\n  payments:\n    hosts: [x.acme.test]\n    audience: https://x.acme.test\n    routes: []\n';
    writeFileSync(join(folder, 'actions/again.yaml'), again);
    const { code, out } = await run(folder);
    expect([code, out[0], ...out.slice(-2)]).toEqual([
      1,
      'p/actions/again.yaml:2:3: the server `payments` is defined twice: first at `p/actions.yaml:5`',
      '  help: a server has one file',
      'p: 1 finding',
    ]);
  });

  it('prints the content of a valid folder', async () => {
    const expected = {
      code: 0,
      out: ['cedar-policies: 19 policies (1 in shadow), 10 actions, 3 servers: valid'],
      err: [],
    };
    expect(await run()).toEqual(expected);
    expect(await run(folder)).toMatchObject({
      code: 0,
      out: ['p: 19 policies (1 in shadow), 10 actions, 3 servers: valid'],
    });
  });

  it('prints each finding with its line, a caret and help', async () => {
    writeFileSync(
      join(folder, 'x.cedar'),
      '@id("x")\tpermit (principal, action == Remit::Action::"payments.create", resource)\nwhen { "é" == "" || context.args.amont > 5 };\npermit (principal, action, resource);\n',
    );
    expect(await run(folder)).toEqual({
      code: 1,
      out: [
        'p/x.cedar:2:21: `x`: attribute `args.amont` in context for Remit::Action::"payments.create" not found',
        '  2 | when { "é" == "" || context.args.amont > 5 };',
        '    |                     ^^^^^^^^^^^^^^^^^^',
        '  help: did you mean `amount`?',
        'p/x.cedar:3:1: the policy lacks an `@id`',
        '  3 | permit (principal, action, resource);',
        '    | ^',
        '  help: begin it with `@id("…")`, unique in the set',
        'p: 2 findings',
      ],
      err: [],
    });
  });

  it('prints the findings of `limits.yaml`, and how many limits there are', async () => {
    const limits = join(folder, 'limits.yaml');
    const entry = "  - { id: a, agents: ['*'], actions: [payments.create], per: [agent], window: 1d, calls: 9 }\n";
    writeFileSync(limits, `limits:\n${entry.replace('payments.create', 'payments.creat')}`);
    expect(await run(folder)).toEqual({
      code: 1,
      out: [
        'p/limits.yaml:2:39: unknown action `payments.creat`',
        "  2 |   - { id: a, agents: ['*'], actions: [payments.creat], per: [agent], window: 1d, calls: 9 }",
        '    |                                       ^',
        '  help: did you mean `payments.create`?',
        'p: 1 finding',
      ],
      err: [],
    });
    writeFileSync(limits, `limits:\n${entry}`);
    expect((await run(folder)).out).toEqual(['p: 19 policies (1 in shadow), 10 actions, 3 servers, 1 limit: valid']);
  });

  it('prints every finding of one place, with its range and policy', async () => {
    const actions = '[Remit::Action::"payments.list", Remit::Action::"payments.create"]';
    writeFileSync(
      join(folder, 'x.cedar'),
      `@id("x") permit (principal, action in ${actions}, resource)\nwhen { context.args.currency == "EUR" };\n`,
    );
    const messages = [
      'attribute `args.currency` in context for Remit::Action::"payments.list" not found',
      'unable to guarantee safety of access to optional attribute `args.currency` in context for Remit::Action::"payments.create"',
    ];
    const advice = "try testing for the attribute's presence with `context.args has currency && ..`";
    const place = { file: 'p/x.cedar', line: 2, column: 8, end: { line: 2, column: 29 }, policy: 'x' };
    const { findings } = JSON.parse((await run(folder, '--json')).out.join(''));
    expect(findings).toEqual([
      { ...place, message: messages[0], help: null },
      { ...place, message: messages[1], help: advice },
    ]);
    const text = (await run(folder)).out;
    for (const message of messages) expect(text).toContain(`p/x.cedar:2:8: \`x\`: ${message}`);
    expect(text).toContain(`  help: ${advice}`);
    const { results } = JSON.parse((await run(folder, '--sarif')).out.join('')).runs[0];
    const location = {
      physicalLocation: { region: { startLine: 2, startColumn: 8, endLine: 2, endColumn: 29 } },
      logicalLocations: [{ name: 'x' }],
    };
    expect(results).toMatchObject([{ locations: [location] }, { locations: [location] }]);
  });

  it('prints warnings and exits with 0', async () => {
    writeFileSync(join(folder, 'x.cedar'), '@id("x") permit (principal, action, resource) when { false };\n');
    const { code, out } = await run(folder);
    expect(code).toBe(0);
    expect(out[0]).toMatch(/^p\/x\.cedar:1:1: warning: `x`: policy is impossible/);
    expect(out.at(-1)).toBe('p: 20 policies (1 in shadow), 10 actions, 3 servers: valid');
  });

  it('warns of a parameter that can match the text of another route, with the way out', async () => {
    const catalog = join(folder, 'actions.yaml');
    const list = '      - { action: payments.list, method: GET, path: /v1/payments, risk: low }\n';
    const beside = '      - { action: payments.export, method: GET, path: /v1/payments/export, risk: low }\n';
    const text = readFileSync(catalog, 'utf8').replace(list, list + beside);
    writeFileSync(catalog, text);
    const { code, out } = await run(folder);
    expect([code, out.at(-1)]).toEqual([0, 'p: 19 policies (1 in shadow), 11 actions, 3 servers: valid']);
    expect(out[0]).toMatch(
      /^p\/actions\.yaml:12:\d+: warning: `\{id\}` of `GET .* can match `export` in another spelling/,
    );
    expect(out[3]).toMatch(/`\{id:uuid\}` .*`exactPaths: true`/);
    writeFileSync(catalog, text.replaceAll('/{id}', '/{id:uuid}'));
    expect((await run(folder)).out).toHaveLength(1);
  });

  it('reports an unreadable file', async () => {
    rmSync(join(folder, 'actions.yaml'));
    expect(await run(folder)).toEqual({
      code: 1,
      out: ['p/actions.yaml:1:1: the file is missing', 'p: 1 finding'],
      err: [],
    });
  });

  it('prints one object with --json', async () => {
    const good = await run(folder, '--json');
    expect(JSON.parse(good.out.join(''))).toMatchObject({
      valid: true,
      folder: 'p',
      hash: expect.stringMatching(/^sha-256:/),
      policies: 19,
      actions: 10,
      servers: 3,
      limits: 0,
      shadow: ['night-freeze'],
      findings: [],
      warnings: [],
    });
    writeFileSync(join(folder, 'x.cedar'), 'permit (principal, action, resource);');
    const bad = await run('--json', folder);
    expect(bad.code).toBe(1);
    expect(JSON.parse(bad.out.join(''))).toEqual({
      valid: false,
      folder: 'p',
      findings: [
        {
          file: 'p/x.cedar',
          line: 1,
          column: 1,
          message: 'the policy lacks an `@id`',
          help: 'begin it with `@id("…")`, unique in the set',
        },
      ],
      warnings: [],
    });
  });

  it('prints SARIF with --sarif', async () => {
    writeFileSync(join(folder, 'x y.cedar'), 'permit (principal, action, resource);');
    const { code, out } = await run(folder, '--sarif');
    expect(code).toBe(1);
    const log = JSON.parse(out.join(''));
    expect(log).toMatchObject({ version: '2.1.0', runs: [{ columnKind: 'unicodeCodePoints' }] });
    expect(log.runs[0].tool.driver.rules.map(({ id }: { id: string }) => id)).toEqual(['invalid', 'suspicious']);
    expect(log.runs[0].results).toEqual([
      {
        ruleId: 'invalid',
        level: 'error',
        message: { text: 'the policy lacks an `@id`; begin it with `@id("…")`, unique in the set' },
        locations: [
          {
            physicalLocation: {
              artifactLocation: { uri: 'p/x%20y.cedar' },
              region: { startLine: 1, startColumn: 1 },
            },
          },
        ],
      },
    ]);
    rmSync(join(folder, 'x y.cedar'));
    expect(JSON.parse((await run(folder, '--sarif')).out.join('')).runs[0].results).toEqual([]);
  });

  const bad: readonly (readonly [string, readonly string[], string])[] = [
    ['a missing folder', ['no/such'], 'remit policy validate: the policy folder `no/such` could not be read: ENOENT'],
    [
      'a file instead of a folder',
      ['package.json'],
      'remit policy validate: the policy folder `package.json` could not be read: ENOTDIR',
    ],
    ['an unknown option', ['--strict'], "Unknown option '--strict'"],
    ['two formats', ['--json', '--sarif'], 'remit policy validate: `--json` and `--sarif` exclude each other'],
    ['a second folder', ['a', 'b'], 'remit policy validate: unexpected argument `b`'],
  ];
  it.each(bad)('refuses %s', async (_name, args, message) => {
    expect(await run(...args)).toEqual({ code: 2, out: [], err: [expect.stringContaining(message)] });
  });

  it('prints no control characters of a file', async () => {
    writeFileSync(
      join(folder, 'x.cedar'),
      '@id("x") permit (principal, action, resource) when { "\u001b[31m" == 1 };\n',
    );
    const { out } = await run(folder);
    expect(out.join('\n')).not.toContain('\u001b');
  });
});

import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, describe, expect, it } from '@jest/globals';
import type { Command } from '../../src/cli/command.ts';
import { run } from '../../src/cli/run.ts';
import { token } from '../../src/cli/token.ts';
import { issuerUrl } from '../authority/issuer/bench.ts';
import { claimsOf, intentText, type RunDomain, startCommand, startRunDomain } from '../agent/run/domain.ts';
import { commandRun } from '../builders/command-run.ts';
import { testFolders } from '../builders/test-folders.ts';

const folder = testFolders(() => domain.close());
let domain: RunDomain;
beforeAll(async () => {
  domain = await startRunDomain(folder());
});

/** Runs `remit token`, or another command, in this process. */
async function print(
  words: readonly string[],
  environment: Record<string, string> = {},
  { command = token, ...over }: { readonly command?: Command; readonly platform?: NodeJS.Platform } = {},
) {
  const { code, out, err } = await commandRun(command.run, words, { environment, ...over });
  return { code, out: out.join('\n'), err: err.join('\n') };
}

const declare = (...words: string[]) => print(['--intent', domain.intent, ...domain.options, ...words]);

describe('remit token', () => {
  it('declares a task, prints its token, and how to end it', async () => {
    const { code, out, err } = await declare();
    const { txn, iss } = claimsOf(out);
    expect([code, iss, domain.stateOf(String(txn))]).toEqual([0, issuerUrl, 'active']);
    expect(err).toContain(`task ${String(txn)} is open: end it by \`remit task end ${String(txn)} --cause …\``);
    expect(err).not.toContain('eyJ');
  });

  it('prints the formats of other tools', async () => {
    const headers = JSON.parse((await declare('--format', 'headers')).out) as Record<string, string>;
    expect(headers['Authorization']).toMatch(/^Bearer eyJ/);
    const json = JSON.parse((await declare('--format', 'json')).out) as Record<string, unknown>;
    expect(json).toEqual({
      access_token: expect.stringMatching(/^eyJ/),
      token_type: 'Bearer',
      expires_in: expect.any(Number),
      txn: claimsOf(String(json['access_token']))['txn'],
    });
    expect((await declare('--format', 'env')).out).toMatch(/^REMIT_TOKEN=eyJ\S+\nREMIT_TASK_ID=[0-9a-f-]{36}$/);
  });

  it('prints the token of the enclosing run: from endpoint, file and variable', async () => {
    const program = [
      process.execPath,
      '--no-warnings',
      join(import.meta.dirname, '../../src/main.ts'),
      'token',
      '--format',
      'env',
    ];
    for (const form of [[], ['--token-file', join(folder(), 'token')], ['--env']]) {
      const words = ['run', '--intent', domain.intent, ...domain.options, ...form, '--', ...program];
      const { code, out, err } = await startCommand(words).ended;
      const [, printed = '', id = ''] = /^REMIT_TOKEN=(\S+)\nREMIT_TASK_ID=(\S+)$/m.exec(out) ?? [];
      expect([form, code, claimsOf(printed)['txn'], domain.stateOf(id)]).toEqual([form, 0, id, 'completed']);
      expect(err).toContain(`task ${id} is completed`);
    }
  });

  it.each([
    ['an unknown format', ['--format', 'xml'], {}, 2, '--format must be one of raw, headers, json, env'],
    ['no intent', [], {}, 2, '--issuer URL is required'],
    ['an unexpected argument', ['x'], {}, 2, 'unexpected argument `x`'],
    [
      'an intent inside a run',
      ['--intent', 'x'],
      { REMIT_TOKEN: 'a' },
      2,
      '--intent is not accepted inside `remit run`',
    ],
    [
      'a resource inside a run, whose token may be of another',
      ['--resource', 'https://files.acme.test'],
      { REMIT_TOKEN: 'a' },
      2,
      '--resource is not accepted inside `remit run`',
    ],
    ['a run that has ended', [], { REMIT_TOKEN_URL: 'http://127.0.0.1:1/token' }, 1, 'does not answer'],
    ['an endpoint elsewhere', [], { REMIT_TOKEN_URL: 'http://evil.test/token' }, 1, 'must be the endpoint of a run'],
    ['a missing file', [], { REMIT_TOKEN_FILE: '/nowhere' }, 1, '`/nowhere` cannot be read: ENOENT'],
    ['a variable without a valid token', [], { REMIT_TOKEN: 'a\nb: c' }, 1, 'the run handed over an invalid token'],
  ] as [string, string[], Record<string, string>, number, string][])(
    'refuses %s',
    async (_name, words, environment, code, message) => {
      const printed = await print(words, environment);
      expect([printed.code, printed.out, printed.err]).toEqual([code, '', expect.stringContaining(message)]);
    },
  );

  it("prints the issuer's reason for a refusal", async () => {
    const file = join(folder(), 'intent.yaml');
    writeFileSync(file, intentText(['files.read'], ['https://nowhere.test']));
    const { code, err } = await print(['--intent', file, ...domain.options]);
    expect([code, err]).toEqual([1, expect.stringContaining('invalid_target: unknown resource')]);
    expect(err).toContain('to do: name a resource as the issuer knows it');
  });
});

describe('remit run', () => {
  it('reads issuer and SVID from a configuration, which options override', async () => {
    const config = join(folder(), 'remit.yaml');
    const svid = Object.fromEntries(
      [
        ['certificate', 'reporter.pem'],
        ['key', 'reporter.key'],
        ['bundle', 'bundle.pem'],
      ].map(([field = '', file = '']) => [field, join(domain.folder, file)]),
    );
    writeFileSync(
      config,
      JSON.stringify({ trustDomains: ['acme.test'], svid, issuer: { url: 'https://localhost:1' } }),
    );
    const words = ['run', '--intent', domain.intent, '--config', config, '--', 'true'];
    expect((await startCommand(['run', '--wait', '0', ...words.slice(1)]).ended).err).toContain(
      'unreachable: no answer from `https://localhost:1`',
    );
    const [issuer = '', url = '', idOption = '', id = ''] = domain.options;
    const { code, err } = await startCommand(['run', issuer, url, idOption, id, ...words.slice(1)]).ended;
    const [, task = ''] = /task (\S+),/.exec(err) ?? [];
    expect([code, domain.task(task)?.agent]).toEqual([0, 'spiffe://acme.test/ns/agents/sa/reporter']);
  });

  it('refuses to run on Windows, and says on which systems it runs', async () => {
    const words = ['--intent', domain.intent, ...domain.options, '--', 'true'];
    const { code, err } = await print(words, {}, { command: run, platform: 'win32' });
    expect([code, err]).toEqual([
      2,
      expect.stringMatching(/does not work on Windows: .*: use it in WSL or in a container$/),
    ]);
  });

  it('names every option in its help', () => {
    for (const option of [
      '--intent',
      '--issuer-id',
      '--token-file',
      '--env',
      '--scrub',
      '--keep',
      '--take',
      '--child',
      '--ttl',
    ]) {
      expect(run.help).toContain(option);
    }
    expect([run.name, token.name]).toEqual(['run', 'token']);
  });
});

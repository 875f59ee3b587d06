import { execFile } from 'node:child_process';
import { cpSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { promisify } from 'node:util';
import { expect, it } from '@jest/globals';
import { shopSet } from '../core/action/grpc/protobuf/shop.ts';
import { describeWith, envoyPart } from '../parts.ts';
import { until } from '../until.ts';
import { testFolder } from '../builders/test-folders.ts';
import { ran, remit } from './process.ts';
import type { Running } from './process.ts';

const root = resolve(import.meta.dirname, '../..');
const samples = join(root, 'test/tools/policy/import');

/** The examples printed by `remit dev`: title and commands of each. */
const blocksOf = (printed: string): readonly (readonly [title: string, commands: string])[] =>
  printed.split('\n\n').flatMap((block) => {
    const [, title, commands] = /^# (\d+\. [^\n]+)\n([^]+)$/.exec(block.trim()) ?? [];
    return title === undefined || commands === undefined ? [] : [[title, commands] as const];
  });

/** Runs the commands and returns their output. On a loaded machine a check can be late, which is a temporary denial. */
const tried = (commands: string): Promise<string> =>
  until(async () => {
    const { stdout } = await promisify(execFile)('bash', ['-c', commands]);
    return stdout.includes('temporarily_unavailable') ? undefined : stdout;
  });

/** A `remit dev` whose folder is within ours. */
async function started(
  args: readonly string[],
  { envoy, folder }: { readonly envoy: string; readonly folder: string },
): Promise<Running> {
  const running = remit(['dev', ...args], { ENVOY_BIN: envoy, TMPDIR: folder });
  await running.said('# look at the tasks');
  return running;
}

/** A folder with imports from three kinds of documents, for an agent of another trust domain. */
async function importedFolder(folder: string): Promise<string> {
  const policies = join(folder, 'imported');
  mkdirSync(policies);
  writeFileSync(join(folder, 'shop.binpb'), shopSet);
  const imports = [
    ['openapi', join(samples, 'helpdesk.openapi.yaml'), '--server', 'helpdesk'],
    ['mcp-tools', join(samples, 'tracker.tools.json'), '--server', 'tracker', '--host', 'tracker.corp.test'],
    [
      'proto',
      join(folder, 'shop.binpb'),
      '--server',
      'shop',
      '--host',
      'shop.corp.test',
      '--only',
      '*.Shop/PlaceOrder',
    ],
  ];
  const servers: string[] = [];
  for (const args of imports) {
    const { code, out } = await ran(['policy', 'import', ...args]);
    expect(code).toBe(0);
    servers.push(out.replace(/^servers:\n/, ''));
  }
  writeFileSync(join(policies, 'actions.yaml'), `servers:\n${servers.join('')}`);
  cpSync(join(folder, 'shop.binpb'), join(policies, 'shop.binpb'));
  cpSync(join(root, 'cedar-policies/base.cedarschema'), join(policies, 'base.cedarschema'));
  writeFileSync(
    join(policies, 'all.cedar'),
    `@id("helper")
permit (principal == Remit::Agent::"spiffe://corp.test/ns/tools/sa/helper", action, resource);

@id("no-high-risk")
forbid (principal, action in Remit::Action::"high", resource);
`,
  );
  return policies;
}

describeWith(envoyPart(), 'remit dev --policies', (envoy) => {
  const scratch = testFolder(async () => {
    for (const { child, exit } of running) {
      child.kill('SIGINT');
      await exit;
    }
  });
  const running: Running[] = [];
  const place = () => ({ envoy, folder: scratch.folder });

  it('ends by Ctrl-C with exit code 0', async () => {
    const dev = await started([], place());
    dev.child.kill('SIGINT');
    expect(await dev.exit).toBe(0);
  });

  it('serves what was imported, and prints calls of each protocol with the right results', async () => {
    const dev = await started(['--policies', await importedFolder(scratch.folder)], place());
    running.push(dev);
    const blocks = blocksOf(dev.out());
    const helper = 'spiffe://corp.test/ns/tools/sa/helper';
    expect(blocks.map(([title]) => title)).toEqual([
      `1. ${helper}, \`helpdesk.list_tickets_tickets_get\`: allowed`,
      `2. ${helper}, \`tracker.issues.create\`: allowed`,
      `3. ${helper}, \`shop.Shop-PlaceOrder\`: allowed`,
      expect.stringMatching(/^4\. spiffe:.*update_member_notification_preferences.*: denied: policy\.forbidden$/),
    ]);
    const [http = '', mcp = '', grpc = '', denied = ''] = await Promise.all(
      blocks.map(([, commands]) => tried(commands)),
    );
    expect(http).toMatch(/^HTTP\/2 200/m);
    expect(http).toContain('"path":"/tickets"');
    expect(mcp).toMatch(/^HTTP\/2 200/m);
    expect(mcp).toContain('tools/call with {\\"name\\":\\"issues.create\\"');
    expect(grpc).toMatch(/^HTTP\/2 200/m);
    expect(grpc).toMatch(/^grpc-status: 0/m);
    expect(denied).toMatch(/^HTTP\/2 403/m);
    expect(denied).toContain('"reason":"policy.forbidden"');
  });

  it('serves an example folder with a base, and an agent without a task', async () => {
    const example = join(root, 'cedar-policies/examples/legacy-exception');
    const expired = join(place().folder, 'expired-exception');
    mkdirSync(expired);
    for (const name of readdirSync(example).filter((file) => file.startsWith('legacy.') || file === 'actions.yaml'))
      writeFileSync(join(expired, name), readFileSync(join(example, name), 'utf8').replaceAll('2030-', '2026-'));
    const dev = await started(['--policies', expired, '--base', join(root, 'cedar-policies')], place());
    running.push(dev);
    const blocks = blocksOf(dev.out());
    // Its exception has expired, and with it the permission.
    expect(blocks.map(([title]) => title)).toEqual([
      '1. spiffe://acme.test/ns/legacy/sa/nightly-report, `reports.read`: denied: token.static-secret',
      '2. spiffe://acme.test/ns/legacy/sa/nightly-report, `reports.write`: not granted',
    ]);
    const [read = '', write = ''] = await Promise.all(blocks.map(([, commands]) => tried(commands)));
    expect(read).toContain('"reason":"token.static-secret"');
    expect(write).toContain('"error":"invalid_authorization_details"');
  });

  it('serves two servers of one host', async () => {
    const example = join(root, 'cedar-policies/examples/one-host');
    const dev = await started(['--policies', example, '--base', join(root, 'cedar-policies')], place());
    running.push(dev);
    const allowed = blocksOf(dev.out()).filter(([title]) => title.endsWith(': allowed'));
    expect(allowed.map(([title]) => /`(.*)`/.exec(title)?.[1])).toEqual(['crm.read', 'wiki.read']);
    for (const [, commands] of allowed) {
      const printed = await tried(commands);
      expect(printed).toMatch(/^HTTP\/2 200/m);
      expect(printed).toContain('"host":"tools.acme.test"');
    }
  });

  it('serves its own example policies', async () => {
    const dev = await started([], place());
    running.push(dev);
    const blocks = blocksOf(dev.out());
    expect(blocks.length).toBe(4);
    for (const [title, commands] of blocks) {
      const printed = await tried(commands);
      const reason = /: denied: (.*)$/.exec(title)?.[1];
      if (title.endsWith(': allowed')) expect(printed).toMatch(/^HTTP\/2 200/m);
      else expect(printed).toContain(reason ?? 'invalid_authorization_details');
    }
    const main = join(root, 'dist/main.js');
    // Denials are logged after the examples.
    const others = dev
      .out()
      .split(/^# (?:or as an OAuth client|or let a command|look at the tasks)[^\n]*\n/m)
      .slice(1);
    const written = others.map((text) => text.split(/\n\n|\n(?=\{)/)[0] ?? '');
    const [signIn = '', run = '', list = ''] = await Promise.all(
      written.map((commands) => tried(`remit() { "${process.execPath}" "${main}" "$@"; }\n${commands}`)),
    );
    const issuer = /^ +issuer +(\S+)$/m.exec(dev.out())?.[1] ?? '';
    const [challenge = '', metadata = '', token = '', renewed = ''] = signIn.replaceAll('}{', '}\n{').split('\n');
    expect(challenge).toContain(`resource_metadata="${issuer}/.well-known/oauth-protected-resource/`);
    expect(JSON.parse(metadata)).toMatchObject({ issuer, token_endpoint: `${issuer}/oauth/token` });
    expect(JSON.parse(renewed)).toMatchObject({ txn: JSON.parse(token).txn, token_type: 'Bearer' });
    expect(run).toContain('"access_token":');
    expect(list).toContain('spiffe://acme.test/ns/agents/sa/planner');
  });

  it('prints one line for each finding of a folder', async () => {
    const { code, err } = await ran(['dev', '--policies', join(root, 'cedar-policies/examples/amount-limits')], {
      ENVOY_BIN: envoy,
    });
    expect(code).toBe(2);
    expect(err).toContain('actions.yaml:1:1: the file is missing');
  });
});

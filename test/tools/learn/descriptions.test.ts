import { execFileSync } from 'node:child_process';
import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import { join, relative } from 'node:path';
import { describe, expect, it } from '@jest/globals';
import { runLearn } from '../../../src/cli/learn.ts';
import { readDescriptions } from '../../../src/tools/learn/descriptions/read-descriptions.ts';
import { encoded } from '../../builders/ledger-record.ts';
import { must } from '../../builders/must.ts';
import { testFolders } from '../../builders/test-folders.ts';
import { ran } from '../../cli/ledgers.ts';
import { mustOpenLog, settingsIn } from '../../core/ledger/log/logs.ts';
import { learnFrom, observedUse, times } from './learning.ts';

const folder = testFolders();

const openapi = `openapi: 3.0.0
info: { title: shop, version: '1' }
servers: [{ url: https://shop.acme.test/v1 }]
paths:
  /orders/{ref}:
    parameters: [{ name: ref, in: path, required: true, schema: { type: string, pattern: '^[A-Z]{2}[0-9]{4}$' } }]
    get: { operationId: readOrder }
    delete: { operationId: dropOrder }
`;
const tools = JSON.stringify({
  tools: [
    {
      name: 'wipe',
      annotations: { readOnlyHint: true },
      inputSchema: {
        type: 'object',
        properties: { id: { type: 'string' } },
        required: ['id'],
        additionalProperties: false,
      },
    },
  ],
});
const proto =
  'syntax = "proto3"; package acme.v1; service Rates { rpc GetRate (Q) returns (A); rpc SetRate (Q) returns (A); }';

const rpc = {
  host: 'rpc.acme.test',
  method: 'POST',
  path: '/acme.v1.Rates/GetRate',
  shape: { protocol: 'grpc', query: [] },
} as const;
const wipe = {
  host: 'tools.acme.test',
  method: 'POST',
  path: '/mcp',
  shape: { protocol: 'mcp', query: [], rpc: { method: 'tools/call', tool: 'wipe' }, members: { id: 'string' } },
} as const;

async function filesIn(): Promise<{ readonly openapi: string; readonly tools: string; readonly proto: string }> {
  const within = folder();
  const files = {
    openapi: join(within, 'shop.yaml'),
    tools: join(within, 'tools.json'),
    proto: join(within, 'rates.proto'),
  };
  await writeFile(files.openapi, openapi);
  await writeFile(files.tools, tools);
  await writeFile(files.proto, proto);
  return files;
}

describe('readDescriptions', () => {
  it('wins over guesses for what was called, and adds nothing that was not', async () => {
    const files = await filesIn();
    const read = must(await readDescriptions({ openapi: [files.openapi], tools: [files.tools], proto: [files.proto] }));
    const made = await learnFrom(
      [
        ...times(3, { path: '/v1/orders/AB1234' }),
        ...times(3, { path: '/v1/other' }),
        ...times(3, rpc),
        ...times(3, wipe),
      ],
      read,
    );
    const actions = made.folder.accepted.servers.flatMap((server) => server.actions);
    expect(actions.map(({ name, risk, isDescribed }) => [name, risk, isDescribed])).toEqual(
      expect.arrayContaining([
        ['GET /v1/orders/{ref:[A-Z]{2}[0-9]{4}}', 'low', true],
        ['GET /v1/other', 'low', false],
        ['acme.v1.Rates/GetRate', 'low', true],
        // Its annotations say that it only reads: the name would be of high risk.
        ['wipe', 'low', true],
      ]),
    );
    expect(actions).toHaveLength(4);
    expect(made.folder.files.get('actions.yaml')).toContain('otherArguments: deny');
  });

  it.each([
    ['a file that is missing', { openapi: ['/missing.yaml'] }, 'cannot be read: ENOENT'],
    ['what is no description', { tools: ['package.json'] }, 'it has no `tools`'],
  ])('names %s', async (_name, change, problem) => {
    expect(await readDescriptions({ openapi: [], tools: [], proto: [], ...change })).toEqual({
      problem: expect.stringContaining(problem),
    });
  });
});

const textsIn = async (at: string): Promise<ReadonlyMap<string, string>> => {
  const found = await readdir(at, { recursive: true, withFileTypes: true });
  const files = found.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name));
  return new Map(await Promise.all(files.map(async (file) => [file, await readFile(file, 'latin1')] as const)));
};

describe('remit learn', () => {
  it('reads a ledger, writes a folder once, and prints the report', async () => {
    const files = await filesIn();
    const within = folder();
    const log = mustOpenLog(settingsIn(within));
    const nowMs = Date.now();
    const uses = Array.from({ length: 10 }, (_, n) =>
      observedUse({ path: `/orders/${n}`, at: nowMs - (20 - n) * 3_600_000 }),
    );
    log.append(
      uses.map((use) => ({ bytes: encoded(use).bytes, outbox: null })),
      'f'.repeat(32),
    );
    log.close();
    const out = join(folder(), 'learnt');
    const args = ['--ledger', join(within, 'ledger'), '--out', out, '--tools', files.tools];
    const first = await ran(runLearn, ...args, '--json');
    expect(first).toMatchObject({ exit: 0, err: '' });
    expect(JSON.parse(first.out)).toMatchObject({
      read: { records: 10, uses: 10, learnt: 8, missing: 0, foreign: 0 },
      judged: { calls: 2, allowed: 2 },
      toDecide: [],
    });
    expect(await ran(runLearn, ...args)).toMatchObject({
      exit: 2,
      err: expect.stringContaining('actions.yaml` exists'),
    });
    expect(
      await ran(runLearn, '--ledger', join(within, 'ledger'), '--out', out, '--agents', 'spiffe://none/*'),
    ).toMatchObject({ exit: 1 });
    expect(await ran(runLearn, '--ledger', join(within, 'ledger'))).toMatchObject({ exit: 2 });

    // In a pod without a folder that can be copied from.
    const patch = await ran(runLearn, ...args.slice(0, 2), ...args.slice(4), '--patch');
    expect(patch).toMatchObject({ exit: 0, err: expect.stringContaining('as a patch: read report.md first') });
    const applied = join(folder(), 'applied');
    await mkdir(applied);
    execFileSync('git', ['apply', '-'], { cwd: applied, input: patch.out });
    const names = (await readdir(out, { recursive: true, withFileTypes: true })).flatMap((entry) =>
      entry.isFile() && !entry.name.startsWith('report.') ? relative(out, join(entry.parentPath, entry.name)) : [],
    );
    expect(names.length).toBeGreaterThan(3);
    for (const name of names)
      expect(await readFile(join(applied, name), 'utf8')).toBe(await readFile(join(out, name), 'utf8'));
    for (const more of [['--out', out], ['--json']])
      expect(await ran(runLearn, ...args.slice(0, 2), '--patch', ...more)).toMatchObject({ exit: 2 });
  });

  const HOUR_MS = 3_600_000;
  /** A ledger of ten such calls, the last of them so many hours ago. */
  const ledgerOf = (call: (n: number) => Parameters<typeof observedUse>[0], hoursAgo: number): string => {
    const within = folder();
    const log = mustOpenLog(settingsIn(within));
    const lastMs = Date.now() - hoursAgo * HOUR_MS;
    const uses = Array.from({ length: 10 }, (_, n) => observedUse({ ...call(n), at: lastMs - (9 - n) * HOUR_MS }));
    log.append(
      uses.map((use) => ({ bytes: encoded(use).bytes, outbox: null })),
      'f'.repeat(32),
    );
    log.close();
    return join(within, 'ledger');
  };

  it('writes the pin of a tool that `--tools` describes', async () => {
    const files = await filesIn();
    const ledger = ledgerOf(() => wipe, 1);
    const out = join(folder(), 'learnt');
    const done = await ran(runLearn, '--ledger', ledger, '--out', out, '--tools', files.tools);
    expect(done).toMatchObject({ exit: 0 });
    expect(await readFile(join(out, 'actions.yaml'), 'utf8')).toMatch(/wipe: \{.*pin: sha-256:[\w-]{43}/);
  });

  it('learns a second time only what is new, and leaves the first folder as it is', async () => {
    const [first, second] = [join(folder(), 'first'), join(folder(), 'second')];
    const known = ledgerOf((n) => ({ path: `/orders/${n}` }), 40);
    expect(await ran(runLearn, '--ledger', known, '--out', first)).toMatchObject({ exit: 0 });
    const before = await textsIn(first);
    const both = ledgerOf((n) => ({ path: n % 2 === 0 ? `/orders/${n}` : '/reports' }), 1);
    const again = await ran(runLearn, '--ledger', both, '--policies', first, '--out', second);
    expect(again).toMatchObject({ exit: 0 });
    expect(await textsIn(first)).toEqual(before);
    const paths = [...(await readFile(join(second, 'actions.yaml'), 'utf8')).matchAll(/path: ([^,]+),/g)];
    const found = new Set(paths.map(([, path]) => path));
    expect([paths.length, found]).toEqual([2, new Set(['"/orders/{order:int}"', '/reports'])]);
    expect(await ran(runLearn, '--ledger', both, '--policies', first, '--out', first)).toMatchObject({ exit: 2 });
    expect(await textsIn(first)).toEqual(before);
  });

  it('takes arguments and file of a descriptor set', async () => {
    const set = join('test', 'core', 'action', 'grpc', 'protobuf', 'shop.binpb');
    const shape = { protocol: 'grpc', query: [] } as const;
    const call = { host: 'rpc.acme.test', method: 'POST', path: '/acme.shop.v1.Shop/PlaceOrder', shape };
    const out = join(folder(), 'learnt');
    const args = ['--ledger', ledgerOf(() => call, 1), '--out', out, '--proto', set];
    expect(await ran(runLearn, ...args)).toMatchObject({ exit: 0, err: '' });
    const catalog = await readFile(join(out, 'actions.yaml'), 'utf8');
    const [, name = ''] = /descriptorSet: (\S+)/.exec(catalog) ?? [];
    expect(await readFile(join(out, name))).toEqual(await readFile(set));
    expect(catalog).toMatch(/PlaceOrder: .*customer/);
    expect(await ran(runLearn, ...args, '--proto', set)).toMatchObject({
      exit: 2,
      err: expect.stringContaining('second descriptor set'),
    });
  });
});

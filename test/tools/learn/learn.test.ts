import { mkdir, readdir, readFile, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from '@jest/globals';
import * as fc from 'fast-check';
import { policyLint } from '../../../src/cli/policy/policy-lint.ts';
import { policyTestCommand } from '../../../src/cli/policy/policy-test.ts';
import { policyValidateCommand } from '../../../src/cli/policy/policy-validate.ts';
import { intentFileFrom } from '../../../src/agent/task/intent.ts';
import { isProblem } from '../../../src/core/runtime/problem.ts';
import { learnMarkdown } from '../../../src/tools/learn/learn-markdown.ts';
import { learnReport } from '../../../src/tools/learn/learn-report.ts';
import { usesIn } from '../../../src/tools/learn/record-window.ts';
import { filesToWrite, writeLearntFolder } from '../../../src/tools/learn/write-folder.ts';
import { must } from '../../builders/must.ts';
import { testFolders } from '../../builders/test-folders.ts';
import { thoroughly } from '../../thoroughly.ts';
import { learnFrom, learningFrom, leafOf, logOf, observedUse, ranOn, times } from './learning.ts';

const folder = testFolders();

const one = 'spiffe://acme.test/ns/a/sa/one';
const two = 'spiffe://acme.test/ns/a/sa/two';
const other = 'spiffe://acme.test/ns/b/sa/other';

const tool = (name: string) =>
  ({
    host: 'tools.acme.test',
    method: 'POST',
    path: '/mcp',
    shape: {
      protocol: 'mcp',
      query: [],
      rpc: { method: 'tools/call', tool: name },
      members: { id: 'string', n: 'integer' },
    },
  }) as const;

const rpc = (method: string) =>
  ({ ...tool(''), shape: { protocol: 'mcp', query: [], rpc: { method, tool: null } } }) as const;

const day = (n: number, change: object) => observedUse({ ...change, at: Date.UTC(2026, 10, 1 + n) });

const outcome = (status: number | null) => (use: { readonly decisionId: string; readonly at: number }) => ({
  kind: 'outcome',
  at: use.at,
  decisionId: use.decisionId,
  status,
});

const whatBothDo = (agent: string) => [
  ...times(3, { agent, path: '/orders/17' }),
  ...times(3, { agent, path: '/orders' }),
  ...times(3, { agent, ...tool('search_orders') }),
  ...times(3, {
    agent,
    ...tool('list_orders'),
    shape: { protocol: 'mcp', query: [], rpc: { method: 'initialize', tool: null } },
  }),
];

/** Two agents that do alike, one that does other things, and a little of each protocol. */
const traffic = [
  ...whatBothDo(one),
  ...whatBothDo(two),
  ...times(4, { agent: one, path: '/reports/2026-11-01' }),
  ...times(2, { agent: two, path: '/exports' }),
  ...times(9, { agent: other, method: 'DELETE', path: '/orders/18' }),
  ...times(5, { agent: other, ...tool('get_rates') }),
  ...times(3, {
    agent: other,
    host: 'rpc.acme.test',
    method: 'POST',
    path: '/acme.v1.Rates/GetRate',
    shape: { protocol: 'grpc', query: [] },
  }),
  ...times(3, {
    agent: other,
    host: 'peer.acme.test',
    method: 'POST',
    path: '/a2a',
    shape: { protocol: 'a2a', query: [], rpc: { method: 'message/send', tool: null } },
  }),
  ...times(3, {
    agent: other,
    method: 'POST',
    path: '/quotes',
    shape: { protocol: 'http', query: [], members: { currency: 'string', lines: 'array', of: { sku: 'string' } } },
  }),
];

describe('learn', () => {
  it('writes a folder that passes validate, lint and test', async () => {
    const made = await learnFrom(traffic);
    const out = folder();
    expect(await writeLearntFolder(out, made.folder.files)).toBeNull();
    for (const command of [policyValidateCommand, policyLint, policyTestCommand])
      expect(await ranOn(command, out)).toMatchObject({ exit: 0 });
    for (const [, name] of made.folder.intents)
      expect(intentFileFrom(made.folder.files.get(name) ?? '', name)).toHaveProperty('access');
  });

  it('permits a group what each of its agents did, an agent what it did alone, and nothing else', async () => {
    const { folder: made } = await learnFrom(traffic);
    const permits = made.permits.map(({ agents, lines, undecided }) => [
      agents.map((agent) => agent.slice(agent.lastIndexOf('/') + 1)).join(' '),
      lines.map(({ action }) => action.id).join(' '),
      undecided,
    ]);
    expect(permits).toEqual(
      expect.arrayContaining([
        ['one two', 'shop.GET-orders shop.GET-orders-order', null],
        ['one two', 'tools.search_orders tools.mcp.session', null],
        ['one', 'shop.GET-reports-report', null],
        ['two', 'shop.GET-exports', 'seen 2 times'],
        ['other', 'shop.DELETE-orders-order', 'of high risk'],
        ['other', 'peer.send', null],
        ['other', 'rpc.acme.v1.Rates-GetRate', null],
      ]),
    );
    expect(made.files.get('policies/shop.cedar')).toContain('// 6 calls, 2026-11-20; risk low');
  });

  // Issue 41: an errand that is seldom done was denied for its next value, also after a person had decided.
  it('guesses a parameter from two values, of which each permit is a comment', async () => {
    const made = await learnFrom([
      ...traffic,
      ...['/notes/acme-17', '/notes/acme-24'].flatMap((path) => times(2, { agent: other, path })),
    ]);
    const { files, permits } = made.folder;
    expect(files.get('actions.yaml')).toMatch(/^ {6}- .*\/notes\/\{note:\[a-z0-9-\]\{1,64\}\}/m);
    const permit = permits.find(({ lines }) => lines.some(({ action }) => action.name.includes('/notes/')));
    expect(permit).toMatchObject({ agents: [other], undecided: expect.stringContaining('guessed') });
    const target = folder();
    expect(await writeLearntFolder(target, files)).toBeNull();
    for (const command of [policyValidateCommand, policyLint, policyTestCommand])
      expect(await ranOn(command, target)).toMatchObject({ exit: 0 });
  });

  it('judges the last fifth by the written set, and says what would be denied', async () => {
    const records = [
      ...Array.from({ length: 10 }, (_, n) => day(n, { path: `/orders/${n}` })),
      day(9, { path: '/orders/99/refund', method: 'POST' }),
      day(9, { agent: two, path: '/orders/1' }),
    ];
    const made = await learnFrom(records, { span: { fromMs: Date.UTC(2026, 10, 1), toMs: Date.UTC(2026, 10, 11) } });
    expect([made.judge.calls, made.judge.allowed]).toEqual([4, 2]);
    expect(made.judge.denied.map(({ agent, what, reason }) => [agent, what, reason])).toEqual([
      [one, 'POST shop.acme.test/orders/99/refund', 'action.unknown'],
      [two, 'shop.GET-orders-order', 'policy.not-permitted'],
    ]);
    expect(learnMarkdown(learnReport(made))).toContain('**Of 4 calls 2 would be allowed; these 2 not (below).**');
  });

  it('makes a report that fits five minutes, with the greatest risk first, of 2,000 actions too', async () => {
    const astray = 'spiffe://acme.test/ns/a/sa/astray';
    const made = await learnFrom([
      ...traffic,
      ...whatBothDo(astray),
      ...Array.from({ length: 2 }, (_, n) => times(3, { agent: astray, path: `/secrets/room${n}x` })).flat(),
    ]);
    const whole = learnReport(made);
    const [open] = whole.toDecide;
    if (open === undefined) throw new Error('nothing is to be decided');
    const risks = { high: other, low: one } as const;
    const toDecide = (['high', 'low'] as const).flatMap((risk) =>
      Array.from({ length: 1_000 }, (_, n) => ({ ...open, risk, what: `tools.${risk}_${n}`, agents: [risks[risk]] })),
    );
    const report = learnMarkdown({ ...whole, toDecide });
    const lines = report.split('\n');
    expect(lines.length).toBeLessThan(150);
    expect(report.length).toBeLessThan(20_000);
    // Decisions about one agent that are alike share a row, and what is of high risk comes first.
    const decide = lines.slice(lines.findIndex((line) => line.startsWith('## To decide')));
    expect(decide.slice(6, 8)).toEqual([
      expect.stringMatching(/^\| high \| 1,000, such as `tools.high_0/),
      expect.stringMatching(/^\| low \| 1,000, such as `tools.low_0/),
    ]);
    const alone = lines.slice(lines.findIndex((line) => line.startsWith('## In force, and unlike')));
    expect(alone[6]).toContain(`| \`${astray}\` | \`shop.GET-secrets-room0x\``);
  });

  it('gives each agent an intent with half as many calls again as it ever made', async () => {
    const { folder: made } = await learnFrom([
      ...times(5, { task: 'T1', path: '/a' }),
      ...times(3, { task: 'T2', path: '/a' }),
    ]);
    const [name = ''] = made.intents.values();
    expect(made.files.get(name)).toContain('max_calls: 8 # 5 calls were the most');
  });

  it.each([
    ['denied while observing: token.revoked', { decision: 'deny', reason: 'token.revoked' }],
    ['to a method of MCP that becomes no action', rpc('completion/complete')],
    ['to a method of MCP that becomes no action', rpc('acme/export')],
    ['of a caller without an identity', { agent: null }],
    ['not parsed: no policy can allow it', { host: '', method: '', path: '' }],
    ['to a host that no catalog can name', { host: 'a_b.test/../x' }],
    ['to a tool or a method whose name no catalog can have', tool('line\nbreak')],
    ['to a tool or a method whose name no catalog can have', tool('sha-256:abc')],
  ] as const)('learns nothing that is %s, and says so', async (why, change) => {
    const made = await learnFrom([...times(3, { path: '/a' }), ...times(7, change)]);
    expect([...made.seen.left]).toEqual([[expect.stringContaining(why), 7]]);
    expect(learnMarkdown(learnReport(made))).toContain(`- left out: 7 ${why}`);
  });

  it('says for which reasons enforced calls were denied, of which it learns nothing', async () => {
    const { mode: _, shape: __, ...unknown } = observedUse({ decision: 'deny', reason: 'action.unknown' });
    const made = await learnFrom([...times(3, { path: '/a' }), unknown, { ...unknown, reason: 'token.revoked' }]);
    expect([...made.seen.left]).toEqual([
      ['denied: action.unknown', 1],
      ['denied: token.revoked', 1],
    ]);
  });

  it('judges a method of MCP that the catalog does not have as it would be decided', async () => {
    const made = await learnFrom(
      [0, 1, 2].map((n) => day(n, tool('search_orders'))).concat([day(9, rpc('acme/export'))]),
      {
        span: { fromMs: Date.UTC(2026, 10, 1), toMs: Date.UTC(2026, 10, 11) },
      },
    );
    expect([made.judge.calls, made.judge.denied.map(({ reason }) => reason)]).toEqual([1, ['action.unknown']]);
  });

  it('counts gaps and foreign records once, although the judged part is read by itself', async () => {
    const uses = Array.from({ length: 10 }, (_, n) => day(n, { path: '/orders' }));
    const leaves = uses.map((use, n) => leafOf(use, n < 9 ? n + 1 : n + 3));
    const source = () => [...leaves, leafOf({ kind: 'use', at: 'never' }, 14)];
    const made = await learnFrom(uses, {
      sources: [source],
      span: { fromMs: uses[0]?.at ?? 0, toMs: (uses[9]?.at ?? 0) + 1 },
    });
    expect(made.counts).toEqual({ records: 10, uses: 10, foreign: 1, missing: 3 });
  });

  it('counts gaps and foreign records', () => {
    const log = [
      leafOf(observedUse(), 1),
      leafOf(observedUse(), 5),
      { seq: 6, bytes: Buffer.from('not a leaf') },
      leafOf({ kind: 'use' }, 7),
      // A clock that stood a year ahead: what comes after it counts.
      leafOf(observedUse({ at: Number.MAX_SAFE_INTEGER }), 8),
      leafOf(observedUse(), 9),
    ];
    const counts = { records: 0, uses: 0, foreign: 0, missing: 0 };
    const span = { fromMs: 0, toMs: Date.UTC(2100, 0, 1) };
    expect([...usesIn([() => log], span, { counts, onRecord: () => undefined })]).toHaveLength(3);
    expect(counts).toEqual({ records: 3, uses: 3, foreign: 2, missing: 3 });
  });

  it('counts no call as a habit that failed upstream, or whose allow was withdrawn', async () => {
    const calls = times(5, { path: '/works' });
    const failed = times(4, { path: '/fails' });
    const withdrawn = times(4, { path: '/withdrawn' });
    const records = [
      ...calls,
      ...failed,
      ...withdrawn,
      ...calls.map(outcome(200)),
      ...failed.map((use, n) => outcome([404, 403, 503, null][n] ?? null)(use)),
      ...withdrawn.map((use) => ({
        ...use,
        decision: 'deny',
        reason: 'ledger.unavailable',
        withdraws: use.decisionId,
      })),
    ];
    const made = await learnFrom([...calls, ...failed, ...withdrawn], { sources: [logOf(records)] });
    expect(made.folder.accepted.servers.flatMap(({ actions }) => actions.map(({ name }) => name))).toEqual([
      'GET /works',
    ]);
    expect(Object.fromEntries(made.seen.left)).toMatchObject({
      'that failed upstream: refused, unknown there, or not answered': 4,
      'whose allow was withdrawn': 4,
    });
  });

  it('adds the calls that an agent makes in one hour through several sidecars', async () => {
    const logs = [0, 1, 2].map(() => times(6, { path: '/a' }));
    const made = await learnFrom(logs.flat(), { sources: logs.map((records) => logOf(records)) });
    const [name = ''] = made.folder.intents.values();
    expect(made.folder.files.get(name)).toContain('max_calls: 27 # 18 calls were the most');
  });

  it('leaves room for what others call if an agent calls more hosts, tools and paths than a catalog has', async () => {
    const flood = 'spiffe://acme.test/ns/b/sa/flood';
    const made = await learnFrom([
      ...Array.from({ length: 200 }, (_, n) => observedUse({ agent: flood, host: `h${n}.acme.test`, path: '/a' })),
      ...Array.from({ length: 12_000 }, (_, n) => observedUse({ agent: flood, ...tool(`tool_${n}`) })),
      ...times(3, { path: '/orders' }),
      ...times(3, tool('search_orders')),
    ]);
    const permitted = made.folder.permits.filter(({ agents, undecided }) => agents.includes(one) && undecided === null);
    expect(permitted.flatMap(({ lines }) => lines.map(({ action }) => action.name)).toSorted()).toEqual([
      'GET /orders',
      'search_orders',
    ]);
  });

  it('takes a nested amount, and one in another letter case, for an amount', async () => {
    const members = { payment: { amount: 'integer' }, Total: 'integer' } as const;
    const made = await learnFrom([
      ...times(3, { path: '/orders' }),
      ...times(3, { method: 'POST', path: '/orders', shape: { protocol: 'http', query: [], members } }),
    ]);
    const open = made.folder.permits.find(({ undecided }) => undecided !== null);
    expect([open?.lines[0]?.action.name, open?.undecided]).toEqual(['POST /orders', 'of high risk']);
    const intent = made.folder.files.get(made.folder.intents.get(one) ?? '') ?? '';
    expect(intent).toContain('values of `payment.amount` are never recorded');
  });

  it('takes what collides with another route out of force, as the catalog says', async () => {
    const { folder: made } = await learnFrom([
      ...times(5, { path: '/things/7' }),
      ...times(4, { path: '/things/0199a3bf-1c2d-7e3f-8a4b-5c6d7e8f9a0b' }),
      ...times(4, {
        path: '/things/export',
        method: 'POST',
        shape: { protocol: 'json-rpc', query: [], rpc: { method: 'x', tool: null } },
      }),
    ]);
    const undecided = made.accepted.servers.flatMap(({ actions }) =>
      actions.filter((action) => action.undecided !== null),
    );
    expect(undecided.map((action) => [action.name, action.undecided])).toEqual([
      ['POST /things/export', 'its JSON-RPC methods are not told apart'],
      ['GET /things/{thing:uuid}', expect.stringContaining('GET /things')],
    ]);
  });
});

describe('writeLearntFolder', () => {
  it('overwrites nothing, and names the file that exists', async () => {
    const out = folder();
    await mkdir(join(out, 'tests'));
    await writeFile(join(out, 'tests/a.test.yaml'), 'mine');
    const files = new Map([
      ['actions.yaml', 'a'],
      ['tests/a.test.yaml', 'b'],
    ]);
    expect(await writeLearntFolder(out, files)).toMatchObject({
      problem: expect.stringContaining('tests/a.test.yaml` exists'),
    });
    expect(await readdir(out)).toEqual(['tests']);
    expect(await readFile(join(out, 'tests/a.test.yaml'), 'utf8')).toBe('mine');
  });

  it('writes through no link', async () => {
    const [out, outside] = [folder(), folder()];
    await symlink(outside, join(out, 'tests'));
    expect(await writeLearntFolder(out, new Map([['tests/a.test.yaml', 'b']]))).toMatchObject({
      problem: expect.stringContaining('not a folder'),
    });
    expect(await readdir(outside)).toEqual([]);
  });
});

describe('filesToWrite', () => {
  it.each(['../a.yaml', 'tests/../../a.yaml', '/etc/a.yaml', '.a.yaml', 'a/b/c.yaml', 'a\0.yaml'])(
    'refuses the name %j',
    (name) => {
      expect(filesToWrite(new Map([[name, '']]))).toHaveProperty('problem');
    },
  );
});

/** Texts that end scalars, comments, strings and paths. */
const nasty = fc.oneof(
  fc.constantFrom(
    '"',
    "'",
    '\n',
    '\r',
    '\u2028',
    '\u0085',
    '../../etc/passwd',
    '# decide: ',
    '// decide: ',
    '"}',
    '*/',
    ': ',
    '- ',
    '{{',
    '${x}',
    '|',
    '&a',
    '*a',
    '!!js',
    '%0a',
    '..%2f',
    '");\npermit (principal, action, resource);//',
    "', action: x }\n      - { action: evil, method: GET, path: '/{x:text}', risk: low",
    '\\u0022',
    '\u202e',
  ),
  fc.string({ unit: 'binary', maxLength: 20 }),
);
const hostile = fc.array(nasty, { minLength: 1, maxLength: 4 }).map((parts) => parts.join(''));

describe('learn, of hostile records', () => {
  it('writes no path outside, no policy that is wider, and no line that is not its own', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.record({ host: hostile, path: hostile, tool: hostile, agent: hostile, member: hostile }), {
          minLength: 1,
          maxLength: 4,
        }),
        async (all) => {
          const records = all.flatMap(({ host, path, tool: name, agent, member }) => [
            ...times(3, { path: `/x/${path}` }),
            ...times(3, {
              path: `/${path}/x`,
              method: 'POST',
              shape: { protocol: 'http', query: [member], members: { [member]: 'string' } },
            }),
            ...times(3, { host: `${host}.acme.test`, path: '/a' }),
            ...times(3, { agent: `spiffe://acme.test/${agent}`, path: '/a' }),
            ...times(3, tool(name)),
            ...times(3, {
              ...tool('x'),
              path: `/${path}`,
              shape: { protocol: 'a2a', query: [], rpc: { method: name, tool: null } },
            }),
            ...times(3, {
              host: 'rpc.acme.test',
              method: 'POST',
              path: `/${path}/${name}`,
              shape: { protocol: 'grpc', query: [] },
            }),
          ]);
          const made = await learningFrom([...times(3, { path: '/safe' }), ...records]);
          // What was made was loaded by `learn`: a file that does not parse is a problem.
          expect(isProblem(made)).toBe(false);
          const { files, accepted, permits } = must(made).folder;
          expect(await writeLearntFolder(folder(), files)).toBeNull();
          // Parsed back, the catalog has what was learnt, and nothing else.
          const inForce = accepted.servers.flatMap(({ actions }) =>
            actions.filter(({ undecided }) => undecided === null),
          );
          const sessions = [...accepted.catalog.actions.values()]
            .filter(({ isSession }) => isSession)
            .map(({ id }) => id);
          expect(new Set(accepted.catalog.actions.keys())).toEqual(
            new Set([...inForce.map(({ id }) => id), ...sessions]),
          );
          // Parsed back, the policies are the permits in force, each for use and for tokens.
          const ids = permits.filter(({ undecided }) => undecided === null).flatMap(({ id }) => [id, `${id}-issue`]);
          expect(must(made).policies.toSorted()).toEqual(ids.toSorted());
        },
      ),
      { numRuns: thoroughly(300, 8) },
    );
  }, 600_000);
});

import type { Server } from '../../../../src/core/action/catalog/catalog.ts';
import type { SpiffeId } from '../../../../src/core/identity/spiffe-id.ts';
import { anyScope } from '../../../../src/core/policy/answers/scope.ts';
import { describe, expect, it } from '@jest/globals';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { cedarStatements } from '../../../../src/core/policy/cedar-text.ts';
import { compileInWorker } from '../../../../src/core/policy/loading/compile.ts';
import type { Compile } from '../../../../src/core/policy/loading/compile.ts';
import { loadPolicies, policySetFrom, policySetsToServe } from '../../../../src/core/policy/loading/load.ts';
import {
  baseSchema,
  compileHere,
  exampleCatalog,
  findingsOf,
  folderWith,
  mustLoad,
} from '../../../builders/policy-folder.ts';
import { must } from '../../../builders/must.ts';

const permit = '@id("p") permit (principal, action, resource);\n';
const many = (count: number, text: string, between: string) => Array.from({ length: count }, () => text).join(between);

const lying = async () => ({
  policies: [
    {
      id: 'p',
      effect: 'permit',
      reason: null,
      shadow: false,
      accepts: [],
      text: 'permit',
      scope: anyScope,
      reads: { everything: true, roots: new Map() },
      file: 'p/a.cedar',
      line: 1,
      column: 1,
      offset: 0,
    } as const,
  ],
  templates: [],
  findings: [],
  warnings: [],
});

/** The declarations of a schema, in whatever order. */
const wordsOf = (schema: string): readonly string[] =>
  cedarStatements(schema.replace(/^[^{]*\{/, ''))
    .map(({ tokens }) => tokens.map(({ text }) => text).join(' '))
    .toSorted();

describe('policySetFrom finds', () => {
  const rows: readonly (readonly [string, Parameters<typeof folderWith>, readonly string[]])[] = [
    [
      'a syntax error, after text of more than one byte a character',
      ['// é€😀\n@id("p") permit (principal, action, resource)\nwhen { "😀" == ; };\n'],
      [
        'p/a.cedar:3:15: unexpected token `;`: expected `!`, `(`, `-`, `[`, `{`, `false`, identifier, `if`, number, `?principal`, `?resource`, string literal, or `true`',
      ],
    ],
    [
      'a type error, after text of more than one byte a character',
      [
        '// é😀\n@id("p") permit (principal, action == Remit::Action::"payments.create", resource)\nwhen { "😀" == "" || context.args.amount == "5" };\n',
      ],
      ['p/a.cedar:3:21: the types Long and String are not compatible'],
    ],
    [
      'an argument that the catalog does not define',
      [
        '@id("p") permit (principal, action == Remit::Action::"payments.create", resource) when { context.args.amont > 5 };',
      ],
      ['p/a.cedar:1:90: attribute `args.amont` in context for Remit::Action::"payments.create" not found'],
    ],
    [
      'an optional argument read without asking whether it is there',
      [
        '@id("p") permit (principal, action == Remit::Action::"payments.create", resource) when { context.args.currency == "EUR" };',
      ],
      [
        'p/a.cedar:1:90: unable to guarantee safety of access to optional attribute `args.currency` in context for Remit::Action::"payments.create"',
      ],
    ],
    [
      'an unknown action',
      ['@id("p") permit (principal, action == Remit::Action::"payments.creat", resource);'],
      ['p/a.cedar:1:39: unrecognized action `Remit::Action::"payments.creat"`'],
    ],
    [
      'what is wrong for many actions, with the advice for each',
      [
        '@id("p") permit (principal, action in [Remit::Action::"files.list", Remit::Action::"files.read"], resource) when { context.args.x == 1 };',
      ],
      [
        'p/a.cedar:1:116: attribute `args.x` in context for Remit::Action::"files.list" not found',
        'p/a.cedar:1:116: attribute `args.x` in context for Remit::Action::"files.read" not found',
      ],
    ],
    [
      'what is wrong for many actions in the same words once, with all of them',
      [
        '@id("p") permit (principal, action in [Remit::Action::"files.list", Remit::Action::"payments.list"], resource) when { context.args.x == 1 };',
      ],
      [
        'p/a.cedar:1:119: attribute `args.x` in context for Remit::Action::"files.list" not found; the same for Remit::Action::"payments.list"',
      ],
    ],
    [
      'a missing id',
      [`${permit}\n  permit (principal, action, resource);`],
      ['p/a.cedar:3:3: the policy lacks an `@id`'],
    ],
    [
      'an id without a value',
      ['@id permit (principal, action, resource);'],
      ['p/a.cedar:1:1: the policy lacks an `@id`'],
    ],
    [
      'an empty id',
      ['@id("") permit (principal, action, resource);'],
      ['p/a.cedar:1:1: the id `` must be letters, digits, `.`, `_` and `-`, at most 128'],
    ],
    [
      'an id with a blank',
      ['@id("a b") permit (principal, action, resource);'],
      ['p/a.cedar:1:1: the id `a b` must be letters, digits, `.`, `_` and `-`, at most 128'],
    ],
    ['a duplicate id', [`${permit}\n${permit}`], ['p/a.cedar:3:1: the id `p` is taken by the policy at p/a.cedar:1']],
    [
      'a duplicate annotation',
      ['@id("a") @id("b") permit (principal, action, resource);'],
      ['p/a.cedar:1:10: duplicate annotation: @id'],
    ],
    [
      'an unknown annotation',
      ['@id("p") @why("x") permit (principal, action, resource);'],
      ['p/a.cedar:1:10: unknown annotation `@why`'],
    ],
    [
      'a shadow that is not true',
      ['@id("p") @shadow("false") permit (principal, action, resource);'],
      ['p/a.cedar:1:10: the only value of `@shadow` is `"true"`'],
    ],
    [
      'a reason of two lines',
      ['@id("p") @reason("a\\nb") forbid (principal, action, resource);'],
      ['p/a.cedar:1:10: the reason must be 1 to 200 printable characters'],
    ],
    [
      'nested brackets',
      [`${permit}@id("q") permit (principal, action, resource) when { ${'('.repeat(200)}true${')'.repeat(200)} };`],
      ['p/a.cedar:2:1: the policy nests too deeply: 805, at most 150'],
    ],
    [
      'brackets never closed',
      [`@id("q") permit (principal, action, resource) when { ${'('.repeat(100_000)}`],
      ['p/a.cedar:1:1: the policy nests too deeply: 300004, at most 150'],
    ],
    [
      'a long chain',
      [`@id("q") permit (principal, action, resource) when { ${many(500, 'true', ' && ')} };`],
      ['p/a.cedar:1:1: the policy nests too deeply: 504, at most 150'],
    ],
    [
      'a string never closed',
      ['@id("p") permit (principal, action, resource) when { "x };'],
      ['p/a.cedar:1:54: invalid token'],
    ],
    [
      'broken YAML',
      [permit, { catalog: 'servers:\n  a: [' }],
      [
        'p/actions.yaml:2:7: invalid YAML: flow sequence in block collection must be sufficiently indented and end with a ]',
      ],
    ],
    [
      'a broken schema',
      [permit, { base: 'namespace Remit {\n  entity Agent\n  entity Server;\n}' }],
      ['p/base.cedarschema:3:3: unexpected token `entity`: expected `,`, `;`, `=`, `{`, `enum`, `in`, or `tags`'],
    ],
    [
      'a schema without the namespace',
      [permit, { base: 'entity Agent;' }],
      ['p/base.cedarschema:1:1: the base schema has no `namespace Remit { … }`'],
    ],
  ];
  it.each(rows)('%s', async (_name, [policies, others], expected) => {
    const found = await findingsOf(folderWith(policies, others));
    expect(found).toEqual(expected.map((line) => expect.stringContaining(line)));
  });

  // Issue 37, point 6: an upgrade refused each repository whose copy of the base schema was of the release before.
  it.each([
    ['lacks what actions need', 'namespace Remit { entity Agent; }', '`Endpoint`'],
    ['has a context that is not what Remit fills', baseSchema.replace('uses: Long', 'uses: String'), '`Credential`'],
    [
      'is of an earlier build, in which claimed and attested values were not told apart',
      baseSchema.replace(/claimed: .*|attested: .*|type Attested = [^]*?};/g, ''),
      '`Attested`',
    ],
    ['asks for more context', baseSchema.replace('uses: Long,', 'uses: Long, more: Long,'), '`Credential`'],
    ['lacks a parent of its entities', baseSchema.replace('in [TrustDomain, AgentGroup]', ''), '`Agent`'],
  ])('no fault in a base schema that %s: this build has its own, and says so', async (_name, base, named) => {
    const { warnings, schema } = await mustLoad(folderWith(permit, { base }));
    expect(warnings).toEqual([
      expect.objectContaining({
        file: 'p/base.cedarschema',
        message: expect.stringContaining(`the base schema is that of another release: `),
      }),
    ]);
    expect(warnings[0]?.message).toContain(named);
    // What is not of Remit is as in the shipped one.
    expect(wordsOf(schema)).toEqual(wordsOf((await mustLoad(folderWith(permit))).schema));
  });

  it('policies that read what only another release fills', async () => {
    const base = baseSchema.replace('uses: Long,', 'uses: Long, later: Long,');
    const policy =
      '@id("p") permit (principal, action == Remit::Action::"payments.create", resource) when { context.credential.later > 1 };\n';
    expect(await findingsOf(folderWith(policy, { base }))).toEqual([
      expect.stringContaining('attribute `credential.later` in context'),
    ]);
  });

  it('everything of every file in one run', async () => {
    const source = folderWith('permit (principal, action, resource);', {
      catalog: `${exampleCatalog}more: 1\n`,
      entities: '[{ "uid": 1, "attrs": {}, "parents": [] }]',
    });
    expect((await findingsOf(source)).map((line) => line.split(': ')[0])).toEqual([
      'p/a.cedar:1:1',
      `p/actions.yaml:${exampleCatalog.split('\n').length}:1`,
      'p/e.cedarentities.json:1:2',
    ]);
  });
});

describe('policySetFrom', () => {
  it('hashes names and texts, so that every change or move changes the hash', async () => {
    const hashes = await Promise.all(
      [
        folderWith(permit),
        folderWith(`${permit}\n`),
        folderWith(permit, { base: `${baseSchema}\n` }),
        folderWith(permit, { catalog: `${exampleCatalog}\n` }),
        folderWith(permit, { entities: '[]' }),
        { ...folderWith(permit), folder: 'elsewhere' },
        folderWith(permit, { descriptorSets: new Map([['a.binpb', new Uint8Array([1])]]) }),
        folderWith(permit, { descriptorSets: new Map([['a.binpb', new Uint8Array([2])]]) }),
        folderWith(permit, { descriptorSets: new Map([['b.binpb', new Uint8Array([1])]]) }),
      ].map(async (source) => (await mustLoad(source)).hash),
    );
    expect(hashes[0]).toMatch(/^sha-256:[A-Za-z0-9_-]{43}$/);
    expect(new Set(hashes).size).toBe(8);
    expect(hashes[5]).toBe(hashes[0]);
  });

  it('keeps shadow policies out of force and names them', async () => {
    const set = await mustLoad(folderWith(`${permit}@id("s") @shadow("true") forbid (principal, action, resource);`));
    expect([set.policyCount, set.shadowIds, set.ready]).toEqual([1, ['s'], true]);
  });

  it('is not ready without policies in force', async () => {
    const set = await mustLoad(folderWith('@id("s") @shadow("true") permit (principal, action, resource);'));
    expect([set.policyCount, set.ready]).toEqual([0, false]);
    expect((await mustLoad(folderWith('// nothing yet'))).ready).toBe(false);
  });

  it('warns of a policy that can never match', async () => {
    const policy =
      '@id("p") permit (principal, action == Remit::Action::"issue", resource in Remit::Server::"files") when { false };';
    const { warnings } = await mustLoad(folderWith(policy));
    expect(warnings).toMatchObject([
      { file: 'p/a.cedar', line: 1, column: 1, message: expect.stringContaining('impossible') },
    ]);
  });
});

describe('compileInWorker', () => {
  it('loads the shipped folder in a thread of its own', async () => {
    const set = await loadPolicies('cedar-policies');
    expect(set).toMatchObject({ policyCount: 18, shadowIds: ['night-freeze'], ready: true, warnings: [] });
  });

  it('turns a trap of the engine into a finding, without effect on this thread', async () => {
    const deep = `namespace Remit { type Deep = ${'{a: '.repeat(2000)}Long${'}'.repeat(2000)}; }`;
    expect(await findingsOf(folderWith(permit, { base: deep }), compileInWorker())).toEqual([
      expect.stringMatching(/^p:1:1: the policy set could not be compiled: RuntimeError: memory access out of bounds$/),
    ]);
    expect(await findingsOf(folderWith(permit), compileInWorker())).toEqual([]);
  });

  it('hands over many policies in their order, and keeps them for one set after another', async () => {
    const text = Array.from({ length: 300 }, (_, index) => permit.replace('"p"', `"p${index}"`));
    const setFrom = policySetsToServe();
    for (const count of [300, 129, 1]) {
      const set = must(await setFrom(folderWith(text.slice(0, count).join('\n'))));
      expect(set.policies.map(({ id }) => id)).toEqual(Array.from({ length: count }, (_, index) => `p${index}`));
      const answer = set.ask({
        principal: 'spiffe://acme.test/planner' as SpiffeId,
        action: 'payments.read',
        server: set.catalog.servers.get('payments') as Server,
        endpoint: null,
        context: {},
      });
      expect(answer).toMatchObject({ kind: 'permitted', policyIds: { length: count } });
      expect(set.sizes().parsed).toEqual({ slices: 1, policies: count });
    }
  });

  it('gives no set before its proof has ended, though its policies were read long before', async () => {
    const held = Promise.withResolvers<void>();
    const read = Promise.withResolvers<void>();
    const order: string[] = [];
    const compile: Compile = async (input, onRead) => {
      const proof = await compileHere(input, onRead);
      read.resolve();
      await held.promise;
      order.push('proof');
      return proof;
    };
    const given = policySetFrom(folderWith(permit), { compile }).then(() => order.push('set'));
    await read.promise;
    for (let turn = 0; turn < 50; turn += 1) await nextTurn();
    expect(order).toEqual([]);
    held.resolve();
    await given;
    expect(order).toEqual(['proof', 'set']);
  });

  it('terminates a thread after the time-out', async () => {
    const never = compileInWorker(() => 1);
    expect(await findingsOf(folderWith(permit), never)).toEqual([
      'p:1:1: the policy set could not be compiled: no answer within 1 ms',
    ]);
  });
});

describe('policySetsToServe', () => {
  it('gives the set made last for its own content, and no other', async () => {
    const setFrom = policySetsToServe();
    const set = must(await setFrom(folderWith(permit)));
    expect(await setFrom(folderWith('permit ('))).toHaveProperty('findings');
    expect(await setFrom(folderWith(permit))).toBe(set);
    const other = must(await setFrom(folderWith(permit.replace('"p"', '"q"'))));
    expect(other.policies).toMatchObject([{ id: 'q' }]);
    expect(must(await setFrom(folderWith(permit))).policies).toMatchObject([{ id: 'p' }]);
  });
});

describe('loadPolicies', () => {
  it('names a folder that cannot be read', async () => {
    expect(await loadPolicies('no/such/folder')).toEqual({
      findings: [
        {
          file: 'no/such/folder',
          line: 1,
          column: 1,
          message: 'the policy folder could not be read: ENOENT',
          help: null,
        },
      ],
    });
  });

  it('denies every question if the engine refuses what was proved', async () => {
    const set = must(await policySetFrom(folderWith(permit), { compile: lying }));
    const question = {
      principal: 'spiffe://acme.test/planner' as SpiffeId,
      action: 'payments.read',
      server: set.catalog.servers.get('payments') as Server,
      endpoint: null,
      context: {},
    };
    expect(set.ask(question)).toEqual({ kind: 'error', policyIds: [], detail: 'the engine refused the policies' });
  });
});

const asking = (asked: string): string =>
  `@id("p") permit (principal, action == Remit::Action::"files.read", resource) when { context.attested.contains(${asked}) };`;

describe('a policy about attested values', () => {
  it.each([
    ['without who', '{name: "approval", value: "finance"}'],
    ['with a member misspelt', '{name: "approval", valeu: "finance", by: "spiffe://acme.test/w"}'],
    ['of another type', '{name: "approval", value: 1, by: "spiffe://acme.test/w"}'],
    ['as a claim is written', '"approval=finance"'],
  ])('is not asked for %s', async (_name, value) => {
    expect(await findingsOf(folderWith(asking(value)))).toEqual([expect.stringMatching(/^p\/a\.cedar:1:/)]);
    const whole = '{name: "approval", value: "finance", by: "spiffe://acme.test/w"}';
    expect(await findingsOf(folderWith(asking(whole)))).toEqual([]);
  });
});

describe('a policy of an earlier build', () => {
  it('gets help on the replacement of `context.taskContext`', async () => {
    const text =
      '@id("p") permit (principal, action, resource) when { context.taskContext.contains("approval=finance") };';
    const set = await policySetFrom(folderWith(text), { compile: compileHere });
    expect(set).toMatchObject({
      findings: [
        {
          message: expect.stringContaining('`taskContext`'),
          help: expect.stringMatching(/^read `context\.attested` for what others vouch for.*or `context\.claimed`/),
        },
      ],
    });
  });
});

import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { policyEval } from '../../../src/cli/policy/policy-eval.ts';

let folder = '';
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'remit-eval-'));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

const written = async (name: string, content: string | Uint8Array): Promise<string> => {
  await writeFile(join(folder, name), content);
  return join(folder, name);
};

async function run(...args: readonly string[]) {
  let text = '';
  const talk: string[] = [];
  const progress: string[] = [];
  const exit = await policyEval(args, {
    err: (line) => talk.push(line),
    stdout: { writable: true, writableLength: 0, write: (more) => (text += more) },
    progress: (line) => progress.push(line),
  });
  return { exit, lines: text.split('\n').filter((line) => line !== ''), talk, progress };
}

const user = (id: string) => ({ type: 'User', id });
const request = (context: object, more: object = {}) => ({
  principal: user('alice'),
  action: { type: 'Action', id: 'read' },
  resource: { type: 'File', id: 'f' },
  context,
  ...more,
});
const policies = `permit (principal, action == Action::"read", resource) when { context.n > 1 };
forbid (principal, action, resource) when { context.n == 9007199254740993 };
permit (principal == User::"bob", action, resource);
forbid (principal in Group::"out", action, resource);`;
const entities = [{ uid: user('carol'), attrs: {}, parents: [{ type: 'Group', id: 'out' }] }];
const requests = [
  request({ n: 2 }),
  request({ n: 1 }),
  request({}),
  request({ n: 2 }, { principal: user('carol') }),
  request({ n: 2 }, { principal: user('bob') }),
  request({ n: 1.5 }),
  request({ n: 2 }),
];
const answer = (index: number, decision: string, reason: readonly string[] = [], errors: readonly string[] = []) => ({
  request: index,
  decision,
  reason,
  errors,
});
const answers = [
  answer(0, 'allow', ['policy0']),
  answer(1, 'deny'),
  answer(2, 'deny', [], ['policy0', 'policy1']),
  answer(3, 'deny', ['policy3']),
  answer(4, 'allow', ['policy0', 'policy2']),
  { request: 5, failure: expect.stringContaining('data did not match') },
  answer(6, 'allow', ['policy0']),
];
const big = JSON.stringify({ id: 'big', policies, entities, requests: [request({ n: 0 })] }).replace(
  '"n":0',
  '"n":9007199254740993',
);
const bigAnswer = { id: 'big', ...answer(0, 'deny', ['policy1']) };

describe('policyEval', () => {
  const cases = [JSON.stringify({ id: 'one', policies, entities, requests }), '', big].join('\n');
  it.each([
    ['', []],
    [' without the cache', ['--no-cache']],
    [' without slices', ['--no-slices']],
    [' without either', ['--no-cache', '--no-slices']],
  ])('prints one line for each request of each case%s', async (_name, options) => {
    const plain = await run('--cases', await written('cases.jsonl', `${cases}\n`), ...options);
    const zipped = await run('--cases', await written('cases.gz', gzipSync(cases)), ...options);
    expect(plain.lines.map((line) => JSON.parse(line))).toEqual([
      ...answers.map((line) => Object.assign({ id: 'one' }, line)),
      bigAnswer,
    ]);
    expect(zipped).toEqual(plain);
    expect(plain).toMatchObject({ exit: 0, talk: [] });
    expect(plain.lines[0]).toBe('{"id":"one","request":0,"decision":"allow","reason":["policy0"],"errors":[]}');
  });

  it('validates requests if the case has a schema, whatever was cached before', async () => {
    const schema = 'entity User, File; action read appliesTo { principal: User, resource: File, context: {n: Long} };';
    const permit = 'permit (principal, action, resource) when { context.n > 1 };';
    const asked = [request({ n: 2 }), request({ n: 2, z: 1 }), request({ n: 2, z: 1 }, { validateRequest: false })];
    const one = JSON.stringify({ id: 1, policies: permit, schema, entities: [], requests: asked });
    for (const option of [[], ['--no-cache'], ['--no-slices']]) {
      const { lines } = await run('--cases', await written('schema.jsonl', one), ...option);
      const [good, refused, unchecked] = lines.map((line) => JSON.parse(line));
      expect(good).toEqual({ id: 1, ...answer(0, 'allow', ['policy0']) });
      expect(refused).toEqual({
        id: 1,
        request: 1,
        failure: expect.stringContaining('attribute `z` should not exist'),
      });
      expect(unchecked).toMatchObject({ request: 2 });
      const whole = await run('--cases', await written('schema.jsonl', one), '--no-cache', '--no-slices');
      expect(lines).toEqual(whole.lines);
    }
  });

  it('reads policies, schema, entities and requests from separate files, including templates and links', async () => {
    const set = {
      staticPolicies: { own: 'permit (principal == User::"alice", action, resource) when { context.n == 1 };' },
      templates: { shared: 'permit (principal in ?principal, action, resource == ?resource);' },
      templateLinks: [
        {
          templateId: 'shared',
          newId: 'out-f',
          values: { '?principal': { type: 'Group', id: 'out' }, '?resource': { type: 'File', id: 'f' } },
        },
        {
          templateId: 'shared',
          newId: 'out-g',
          values: { '?principal': { type: 'Group', id: 'out' }, '?resource': { type: 'File', id: 'g' } },
        },
      ],
    };
    const files = [
      '--policies',
      await written('set.json', JSON.stringify(set)),
      '--entities',
      await written('entities.json', JSON.stringify(entities)),
      '--schema',
      await written(
        's.cedarschema',
        'entity Group; entity User in Group; entity File; action read appliesTo { principal: User, resource: File, context: {n?: Long} };',
      ),
      '--requests',
      await written('asked.jsonl', requests.map((one) => JSON.stringify(one)).join('\n')),
    ];
    const { lines, exit } = await run(...files);
    expect(lines.slice(1, 4).map((line) => JSON.parse(line))).toEqual([
      { id: 'asked.jsonl', ...answer(1, 'allow', ['own']) },
      { id: 'asked.jsonl', ...answer(2, 'deny', [], ['own']) },
      { id: 'asked.jsonl', ...answer(3, 'allow', ['out-f']) },
    ]);
    expect(exit).toBe(0);
    expect((await run(...files, '--no-cache', '--no-slices')).lines).toEqual(lines);
  });

  it.each([
    ['policies that do not parse', { policies: 'permit (', requests: [request({})] }],
    [
      'a template without its link',
      { policies: 'permit (principal == ?principal, action, resource);', requests: [request({})] },
    ],
    ['no policies', { requests: [request({})] }],
    ['a schema that does not parse', { policies, schema: 'entity', requests: [request({})] }],
    ['invalid entities', { policies, entities: [{ uid: 1 }], requests: [request({})] }],
    [
      'a policy that would trap the engine',
      {
        policies: `permit (principal, action, resource) when { ${'('.repeat(400)}true${')'.repeat(400)} };`,
        requests: [request({})],
      },
    ],
    ['a request without a principal', { policies, requests: [{ context: {} }] }],
    ['an invalid request', { policies, requests: [1] }],
  ])('prints why there is no answer: %s', async (_name, one) => {
    const { lines, exit } = await run(
      '--cases',
      await written('bad.jsonl', `${JSON.stringify({ id: 'bad', ...one })}\n${big}`),
    );
    expect(lines.map((line) => JSON.parse(line))).toEqual([
      { id: 'bad', request: 0, failure: expect.any(String) },
      bigAnswer,
    ]);
    expect(exit).toBe(0);
  });

  it('shows its progress, and clears it at the end', async () => {
    const many = JSON.stringify({
      id: 'many',
      policies,
      requests: Array.from({ length: 600 }, () => request({ n: 2 })),
    });
    const { progress, lines } = await run('--cases', await written('many.jsonl', many));
    expect(progress).toEqual(['256 requests', '512 requests', '']);
    expect(lines).toHaveLength(600);
  });

  const bad: readonly (readonly [string, () => Promise<readonly string[]>, string])[] = [
    ['no files', async () => [], 'expected `--cases`, or `--policies` and `--requests`'],
    ['policies alone', async () => ['--policies', 'p'], 'expected `--cases`, or `--policies` and `--requests`'],
    [
      'cases beside policies',
      async () => ['--cases', 'c', '--policies', 'p'],
      '`--cases` excludes `--policies`, `--entities`, `--schema` and `--requests`',
    ],
    ['a missing file', async () => ['--cases', 'no/such'], '`no/such` could not be read: ENOENT'],
    ['no JSON', async () => ['--cases', await written('x.jsonl', `${big}\n{`)], 'x.jsonl:2: no JSON'],
    ['no object', async () => ['--cases', await written('y.jsonl', '[]')], 'y.jsonl:1: the line must be a JSON object'],
    [
      'no requests',
      async () => ['--cases', await written('z.jsonl', '{"requests":1}')],
      'z.jsonl:1: `entities` and `requests` must be lists',
    ],
    [
      'a file cut short',
      async () => ['--cases', await written('cut.gz', gzipSync(big).subarray(0, 60))],
      'unexpected end of file',
    ],
    ['an unknown option', async () => ['--case'], "Unknown option '--case'"],
  ];
  it.each(bad)('is bad use: %s', async (_name, args, message) => {
    const { exit, talk } = await run(...(await args()));
    expect(exit).toBe(2);
    expect(talk.join('\n')).toContain(message);
    expect(talk[0]).toMatch(/^remit policy eval: /);
  });
});

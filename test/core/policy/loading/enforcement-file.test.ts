import { describe, expect, it } from '@jest/globals';
import { enforcementFrom } from '../../../../src/core/policy/loading/enforcement-file.ts';
import type { ReadEnforcement } from '../../../../src/core/policy/loading/enforcement-file.ts';
import { mustCatalog } from '../../../builders/catalog.ts';
import { findingsOf, folderWith, mustLoad } from '../../../builders/policy-folder.ts';

const catalog = mustCatalog(`servers:
  tools:
    hosts: [tools.acme.test]
    audience: https://tools.acme.test
    routes:
      - { action: items.read, method: GET, path: /items, risk: low }
`);
const nowMs = Date.parse('2026-12-01T12:00:00Z');
const read = (text: string): ReadEnforcement =>
  enforcementFrom({ file: 'p/enforcement.yaml', text }, { catalog, nowMs });
const whole = {
  id: 'legacy',
  agents: "['spiffe://acme.test/ns/legacy/*']",
  servers: '[tools]',
  until: '2027-01-31',
  owner: 'team-payments',
  because: 'CHG-1234',
};
type Written = Readonly<Partial<Record<keyof typeof whole | 'unidentified' | 'mode', string>>>;
/** An entry with what a test changes; `''` leaves a key out. */
const entry = (changed: Written = {}): string =>
  Object.entries({ ...whole, ...changed })
    .filter(([, value]) => value !== '')
    .map(([key, value], at) => `${at === 0 ? '  - ' : '    '}${key}: ${value}\n`)
    .join('');
const entries = (count: number): string => Array.from({ length: count }, (_, n) => entry({ id: `e${n}` })).join('');
const inDays = (days: number): string => new Date(Date.now() + days * 86_400_000).toISOString().slice(0, 10);
const found = (text: string): readonly string[] =>
  read(text).findings.map(({ line, column, message, help }) => `${line}:${column}: ${message}. ${help}`);
const names = (count: number, of: (n: number) => string): string =>
  `[${Array.from({ length: count }, (_, n) => `'${of(n)}'`).join(', ')}]`;

describe('enforcementFrom', () => {
  it('reads entries in the order of the file', () => {
    const other = entry({
      id: 'unknown-clients',
      agents: '',
      unidentified: 'true',
      servers: "['legacy.acme.test', '*.old.acme.test', '[::1]']",
      until: '2027-03-01',
    });
    expect(read(`observe:\n${entry()}${other}`)).toEqual({
      observed: [
        {
          id: 'legacy',
          agents: ['spiffe://acme.test/ns/legacy/*'],
          servers: ['tools'],
          untilMs: Date.parse('2027-01-31T00:00:00Z'),
          owner: 'team-payments',
          because: 'CHG-1234',
          place: { file: 'p/enforcement.yaml', line: 2, column: 5 },
        },
        expect.objectContaining({
          id: 'unknown-clients',
          agents: null,
          servers: ['legacy.acme.test', '*.old.acme.test', '[::1]'],
        }),
      ],
      findings: [],
      warnings: [],
    });
  });

  it.each([
    ['a missing file', undefined],
    ['an empty file', ''],
    ['a file with comments alone', '# nothing yet\n'],
    ['a file without entries', 'observe: []\n'],
    ['a file with an empty key', 'observe:\n'],
  ])('observes nothing by %s', (_name, text) => {
    const source = text === undefined ? undefined : { file: 'enforcement.yaml', text };
    expect(enforcementFrom(source, { catalog, nowMs })).toEqual({ observed: [], findings: [], warnings: [] });
  });

  it.each<[string, string, string]>([
    [
      'no end',
      entry({ until: '' }),
      '2:5: an entry of `observe` lacks the key `until`. the day from which it is enforced, such as `until: 2027-01-31`: nothing is observed without an end',
    ],
    [
      'an end more than 90 days away',
      entry({ until: '2027-03-02' }),
      '5:12: `until` `2027-03-02` is more than 90 days away. at most `2027-03-01`; an entry can be given a later day when that comes near',
    ],
    [
      'an end that is no day',
      entry({ until: '2027-02-31' }),
      '5:12: `until` `2027-02-31` must be a day, written `YYYY-MM-DD`. null',
    ],
    [
      'no owner',
      entry({ owner: '' }),
      '2:5: an entry of `observe` lacks the key `owner`. who brings these agents under their policies, such as `owner: team-payments`',
    ],
    ['an empty owner', entry({ owner: "''" }), '6:12: `owner` `` must be printable, 1 to 200 characters. null'],
    [
      'no cause',
      entry({ because: '' }),
      '2:5: an entry of `observe` lacks the key `because`. why they are not enforced yet, such as the number of a change: `because: CHG-1234`',
    ],
    [
      'no id',
      entry({ id: '' }),
      '2:5: an entry of `observe` lacks the key `id`. a word that is this entry in records and metrics, such as `id: payments-legacy`',
    ],
    [
      'an id with a line break',
      entry({ id: '"a\\nb"' }),
      '2:9: `id` `a\nb` must be letters, digits, `.`, `_` and `-`, beginning with a letter or digit, at most 64. null',
    ],
    ['the id of another entry', entry() + entry(), '8:9: the id `legacy` is of another entry too. give each its own'],
    [
      'every agent at every server',
      entry({ agents: "['*']", servers: '' }),
      '3:14: the agents `*` are all, at every server. name its `servers`, or the agents',
    ],
    [
      'a whole trust domain at every server',
      entry({ agents: "['spiffe://acme.test/ns/*/sa/*']", servers: '' }),
      '3:14: the agents `spiffe://acme.test/ns/*/sa/*` are all, at every server. name its `servers`, or the agents',
    ],
    [
      'calls without an identity at every server',
      entry({ agents: '', unidentified: 'true', servers: '' }),
      '2:5: an entry for calls without an identity names no `servers`. name its `servers`',
    ],
    [
      'no callers',
      entry({ agents: '' }),
      '2:5: an entry of `observe` names no callers. write `agents` with patterns of SPIFFE IDs, or `unidentified: true` for calls without an identity',
    ],
    [
      'callers with and without an identity',
      entry({ unidentified: 'true' }),
      '8:19: an entry has `agents` or `unidentified`. write two entries',
    ],
    [
      '`unidentified: false`',
      entry({ agents: '', unidentified: 'false' }),
      '7:19: `unidentified` must be `true`: leave it out otherwise. null',
    ],
    [
      'an agent that is no SPIFFE ID',
      entry({ agents: "['legacy']" }),
      '3:14: the agent `legacy` must be a SPIFFE ID such as `spiffe://acme.test/ns/legacy/*`: invalid SPIFFE ID; `*` stands for any part of one segment of its path. null',
    ],
    [
      'a pattern of trust domains',
      entry({ agents: "['spiffe://*/a']" }),
      '3:14: the agent `spiffe://*/a` must be a SPIFFE ID such as `spiffe://acme.test/ns/legacy/*`: invalid SPIFFE ID; `*` stands for any part of one segment of its path. null',
    ],
    [
      'a server that the catalog lacks',
      entry({ servers: '[tool]' }),
      '4:15: the server `tool` is neither in the catalog nor a host. servers of the catalog: tools; a host that it lacks is written like `legacy.acme.test` or `*.acme.test`',
    ],
    [
      'every host',
      entry({ servers: "['*']" }),
      '4:15: the server `*` is neither in the catalog nor a host. servers of the catalog: tools; a host that it lacks is written like `legacy.acme.test` or `*.acme.test`',
    ],
    [
      'a top-level domain',
      entry({ servers: "['*.com']" }),
      '4:15: the server `*.com` is neither in the catalog nor a host. servers of the catalog: tools; a host that it lacks is written like `legacy.acme.test` or `*.acme.test`',
    ],
    [
      'a host with a port',
      entry({ servers: "['a.test:443']" }),
      '4:15: the server `a.test:443` is neither in the catalog nor a host. servers of the catalog: tools; a host that it lacks is written like `legacy.acme.test` or `*.acme.test`',
    ],
    [
      'no server in the list',
      entry({ servers: '[]' }),
      '4:14: `servers` names none. leave the entry out, or name 1 to 64',
    ],
    [
      '65 servers',
      entry({ servers: names(65, (n) => `h${n}.test`) }),
      '4:14: `servers` names 65. at most 64: write several entries',
    ],
    [
      '65 agents',
      entry({ agents: names(65, (n) => `spiffe://acme.test/a${n}`) }),
      '3:13: `agents` names 65. at most 64: write several entries',
    ],
    [
      'an unknown key',
      entry({ mode: 'observe' }),
      '8:5: unknown key `mode` in an entry of `observe`. known: id, agents, unidentified, servers, until, owner, because',
    ],
  ])('refuses an entry with %s', (_name, text, finding) => {
    const all = found(`observe:\n${text}`);
    expect(all).toEqual([finding]);
  });

  it('refuses what is not a list, another key, and YAML that does not parse', () => {
    expect(found('observe: all\n')).toEqual(['1:10: `observe` must be a list. null']);
    expect(found('enforce: []\n')).toEqual(['1:1: unknown key `enforce` in the file. known: observe']);
    expect(found('- a\n')).toEqual(['1:1: the file must be a mapping. null']);
    expect(found('observe: [\n')).not.toEqual([]);
  });

  it('refuses more than 200 entries', () => {
    expect(found(`observe:\n${entries(200)}`)).toEqual([]);
    expect(found(`observe:\n${entries(201)}`)).toEqual([
      '1:1: `observe` has 201 entries. at most 200: join entries of one owner',
    ]);
  });

  it('keeps an entry that has ended, with a warning: a set that loaded once keeps loading', () => {
    for (const [until, isEnded] of [
      ['2026-12-02', false],
      ['2026-12-01', true],
      ['2020-01-01', true],
    ] as const) {
      const { observed, findings, warnings } = read(`observe:\n${entry({ until })}`);
      expect([observed.length, findings]).toEqual([1, []]);
      expect(warnings.map(({ message }) => message)).toEqual(
        isEnded ? [`the entry \`legacy\` ended on ${until}: its calls are enforced`] : [],
      );
    }
  });

  it('warns of a host of the catalog, which does not cover the calls of its server', () => {
    expect(read(`observe:\n${entry({ servers: '[tools.acme.test]' })}`).warnings).toEqual([
      expect.objectContaining({
        line: 4,
        message: 'the host `tools.acme.test` is of the server `tools`, whose calls this entry does not cover',
        help: 'name the server',
      }),
    ]);
  });
});

describe('a policy set with enforcement', () => {
  const permit = '@id("p") permit (principal, action, resource);';

  it('has the entries, a hash of its own, and warnings', async () => {
    const plain = await mustLoad(folderWith(permit));
    const set = await mustLoad(
      folderWith(permit, { enforcement: `observe:\n${entry({ servers: '', until: inDays(9) })}` }),
    );
    const other = await mustLoad(
      folderWith(permit, { enforcement: `observe:\n${entry({ servers: '', until: inDays(-9) })}` }),
    );
    expect([plain.observed, set.observed.map(({ id }) => id)]).toEqual([[], ['legacy']]);
    expect(new Set([plain.hash, set.hash, other.hash]).size).toBe(3);
    expect(other.warnings.map(({ file }) => file)).toContain('p/enforcement.yaml');
  });

  it('is not loaded with a finding', async () => {
    const source = folderWith(permit, { enforcement: `observe:\n${entry({ servers: '', until: inDays(92) })}` });
    expect(await findingsOf(source)).toEqual([
      expect.stringMatching(/^p\/enforcement\.yaml:4:12: `until` `.{10}` is more than 90 days away$/),
    ]);
  });
});

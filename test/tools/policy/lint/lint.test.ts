import { describe, expect, it } from '@jest/globals';
import { catalogFrom, catalogOfFiles } from '../../../../src/core/action/catalog/catalog-assembly.ts';
import { lintFindings } from '../../../../src/tools/policy/lint/lint.ts';
import { lintRules } from '../../../../src/tools/policy/lint/rules.ts';
import { policySetFrom } from '../../../../src/core/policy/loading/load.ts';
import { must } from '../../../builders/must.ts';
import { compileHere, exampleCatalog, folderWith } from '../../../builders/policy-folder.ts';

const NOW_MS = Date.parse('2026-07-01T00:00:00Z');

const uid = (type: string, id: string) => ({ type: `Remit::${type}`, id });
const entities = JSON.stringify([
  { uid: uid('AgentGroup', 'agents'), attrs: {}, parents: [] },
  { uid: uid('AgentGroup', 'payers'), attrs: {}, parents: [uid('AgentGroup', 'agents')] },
  { uid: uid('AgentGroup', 'nobody'), attrs: {}, parents: [] },
  { uid: uid('Agent', 'spiffe://acme.test/a'), attrs: {}, parents: [uid('AgentGroup', 'payers')] },
]);

const agents = 'principal in Remit::AgentGroup::"agents"';
const payers = 'principal in Remit::AgentGroup::"payers"';
const read = 'action == Remit::Action::"files.read"';
const create = 'action == Remit::Action::"payments.create"';
const high = 'action in Remit::Action::"high"';
const policy = (
  effect: 'permit' | 'forbid',
  id: string,
  {
    of = agents,
    to = read,
    at = 'resource',
    rest = '',
    annotation = '',
  }: {
    readonly of?: string;
    readonly to?: string;
    readonly at?: string;
    readonly rest?: string;
    readonly annotation?: string;
  } = {},
) => `@id("${id}") ${annotation}${effect} (${of}, ${to}, ${at}) ${rest};\n`;

/** The findings as `rule policy line:column`. */
async function found(policies: string) {
  const source = folderWith(policies, { entities });
  const catalog = catalogFrom(exampleCatalog, 'actions.yaml');
  const set = await policySetFrom(source, { compile: compileHere });
  if ('findings' in catalog) throw new Error('the shipped catalog must load');
  const warnings = 'findings' in set ? [] : set.warnings;
  // The shipped catalog has an amount of high risk, and the folder no limits.
  return lintFindings(source, catalog, { warnings, nowMs: NOW_MS }).filter(({ rule }) => rule !== 'unlimited-amount');
}
const short = async (policies: string) =>
  (await found(policies)).map(({ rule, policy: id, line, column }) => `${rule} ${id} ${line}:${column}`);

const unmet = async (policies: string) => (await short(policies)).filter((line) => line.startsWith('unknown-value'));

const permit = policy('permit', 'p');
const intent = 'when { context.intent.purpose == "pay" }';
const claim = 'context.claimed.contains("approval=finance")';
const attested = 'context.attested.contains({name: "a", value: "b", by: "spiffe://acme.test/w"})';
const conjunct = 'context.args.name like "x*"';

/** The shipped catalog, in which a server has an exception until a day. */
const exceptedUntil = (until: string) =>
  must(
    catalogFrom(
      exampleCatalog.replace(
        /^( *)(?=routes:)/m,
        `$1staticSecrets: { exceptions: [{ header: authorization, owner: team reporting, until: ${until} }] }\n$1`,
      ),
      'actions.yaml',
    ),
  );

const expired = (until: string) =>
  lintFindings(folderWith(permit, { entities }), exceptedUntil(until), { warnings: [], nowMs: NOW_MS }).filter(
    ({ rule }) => rule === 'expired-exception',
  );

describe('lintFindings', () => {
  const rows: readonly (readonly [string, string, readonly unknown[]])[] = [
    ['nothing in a permit for a group', permit, []],
    [
      'a label that nothing has',
      policy('forbid', 'f', { rest: 'when { context.labels.contains("externl") }' }),
      ['unknown-value f 1:140'],
    ],
    ['a permit for everyone', policy('permit', 'p', { of: 'principal' }), ['permit-any-agent p 1:1']],
    [
      'a permit for every agent by type',
      policy('permit', 'p', { of: 'principal is Remit::Agent' }),
      ['permit-any-agent p 1:1'],
    ],
    [
      'a permit for everyone with a condition on something else',
      policy('permit', 'p', { of: 'principal', rest: 'when { context.risk == "low" }' }),
      ['permit-any-agent p 1:1'],
    ],
    [
      'no permit that asks who it is',
      policy('permit', 'p', { of: 'principal', rest: 'when { principal in Remit::TrustDomain::"acme.test" }' }),
      [],
    ],
    ['no forbid for everyone', policy('forbid', 'f', { of: 'principal', rest: `when { ${conjunct} }` }), []],
    [
      'an action at another server',
      policy('permit', 'p', { at: 'resource in Remit::Server::"payments"' }),
      ['never-matches p 1:1'],
    ],
    ['an action at its server', policy('permit', 'p', { at: 'resource in Remit::Server::"files"' }), []],
    [
      'an action at another endpoint',
      policy('permit', 'p', { at: 'resource == Remit::Endpoint::"files:GET /v1/files"' }),
      ['never-matches p 1:1'],
    ],
    [
      'an action at its endpoint',
      policy('permit', 'p', { at: 'resource == Remit::Endpoint::"files:GET /v1/files/{name}"' }),
      [],
    ],
    [
      'a group without agents',
      policy('permit', 'p', { of: 'principal in Remit::AgentGroup::"nobody"' }),
      ['never-matches p 1:1'],
    ],
    ['a trust domain', policy('permit', 'p', { of: 'principal in Remit::TrustDomain::"acme.test"' }), []],
    ['what is impossible by its types', policy('permit', 'p', { rest: 'when { false }' }), ['never-matches p 1:1']],
    [
      'an instant that is over',
      policy('permit', 'p', { rest: 'when { context.now < datetime("2026-07-01") }' }),
      ['expired-policy p 1:116', 'per-use-value p 1:116'],
    ],
    [
      'an instant that is over, among other conditions',
      policy('permit', 'p', { rest: `when { ${conjunct} && context.now <= datetime("2026-06-30T23:59:59Z") }` }),
      ['expired-policy p 1:147', 'per-use-value p 1:147'],
    ],
    [
      'an `@until` that is over (issue 43, point 4)',
      policy('permit', 'p', { annotation: '@until("2026-07-01") ' }),
      ['expired-policy p 1:10'],
    ],
    [
      'an `@until` within 30 days, which says nothing of values that change',
      policy('permit', 'p', { annotation: '@until("2026-07-31") ', rest: `when { ${conjunct} }` }),
      ['ends-soon p 1:10'],
    ],
    ['an `@until` later than that', policy('permit', 'p', { annotation: '@until("2026-08-01") ' }), []],
    [
      'an instant to come',
      policy('permit', 'p', { rest: 'when { context.now < datetime("2026-07-02") }' }),
      ['per-use-value p 1:116'],
    ],
    [
      'an instant to come after an instant that is over',
      policy('permit', 'p', {
        rest: 'when { context.now < datetime("2026-01-01") || context.now < datetime("2027-01-01") }',
      }),
      ['per-use-value p 1:116'],
    ],
    [
      'a permit that a forbid covers',
      permit + policy('forbid', 'f', { of: 'principal', to: 'action' }),
      ['forbidden-anyway p 1:1'],
    ],
    [
      'a permit under a forbid of a wider group',
      policy('permit', 'p', { of: payers }) + policy('forbid', 'f'),
      ['forbidden-anyway p 1:1'],
    ],
    [
      'a permit for an agent under a forbid of its trust domain',
      policy('permit', 'p', { of: 'principal == Remit::Agent::"spiffe://acme.test/a"' }) +
        policy('forbid', 'f', { of: 'principal in Remit::TrustDomain::"acme.test"' }),
      ['forbidden-anyway p 1:1'],
    ],
    [
      'a permit that another covers',
      policy('permit', 'p', { of: payers, rest: `when { ${conjunct} }` }) + policy('permit', 'q'),
      ['permitted-anyway p 1:1'],
    ],
    ['of two that are equal, the second', permit + policy('permit', 'q'), ['permitted-anyway q 2:1']],
    [
      'of three that are equal, the second and the third',
      permit + policy('permit', 'q') + policy('permit', 'r'),
      ['permitted-anyway q 2:1', 'permitted-anyway r 3:1'],
    ],
    ['no permit of another action', permit + policy('permit', 'q', { to: create }), ['high-risk-any-intent q 2:1']],
    [
      'no permit beside that with another condition',
      permit.replace(' ;', ` when { ${conjunct} };`) +
        policy('permit', 'q', { rest: 'when { context.risk == "low" }' }),
      [],
    ],
    [
      'no permit that a narrower one, one in shadow, or one that ended covers',
      policy('permit', 'q', { of: payers }) +
        policy('permit', 'r', { annotation: '@shadow("true") ' }) +
        policy('permit', 's', { annotation: '@until("2026-06-30") ' }) +
        permit,
      ['permitted-anyway q 1:1', 'expired-policy s 3:10'],
    ],
    [
      'a permit that ends beside one that stays, and not the reverse',
      policy('permit', 'q', { annotation: '@until("2027-06-30") ' }) + permit,
      ['permitted-anyway q 1:1'],
    ],
    ['no permit of a group wider than the forbid', permit + policy('forbid', 'f', { of: payers }), []],
    [
      'no permit of a group under a forbid of one agent',
      policy('permit', 'p', { of: payers }) +
        policy('forbid', 'f', { of: 'principal == Remit::Agent::"spiffe://acme.test/a"' }),
      [],
    ],
    ['no permit under a forbid of another action', permit + policy('forbid', 'f', { to: create }), []],
    ['no permit under a forbid in shadow', permit + policy('forbid', 'f', { annotation: '@shadow("true") ' }), []],
    ['no permit under a forbid with a condition', permit + policy('forbid', 'f', { rest: `when { ${conjunct} }` }), []],
    [
      'a permit that asks for what a forbid asks too',
      policy('permit', 'p', { rest: `when { context.risk == "low" && ${conjunct} }` }) +
        policy('forbid', 'f', { rest: `when { ${conjunct} && true }` }),
      ['forbidden-anyway p 1:1'],
    ],
    ['high risk whatever the intent', policy('permit', 'p', { to: high }), ['high-risk-any-intent p 1:1']],
    ['no high risk with an intent', policy('permit', 'p', { to: high, rest: intent }), []],
    [
      'high risk with the age of the intent alone',
      policy('permit', 'p', { to: high, rest: 'when { context.intent.ageSeconds < 60 }' }),
      ['high-risk-any-intent p 1:1', 'per-use-value p 1:110'],
    ],
    [
      'no high risk if a forbid asks for the intent',
      policy('permit', 'p', { to: create }) +
        policy('forbid', 'f', { of: 'principal', to: high, rest: 'unless { context.intent.purpose == "pay" }' }),
      [],
    ],
    [
      'high risk if a forbid asks some agents for it',
      policy('permit', 'p', { to: create }) +
        policy('forbid', 'f', { of: payers, to: high, rest: 'unless { context.intent.purpose == "pay" }' }),
      ['high-risk-any-intent p 1:1'],
    ],
    [
      'what nests deep',
      policy('permit', 'p', { rest: `when { ${'('.repeat(34)}true${')'.repeat(34)} }` }),
      ['depth-near-limit p 1:1'],
    ],
    [
      'nothing in what nests less',
      policy('permit', 'p', { rest: `when { ${'('.repeat(20)}true${')'.repeat(20)} }` }),
      [],
    ],
    [
      '`in` on a string, which the types refuse too',
      `${permit}${policy('permit', 'q', { to: create, rest: `when { context.intent.purpose in ["pay"] }` })}`,
      ['in-on-string q 2:121'],
    ],
    ['no `in` on an entity', policy('permit', 'p', { rest: 'when { resource in Remit::Server::"files" }' }), []],
    [
      'the life of a token for that of its task',
      policy('permit', 'p', { to: 'action == Remit::Action::"issue"', rest: 'when { context.ttlSeconds <= 300 }' }),
      ['token-life p 1:111'],
    ],
    [
      'nothing if the life of the task is read too',
      policy('permit', 'p', {
        to: 'action == Remit::Action::"issue"',
        rest: 'when { context.ttlSeconds <= 300 && context.taskSeconds <= 900 }',
      }),
      [],
    ],
    [
      'each value that changes with each use',
      policy('permit', 'p', { rest: 'when { context.credential.uses < 5 && context["credential"].secondsLeft > 1 }' }),
      ['per-use-value p 1:1', 'per-use-value p 1:116'],
    ],
    [
      'nothing that is accepted',
      policy('permit', 'p', {
        of: 'principal',
        to: high,
        annotation: '@accept("permit-any-agent high-risk-any-intent") ',
      }),
      [],
    ],
    [
      'accepts of what is not found',
      policy('permit', 'p', { annotation: '@accept("permit-any-agent no-rule") ' }),
      ['useless-accept p 1:1', 'useless-accept p 1:1'],
    ],
    ...(
      [
        ['a permit by a claim', 'permit', `when { ${claim} }`, true],
        [
          'a permit by a claim among others',
          'permit',
          `when { context.risk == "low" && (${claim} || ${attested}) }`,
          true,
        ],
        ['a permit by any claim', 'permit', 'when { !context.claimed.isEmpty() }', true],
        ['a permit by a claim twice negated', 'permit', `when { !(!${claim}) }`, true],
        ['a permit unless a claim is absent', 'permit', `unless { !${claim} }`, true],
        ['a permit in a branch', 'permit', `when { if context.risk == "low" then ${claim} else false }`, true],
        ['a permit that a claim decides on', 'permit', `when { if ${claim} then true else false }`, true],
        ['a permit by how a claim compares', 'permit', 'when { context.claimed == ["a=b"] }', true],
        ['a forbid that a claim switches off', 'forbid', `unless { ${claim} }`, true],
        ['a forbid while a claim is absent', 'forbid', `when { !context.claimed.containsAny(["a=b"]) }`, true],
        ['no permit by what is attested', 'permit', `when { ${attested} }`, false],
        ['no permit that a claim takes away', 'permit', `unless { ${claim} }`, false],
        ['no permit while there is no claim', 'permit', 'when { context.claimed.isEmpty() }', false],
        ['no permit while the claims are harmless', 'permit', 'when { ["a=b"].containsAll(context.claimed) }', false],
        ['no forbid by a claim', 'forbid', `when { ${claim} }`, false],
      ] as const
    ).map(
      ([name, effect, rest, isFound]) =>
        [name, policy(effect, 'p', { rest }), isFound ? [expect.stringMatching(/^self-asserted p 1:/)] : []] as const,
    ),
    [
      'no permit by a claim that its author accepts',
      policy('permit', 'p', { rest: `when { ${claim} }`, annotation: '@accept("self-asserted") ' }),
      [],
    ],
    [
      'a permit by a claim, at its place',
      policy('permit', 'p', { rest: `when { ${claim} }` }),
      ['self-asserted p 1:116'],
    ],
  ];
  it.each(rows)('finds %s', async (_name, policies, expected) => {
    expect(await short(policies)).toEqual(expected);
  });

  it('accepts names that exist', async () => {
    const texts = [
      'context.labels.contains("external")',
      'context.task.labels.containsAny(["external", "customer-data"])',
      '["files.read", "payments.create"].contains("files.read")',
      'context.task.actions.contains("payments.create")',
      'context.intent.actions.contains("payments.*")',
      'context.risk != "high"',
      'context.request.method == "GET"',
      'context.credential.reuse.contains("other-node")',
      'context.args has name',
      'principal in Remit::AgentGroup::"payers"',
      'principal == Remit::Agent::"spiffe://acme.test/not/listed"',
      'context.attested.contains({name: "a", value: "b", by: "spiffe://elsewhere.test/w"})',
      'context.actors.contains("somebody")',
    ];
    expect(await unmet(policy('permit', 'p', { rest: `when { ${texts.join(' && ')} }` }))).toEqual([]);
    const issue = ['context.requested.action like "pay*.create"', 'context has delegation', 'context.risk == "low"'];
    const rest = `when { ${issue.join(' && ')} && context.delegation.parent == "spiffe://elsewhere.test/w" }`;
    expect(await unmet(policy('permit', 'p', { to: 'action == Remit::Action::"issue"', rest }))).toEqual([]);
  });

  const unknown: readonly (readonly [string, string, string | null])[] = [
    ['context.labels.contains("externl")', '`context.labels` never has the value "externl"', '"external"'],
    ['["costumer-data"].containsAny(context.task.labels)', 'never has the value "costumer-data"', '"customer-data"'],
    ['context.task.labels.containsAll(["external", "exter"])', 'never has the value "exter"', '"external"'],
    ['context.task.actions.contains("file.read")', 'never has the value "file.read"', '"files.read"'],
    ['context.intent.actions.contains("payment.*")', 'never has the value "payment.*"', '"payments.*"'],
    ['context.risk == "hihg"', '`context.risk` never has the value "hihg"', '"high"'],
    ['"get" == context.request.method', '`context.request.method` never has the value "get"', '"GET"'],
    ['context.credential.binding != "certifcate"', 'never has the value "certifcate"', '"certificate"'],
    ['context.credential.reuse.contains("other_node")', 'never has the value "other_node"', '"other-node"'],
    ['context.credential.kind like "token*"', '`context.credential.kind` is never like "token*"', null],
    ['context.args has nane', '`context.args` never has `nane`', '"name"'],
    ['context.args has "nane"', '`context.args` never has `nane`', '"name"'],
    ['context has tasks', '`context` never has `tasks`', '"task"'],
    ['principal in Remit::AgentGroup::"payer"', 'AgentGroup "payer" never occurs: the folder', '"payers"'],
    ['principal in Remit::TrustDomain::"spiffe://acme.test"', 'a trust domain must be', null],
    ['principal in Remit::TrustDomain::"acme.tset"', 'TrustDomain "acme.tset" never occurs', '"acme.test"'],
    ['principal == Remit::Agent::"acme.test/a"', 'a spiffe id must begin with', '"spiffe://acme.test/a"'],
    ['principal == Remit::Agent::"spiffe://acme.tset/x"', 'the folder has no entity of', '"spiffe://acme.test/a"'],
    ['principal == Remit::Agent::"spiffe://acme.test/aa"', 'the folder has no such agent', '"spiffe://acme.test/a"'],
    ['resource in Remit::Server::"file"', 'Server "file" never occurs: the catalog has no such', '"files"'],
    ['resource == Remit::Endpoint::"files:GET /v1/file"', 'the catalog has no such endpoint', '"files:GET /v1/files"'],
    ['context.attested.contains({name: "a", value: "b", by: "acme.test/w"})', 'a spiffe id must begin with', null],
    ['context.claimed.contains("approved")', '`context.claimed` never has the value "approved"', null],
    ['context.actors.contains("spiffe://acme.test")', 'the spiffe id of a workload must have a path', null],
  ];
  it.each(unknown)('reports that %s never holds, with its place and the nearest name', async (term, message, near) => {
    const rest = `when { ${term} }`;
    const all = await found(policy('forbid', 'f', { annotation: '@reason("externl x") ', rest }));
    const [one, ...more] = all.filter(({ rule }) => rule === 'unknown-value');
    expect(more).toEqual([]);
    expect(one?.message).toContain(message);
    expect(near === null || one?.help === `did you mean ${near}?`).toBe(true);
    expect(one?.column).toBeGreaterThan(
      policy('forbid', 'f', { annotation: '@reason("externl x") ' }).indexOf('resource'),
    );
  });

  it('reports an unknown agent in a scope, and suggests groups and servers', async () => {
    const bad = policy('permit', 'p', { of: 'principal == Remit::Agent::"spiffe://acme.test/a b"' });
    expect(await found(bad)).toMatchObject([{ rule: 'unknown-value', line: 1, column: bad.indexOf('"spiffe:') + 1 }]);
    expect(
      await found(
        policy('permit', 'p', { of: 'principal in Remit::AgentGroup::"payres"' }) +
          policy('permit', 'q', { at: 'resource in Remit::Server::"flies"' }),
      ),
    ).toMatchObject([
      { rule: 'never-matches', help: 'did you mean "payers"?' },
      { rule: 'never-matches', help: 'did you mean "files"?' },
    ]);
  });

  it('has a row for every rule', () => {
    const shown = new Set(rows.flatMap(([, , lines]) => lines.map((line) => String(line).split(' ')[0])));
    expect([...lintRules.keys()].filter((rule) => !shown.has(rule))).toEqual([]);
  });

  it('finds an exception of the catalog whose last day is over', () => {
    expect(expired('2026-06-30')).toEqual([
      {
        rule: 'expired-exception',
        level: 'warning',
        policy: null,
        file: 'actions.yaml',
        line: expect.any(Number),
        column: expect.any(Number),
        message: 'the exception of `team reporting` ended on 2026-06-30: it lets no secret pass',
        help: 'delete it, with the policies that are for it; or let its owner answer for a later `until`',
      },
    ]);
    expect(expired('2026-07-01')).toEqual([]);
  });

  it('finds an entry of what is observed that has ended', () => {
    const enforcement = `observe:
  - { id: old, agents: ['spiffe://acme.test/a'], until: 2026-06-01, owner: us, because: CHG-1 }
`;
    const source = folderWith(permit, { entities, enforcement });
    const findings = lintFindings(source, must(catalogOfFiles(source.catalogs)), {
      warnings: [],
      nowMs: NOW_MS,
    });
    expect(findings.filter(({ rule }) => rule === 'observed-nothing')).toEqual([
      expect.objectContaining({ line: 2, message: 'the entry `old` ended on 2026-06-01: its calls are enforced' }),
    ]);
  });

  it.each<[string, string, readonly string[]]>([
    [
      'no limits',
      '',
      ['12:17: `payments.create` is of high risk, and no limit sums its `amount` over the tasks of an agent'],
    ],
    [
      'a limit of its calls',
      'calls: 9',
      ['12:17: `payments.create` is of high risk, and no limit sums its `amount` over the tasks of an agent'],
    ],
    ['a limit that sums it', 'amount: { argument: amount, limit: 5000 }', []],
  ])('finds an amount of high risk by %s', (_name, measure, lines) => {
    const entry = `{ id: l, agents: ['*'], actions: [payments.create], per: [agent], window: 1d, ${measure} }`;
    const limits = measure === '' ? '' : `limits:\n  - ${entry}\n`;
    const source = folderWith(permit, { entities, limits });
    const catalog = must(catalogFrom(exampleCatalog, 'actions.yaml'));
    const findings = lintFindings(source, catalog, { warnings: [], nowMs: NOW_MS });
    const notes = findings.filter(({ rule }) => rule === 'unlimited-amount');
    expect(notes.map(({ line, column, message }) => `${line}:${column}: ${message}`)).toEqual(lines);
    expect(notes.every(({ level, help }) => level === 'note' && help?.includes('limits.yaml') === true)).toBe(true);
  });

  it('advises attested values in place of a claim', async () => {
    expect(await found(policy('permit', 'p', { rest: `when { ${claim} }` }))).toMatchObject([
      {
        rule: 'self-asserted',
        level: 'warning',
        message: 'permits by `context.claimed`, which the agent claims and nobody checks',
        help: 'test attested values: `context.attested.contains({name: "…", value: "…", by: "spiffe://…"})`',
      },
    ]);
  });

  it('names the actions and the remedy', async () => {
    expect(await found(policy('permit', 'p', { to: 'action' }))).toEqual([
      {
        rule: 'high-risk-any-intent',
        level: 'warning',
        policy: 'p',
        file: 'p/a.cedar',
        line: 1,
        column: 1,
        message: 'permits `payments.create`, `payments.refund` of high risk for any intent',
        help: 'test `context.intent.purpose` or `context.intent.actions`, here or in a forbid for every agent',
      },
    ]);
  });

  it('finds a covering forbid among many, by any of its conditions and groups', async () => {
    const others = Array.from({ length: 40 }, (_, at) =>
      policy('forbid', `other-${at}`, {
        of: `principal == Remit::Agent::"spiffe://acme.test/n${at}"`,
        rest: `when { context.args.name like "n${at}-*" }`,
      }),
    );
    const covering: readonly (readonly [string, string])[] = [
      ['conditions of which the permit has another', policy('forbid', 'f', { rest: `when { ${conjunct} }` })],
      ['no condition', policy('forbid', 'f')],
      ['any principal', policy('forbid', 'f', { of: 'principal', rest: `when { ${conjunct} }` })],
    ];
    const narrow = policy('permit', 'p', { of: payers, rest: `when { context.risk == "low" && ${conjunct} }` });
    for (const [, forbid] of covering) {
      const anyway = (await found([...others, narrow, forbid].join(''))).filter(
        ({ rule }) => rule === 'forbidden-anyway',
      );
      expect(anyway.map(({ message }) => message)).toEqual(['the permit has no effect: `f` forbids all of it']);
    }
    const other = policy('forbid', 'f', { rest: 'when { context.risk == "high" }' });
    expect(
      (await short([...others, narrow, other].join(''))).filter((line) => line.startsWith('forbidden-anyway')),
    ).toEqual([]);
  });
});

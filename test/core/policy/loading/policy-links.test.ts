import { describe, expect, it } from '@jest/globals';
import * as fc from 'fast-check';
import { freshCedar } from '../../../../src/core/policy/cedar.ts';
import { Engine } from '../../../../src/core/policy/engine.ts';
import { entityKey } from '../../../../src/core/policy/entities.ts';
import type { EntityUid } from '../../../../src/core/policy/entities.ts';
import { formatted } from '../../../../src/tools/policy/write/format.ts';
import { lintFindings } from '../../../../src/tools/policy/lint/lint.ts';
import { policySetFrom } from '../../../../src/core/policy/loading/load.ts';
import { policiesIn } from '../../../../src/core/policy/loading/policy-files.ts';
import { linkedText, offsetInTemplate } from '../../../../src/core/policy/loading/policy-template.ts';
import { placeInPolicy } from '../../../../src/tools/policy/explain/probe.ts';
import { setChanges } from '../../../../src/tools/policy/compare/set-changes.ts';
import type { PolicySource } from '../../../../src/core/policy/loading/source.ts';
import { anyCharacter } from '../../../builders/any-character.ts';
import { compileHere, exampleCatalog, folderWith, mustLoad } from '../../../builders/policy-folder.ts';
import { must } from '../../../builders/must.ts';
import { mustSpiffeId } from '../../../builders/spiffe-id.ts';
import { mustCatalog } from '../../../builders/catalog.ts';
import { thoroughly } from '../../../thoroughly.ts';
import { serverOf } from '../../../builders/action.ts';

const uid = (type: string, id: string) => ({ type: `Remit::${type}`, id });
const AGENT = 'spiffe://acme.test/a';
const entities = JSON.stringify([
  { uid: uid('AgentGroup', 'readers'), attrs: {}, parents: [] },
  { uid: uid('AgentGroup', 'payers'), attrs: {}, parents: [] },
  { uid: uid('Agent', AGENT), attrs: {}, parents: [uid('AgentGroup', 'readers')] },
]);
const template = `
@id("reads")
@reason("advice")
permit (principal in ?principal, action in Remit::Action::"low", resource in ?resource)
when { context.request.method == "GET" };
`;
const link = (newId: string, group = 'readers', server = 'payments', more: object = {}) => ({
  templateId: 'reads',
  newId,
  values: { '?principal': uid('AgentGroup', group), '?resource': uid('Server', server) },
  ...more,
});

function withLinks(policies: string, links: unknown): PolicySource {
  const folder = folderWith(policies, { entities });
  const text = typeof links === 'string' ? links : JSON.stringify(links, null, 1);
  const file = { name: 'policies/l.cedarlinks.json', file: 'p/policies/l.cedarlinks.json', text };
  return { ...folder, policies: [...folder.policies, file] };
}
async function findings(policies: string, links: unknown): Promise<readonly string[]> {
  const set = await policySetFrom(withLinks(policies, links), { compile: compileHere });
  if (!('findings' in set)) return [];
  return set.findings.map(
    ({ file, line, column, message, policy }) =>
      `${file}:${line}:${column}: ${policy === undefined ? '' : `${policy}: `}${message}`,
  );
}

describe('links of templates', () => {
  it('are policies with ids of their own, in force, in shadow and in answers', async () => {
    const set = await mustLoad(withLinks(template, [link('read-payments'), link('read-files', 'payers', 'files')]));
    expect(set.policies.map(({ id, line, link: from }) => [id, line, from?.template, from?.line])).toEqual([
      ['read-payments', 2, 'reads', 2],
      ['read-files', 2, 'reads', 16],
    ]);
    expect([set.policyCount, set.adviceOf('read-files'), set.adviceOf('reads')]).toEqual([2, 'advice', null]);
    const asked = (id: string) => {
      const action = set.catalog.actions.get(id);
      const principal = mustSpiffeId(AGENT);
      if (action === undefined) throw new Error('no action');
      const { server, endpoint } = action;
      return set.ask({ principal, action: id, server, endpoint, context: { request: { method: 'GET' } } });
    };
    expect(asked('payments.list')).toEqual({ kind: 'permitted', policyIds: ['read-payments'] });
    expect(asked('files.list')).toEqual({ kind: 'not-permitted' });
    const trial = await mustLoad(withLinks(template.replace('@reason("advice")', '@shadow("true")'), [link('x')]));
    expect([trial.policyCount, trial.shadowIds]).toEqual([0, ['x']]);
  });

  it('change the hash, and count as policies in comparisons', async () => {
    const one = await mustLoad(withLinks(template, [link('a'), link('b')]));
    const other = await mustLoad(withLinks(template, [link('a', 'payers'), link('c')]));
    expect(one.hash).not.toBe(other.hash);
    expect(setChanges(one, other).policies).toEqual({ added: ['c'], removed: ['b'], changed: ['a'] });
  });

  it.each<[string, string, unknown, readonly string[]]>([
    [
      'a template that is not there',
      '',
      [link('x')],
      ['p/policies/l.cedarlinks.json:2:2: the folder has no template `reads`'],
    ],
    [
      'a policy without slots',
      '@id("reads") permit (principal, action, resource);',
      [link('x')],
      ['p/policies/l.cedarlinks.json:2:2: the folder has no template `reads`'],
    ],
    [
      'a slot without a value',
      template,
      [{ ...link('x'), values: { '?principal': uid('AgentGroup', 'readers') } }],
      [
        'p/policies/l.cedarlinks.json:2:2: the template `reads` has `?principal` and `?resource`, and a link has a value for each',
      ],
    ],
    [
      'a value without a slot',
      template,
      [{ ...link('x'), values: { ...link('x').values, '?other': uid('Server', 'files') } }],
      [expect.stringContaining('and a link has a value for each') as never],
    ],
    [
      'an id that is taken by a link',
      template,
      [link('x'), link('x')],
      ['p/policies/l.cedarlinks.json:16:2: the id `x` is taken by the policy at p/policies/l.cedarlinks.json:2'],
    ],
    [
      'the id of the template',
      template,
      [link('reads')],
      ['p/policies/l.cedarlinks.json:2:2: the id `reads` is taken by the policy at p/a.cedar:2'],
    ],
    [
      'an id that is none',
      template,
      [link('x y')],
      ['p/policies/l.cedarlinks.json:2:2: the id `x y` must be letters, digits, `.`, `_` and `-`, at most 128'],
    ],
    [
      'a type that is none',
      template,
      [{ ...link('x'), values: { ...link('x').values, '?principal': { type: 'A"B', id: 'x' } } }],
      [expect.stringMatching(/:2:2: the link `x` is not a valid policy: /) as never],
    ],
    [
      'a type of no schema, in the slot',
      template,
      [{ ...link('x'), values: { ...link('x').values, '?principal': { type: 'Remit::User', id: 'x' } } }],
      [expect.stringMatching(/^p\/a\.cedar:\d+:\d+: x: unrecognized entity type `Remit::User`/) as never],
    ],
    [
      'an unknown member',
      template,
      [link('x', 'readers', 'files', { note: 1 })],
      ['p/policies/l.cedarlinks.json:2:2: unknown member `note` in a link: it has `templateId`, `newId` and `values`'],
    ],
    ['no list', template, '{}', ['p/policies/l.cedarlinks.json:1:1: the links must be a list']],
    [
      'no JSON',
      template,
      '[,]',
      [expect.stringMatching(/^p\/policies\/l\.cedarlinks\.json:1:\d+: the file /) as never],
    ],
    [
      'a template without an id',
      'permit (principal == ?principal, action, resource);',
      [],
      ['p/a.cedar:1:1: the policy lacks an `@id`'],
    ],
    [
      'a slot in a condition',
      '@id("t") permit (principal, action, resource) when { resource in ?resource };',
      [],
      [expect.stringMatching(/found template slot \?resource in a `when` clause/) as never],
    ],
  ])('refuse %s', async (_what, policies, links, expected) => {
    expect(await findings(policies, links)).toEqual(expected);
  });

  it('report a problem of a template once, at its place in the template', async () => {
    const wrong = template.replace('context.request.method', 'context.requst.method');
    const found = await findings(wrong, [link('x'), link('y')]);
    expect(found).toEqual([expect.stringMatching(/^p\/a\.cedar:5:\d+: reads: attribute `requst`/)]);
  });

  it('are optional: lint reports a template without links, which decides nothing', async () => {
    const other = '@id("other") permit (principal == ?principal, action, resource);';
    const source = withLinks(`${template}${other}`, [link('x')]);
    const set = await mustLoad(source);
    expect(set.policies.map(({ id }) => id)).toEqual(['x']);
    const catalog = mustCatalog(exampleCatalog);
    const found = lintFindings(source, catalog, { warnings: set.warnings, nowMs: 0 });
    expect(found.filter(({ rule }) => rule === 'unlinked-template')).toMatchObject([
      { policy: 'other', file: 'p/a.cedar', line: 6, column: 1 },
    ]);
  });

  it('are linted at their template, once per shared finding', async () => {
    const wrong = template.replace('"GET"', '"GOT"');
    const source = withLinks(wrong, [link('x'), link('y'), link('z', 'raeders')]);
    const catalog = mustCatalog(exampleCatalog);
    const found = lintFindings(source, catalog, { warnings: [], nowMs: 0 }).filter(
      ({ rule, policy }) => rule !== 'permit-any-agent' && policy !== null,
    );
    expect(found).toMatchObject([
      { rule: 'permitted-anyway', policy: 'y', line: 2, column: 1 },
      { rule: 'never-matches', policy: 'z', line: 2, column: 1, help: 'did you mean "readers"?' },
      { rule: 'unknown-value', policy: 'x', line: 5, column: 34, help: 'did you mean "GET"?' },
    ]);
  });

  it('do not change the format of templates', () => {
    const cedar = freshCedar();
    const pretty = must(formatted({ name: 'a.cedar', file: 'a', text: template }, cedar));
    expect(pretty.text).toContain('principal in ?principal,\n');
    expect(formatted({ name: 'a.cedar', file: 'a', text: pretty.text }, cedar)).toEqual(pretty);
  });
});

describe('the text of a link', () => {
  it('maps offsets to places in the template', () => {
    const text = '@id("t") permit (principal == ?principal, action, resource)\nwhen { true };';
    const values = new Map([['?principal' as const, uid('AgentGroup', 'a'.repeat(40))]]);
    const { text: linked, replaced } = linkedText({ text }, 'a-longer-id', values);
    for (const word of ['@id', 'permit', 'principal ==', 'action', 'resource', 'when', 'true'])
      expect(offsetInTemplate(replaced, linked.indexOf(word))).toBe(text.indexOf(word));
    expect(offsetInTemplate(replaced, linked.indexOf('aaaa'))).toBe(text.indexOf('?principal'));
    const { policies } = policiesIn(
      [
        { name: 'a.cedar', file: 'a', text },
        {
          name: 'l.cedarlinks.json',
          file: 'l',
          text: JSON.stringify([{ templateId: 't', newId: 'a-longer-id', values: Object.fromEntries(values) }]),
        },
      ],
      freshCedar(),
    );
    const [policy] = policies;
    if (policy === undefined) throw new Error('no policy');
    expect(placeInPolicy(policy, policy.text.indexOf('action'))).toEqual({
      line: 1,
      column: text.indexOf('action') + 1,
    });
    expect(placeInPolicy(policy, policy.text.indexOf('when'))).toEqual({ line: 2, column: 1 });
  });
});

/** Compares policies linked by Remit with those that Cedar links. */
describe('linking', () => {
  const ids = fc.oneof(
    fc.constantFrom('a', 'a:b', 'g', AGENT, '?principal', '"', '\\', '$&', 'a\nb', '\u2028', 'é', '*/ // ?resource'),
    fc.string({ unit: anyCharacter, maxLength: 4 }).filter((text) => text.isWellFormed() && !text.includes('\0')),
  );
  const value = fc.record({
    type: fc.constantFrom('Remit::AgentGroup', 'Remit::Server', 'Remit::Agent', 'Remit::Endpoint'),
    id: ids,
  });
  const principals = fc.constantFrom(
    'principal == ?principal',
    'principal in ?principal',
    'principal is Remit::Agent in ?principal',
    'principal',
  );
  const resources = fc.constantFrom(
    'resource == ?resource',
    'resource in ?resource',
    'resource is Remit::Endpoint in ?resource',
    'resource',
  );
  const condition = fc.constantFrom(
    '',
    'when { "?principal" == "?resource" }',
    'when { context.x > 1 }',
    'unless { context.x > 1 } // ?principal\n',
    'when { principal in Remit::AgentGroup::"g" && context has y }',
    'when { context.y }',
  );
  const one = fc.record({
    effect: fc.constantFrom('permit', 'forbid'),
    principal: principals,
    resource: resources,
    condition,
    first: value,
    second: value,
  });

  it("gives the decision, reasons and errors of Cedar's own linking", () => {
    const cedar = freshCedar();
    const principal = mustSpiffeId(AGENT);
    const server = serverOf({ id: 'a', hosts: new Set(['a.test']), audience: 'https://a.test' });
    const entity = (type: string, id: string, ...parents: readonly EntityUid[]) => ({
      uid: uid(type, id),
      attrs: {},
      parents: [...parents],
    });
    const all = [
      entity('Agent', AGENT, uid('AgentGroup', 'g')),
      entity('AgentGroup', 'g'),
      entity('Endpoint', 'a:b', uid('Server', 'a')),
      entity('Server', 'a'),
    ];
    fc.assert(
      fc.property(fc.array(one, { minLength: 1, maxLength: 5 }), fc.integer({ min: 0, max: 3 }), (given, x) => {
        const templates = given.map(({ effect, condition: rest, ...scope }, index) => ({
          id: `t${index}`,
          text: `@id("t${index}")\n${effect} (${scope.principal}, action, ${scope.resource})\n${rest};`,
          values: Object.fromEntries([
            ...(scope.principal.includes('?') ? [['?principal', scope.first]] : []),
            ...(scope.resource.includes('?') ? [['?resource', scope.second]] : []),
          ]),
        }));
        const open = templates.filter(({ values }) => Object.keys(values).length > 0);
        const plain = templates.filter((each) => !open.includes(each));
        const links = open.map(({ id, values }) => ({ templateId: id, newId: `l-${id}`, values }));
        const read = policiesIn(
          [
            { name: 'a.cedar', file: 'a', text: templates.map(({ text }) => text).join('\n') },
            { name: 'l.cedarlinks.json', file: 'l', text: JSON.stringify(links) },
          ],
          cedar,
        );
        expect(read.findings).toEqual([]);
        const question = {
          principal: uid('Agent', AGENT),
          action: uid('Action', 'act'),
          resource: uid('Endpoint', 'a:b'),
          context: { x },
          entities: all,
        };
        const ask = (policies: Parameters<typeof cedar.preparsePolicySet>[1]) => {
          const prepared = cedar.preparsePolicySet('p', policies);
          if (prepared.type === 'failure') throw new Error(JSON.stringify(prepared.errors));
          const answer = cedar.statefulIsAuthorized({ ...question, preparsedPolicySetId: 'p' });
          if (answer.type === 'failure') throw new Error(JSON.stringify(answer.errors));
          const { decision, diagnostics } = answer.response;
          return {
            decision,
            reason: diagnostics.reason.toSorted(),
            errors: diagnostics.errors.map(({ policyId }) => policyId).toSorted(),
          };
        };
        const byCedar = ask({
          staticPolicies: Object.fromEntries(plain.map(({ id, text }) => [id, text])),
          templates: Object.fromEntries(open.map(({ id, text }) => [id, text])),
          templateLinks: links,
        });
        expect(ask({ staticPolicies: Object.fromEntries(read.policies.map(({ id, text }) => [id, text])) })).toEqual(
          byCedar,
        );
        // Twice, with slices and keys: the second answer comes from the cache.
        const engine = new Engine({
          generation: 'g',
          policies: read.policies,
          entities: new Map(all.map((each) => [entityKey(each.uid), each])),
          actionGroups: new Map([['act', []]]),
        });
        const asked = { principal, action: 'act', server, endpoint: 'b', context: { x } };
        const keep = { nowMs: 0, untilMs: 1000, onCache: () => undefined };
        for (const answer of [engine.ask(asked, keep), engine.ask(asked, keep)]) {
          if (byCedar.errors.length > 0) expect(answer).toMatchObject({ kind: 'error', policyIds: byCedar.errors });
          else if (byCedar.reason.length === 0) expect(answer).toEqual({ kind: 'not-permitted' });
          else {
            const kind = byCedar.decision === 'allow' ? 'permitted' : 'forbidden';
            expect(answer).toEqual({ kind, policyIds: byCedar.reason });
          }
        }
      }),
      { numRuns: thoroughly(300, 80) },
    );
  });
});

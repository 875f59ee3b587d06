import { describe, expect, it } from '@jest/globals';
import { freshCedar } from '../../../../src/core/policy/cedar.ts';
import { exampleFrom } from '../../../../src/tools/policy/analyze/example-text.ts';

const cedar = freshCedar();
const uid = (type: string, id: string) => ({ type: `Remit::${type}`, id });
const heading =
  'principal: Remit::Agent::"a\\u{1f}, action: \\"", action: Remit::Action::"pay", resource: Remit::Endpoint::"s:GET /x"';

describe('exampleFrom', () => {
  it('reads names with escapes, values of every type, ancestors, attributes and tags', () => {
    const text = `${heading}
context: {n: -5, big: -9223372036854775808, set: ["", "A"], when: datetime("1970-01-02").offset(duration("-1ms")), price: decimal("1.5000"), "odd name": true, of: Remit::Server::"s"}
entities: [
  Remit::Action::"pay" in [Remit::Action::"low"],
  Remit::Agent::"a\\u{1f}, action: \\"" in [Remit::AgentGroup::"g, h", Remit::TrustDomain::"t"] {
    level: 3,
    "odd name": ["x"],
  } tags {
    k: "v",
  },
  Remit::Server::"s" {
    tier: "gold",
  },
]`;
    expect(exampleFrom(text, cedar)).toEqual({
      principal: uid('Agent', 'a\u001f, action: "'),
      action: uid('Action', 'pay'),
      resource: uid('Endpoint', 's:GET /x'),
      context: {
        n: -5,
        big: Number.MIN_SAFE_INTEGER * 1024 - 1024,
        set: ['', 'A'],
        when: { __extn: { fn: 'datetime', arg: '1970-01-01T23:59:59.999Z' } },
        price: { __extn: { fn: 'decimal', arg: '1.5000' } },
        'odd name': true,
        of: { __entity: uid('Server', 's') },
      },
      entities: [
        {
          uid: uid('Agent', 'a\u001f, action: "'),
          parents: [uid('AgentGroup', 'g, h'), uid('TrustDomain', 't')],
          attrs: { level: 3, 'odd name': ['x'] },
          tags: { k: 'v' },
        },
        { uid: uid('Server', 's'), parents: [], attrs: { tier: 'gold' } },
      ],
    });
  });

  it.each([
    ['nothing', ''],
    ['another heading', 'principal: unknown, action: Remit::Action::"a", resource: Remit::Server::"s"\ncontext: {}'],
    ['a context that computes', `${heading}\ncontext: {n: 1 + 2}`],
    ['an entity that is cut off', `${heading}\ncontext: {}\nentities: [\n  Remit::Server::"s" {\n    tier: "go]`],
  ])('refuses %s', (_what, text) => {
    expect(exampleFrom(text, cedar)).toEqual({ problem: 'the example of the solver could not be read' });
  });
});

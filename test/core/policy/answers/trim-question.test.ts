import { describe, expect, it } from '@jest/globals';
import { trimmerFor } from '../../../../src/core/policy/answers/trim-question.ts';
import { readsTogether } from '../../../../src/core/policy/answers/reads.ts';
import { policyFrom } from '../policies.ts';

const user = (id: string) => ({ type: 'User', id });
const asked = {
  principal: user('a b'),
  action: { type: 'Action', id: 'read' },
  resource: { type: 'File', id: 'f' },
  context: {
    intent: { purpose: 'pay', actions: ['read'] },
    args: { amount: 5, who: { __entity: user('bob') } },
    risk: 'low',
    pair: { type: 'User', id: 'bob' },
  },
  lineageOf: ({ type, id }: { readonly type: string; readonly id: string }) =>
    type === 'User' ? ['Group payers', `${type} ${id}`, 'Group all'] : [`${type} ${id}`],
};
const left = (...conditions: readonly string[]) =>
  trimmerFor(
    readsTogether(
      conditions.map((body) => policyFrom('p', `permit (principal, action, resource) when { ${body} };`).reads),
    ),
  )(asked);

describe('trimmerFor', () => {
  it.each([
    ['nothing', 'true', {}],
    ['a member', 'context.risk == "low"', { risk: 'low' }],
    ['a member below another', 'context.intent.purpose == ""', { intent: { purpose: 'pay' } }],
    ['a record that is compared', 'context.intent == {}', { intent: asked.context.intent }],
    ['a number by its side', 'context.args.amount > 3', { args: { amount: 5 } }],
    ['the presence of what is there', 'context has risk', { risk: 'low' }],
    ['what is not there', 'context has gone && context.gone.x == 1', {}],
    ['below what is no record', 'context.risk.x == 1', { risk: 'low' }],
    ['the name of an entity', 'context.args.who == User::"x"', { args: { who: { __entity: user('bob') } } }],
    ['the whole context', 'context == {}', asked.context],
  ])('leaves of a context what is read of it: %s', (_name, condition, context) => {
    expect(left(condition)).toEqual({ context, entities: [] });
  });

  it('keeps what several policies read', () => {
    expect(left('context.risk == "low"', 'context.args.amount == 1')?.context).toEqual({
      risk: 'low',
      args: { amount: 5 },
    });
  });

  it('passes an entity as direct member of all its ancestors, if those are read', () => {
    const groups = [
      { type: 'Group', id: 'payers' },
      { type: 'Group', id: 'all' },
    ];
    expect(left('principal in Group::"x"')).toEqual({
      context: {},
      entities: [{ uid: user('a b'), attrs: {}, parents: groups }],
    });
    expect(left('principal == User::"x" && resource is File')?.entities).toEqual([]);
  });

  it.each([
    ['an attribute of the principal', 'principal.name == ""'],
    ['its presence', 'resource has name'],
    ['a tag', 'principal.hasTag("x")'],
    ['a tag whose name is computed', 'principal.hasTag(context.risk)'],
    ['an attribute of an entity in the text', 'User::"x".name == ""'],
    ['what an entity in the text is in', 'User::"x" in Group::"y"'],
    ['an attribute of an entity in the context', 'context.args.who.name == ""'],
    ['the same, if the record around it is read whole too', 'context.args == {} || context.args.who.name == ""'],
    ['what an entity in the context is in', 'context.args.who in Group::"x"'],
    ['a tag of it', 'context.args.who.hasTag("x")'],
    ['a member of what might be one', 'context.pair.type == ""'],
  ])('leaves the question whole if %s is read', (_name, condition) => {
    expect(left(condition)).toBeNull();
  });

  it('does not trim if anything may be read', () => {
    expect(trimmerFor({ everything: true, roots: new Map() })(asked)).toBeNull();
  });

  it('reads members singly if available, and never the whole context', () => {
    const names: string[] = [];
    const question = {
      ...asked,
      get context(): unknown {
        throw new Error('made');
      },
      part: (name: string) => {
        names.push(name);
        return 'low';
      },
    };
    const project = trimmerFor(
      policyFrom('p', 'permit (principal, action, resource) when { context.risk == "low" };').reads,
    );
    expect(project(question)?.context).toEqual({ risk: 'low' });
    expect(names).toEqual(['risk']);
  });

  it('treats names such as `__proto__` as plain names', () => {
    const context = JSON.parse('{"__proto__": {"x": 1}}') as unknown;
    const project = trimmerFor(
      policyFrom('p', 'permit (principal, action, resource) when { context["__proto__"].x == 1 };').reads,
    );
    const projected = project({ ...asked, context })?.context;
    expect(JSON.stringify(projected)).toBe('{"__proto__":{"x":1}}');
    expect(Object.getPrototypeOf(projected)).toBe(Object.prototype);
  });
});

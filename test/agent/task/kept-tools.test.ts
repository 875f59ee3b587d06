import { describe, expect, it } from '@jest/globals';
import { grantKey } from '../../../src/agent/task/grant-key.ts';
import { issuerProblem } from '../../../src/agent/task/issuer-problem.ts';
import { KeptTools } from '../../../src/agent/task/kept-tools.ts';
import { listedTools, type ListedTools } from '../../../src/agent/task/listed-tools.ts';

const one: ListedTools = { shown: new Map([['a', { limits: null }]]), hidden: null };

const PIN = 'sha-256:x';
/** Tools of which one has a pin. */
const pinned: ListedTools = {
  shown: new Map([
    ['a', { limits: 'L', pin: PIN }],
    ['b', { limits: null }],
  ]),
  hidden: null,
};
/** Hides nothing but what is not as its pin says. */
const pinsAlone: ListedTools = { shown: new Map([['a', { limits: null, pin: PIN }]]), hidden: new Set() };

/** A grant of the only upstream. */
const of = (grant: string) => ({ resource: 'https://a', grant });

/** Kept tools, with a clock and the tasks that the issuer was asked about. */
function kept(answers: readonly (ListedTools | null | 'problem')[]) {
  const asked: string[] = [];
  let nowMs = 0;
  const tools = new KeptTools(
    {
      tools: async (taskId) => {
        const answer = answers[asked.push(taskId) - 1] ?? null;
        return answer === 'problem' ? issuerProblem('temporarily_unavailable', 'away') : answer;
      },
    },
    { monotonicMs: () => nowMs },
  );
  return { tools, asked, pass: (ms: number) => void (nowMs += ms) };
}

describe('KeptTools', () => {
  it('asks once a minute for all tasks of a grant', async () => {
    const { tools, asked, pass } = kept([one, null]);
    expect(await Promise.all([tools.of('t1', of('g')), tools.of('t2', of('g'))])).toEqual([one, one]);
    pass(59_999);
    expect(await tools.of('t3', of('g'))).toEqual(one);
    pass(1);
    expect([await tools.of('t4', of('g')), asked]).toEqual([null, ['t1', 't4']]);
  });

  it('keeps the answers of different grants apart', async () => {
    const { tools, asked } = kept([one, null]);
    expect([await tools.of('t1', of('g')), await tools.of('t2', of('h')), asked]).toEqual([one, null, ['t1', 't2']]);
  });

  it('knows how an upstream answers denied calls once the issuer has said it for any task, and while it is away', async () => {
    const { tools, pass } = kept([{ ...one, denials: 'text' }, 'problem', one, null]);
    const said = [tools.denialsOf('https://a')];
    for (const grant of ['g', 'h', 'i', 'j']) {
      await tools.of('t', of(grant));
      pass(60_000);
      said.push(tools.denialsOf('https://a'));
    }
    expect([said, tools.denialsOf('https://b')]).toEqual([[null, 'text', 'text', 'result', 'result'], null]);
  });

  it('hides nothing if the issuer never answered, and asks again after 5 s', async () => {
    const { tools, asked, pass } = kept(['problem', one]);
    expect([await tools.of('t', of('g')), await tools.of('t', of('g')), asked.length]).toEqual([null, null, 1]);
    pass(5_000);
    expect([await tools.of('t', of('g')), asked.length]).toEqual([one, 2]);
  });

  it('uses the answer of before while the issuer does not answer', async () => {
    const { tools, pass } = kept([one, 'problem']);
    await tools.of('t', of('g'));
    pass(60_000);
    expect(await tools.of('t', of('g'))).toEqual(one);
  });

  it('hides what is not as its pin says if another grant of the upstream was answered, and the issuer fails', async () => {
    const { tools } = kept([pinned, 'problem', 'problem']);
    await tools.of('t1', of('g'));
    expect(await tools.of('t2', of('h'))).toEqual(pinsAlone);
    expect(await tools.of('t3', { resource: 'https://other', grant: 'i' })).toBeNull();
  });

  it('keeps the pins of tools that a later task may not use, and drops those that the issuer names no more', async () => {
    const without: ListedTools = { shown: new Map([['a', { limits: null }]]), hidden: null };
    const { tools } = kept([
      pinned,
      { shown: new Map([['b', { limits: null }]]), hidden: null },
      'problem',
      without,
      'problem',
      pinned,
      null,
      'problem',
    ]);
    await tools.of('t', of('1'));
    await tools.of('t', of('2'));
    expect(await tools.of('t', of('3'))).toEqual(pinsAlone);
    await tools.of('t', of('4'));
    expect(await tools.of('t', of('5'))).toBeNull();
    await tools.of('t', of('6'));
    await tools.of('t', of('7'));
    expect(await tools.of('t', of('8'))).toBeNull();
  });

  it('knows the pins of an upstream while the issuer hangs', async () => {
    const answers = [Promise.resolve(pinned), new Promise<never>(() => undefined)];
    const tools = new KeptTools({ tools: () => answers.shift() ?? Promise.resolve(null) }, { monotonicMs: () => 0 });
    await tools.of('t1', of('g'));
    expect(await tools.of('t2', of('h'))).toEqual(pinsAlone);
  });

  it('does not wait for an issuer that hangs', async () => {
    const tools = new KeptTools({ tools: () => new Promise(() => undefined) }, { monotonicMs: () => 0 });
    expect(await tools.of('t', of('g'))).toBeNull();
  });
});

const denialsIn = (denials: unknown) => listedTools({ tools: { shown: [], denials } });

describe('listedTools', () => {
  it('reads the answer of the issuer', () => {
    const shown = [
      { name: 'a', action: 'x.a' },
      { name: 'b', action: 'x.b', limits: 'Limits.' },
    ];
    expect([
      listedTools({ task: 't', actions: [] }),
      listedTools({ tools: { shown } }),
      listedTools({ tools: { shown, others: true, hidden: ['c'] } }),
    ]).toEqual([
      null,
      {
        shown: new Map([
          ['a', { limits: null }],
          ['b', { limits: 'Limits.' }],
        ]),
        hidden: null,
      },
      {
        shown: new Map([
          ['a', { limits: null }],
          ['b', { limits: 'Limits.' }],
        ]),
        hidden: new Set(['c']),
      },
    ]);
    expect(denialsIn('text')).toEqual({ shown: new Map(), hidden: null, denials: 'text' });
    expect(denialsIn('later')).toEqual({ shown: new Map(), hidden: null });
    expect(denialsIn(7)).toEqual({ problem: expect.stringContaining('member `denials`') });
    expect(listedTools({ tools: { shown: [{}] } })).toEqual({
      problem: expect.stringMatching(/^member `tools` member `shown` entry 0 member `name` is required/),
    });
  });
});

/** The key of a declaration. */
const declared = (constraints: object, token?: string) =>
  grantKey({
    resource: 'https://a',
    details: [{ actions: ['x'], constraints }],
    ...(token === undefined ? {} : { subject: { token, type: 'jwt' } }),
  });

describe('grantKey', () => {
  it('differs by all but the end of a task', () => {
    expect(declared({ not_after: 1, max_calls: 2 })).toBe(declared({ not_after: 2, max_calls: 2 }));
    expect(new Set([declared({}), declared({ max_calls: 1 }), declared({}, 'u'), declared({}, 'v')]).size).toBe(4);
    expect(declared({}, 'a secret')).not.toContain('secret');
  });
});

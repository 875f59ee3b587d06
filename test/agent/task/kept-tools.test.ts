import { describe, expect, it } from '@jest/globals';
import { grantKey } from '../../../src/agent/task/grant-key.ts';
import { issuerProblem } from '../../../src/agent/task/issuer-problem.ts';
import { KeptTools } from '../../../src/agent/task/kept-tools.ts';
import { listedTools, type ListedTools } from '../../../src/agent/task/listed-tools.ts';

const one: ListedTools = { shown: new Map([['a', { limits: null }]]), hidden: null };

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
    expect(await Promise.all([tools.of('g', 't1'), tools.of('g', 't2')])).toEqual([one, one]);
    pass(59_999);
    expect(await tools.of('g', 't3')).toEqual(one);
    pass(1);
    expect([await tools.of('g', 't4'), asked]).toEqual([null, ['t1', 't4']]);
  });

  it('keeps the answers of different grants apart', async () => {
    const { tools, asked } = kept([one, null]);
    expect([await tools.of('g', 't1'), await tools.of('h', 't2'), asked]).toEqual([one, null, ['t1', 't2']]);
  });

  it('hides nothing if the issuer never answered, and asks again after 5 s', async () => {
    const { tools, asked, pass } = kept(['problem', one]);
    expect([await tools.of('g', 't'), await tools.of('g', 't'), asked.length]).toEqual([null, null, 1]);
    pass(5_000);
    expect([await tools.of('g', 't'), asked.length]).toEqual([one, 2]);
  });

  it('uses the answer of before while the issuer does not answer', async () => {
    const { tools, pass } = kept([one, 'problem']);
    await tools.of('g', 't');
    pass(60_000);
    expect(await tools.of('g', 't')).toEqual(one);
  });

  it('does not wait for an issuer that hangs', async () => {
    const tools = new KeptTools({ tools: () => new Promise(() => undefined) }, { monotonicMs: () => 0 });
    expect(await tools.of('g', 't')).toBeNull();
  });
});

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

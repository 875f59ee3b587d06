import * as fc from 'fast-check';
import { expect } from '@jest/globals';
import type { SettledUse } from '../../../../src/core/state/settling.ts';
import type { UseState } from '../../../../src/core/state/store-reader.ts';
import { causeOf } from '../../../../src/core/task/cause.ts';
import type { TaskEvent, TaskState } from '../../../../src/core/task/task.ts';
import { byOperator, issuer, taskNumber, tokenNumber } from '../../../builders/task.ts';
import type { OpenedState } from './implementations.ts';
import { must, mustFind } from '../../../builders/must.ts';

/** Tasks of a run. Each has one token at first. */
export const TASKS = [1, 2, 3] as const;
/** Limit of calls of each task. From 16 on, some are lent. */
const LIMIT = 20;
/** Calls, and different values, of the limit over all tasks. */
const LIMITED_CALLS = 8;
const LIMITED_VALUES = 2;

interface ModelTask {
  state: TaskState;
  generation: number;
  spent: number;
  version: number;
  actions: readonly string[];
  risk: string;
  revoked: boolean;
}

/** The expected state after the calls made so far, in order. */
export interface Model {
  readonly tasks: Map<number, ModelTask>;
  readonly settled: Set<string>;
  /** The limit over all tasks: calls, different values, and the uses by decision, with whether they were given back. */
  readonly limit: {
    used: number;
    readonly values: Set<string>;
    readonly uses: Map<number, { readonly use: SettledUse; readonly amount: number; isGiven: boolean }>;
  };
  /** Root tasks in the order of their changes, including calls that are not awaited yet. */
  readonly feed: string[];
}

/** A state, with the calls that wait for their answers. */
export interface Real {
  state: OpenedState;
  readonly reopen: () => Promise<OpenedState>;
  readonly waiting: { readonly answer: Promise<unknown>; readonly expected: unknown; readonly what: string }[];
}

export const newModel = (): Model => ({
  tasks: new Map(
    TASKS.map((n) => [
      n,
      { state: 'active', generation: 1, spent: 0, version: 0, actions: [], risk: 'low', revoked: false },
    ]),
  ),
  settled: new Set(),
  limit: { used: 0, values: new Set(), uses: new Map() },
  feed: [],
});

type Command = fc.AsyncCommand<Model, Real>;

const taskOf = (model: Model, n: number): ModelTask => {
  const task = model.tasks.get(n);
  if (task === undefined) throw new Error(`the model has no task ${n}`);
  return task;
};

/** The state of a task as it is looked at now: of calls that wait nothing need be in it yet. */
const look = async (real: Real, n: number): Promise<UseState> =>
  mustFind(await real.state.look({ issuer, id: taskNumber(n).id }, `digest-${n}`));

/** A use that takes calls and adds to the history, decided by the history of the last look. */
const settleUse = (
  n: number,
  decision: number,
  { count, ahead, action }: Pick<ModelUse, 'count' | 'ahead' | 'action'>,
): Command => ({
  check: () => true,
  toString: () => `settle task ${n} decision ${decision} count ${count} ahead ${ahead ?? '-'} action ${action ?? '-'}`,
  async run(model, real) {
    const decisionId = `decision-${decision}`;
    const { version } = (await look(real, n)).history;
    const entry = action === null ? {} : { entry: { version, action, labels: [] } };
    const answer = real.state.settling.settle({
      decisionId,
      key: { issuer, id: taskNumber(n).id },
      jtiDigest: `digest-${n}`,
      spends: [{ kind: 'calls', limit: LIMIT, count }],
      ...entry,
      ...(ahead === null ? {} : { ahead: [ahead] }),
    });
    real.waiting.push({
      answer,
      expected: settledInModel(model, n, { decisionId, count, ahead, action, version }),
      what: this.toString(),
    });
  },
});

const counter = { kind: 'limit', limit: 'over-all', who: '[]', windowMs: 86_400_000, effect: 'deny' } as const;

/** A use that takes calls and a value from a limit over all tasks, with the token of a task or without. */
const settleLimited = (
  n: number | null,
  decision: number,
  { amount, value }: { readonly amount: number; readonly value: string },
): Command => ({
  check: () => true,
  toString: () => `settle decision limited-${decision} of task ${n ?? '-'} amount ${amount} value ${value}`,
  async run(model, real) {
    const use: SettledUse = {
      decisionId: `limited-${decision}`,
      key: n === null ? null : { issuer, id: taskNumber(n).id },
      jtiDigest: n === null ? '' : `digest-${n}`,
      spends: [
        { ...counter, measure: 'calls', amount, max: LIMITED_CALLS },
        { ...counter, measure: 'distinct', amount: 1, max: LIMITED_VALUES, value: value.repeat(43) },
      ],
    };
    const answer = real.state.settling.settle(use);
    real.waiting.push({
      answer,
      expected: limitedInModel(model, use, { n, decision, amount, value }),
      what: this.toString(),
    });
  },
});

function limitedInModel(
  model: Model,
  use: SettledUse,
  {
    n,
    decision,
    amount,
    value,
  }: { readonly n: number | null; readonly decision: number; readonly amount: number; readonly value: string },
): unknown {
  if (model.settled.has(use.decisionId)) return null;
  const task = n === null ? null : taskOf(model, n);
  if (task !== null && (task.state !== 'active' || task.revoked || task.generation !== 1)) return 'ended';
  const { limit } = model;
  if (amount > 0 && limit.used + amount > LIMITED_CALLS) {
    return { problem: 'limit', over: { measure: 'calls', max: LIMITED_CALLS, used: limit.used } };
  }
  const isNew = !limit.values.has(value);
  if (isNew && limit.values.size === LIMITED_VALUES) {
    return { problem: 'limit', over: { measure: 'distinct', max: LIMITED_VALUES, used: LIMITED_VALUES } };
  }
  limit.used += amount;
  limit.values.add(value);
  const left = [LIMITED_CALLS - limit.used, LIMITED_VALUES - limit.values.size];
  if (amount === 0 && !isNew) return { left };
  model.settled.add(use.decisionId);
  limit.uses.set(decision, { use, amount, isGiven: false });
  return { left };
}

/** Gives back what a use took from the limit: its calls, once, and not its value. */
const giveBackLimited = (decision: number): Command => ({
  check: (model) => model.limit.uses.has(decision),
  toString: () => `give back decision limited-${decision}`,
  async run({ limit }, real) {
    const found = mustFind(limit.uses.get(decision));
    const answer = real.state.settling.giveBack(found.use);
    real.waiting.push({ answer, expected: !found.isGiven, what: this.toString() });
    if (!found.isGiven) limit.used -= found.amount;
    found.isGiven = true;
  },
});

interface ModelUse {
  readonly decisionId: string;
  readonly count: number;
  /** How many calls more are wanted; `null` if nothing is to be lent. */
  readonly ahead: number | null;
  readonly action: string | null;
  readonly version: number;
}

function settledInModel(model: Model, n: number, use: ModelUse): unknown {
  const task = taskOf(model, n);
  if (model.settled.has(use.decisionId)) return null;
  if (task.state !== 'active' || task.revoked || task.generation !== 1) return 'ended';
  if (task.spent + use.count > LIMIT) return { problem: 'exhausted', budget: { limit: LIMIT, used: task.spent } };
  const isNew = use.action !== null && !task.actions.includes(use.action);
  if (use.action !== null) {
    if (use.version !== task.version) return 'history-changed';
    if (isNew) {
      task.version += 1;
      task.actions = [...task.actions, use.action];
      model.feed.push(taskNumber(n).id);
    }
  }
  const most = Math.floor((LIMIT - task.spent - use.count) / 8);
  const lendable = [use.ahead ?? 0, Math.floor((use.ahead ?? 0) / 2)];
  const lent = most < 2 ? 0 : mustFind(lendable.find((amount) => amount <= most) ?? 1);
  task.spent += use.count + lent;
  // What changes nothing is judged again if it is sent again.
  if (isNew || use.count + lent > 0) model.settled.add(use.decisionId);
  return use.ahead === null ? null : { lent: [lent] };
}

const change = (n: number, kind: TaskEvent['kind'] & ('complete' | 'suspend' | 'resume')): Command => ({
  check: () => true,
  toString: () => `${kind} task ${n}`,
  async run(model, real) {
    const answer = real.state.authority.applyTaskEvent(taskNumber(n), byOperator(kind), 'operator');
    const task = taskOf(model, n);
    const to = { complete: 'completed', suspend: 'suspended', resume: 'active' } as const;
    const isEnded = task.state === 'completed';
    const expected =
      isEnded && kind !== 'complete'
        ? { problem: 'ended', state: 'completed' }
        : { changed: task.state !== to[kind], task: { state: to[kind] } };
    if ('changed' in expected && expected.changed) {
      if (kind === 'resume') task.generation += 1;
      task.state = to[kind];
      model.feed.push(taskNumber(n).id);
    }
    real.waiting.push({ answer, expected, what: this.toString() });
  },
});

const setRisk = (n: number, risk: 'low' | 'high'): Command => ({
  check: () => true,
  toString: () => `risk of task ${n} ${risk}`,
  async run(model, real) {
    const answer = real.state.authority.setRisk(taskNumber(n), risk, causeOf('signal.risk-level-change'), 'operator');
    const task = taskOf(model, n);
    const isEnded = task.state === 'completed';
    if (!isEnded && task.risk !== risk) {
      task.risk = risk;
      model.feed.push(taskNumber(n).id);
    }
    real.waiting.push({ answer, expected: isEnded ? { problem: 'ended' } : { risk }, what: this.toString() });
  },
});

const revoke = (n: number): Command => ({
  check: () => true,
  toString: () => `revoke the token of task ${n}`,
  async run(model, real) {
    const answer = real.state.authority.revokeToken(`digest-${n}`, causeOf('operator.revoked'), 'operator');
    const task = taskOf(model, n);
    if (!task.revoked) model.feed.push(taskNumber(n).id);
    task.revoked = true;
    real.waiting.push({ answer, expected: true, what: this.toString() });
  },
});

/** A write that must fail, and that makes no other fail. */
const conflict = (n: number): Command => ({
  check: () => true,
  toString: () => `task ${n} once more`,
  async run(_model, real) {
    const answer = real.state.authority.insertTask(taskNumber(n), tokenNumber(n), []);
    real.waiting.push({ answer, expected: { kind: 'store-failure', code: 'conflict' }, what: this.toString() });
  },
});

/** Checks every answer, every look and the feed against the model. */
export async function settleAll(model: Model, real: Real): Promise<void> {
  for (const { answer, expected, what } of real.waiting.splice(0)) {
    const got = { what, answer: await answer };
    if (typeof expected === 'object' && expected !== null) expect(got).toMatchObject({ what, answer: expected });
    else expect(got).toEqual({ what, answer: expected });
  }
  for (const n of TASKS) {
    const { task, issued, history } = await look(real, n);
    const { state, generation, version, actions, risk, revoked } = taskOf(model, n);
    expect({ n, state: task.state, generation: task.generation, risk: task.risk }).toEqual({
      n,
      state,
      generation,
      risk,
    });
    expect({ version: history.version, actions: history.actions }).toEqual({ version, actions });
    expect(issued?.revokedAtMs === null).toBe(!revoked);
  }
  const uses = must(await real.state.authority.limitUses({ limit: 'over-all' }));
  const used = (measure: string): number => uses.find((use) => use.measure === measure)?.used ?? 0;
  expect([used('calls'), used('distinct')]).toEqual([model.limit.used, model.limit.values.size]);
  const changes = must(await real.state.feed.feedAfter(0))?.changes ?? [];
  // A transaction announces a task once, however often it changes in it.
  const roots = changes.map(({ root }) => root);
  expect([...new Set(roots)].toSorted()).toEqual([...new Set(model.feed)].toSorted());
  expect(roots.length).toBeLessThanOrEqual(model.feed.length);
  expect(await real.state.feed.feedEnd()).toBe(roots.length);
}

const awaitAll: Command = {
  check: () => true,
  toString: () => 'await all',
  run: (model, real) => settleAll(model, real),
};

/** Lets other work of the event loop run. */
const pause: Command = {
  check: () => true,
  toString: () => 'pause',
  run: () => new Promise((resolve) => setImmediate(resolve)),
};

const restart: Command = {
  check: () => true,
  toString: () => 'restart',
  async run(model, real) {
    await settleAll(model, real);
    await real.state.close();
    real.state = await real.reopen();
    await settleAll(model, real);
  },
};

const task = fc.constantFrom(...TASKS);

/** Calls of all kinds, many of which wait concurrently. */
export const commands = (): fc.Arbitrary<Iterable<Command>> => {
  const settles = fc
    .tuple(
      task,
      fc.nat(12),
      fc.record({
        count: fc.integer({ min: 0, max: 3 }),
        ahead: fc.constantFrom(null, null, 0, 1, 2, 3),
        action: fc.constantFrom(null, 'a.read', 'a.write', 'b.read'),
      }),
    )
    .map(([n, decision, use]) => settleUse(n, decision, use));
  const limited = fc
    .tuple(
      fc.constantFrom(null, ...TASKS),
      fc.nat(6),
      fc.record({ amount: fc.integer({ min: 0, max: 3 }), value: fc.constantFrom('a', 'b', 'c') }),
    )
    .map(([n, decision, of]) => settleLimited(n, decision, of));
  return fc.commands(
    [
      settles,
      settles,
      settles,
      limited,
      limited,
      fc.nat(6).map(giveBackLimited),
      fc.tuple(task, fc.constantFrom('complete', 'suspend', 'resume')).map(([n, kind]) => change(n, kind)),
      fc.tuple(task, fc.constantFrom('low', 'high')).map(([n, risk]) => setRisk(n, risk)),
      task.map(revoke),
      task.map(conflict),
      fc.constant(awaitAll),
      fc.constant(pause),
      fc.constant(restart),
    ],
    { maxCommands: 40 },
  );
};

import { writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { afterAll, beforeEach, describe, expect, it } from '@jest/globals';
import { cures } from '../../../src/core/decision/cures.ts';
import { task, taskCommand } from '../../../src/cli/task/task.ts';
import type { TaskSpend } from '../../../src/core/state/spend.ts';
import type { Store } from '../../../src/core/state/store.ts';
import { isStoreFailure } from '../../../src/core/runtime/store-failure.ts';
import { mustOpenLog, settingsIn } from '../../core/ledger/log/logs.ts';
import { commandRun } from '../../builders/command-run.ts';
import { encoded, useRecord } from '../../builders/ledger-record.ts';
import { must } from '../../builders/must.ts';
import { scratch } from '../../builders/scratch.ts';
import { mustOpen } from '../../builders/state-file.ts';
import { issuer, taskNumber, tokenNumber } from '../../builders/task.ts';

const { folder, remove } = scratch();
afterAll(() => {
  store.close();
  remove();
});

/** The store of the process that serves meanwhile. */
let store: Store;
let file: string;
beforeEach(() => {
  file = join(folder(), 'state.db');
  store = mustOpen(file, { nowMs: () => Date.now() });
});

const later = Date.now() + 3_600_000;
const first = taskNumber(1, { deadlineMs: later });

const insertFirst = (): void => {
  const span = { traceId: 'a'.repeat(32), spanId: 'b'.repeat(16) };
  const decided = { decision: 'allow', reason: null, policySet: 'sha-256:p', policyGeneration: 1 } as const;
  store.insertTask(first, tokenNumber(1), [
    encoded({
      kind: 'intent',
      decisionId: '019ab77e-5d3c-7a41-9f60-000000000001',
      detail: null,
      at: 1_000,
      task: first.id,
      agent: first.agent,
      subject: null,
      parent: null,
      purpose: first.purpose,
      intentHash: 'sha-256:x',
      details: [],
      claimed: {},
      deadline: later,
      error: null,
      policyIds: ['issue-low-risk'],
      ...decided,
      ...span,
    }),
    encoded({
      kind: 'token',
      at: 1_001,
      task: first.id,
      agent: first.agent,
      delegate: null,
      jtiDigest: 'd',
      audience: 'https://payments.acme.test',
      expires: 301_000,
      binding: 'x5t#S256',
      ...span,
    }),
    encoded(
      useRecord({
        at: 2_000,
        decisionId: 'u1',
        task: first.id,
        agent: first.agent,
        credential: 'task-token',
        action: 'payments.read',
        tokenUse: 1,
        reuse: ['first'],
        jtiDigest: 'd',
        path: '/v1/payments/\u001b[31m7',
        policyIds: ['payments-read'],
        ...decided,
        ...span,
      }),
    ),
    encoded(
      useRecord({
        at: 3_000,
        decisionId: 'u2',
        task: first.id,
        path: '/x',
        ...decided,
        decision: 'deny',
        reason: 'action.unknown',
        ...span,
      }),
    ),
  ]);
};

const run = async (...args: readonly string[]) => {
  const { code: exit, out, err } = await commandRun(task, args, { environment: { SUDO_USER: 'ada' } });
  return { exit, out: out.join('\n'), err: err.join('\n') };
};

describe('remit task list', () => {
  it('lists the newest tasks while another process serves', async () => {
    insertFirst();
    store.insertTask(taskNumber(2, { purpose: '', deadlineMs: 5_000 }), tokenNumber(2), []);
    const { exit, out } = await run('list', '--state', file);
    expect(exit).toBe(0);
    expect(out.split('\n')).toEqual([
      `${taskNumber(2).id}  expired    1970-01-01T00:00:00.002Z  ${first.agent}  -`,
      `${first.id}  active     1970-01-01T00:00:00.001Z  ${first.agent}  pay the invoices of may`,
    ]);
    expect((await run('list', '--state', file, '--in', 'active')).out.split('\n')).toHaveLength(1);
    expect((await run('list', '--state', file, '--limit', '1')).out).toContain(taskNumber(2).id);
    expect((await run('list', '--state', file, '--agent', 'spiffe://acme.test/other')).out).toBe('no tasks');
    expect(JSON.parse((await run('list', '--state', file, '--json')).out)).toMatchObject([
      { state: 'expired' },
      { state: 'active' },
    ]);
  });
});

describe('`remit task … --json`', () => {
  it.each([
    ['list', []],
    ['show', [first.id]],
  ])('%s prints nothing that a terminal obeys, and loses nothing', async (word, operands) => {
    const purpose = 'pay\u009b2J \u200d\u202e';
    store.insertTask({ ...first, purpose }, tokenNumber(1), []);
    const { exit, out } = await run(word, ...operands, '--state', file, '--json');
    expect([exit, /[\p{Cc}\p{Cf}]/u.test(out)]).toEqual([0, false]);
    const read = JSON.parse(out);
    expect((Array.isArray(read) ? read[0] : read.task).purpose).toBe(purpose);
  });
});

describe('remit task show', () => {
  it('prints the task and its timeline as a table without control characters', async () => {
    insertFirst();
    const { exit, out } = await run('show', first.id, '--state', file);
    expect(exit).toBe(0);
    expect(out.split('\n')).toEqual([
      `task      ${first.id}`,
      `agent     ${first.agent}`,
      'purpose   pay the invoices of may',
      `intent    sha-256:x  trace ${'a'.repeat(32)}`,
      'state     active  risk low',
      `lives     1970-01-01T00:00:00.001Z to ${new Date(later).toISOString()} at the latest`,
      'uses      1 allowed: 0 executed, 1 without a recorded outcome',
      '',
      expect.stringMatching(/^TIME {22}WHAT +CALLER +DECISION {2}REASON +POLICIES +TRACE$/),
      expect.stringMatching(
        /^1970-01-01T00:00:01.000Z {2}intent: pay the invoices of may +spiffe:\/\/acme.test\/ns\/agents\/sa\/planner +allow +- +issue-low-risk {2}a{32}$/,
      ),
      expect.stringMatching(
        /^1970-01-01T00:00:01.001Z {2}token for https:\/\/payments.acme.test until 00:05:01 +spiffe:\/\/acme.test\/ns\/agents\/sa\/planner +- +- +- +a{32}$/,
      ),
      expect.stringMatching(
        /^1970-01-01T00:00:02.000Z {2}use 1: payments.read GET payments.acme.test\/v1\/payments\/\?\[31m7 +spiffe:\/\/acme.test\/ns\/agents\/sa\/planner +allow +- +payments-read +a{32}$/,
      ),
      expect.stringMatching(
        /^1970-01-01T00:00:03.000Z {2}use: - GET payments.acme.test\/x +- +deny +action.unknown +- +a{32}$/,
      ),
      '',
      'denied 1 x action.unknown: the action is not known',
      `  ${cures['action.unknown']}`,
    ]);
    expect(JSON.parse((await run('show', first.id, '--state', file, '--json')).out)).toMatchObject({
      task: { id: first.id },
      uses: { allowed: 1, executed: 0, unknown: 1 },
      parts: [],
      records: [
        { seq: null, kind: 'intent' },
        { kind: 'token' },
        { kind: 'use' },
        { kind: 'use', refusedCaller: null, reason: 'action.unknown' },
      ],
    });
  });

  it('names the parts of the task', async () => {
    insertFirst();
    const part = taskNumber(2, { parentId: first.id, purpose: 'read one invoice', deadlineMs: first.deadlineMs });
    const handed = { jtiDigest: tokenNumber(1).jtiDigest, spends: [] };
    expect(store.insertPart(part, tokenNumber(2), [], handed)).toBeNull();
    const { out } = await run('show', first.id, '--state', file);
    expect(out).toContain(`\npart      ${part.id} of ${part.agent}: read one invoice\n`);
    expect(JSON.parse((await run('show', first.id, '--state', file, '--json')).out)).toMatchObject({
      parts: [part.id],
    });
    expect((await run('show', part.id, '--state', file)).out).toContain(`\npart of   ${first.id}\n`);
  });

  it('says what of its budgets is lent, and to whom', async () => {
    insertFirst();
    const key = { issuer: first.issuer, id: first.id };
    const { jtiDigest } = tokenNumber(1);
    const lend = (decisionId: string, spend: TaskSpend, by?: string) =>
      must(
        store.settle(decisionId, key, { jtiDigest, spends: [spend], ahead: [20], ...(by === undefined ? {} : { by }) }),
      );
    expect((await run('show', first.id, '--state', file)).out).not.toContain('\nlent ');
    lend('d-1', { kind: 'calls', limit: 400, count: 0 }, 'spiffe://acme.test/tools');
    lend('d-2', { kind: 'decimal', name: 'eur', limit: 1_000_000, amount: 0 });
    const { out } = await run('show', first.id, '--state', file);
    expect(out).toContain(
      [
        '',
        'lent      20 calls to spiffe://acme.test/tools: spent there, or held',
        'lent      0.002 of eur to the process of the authority: spent there, or held',
        '',
      ].join('\n'),
    );
    expect(JSON.parse((await run('show', first.id, '--state', file, '--json')).out)).toMatchObject({
      lent: [
        { counts: 'calls', name: '', to: 'spiffe://acme.test/tools', amount: 20 },
        { counts: 'amount', name: 'eur', to: '', amount: 0.002 },
      ],
    });
  });

  it('reads a task deleted from the state file from the ledger', async () => {
    insertFirst();
    await run('end', first.id, '--cause', 'enough of it', '--state', file);
    const log = mustOpenLog(settingsIn(dirname(file)));
    const [waiting, fileId] = [store.outbox(0, 100), store.fileId()];
    if (isStoreFailure(waiting) || isStoreFailure(fileId)) throw new Error('the outbox cannot be read');
    expect(log.append(waiting, fileId)).toBeNull();
    log.close();
    store.forget(100);
    const db = new DatabaseSync(file);
    db.exec('DELETE FROM tokens; DELETE FROM tasks;');
    db.close();
    const { exit, out } = await run('show', first.id, '--state', file);
    expect(exit).toBe(0);
    expect(out.split('\n').slice(0, 6)).toEqual([
      `task      ${first.id}  (deleted from the state file after its end; shown from its records)`,
      `agent     ${first.agent}`,
      'purpose   pay the invoices of may',
      `intent    sha-256:x  trace ${'a'.repeat(32)}`,
      'state     revoked (enough of it)',
      expect.stringMatching(/^lives     1970-01-01T00:00:01.000Z to 20/),
    ]);
    expect(out).toMatch(/revoked by operator .*: enough of it/);
    expect(JSON.parse((await run('show', first.id, '--state', file, '--json')).out)).toMatchObject({
      task: { id: first.id, state: 'revoked', cause: 'operator.revoked', is_pruned: true },
      records: [{ seq: 1, kind: 'intent' }, {}, {}, {}, { seq: 5, kind: 'end' }],
    });
    expect(await run('end', first.id, '--cause', 'x', '--state', file)).toMatchObject({ exit: 1 });
  });

  it('exits with 1 for an unknown task', async () => {
    expect(await run('show', 'nothing', '--state', file)).toMatchObject({
      exit: 1,
      err: 'remit task show: there is no task `nothing`',
    });
  });
});

describe('remit task end', () => {
  it('ends a task while a process serves, which sees it at once', async () => {
    insertFirst();
    const ended = await run('end', first.id, '--cause', 'the agent is compromised', '--state', file);
    expect(ended).toMatchObject({ exit: 0, out: `${first.id} is revoked` });
    expect(store.taskOf(issuer, first.id)).toMatchObject({
      state: 'revoked',
      cause: { code: 'operator.revoked', note: 'the agent is compromised' },
    });
    expect(await run('end', first.id, '--cause', 'again', '--state', file)).toMatchObject({
      exit: 0,
      out: `${first.id} was already revoked`,
    });
    expect(await run('end', first.id, '--cause', 'x', '--as', 'completed', '--state', file)).toMatchObject({
      exit: 1,
      err: 'remit task end: the task is already `revoked`',
    });
    const { out } = await run('show', first.id, '--state', file);
    expect(out).toMatch(/revoked by operator ada( \(account \S+\))?: the agent is compromised/);
    const records = store.recordsOf(first.id, 10);
    expect(isStoreFailure(records) ? records : records.length).toBe(5);
  });

  it.each([
    ['completed', 'completed'],
    ['cancelled', 'cancelled'],
  ])('ends it --as %s, with JSON output', async (as, state) => {
    insertFirst();
    const { out } = await run('end', first.id, '--cause', 'done', '--as', as, '--state', file, '--json');
    expect(JSON.parse(out)).toMatchObject({ id: first.id, state, cause: `operator.${state}`, cause_note: 'done' });
  });
});

describe('remit task suspend and resume', () => {
  it('suspend a task while a process serves, and let it continue only with new tokens', async () => {
    insertFirst();
    const change = (word: string, id = first.id, ...more: readonly string[]) =>
      run(word, id, '--cause', 'look at it', '--state', file, ...more);
    expect(await change('suspend')).toMatchObject({ exit: 0, out: `${first.id} is suspended` });
    expect(await change('suspend')).toMatchObject({ exit: 0, out: `${first.id} was already suspended` });
    expect(store.taskOf(issuer, first.id)).toMatchObject({ state: 'suspended' });
    expect(await change('resume', first.id, '--by', 'Grace Hopper')).toMatchObject({
      exit: 0,
      out: `${first.id} is active`,
    });
    expect(store.useStateOf(issuer, first.id, 'digest-1')).toMatchObject({
      task: { state: 'active', generation: 2 },
      issued: { generation: 1 },
    });
    const { out } = await run('show', first.id, '--state', file);
    expect(out).toMatch(/resumed by operator Grace Hopper \(account .+\): look at it/);
    expect(out).toMatch(/suspended by operator ada( \(account \S+\))?: look at it/);
    await run('end', first.id, '--cause', 'x', '--state', file);
    expect(await change('resume')).toMatchObject({
      exit: 1,
      err: 'remit task resume: the task is already `revoked`',
    });
    expect(await change('suspend', 'nothing')).toMatchObject({ exit: 1 });
  });

  it('do not resume a part before its parent; `show` prints both and the context', async () => {
    insertFirst();
    const part = taskNumber(2, {
      deadlineMs: later,
      idleMs: 60_000,
      lastUsedMs: Date.now(),
      parentId: first.id,
      subject: 'user-7',
      subjectAttributes: { groups: ['finance', 'staff'], level: 3 },
      claimed: { model: 'm-1' },
      attested: [
        { name: 'approval', value: 'finance', by: 'spiffe://acme.test/ns/finance/sa/approvals', kind: 'writer' },
      ],
    });
    store.insertTask(part, tokenNumber(2), []);
    await run('suspend', first.id, '--cause', 'x', '--state', file);
    expect(await run('resume', part.id, '--cause', 'x', '--state', file, '--json')).toMatchObject({
      exit: 1,
      err: 'remit task resume: its parent task is `suspended`',
    });
    const { out } = await run('show', part.id, '--state', file);
    expect(out.split('\n').slice(4, 12)).toEqual([
      'for       user-7',
      `part of   ${first.id}`,
      `state     suspended (it is part of task \`${first.id}\`, which is \`suspended\`: x)  risk low`,
      expect.stringMatching(/ at the latest, or 60 s after its last use$/),
      'subject   groups: finance, staff (by the issuer of its token)',
      'subject   level: 3 (by the issuer of its token)',
      "claimed   model: m-1 (the agent's own word)",
      'attested  approval: finance (by writer spiffe://acme.test/ns/finance/sa/approvals)',
    ]);
  });
});

describe('remit task allow', () => {
  it('lets the agent of a stopped task declare like tasks at once, with a record', async () => {
    const task = { ...first, detailsJson: JSON.stringify([{ actions: ['payments.read'] }]) };
    store.insertTask(task, tokenNumber(1), []);
    const { agent, subject } = task;
    const stop = () => store.stopOf({ issuer, agent, subject, actions: ['payments.read'] });
    await run('end', task.id, '--cause', 'x', '--state', file);
    expect(stop()).toMatchObject({ cause: 'operator.revoked' });
    const allow = (id: string, ...more: readonly string[]) =>
      run('allow', id, '--cause', 'looked at it', '--state', file, ...more);
    expect(await allow(task.id)).toMatchObject({ exit: 0, out: `${agent} may declare like tasks at once` });
    expect(stop()).toBeNull();
    const { out } = await run('show', task.id, '--state', file);
    expect(out).toMatch(/like tasks allowed again by operator .*: looked at it/);
    expect(JSON.parse((await allow(task.id, '--json')).out)).toMatchObject({ id: task.id, state: 'revoked' });
    expect(await allow('nothing')).toMatchObject({ exit: 1 });
    expect(await run('allow', task.id, '--state', file)).toMatchObject({ exit: 2 });
    expect(await run('allow', '--cause', 'x', '--state', file)).toMatchObject({ exit: 2 });
  });
});

describe('remit task', () => {
  it.each<[string, readonly string[], RegExp]>([
    [
      'nothing',
      [],
      /^remit task: `list`, `show`, `end`, `suspend`, `resume` or `allow` is required; see `remit task --help`$/,
    ],
    ['another word', ['kill'], /^remit task: `list`, `show`, `end`, `suspend`, `resume` or `allow` is required/],
    ['an unknown option', ['list', '--colour'], /^remit task list: .*Unknown option '--colour'/],
    ['an unexpected argument', ['list', 'x'], /^remit task list: unexpected argument `x`$/],
    ['an invalid state', ['list', '--in', 'done'], /--in must be one of active, suspended, completed/],
    ['a limit of 0', ['list', '--limit', '0'], /--limit must be a whole number from 1 to 1000$/],
    ['an invalid limit', ['list', '--limit', '1e2'], /--limit must be/],
    ['no id to show', ['show'], /^remit task show: the id of a task is required$/],
    ['no id to end', ['end', '--cause', 'x'], /the id of a task is required$/],
    ['no id to suspend', ['suspend', '--cause', 'x'], /^remit task suspend: the id of a task is required$/],
    ['no cause', ['end', 'x'], /--cause is required: the reason, for readers of the record$/],
    ['a long cause', ['end', 'x', '--cause', 'x'.repeat(257)], /--cause must have at most 256 characters$/],
    [
      'an invalid end',
      ['end', 'x', '--cause', 'x', '--as', 'active'],
      /--as must be one of revoked, cancelled, completed$/,
    ],
    [
      'two states',
      ['end', 'x', '--cause', 'x', '--config', 'remit.yaml', '--state', 'state.db'],
      /--config and --state each name a state: use one of them$/,
    ],
    [
      'no configuration',
      ['list', '--config', '/nonexistent.yaml'],
      /cannot read the configuration `\/nonexistent.yaml`: name one with --config, or use --state FILE$/,
    ],
    [
      'a missing state file',
      ['list', '--state', '/nonexistent.db'],
      /state file `\/nonexistent.db` cannot be opened: ENOENT$/,
    ],
    [
      'a missing state file to write',
      ['end', 'x', '--cause', 'x', '--state', '/nonexistent.db'],
      /cannot be opened: ENOENT$/,
    ],
  ])('exits with 2 for %s', async (_name, args, message) => {
    const { exit, out, err } = await run(...args);
    expect([exit, out]).toEqual([2, '']);
    expect(err).toMatch(message);
  });

  it('finds the state file by the configuration', async () => {
    insertFirst();
    const config = join(folder(), 'remit.yaml');
    writeFileSync(config, `trustDomains: [acme.test]\nstate: sqlite:${file}\n`);
    expect((await run('list', '--config', config)).out).toContain(first.id);
    writeFileSync(config, 'trustDomains: [acme.test]\nstates: x\n');
    expect(await run('list', '--config', config)).toMatchObject({
      exit: 2,
      err: expect.stringMatching(/remit.yaml:2:1: `states` is not a known key/),
    });
  });

  it('prints its help', () => {
    expect(taskCommand.help).toMatch(/^remit task: .*\n\nusage: remit task list/);
  });
});

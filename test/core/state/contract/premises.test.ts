import { expect, it } from '@jest/globals';
import type { SpiffeId } from '../../../../src/core/identity/spiffe-id.ts';
import type { Authority } from '../../../../src/core/state/authority.ts';
import type { Premises } from '../../../../src/core/state/writes/premises.ts';
import { causeOf } from '../../../../src/core/task/cause.ts';
import type { Task } from '../../../../src/core/task/task.ts';
import { agreeing } from '../../../builders/state-file.ts';
import { byOperator, taskNumber, tokenNumber } from '../../../builders/task.ts';
import { describeEach } from './each-implementation.ts';

// A thread starts here, which is slow on a loaded machine.

const changed = expect.objectContaining({ code: 'changed' });
const writer = 'spiffe://acme.test/ns/ops/sa/writer' as SpiffeId;
const parent = taskNumber(1, { contextRules: { model: 'ask' } });
const part = taskNumber(2, { parentId: parent.id });
const risk = causeOf('signal.risk-level-change');

/** What can change about a task between a look and a write. */
const changes: readonly [string, (authority: Authority) => Promise<unknown>][] = [
  ['its risk', (authority) => authority.setRisk(parent, 'high', risk, 'idp')],
  [
    'the claimed values',
    (authority) => authority.setContext(parent, { kind: 'agent', by: parent.agent, values: { model: 'x' } }),
  ],
  [
    'the attested values',
    (authority) => authority.setContext(parent, { kind: 'writer', by: writer, values: { posture: 'x' } }),
  ],
  [
    'the generation, by a suspension and a resume',
    async (authority) => {
      await authority.applyTaskEvent(parent, byOperator('suspend'), 'operator');
      await authority.applyTaskEvent(parent, byOperator('resume'), 'operator');
    },
  ],
];

/** Every write that has premises, for the part or its parent. */
const writes: readonly [string, (authority: Authority, decidedBy: Premises) => Promise<unknown>][] = [
  ['insertToken', (authority, decidedBy) => authority.insertToken(part, tokenNumber(8), [], decidedBy)],
  [
    'insertPart',
    (authority, decidedBy) => {
      const further = taskNumber(3, { parentId: part.id });
      return authority.insertPart(further, tokenNumber(9), [], { jtiDigest: 'digest-2', spends: [] }, decidedBy);
    },
  ],
  [
    'applyTaskEvent',
    (authority, decidedBy) =>
      authority.applyTaskEvent(part, { kind: 'revoke', cause: causeOf('context.changed') }, 'remit', decidedBy),
  ],
  [
    'setContext',
    (authority, decidedBy) =>
      authority.setContext(part, { kind: 'writer', by: writer, values: { a: 'b' } }, undefined, decidedBy),
  ],
  ['setRisk', (authority, decidedBy) => authority.setRisk(part, 'medium', risk, 'idp', decidedBy)],
];

const read = async (authority: Authority, { issuer, id }: Task): Promise<Task> => {
  const task = await authority.taskOf(issuer, id);
  if (task === undefined || 'code' in task) throw new Error('no such task');
  return task;
};

describeEach('premises of a write', ({ open, place }) => {
  const opened = async () => {
    const state = await open(await place(), agreeing());
    const { authority } = state;
    expect(await authority.insertTask(parent, tokenNumber(1), [])).toBeNull();
    const handed = { jtiDigest: 'digest-1', spends: [] };
    expect(await authority.insertPart(part, tokenNumber(2), [], handed)).toBeNull();
    return state;
  };
  it.each(changes)('refuses each write if the parent has changed in %s', async (_what, change) => {
    const { authority, look, close } = await opened();
    const decidedBy = { tasks: [part, parent] };
    const before = await look(part, 'digest-2');
    await change(authority);
    const answers = await Promise.all(writes.map(([, write]) => write(authority, decidedBy)));
    // A suspension reaches the part too, and a token is refused by the part's own state first.
    const isSuspended = (await read(authority, part)).state === 'suspended';
    expect(isSuspended ? answers.slice(2) : answers).toEqual(writes.slice(isSuspended ? 2 : 0).map(() => changed));
    expect(isSuspended ? before : await look(part, 'digest-2')).toEqual(before);
    await close();
  });

  it.each(writes)('writes %s if the premises hold', async (_write, write) => {
    const { authority, close } = await opened();
    const tasks = [await read(authority, part), await read(authority, parent)];
    expect(await write(authority, { tasks })).not.toEqual(changed);
    await close();
  });

  it('refuses a token if the exchanged token was revoked since, and writes it otherwise', async () => {
    const { authority, states, close } = await opened();
    const decidedBy = { tasks: [await read(authority, part)], jtiDigest: 'digest-2' };
    expect(await authority.insertToken(part, tokenNumber(5), [], decidedBy)).toBeNull();
    // This process refuses the token before that is written.
    states?.refuse('digest-2');
    const refused = states === null ? changed : await authority.insertToken(part, tokenNumber(7), [], decidedBy);
    expect(refused).toEqual(changed);
    const [, late] = await Promise.all([
      authority.revokeToken('digest-2', causeOf('agent.revoked'), 'agent'),
      authority.insertToken(part, tokenNumber(6), [], decidedBy),
    ]);
    expect(late).toEqual(changed);
    expect(await authority.tokenOf('digest-6')).toBeUndefined();
    await close();
  });
});

import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { task } from '../../../src/cli/task/task.ts';
import type { TimedReceipt } from '../../../src/core/fleet/receipt.ts';
import type { Store } from '../../../src/core/state/store.ts';
import { commandRun } from '../../builders/command-run.ts';
import { must } from '../../builders/must.ts';
import { testFolders } from '../../builders/test-folders.ts';
import { mustOpen } from '../../builders/state-file.ts';
import { taskNumber, tokenNumber } from '../../builders/task.ts';
import { type ReceiptAdmin, startReceiptAdmin } from '../receipt-admin.ts';

const folder = testFolders();
let store: Store;
let config: string;
let admin: ReceiptAdmin;
let asked: readonly string[] = [];
/** What the running authority answers; an error where it fails. */
let receipt: TimedReceipt | Error;

const ENFORCED = { enforced: true, holders: 3, acknowledged: 2, fenced: 1, ms: 38 };
const LATE = { enforced: false, holders: 3, acknowledged: 2, fenced: 0, ms: 5_250 };
const later = Date.now() + 3_600_000;
const root = taskNumber(1, { deadlineMs: later });
const part = taskNumber(2, { deadlineMs: later, parentId: root.id });

beforeEach(async () => {
  const place = folder();
  store = mustOpen(join(place, 'state.db'), { nowMs: Date.now });
  must(store.insertTask(root, tokenNumber(1), []));
  must(store.insertTask(part, tokenNumber(2), []));
  admin = await startReceiptAdmin(place, () => receipt);
  ({ config, asked } = admin);
});
afterEach(async () => {
  await admin.close();
  store.close();
});

async function run(...args: readonly string[]) {
  const words = [...args, '--config', config, '--cause', 'compromised'];
  const { code: exit, out, err } = await commandRun(task, words);
  return { exit, out: out.join('\n'), err: err.join('\n') };
}

const receipts = (id: string): readonly unknown[] =>
  must(store.recordsOf(id, 20))
    .map(({ bytes }) => JSON.parse(Buffer.from(bytes).toString()))
    .filter(({ event }) => event === 'receipt');

describe('remit task, if the configuration serves sidecars', () => {
  it.each([
    ['end', 'revoked'],
    ['suspend', 'suspended'],
  ])('%s prints the receipt of the change, and records it', async (what, state) => {
    receipt = ENFORCED;
    expect(await run(what, root.id)).toEqual({
      exit: 0,
      out: `${root.id} is ${state}, enforced after 38 ms: 3 sidecars held it, 2 acknowledged, the lease of 1 ran out`,
      err: '',
    });
    expect(receipts(root.id)).toMatchObject([{ kind: 'event', by: 'remit', details: { change: state, ...ENFORCED } }]);
    expect(asked).toEqual([root.id]);
  });

  it('has the receipt in --json, also of a resume', async () => {
    receipt = ENFORCED;
    expect((await run('suspend', root.id, '--wait', 'committed')).exit).toBe(0);
    const { exit, out } = await run('resume', root.id, '--json');
    expect([exit, JSON.parse(out)]).toMatchObject([0, { id: root.id, state: 'active', enforcement: ENFORCED }]);
  });

  it('asks for the root of a part, which is what sidecars acknowledge, and records the receipt for the part', async () => {
    receipt = ENFORCED;
    expect((await run('end', part.id)).exit).toBe(0);
    expect([asked, receipts(root.id)]).toEqual([[root.id], []]);
    expect(receipts(part.id)).toHaveLength(1);
  });

  it('waits for nobody with --wait committed', async () => {
    expect(await run('end', root.id, '--wait', 'committed')).toEqual({
      exit: 0,
      out: `${root.id} is revoked`,
      err: '',
    });
    expect([asked, receipts(root.id)]).toEqual([[], []]);
    expect((await run('end', root.id, '--wait', 'never')).err).toBe(
      'remit task end: --wait must be enforced or committed',
    );
  });

  it('exits with 1 if it is not enforced in time, says so, and has done it', async () => {
    receipt = LATE;
    expect(await run('end', root.id)).toEqual({
      exit: 1,
      out: `${root.id} is revoked, not enforced after 5250 ms: 3 sidecars held it, 2 acknowledged, the lease of 0 ran out`,
      err: 'remit task end: sidecars may still use the older state',
    });
    expect(receipts(root.id)).toMatchObject([{ details: LATE }]);
    expect(must(store.tasks({ id: root.id }))).toMatchObject([{ state: 'revoked' }]);
  });

  it.each([
    ['fails', 'answered 500: the receipt failed'],
    ['does not answer', 'did not answer'],
  ])('exits with 1 if the running authority %s, and has done it', async (what, problem) => {
    receipt = new Error('no database');
    if (what === 'does not answer') await admin.close();
    const { exit, out, err } = await run('end', root.id, '--json');
    expect([exit, JSON.parse(out).state, 'enforcement' in JSON.parse(out)]).toEqual([1, 'revoked', false]);
    expect(err).toContain('remit task end: whether sidecars know it is unknown: ');
    expect(err).toContain(problem);
  });
});

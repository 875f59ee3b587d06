import { afterEach, describe, expect, it } from '@jest/globals';
import type { Enforcement, Receipt } from '../../../../src/core/fleet/receipt.ts';
import { storeFailure } from '../../../../src/core/runtime/store-failure.ts';
import type { StoreFailure } from '../../../../src/core/runtime/store-failure.ts';
import { testFolders } from '../../../builders/test-folders.ts';
import { startBench } from '../bench.ts';
import type { Answer, Bench } from '../bench.ts';

const folder = testFolders();
const benches: Bench[] = [];
afterEach(async () => {
  for (const bench of benches.splice(0)) await bench.close();
});

/** An issuer whose sidecars answer with this receipt, and the roots that it asked for. */
async function issuerWith(receipt: Receipt | StoreFailure | null) {
  const asked: string[][] = [];
  const enforcement: Enforcement = {
    monotonicMs: () => 0,
    enforced: async (roots) => {
      asked.push([...roots]);
      return receipt ?? storeFailure('broken', 'no database');
    },
  };
  const bench = await startBench(folder(), { enforcement });
  benches.push(bench);
  return { bench, asked };
}

const RECEIPT = { enforced: true, holders: 4, acknowledged: 3, fenced: 1 };
const idOf = (issued: Answer): string => String(issued.json['txn']);

describe('the reply to an end', () => {
  it.each(['complete', 'cancel', 'suspend'])('of `%s` waits for the receipt, and has it', async (what) => {
    const { bench, asked } = await issuerWith(RECEIPT);
    const issued = await bench.token();
    const ended = await bench.ask(`/tasks/${idOf(issued)}/${what}`, { method: 'POST' });
    expect(ended).toMatchObject({ status: 200, json: { id: idOf(issued), enforcement: { ...RECEIPT, ms: 0 } } });
    expect(asked).toEqual([[idOf(issued)]]);
  });

  it('names the root of a part, which is what sidecars acknowledge', async () => {
    const { bench, asked } = await issuerWith(RECEIPT);
    const issued = await bench.token();
    const forReporter = { delegate: 'spiffe://acme.test/ns/agents/sa/reporter' };
    const made = await bench.exchange(String(issued.json['access_token']), forReporter);
    const part = await bench.exchange(String(made.json['access_token']), {}, bench.reporter);
    expect(part.status).toBe(200);
    await bench.ask(`/tasks/${idOf(part)}/cancel`, { method: 'POST', as: bench.reporter });
    expect(asked).toEqual([[idOf(issued)]]);
  });

  it('waits for the commit alone with `?wait=committed`, and again for the receipt with `?wait=enforced`', async () => {
    const { bench, asked } = await issuerWith(RECEIPT);
    const issued = await bench.token();
    const committed = await bench.ask(`/tasks/${idOf(issued)}/cancel?wait=committed`, { method: 'POST' });
    expect([committed.status, committed.json['enforcement'], asked]).toEqual([200, undefined, []]);
    const again = await bench.ask(`/tasks/${idOf(issued)}/cancel?wait=enforced`, { method: 'POST' });
    expect(again.json['enforcement']).toEqual({ ...RECEIPT, ms: 0 });
    const odd = await bench.ask(`/tasks/${idOf(issued)}/cancel?wait=never`, { method: 'POST' });
    expect([odd.status, odd.json['error_description']]).toEqual([
      400,
      'the query must be `wait=enforced` or `wait=committed`',
    ]);
  });

  it('says that nothing is known if the state cannot be read', async () => {
    const { bench } = await issuerWith(null);
    const issued = await bench.token();
    const ended = await bench.ask(`/tasks/${idOf(issued)}/cancel`, { method: 'POST' });
    expect(ended.json['enforcement']).toEqual({ enforced: false, holders: 0, acknowledged: 0, fenced: 0, ms: 0 });
  });

  it.each(['token', 'task'])('of a revoked %s has the receipt too', async (what) => {
    const { bench, asked } = await issuerWith(RECEIPT);
    const issued = await bench.token();
    const hint = what === 'task' ? { token_type_hint: 'urn:remit:task' } : {};
    const revoked = await bench.form('/oauth/revoke', { token: String(issued.json['access_token']), ...hint });
    expect([revoked.status, revoked.json]).toEqual([200, { revoked: true, enforcement: { ...RECEIPT, ms: 0 } }]);
    const unknown = await bench.form('/oauth/revoke', { token: 'unknown' });
    expect([unknown.status, unknown.json, asked]).toEqual([200, { revoked: false }, [[idOf(issued)]]]);
  });

  it('has no receipt if no sidecars are served', async () => {
    const bench = await startBench(folder());
    benches.push(bench);
    const issued = await bench.token();
    const ended = await bench.ask(`/tasks/${idOf(issued)}/cancel`, { method: 'POST' });
    expect([ended.status, 'enforcement' in ended.json]).toEqual([200, false]);
  });
});

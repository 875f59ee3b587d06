import { createHash } from 'node:crypto';
import { join } from 'node:path';
import { beforeAll, describe, expect, it } from '@jest/globals';
import { ledgerVerify } from '../../src/cli/ledger/ledger-verify.ts';
import { canonicalJson } from '../../src/core/ledger/canonical-json.ts';
import type { SegmentLog } from '../../src/core/ledger/log/log.ts';
import { allowedUse, encoded } from '../builders/ledger-record.ts';
import { must, mustFind } from '../builders/must.ts';
import { testFolders } from '../builders/test-folders.ts';
import { authority, connected, nameOf, partFrom, sidecarId, sidecarLog } from '../authority/records/receivers.ts';
import { independentExit } from '../verifier/independent.ts';
import { ran } from './ledgers.ts';

const folder = testFolders();

const written = (log: SegmentLog, bytes: Uint8Array): void => void must(log.append([{ bytes, outbox: null }], 'none'));
const sentBy = (log: SegmentLog, decisionId: string): object => ({
  ...JSON.parse(Buffer.from(allowedUse(1, 1_000, 'allow', decisionId).bytes).toString()),
  limits: [{ id: 'a-day', counts: 'calls' }],
  origin: log.origin,
});
/** What the authority adds to it. */
const added = { by: sidecarId, limits: [{ id: 'a-day', counts: 'calls', left: 7 }] };
const linkTo = (sent: object, decisionId: string): Uint8Array =>
  encoded({
    kind: 'settled',
    at: 1_000,
    task: null,
    decisionId,
    digest: createHash('sha256')
      .update(must(canonicalJson(sent as never)))
      .digest('base64url'),
  }).bytes;

/** An authority that has the records of one sidecar, but for one, and changed what another one sent, if there is one. */
async function fleet(names: readonly ('honest' | 'cheated')[] = ['honest', 'cheated']) {
  const own = await authority(folder());
  const origins: Record<string, string> = {};
  for (const name of names) {
    const pod = folder();
    const log = sidecarLog(pod, 0);
    origins[name] = log.origin;
    for (const id of [`${name}-1`, `${name}-2`]) {
      const sent = sentBy(log, id);
      written(log, linkTo(sent, id));
      const changed = id === 'cheated-2' ? { path: '/v1/others' } : {};
      if (id !== 'honest-2') {
        written(own.log, Buffer.from(must(canonicalJson({ ...sent, ...changed, ...added }))));
      }
    }
    log.checkpoint();
    const { stream } = await connected(own.receiver, nameOf(log), log.size);
    await stream.receive(partFrom(pod, 0));
    await own.timers.pass(300);
    await stream.end(true);
    log.close();
  }
  await own.close();
  return { ledger: join(own.folder, 'ledger'), records: own.records, key: own.log.verifierKey, origins };
}

describe('remit ledger verify: the links of sidecars to records in the ledger of their authority', () => {
  let found: Awaited<ReturnType<typeof fleet>>;
  beforeAll(async () => {
    found = await fleet();
  });
  const verify = (...more: readonly string[]) =>
    ran(ledgerVerify, '--key', found.key, '--ledger', found.ledger, '--received', found.records, ...more);

  it('are counted, with those whose record is in no ledger', async () => {
    const { out } = await verify();
    const block = mustFind(out.split('\n\n').find((each) => each.includes(mustFind(found.origins['honest']))));
    expect(block).toContain('linked     2 uses of high risk, 1 of them in no ledger here');
    expect(block).toContain('verdict    whole');
  });

  it('leave out what the authority adds, in the independent verifier too', async () => {
    const { key, ledger, records } = await fleet(['honest']);
    const { exit } = await ran(ledgerVerify, '--key', key, '--ledger', ledger, '--received', records);
    expect(exit).toBeLessThan(3);
    expect(independentExit({ key, folder: ledger, received: records }, exit)).toBe(exit);
  });

  it('find a record that is not what the sidecar sent', async () => {
    const { exit, out } = await verify('--json');
    const { received } = JSON.parse(out) as { readonly received: readonly Record<string, unknown>[] };
    const { key, ledger, records } = found;
    expect(independentExit({ key, folder: ledger, received: records }, 3)).toBe(3);
    expect([exit, received.find(({ origin }) => origin === found.origins['cheated'])]).toMatchObject([
      3,
      {
        links: 2,
        unlinked: 0,
        verdict: {
          kind: 'broken',
          problem: expect.stringContaining(
            'is of use cheated-2, of which the ledger of the authority has another record than was sent',
          ),
        },
      },
    ]);
  });
});

import { join } from 'node:path';
import { describe, expect, it } from '@jest/globals';
import { RecordShipper } from '../../../src/sidecar/records/record-shipper.ts';
import { LogPages } from '../../../src/core/ledger/log/log-pages.ts';
import type { SegmentLog } from '../../../src/core/ledger/log/log.ts';
import { Unacknowledged } from '../../../src/core/ledger/unacknowledged.ts';
import { systemPorts } from '../../../src/core/runtime/ports.ts';
import { after } from '../../../src/core/runtime/timers.ts';
import { AuthorityLink } from '../../../src/sidecar/state/authority-link.ts';
import type { AuthorityPlace } from '../../../src/sidecar/state/authority-link.ts';
import { mustFind } from '../../builders/must.ts';
import { testFolders } from '../../builders/test-folders.ts';
import { authority, emitterRecords, sidecarLog } from '../records/receivers.ts';
import { until } from '../../until.ts';
import { heldSvid, serving, svidOf, trustDomain } from './serving.ts';

const folder = testFolders();

/** An authority on TCP that receives records, and what clients of several identities ask it with. */
async function served() {
  const acme = await trustDomain('acme.test');
  const own = heldSvid(svidOf(await acme.svid('/remit', { ips: ['127.0.0.1'] }), acme));
  const place = folder();
  const received = await authority(place, { after, ports: systemPorts, limits: { batchMs: 20 } });
  const started = await serving(folder(), {
    listen: [{ kind: 'tcp', host: '127.0.0.1', port: 0 }],
    svid: own,
    records: { receiver: received.receiver, trustDomain: 'acme.test' },
  });
  const target = started.targets[0] ?? '';
  const authorityId = mustFind(own.current()?.id);
  const close = async (): Promise<void> => {
    await started.close();
    await received.close();
  };
  const as = async (path: string): Promise<AuthorityPlace> => ({
    target,
    tls: { svid: svidOf(await acme.svid(path), acme), authorityId },
  });
  return { place, as, close };
}

/** Sends a log until it is acknowledged, or refused. */
async function sent(log: SegmentLog, pod: string, place: AuthorityPlace) {
  const link = new AuthorityLink(place);
  const unacknowledged = new Unacknowledged();
  unacknowledged.wrote(log.size, 0);
  const faults: (string | null)[] = [];
  const pages = new LogPages(join(pod, 'ledger'));
  const shipper = new RecordShipper({
    open: () => link.append(),
    log,
    pages,
    unacknowledged,
    ports: systemPorts,
    after,
    onFault: (problem) => void faults.push(problem),
  });
  shipper.start();
  await until(() => unacknowledged.records === 0 || faults.some((fault) => fault !== null));
  await shipper.close(2_000);
  pages.close();
  link.close();
  return faults.find((fault) => fault !== null) ?? 'acknowledged';
}

describe('the records of a sidecar at an authority over mutual TLS', () => {
  it('are bound to its SPIFFE ID: another sidecar cannot add to them, nor replace them', async () => {
    const { place, as, close } = await served();
    const pod = folder();
    const log = sidecarLog(pod, 5);
    expect(await sent(log, pod, await as('/ns/prod/sa/tools-1'))).toBe('acknowledged');
    expect(await sent(log, pod, await as('/ns/prod/sa/tools-2'))).toBe(
      `the authority refuses the records: the log \`${log.origin}\` belongs to \`spiffe://acme.test/ns/prod/sa/tools-1\``,
    );
    log.close();
    await close();
    expect(emitterRecords(place).map(({ event, by }) => [event, by])).toEqual([
      ['joined', 'spiffe://acme.test/ns/prod/sa/tools-1'],
      ['checkpoint', 'spiffe://acme.test/ns/prod/sa/tools-1'],
      ['left', 'spiffe://acme.test/ns/prod/sa/tools-1'],
      ['refused', 'spiffe://acme.test/ns/prod/sa/tools-2'],
    ]);
  });

  it('are not taken from a workload that no rule admits', async () => {
    const { place, as, close } = await served();
    const pod = folder();
    const log = sidecarLog(pod, 5);
    expect(await sent(log, pod, await as('/ns/prod/sa/payments'))).toContain('PERMISSION_DENIED');
    log.close();
    await close();
    expect(emitterRecords(place)).toEqual([]);
  });

  it('are not taken under the origin of another trust domain', async () => {
    const { place, as, close } = await served();
    const pod = folder();
    const log = sidecarLog(pod, 5, { trustDomain: 'other.test' });
    expect(await sent(log, pod, await as('/ns/prod/sa/tools-1'))).toContain('is not of the trust domain `acme.test`');
    log.close();
    await close();
    expect(emitterRecords(place)).toEqual([]);
  });
});

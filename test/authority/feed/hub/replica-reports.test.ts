import { describe, expect, it } from '@jest/globals';
import { detailsOf, ReplicaReports } from '../../../../src/authority/feed/hub/replica-reports.ts';

const mark = (id: string, more: object = {}) => ({
  id,
  beat: 1,
  enforcedSeq: 5,
  leaseMs: 1_000,
  address: '10.0.0.1:9474',
  details: detailsOf({ version: '0.2.0', sidecars: 3 }),
  ...more,
});

describe('ReplicaReports', () => {
  it('tells the age of the last beat as seen here, what is not enforced, and what each says of itself', () => {
    const reports = new ReplicaReports();
    reports.seen([mark('a'), mark('b')], 0);
    reports.seen([mark('a', { beat: 2 }), mark('b', { enforcedSeq: 9 })], 400);
    expect(reports.all(7, 1_100)).toEqual([
      {
        id: 'b',
        address: '10.0.0.1:9474',
        version: '0.2.0',
        beat_age_ms: 1_100,
        behind: 0,
        lease_ms: 1_000,
        sidecars: 3,
      },
      {
        id: 'a',
        address: '10.0.0.1:9474',
        version: '0.2.0',
        beat_age_ms: 700,
        behind: 2,
        lease_ms: 1_000,
        sidecars: 3,
      },
    ]);
  });

  it('forgets an authority that has left the list', () => {
    const reports = new ReplicaReports();
    reports.seen([mark('a'), mark('b')], 0);
    reports.seen([mark('b')], 10);
    expect(reports.all(5, 10).map(({ id }) => id)).toEqual(['b']);
  });

  it.each([
    ['no JSON', '{'],
    ['no object', '7'],
    ['other members', '{"sidecars":-1,"version":7}'],
  ])('takes details of another version for nothing said: %s', (_what, details) => {
    const reports = new ReplicaReports();
    reports.seen([mark('a', { details })], 0);
    expect(reports.all(5, 0)).toMatchObject([{ version: '', sidecars: 0 }]);
  });

  it('cuts what a later version writes', () => {
    const reports = new ReplicaReports();
    reports.seen([mark('a', { address: 'x'.repeat(999), details: JSON.stringify({ version: 'v'.repeat(999) }) })], 0);
    const [{ address, version } = { address: '', version: '' }] = reports.all(5, 0);
    expect([address.length, version.length]).toEqual([300, 64]);
  });
});

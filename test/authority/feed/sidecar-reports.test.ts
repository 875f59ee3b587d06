import { describe, expect, it } from '@jest/globals';
import { SidecarReports } from '../../../src/authority/feed/sidecar-reports.ts';
import { SidecarStream } from '../../../src/authority/feed/sidecar-stream.ts';
import { SharedRoom } from '../../../src/core/runtime/collections/shared-room.ts';

const status = { policy_set: '', policy_generation: 1, unacknowledged_records: 0, last_error: '' };

describe('SidecarReports', () => {
  it('keeps no report of a sidecar that the hub has forgotten, whether or not anybody lists them', () => {
    const reports = new SidecarReports();
    const streams = new Map<string, SidecarStream>();
    const id = 'spiffe://acme.test/tools stays-here';
    streams.set(id, new SidecarStream(id, 1, new SharedRoom(1)));
    reports.began(id, '0.2.0');
    reports.pinged(id, status);
    for (let n = 0; n < 1_000; n += 1) {
      const passing = `spiffe://acme.test/tools instance-${n}`;
      reports.began(passing, '0.2.0');
      reports.pinged(passing, status);
      reports.keepOnly(streams);
    }
    expect(reports.size).toBe(1);
    const at = { position: 0, monotonicMs: 0, marginMs: 0 };
    expect(reports.all(streams, at)).toMatchObject([{ instance: 'stays-here', policy_generation: 1 }]);
  });
});

import { describe, expect, it } from '@jest/globals';
import type { FleetReport, ReplicaReport, SidecarReport } from '../../../src/core/fleet/fleet-report.ts';
import { joinedReports } from '../../../src/core/fleet/joined-reports.ts';

const sidecar = (instance: string, more: Partial<SidecarReport> = {}): SidecarReport => ({
  peer: 'unix',
  instance,
  version: '0.2.0',
  connected: true,
  lease_left_ms: 4_000,
  behind: 0,
  tasks: 0,
  policy_set: '',
  policy_generation: 0,
  unacknowledged_records: 0,
  last_error: '',
  ...more,
});

const replica = (id: string, more: Partial<ReplicaReport> = {}): ReplicaReport => ({
  id,
  address: '10.0.0.1:9474',
  version: '0.2.0',
  beat_age_ms: 100,
  behind: 0,
  lease_ms: 5_000,
  sidecars: 1,
  ...more,
});

const report = (id: string, more: Partial<FleetReport> = {}): FleetReport => ({
  id,
  version: '0.2.0',
  epoch: 'e',
  position: 7,
  lease_ms: 5_000,
  problem: null,
  replicas: [],
  database: null,
  sidecars: [],
  ...more,
});

describe('joinedReports', () => {
  it('gives null without a report, and a single report as it is', () => {
    expect(joinedReports([])).toBeNull();
    const one = report('a', { sidecars: [sidecar('x')], replicas: [replica('a')] });
    expect(joinedReports([one])).toEqual(one);
  });

  it('lists the sidecars of all, once each, if they are connected, and furthest behind first', () => {
    const joined = joinedReports([
      report('a', {
        sidecars: [sidecar('moved', { connected: false }), sidecar('fine'), sidecar('late', { behind: 3 })],
      }),
      report('b', { sidecars: [sidecar('moved'), sidecar('gone', { connected: false })] }),
    ]);
    expect(joined?.sidecars.map(({ instance, connected }) => [instance, connected])).toEqual([
      ['gone', false],
      ['late', true],
      ['moved', true],
      ['fine', true],
    ]);
  });

  it('lists each authority as seen by who heard of it last, silent authorities first, then those that are behind', () => {
    const joined = joinedReports([
      report('a', {
        replicas: [replica('a'), replica('b', { beat_age_ms: 6_000 }), replica('c', { beat_age_ms: 9_000 })],
      }),
      report('b', { replicas: [replica('a', { behind: 2 }), replica('b', { beat_age_ms: 40 })] }),
    ]);
    expect(joined?.replicas.map(({ id, beat_age_ms: ageMs }) => [id, ageMs])).toEqual([
      ['c', 9_000],
      ['a', 100],
      ['b', 40],
    ]);
  });

  it('takes the position of the authority that is furthest, and says what is wrong with any', () => {
    const other = report('b', { position: 9, problem: 'commits were lost' });
    expect(joinedReports([report('a'), other])).toMatchObject({ id: 'b', position: 9, problem: 'commits were lost' });
    expect(joinedReports([report('a'), report('b', { epoch: 'f' })])?.problem).toContain('different databases');
  });
});

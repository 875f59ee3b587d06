import { SVID_REFUSALS } from '../../../src/core/identity/svid.ts';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from '@jest/globals';
import { CATEGORIES, codes, isOfRemit } from '../../../src/tools/doctor/codes.ts';
import { samplesFrom, unreadLinesIn } from '../../../src/tools/doctor/collect/exposition.ts';
import { remitChecks } from '../../../src/tools/doctor/remit/remit-checks.ts';
import type { LiveRemit, RemitFacts } from '../../../src/tools/doctor/remit/remit-facts.ts';
import { NO_FACTS } from '../../../src/tools/doctor/facts.ts';
import type { FleetReport, SidecarReport } from '../../../src/core/fleet/fleet-report.ts';

const NOW = Date.UTC(2026, 0, 15, 12);
const GIB = 1_073_741_824;

const HEALTHY = `# HELP remit_build_info Versions
remit_build_info{version="0.1.0",node="26.1.0"} 1
remit_clock_lead_seconds 0.1
remit_keys_age_seconds{issuer="https://iam.acme.test"} 60
remit_ledger_unsigned_seconds 0
remit_ledger_unacknowledged 0
remit_disk_free_bytes{of="state"} 9e9
remit_sidecar_following 1
remit_spans_dropped_total{queue="remit"} 0
remit_svid_lifetime_seconds 3600
remit_svid_expiry_timestamp_seconds ${NOW / 1_000 + 3_000}
process_resident_memory_bytes 100000000
`;

const sidecar: SidecarReport = {
  peer: 'spiffe://acme.test/sidecar',
  instance: 'a',
  version: '0.1.0',
  connected: true,
  lease_left_ms: 5_000,
  behind: 0,
  tasks: 1,
  policy_set: 'sha-256:one',
  policy_generation: 1,
  unacknowledged_records: 0,
  last_error: '',
};

const fleetOf = (...sidecars: readonly SidecarReport[]): FleetReport => ({
  id: null,
  version: '0.1.0',
  epoch: 'e',
  position: 1,
  lease_ms: 10_000,
  problem: null,
  replicas: [],
  database: null,
  sidecars,
});

interface Change extends Partial<Pick<LiveRemit, 'unmet' | 'fleet' | 'trialGroups'>> {
  /** Lines of metrics that replace those of the same name. */
  readonly metrics?: string;
}

/** The findings about a Remit that is healthy but for a change, as `code at where`. */
function found({ metrics = '', ...change }: Change): readonly string[] {
  const samples = new Map([...samplesFrom(HEALTHY), ...samplesFrom(metrics)]);
  const live: LiveRemit = { admin: '127.0.0.1:9471', unmet: [], samples, trialGroups: 0, fleet: null, ...change };
  const remit: RemitFacts = { live, host: null, nowMs: NOW, version: '0.1.0' };
  const findings = remitChecks.flatMap(({ category, run }) => {
    const own = run({ ...NO_FACTS, remit }) ?? [];
    expect(own.every(({ code }) => code.startsWith(`${category}.`))).toBe(true);
    return own;
  });
  return findings.map(({ code, where }) => `${code} at ${where}`);
}

describe('what a Remit says of itself', () => {
  it('is nothing to tell if all is well', () => {
    expect(found({ fleet: fleetOf(sidecar, { ...sidecar, instance: 'b' }) })).toEqual([]);
  });

  it.each([
    ['policies', 'policy.not-loaded'],
    ['keys', 'issuer.keys-missing'],
    ['signing-key', 'issuer.signing-key'],
    ['state', 'ledger.state'],
    ['database', 'ledger.state'],
    ['ledger', 'ledger.not-written'],
    ['records', 'ledger.not-written'],
    ['lease', 'lease.lost'],
    ['position', 'lease.refused'],
    ['authority', 'lease.not-given'],
    ['svid', 'identity.no-svid'],
    ['mesh', 'platform.behind-sidecar'],
    ['drain', 'platform.draining'],
    ['of-a-later-version', 'platform.not-ready'],
  ])('has the unmet gate %s as %s, once', (gate, code) => {
    expect(found({ unmet: [[gate, 'a problem']] })).toEqual([`${code} at gate/${gate}`]);
  });

  it.each([
    ['remit_clock_lead_seconds -6', 'identity.clock at metric/remit_clock_lead_seconds'],
    [
      'remit_peer_certificates_missing_total 1',
      'identity.no-certificates at metric/remit_peer_certificates_missing_total',
    ],
    [
      'remit_decisions_total{decision="deny",reason="identity.untrusted-domain",action="none"} 21',
      'identity.foreign-domain at metric/remit_decisions_total{decision=deny,reason=identity.untrusted-domain,action=none}',
    ],
    [
      'remit_token_uses_total{class="other-certificate"} 21',
      'identity.other-certificate at metric/remit_token_uses_total{class=other-certificate}',
    ],
    [`remit_svid_expiry_timestamp_seconds ${NOW / 1_000 + 899}`, 'identity.not-renewed at svid'],
    [`remit_svid_expiry_timestamp_seconds ${NOW / 1_000}`, 'identity.expired at svid'],
    [`remit_svid_expiry_timestamp_seconds ${NOW / 1_000}\nremit_svid_lifetime_seconds 0`, 'identity.expired at svid'],
    ['remit_svid_refused{cause="of-a-later-version"} 1', 'identity.refused at svid/of-a-later-version'],
    ['remit_svid_refused{cause="not-yet-valid"} 1', 'identity.refused at svid/not-yet-valid'],
    ...SVID_REFUSALS.map((cause): [string, string] => [
      `remit_svid_refused{cause="${cause}"} 1`,
      `identity.refused at svid/${cause}`,
    ]),
    [
      'remit_signals_oldest_seconds{receiver="siem"} 301',
      'issuer.signals-behind at metric/remit_signals_oldest_seconds{receiver=siem}',
    ],
    ['remit_keys_age_seconds{issuer="x"} 21601', 'issuer.keys-old at metric/remit_keys_age_seconds{issuer=x}'],
    ['remit_policy_unconfirmed_seconds 301', 'policy.unconfirmed at metric/remit_policy_unconfirmed_seconds'],
    ['remit_disk_free_bytes{of="ledger"} 1000', 'ledger.disk at metric/remit_disk_free_bytes{of=ledger}'],
    ['remit_ledger_unsigned_seconds 61', 'ledger.unsigned at metric/remit_ledger_unsigned_seconds'],
    [
      'remit_ledger_witness_behind_seconds{witness="w/1"} 901',
      'ledger.unwitnessed at metric/remit_ledger_witness_behind_seconds{witness=w/1}',
    ],
    [
      'remit_ledger_witness_contradicts{witness="w/1"} 1',
      'ledger.contradicted at metric/remit_ledger_witness_contradicts{witness=w/1}',
    ],
    ['remit_ledger_unacknowledged 513', 'ledger.unacknowledged at metric/remit_ledger_unacknowledged'],
    ['remit_stops_unsealed 1', 'ledger.stops-unsealed at metric/remit_stops_unsealed'],
    ['remit_ledger_failures_total 1', 'ledger.write-failed at metric/remit_ledger_failures_total'],
    ['remit_sidecar_following 0', 'lease.detached at metric/remit_sidecar_following'],
    ['remit_authority_behind 101', 'lease.behind at metric/remit_authority_behind'],
    [
      'remit_spans_dropped_total{queue="sdk"} 1',
      'telemetry.spans-dropped at metric/remit_spans_dropped_total{queue=sdk}',
    ],
    ['remit_spans_taken 0', 'telemetry.not-taken at metric/remit_spans_taken'],
    ['remit_decision_log_dropped_total 2', 'telemetry.log-dropped at metric/remit_decision_log_dropped_total'],
    [
      'remit_event_loop_delay_seconds{stat="p99"} 0.2',
      'platform.blocked at metric/remit_event_loop_delay_seconds{stat=p99}',
    ],
    [
      'remit_server_refusals_total{cause="full"} 1',
      'platform.overloaded at metric/remit_server_refusals_total{cause=full}',
    ],
    ['remit_policy_load_failures_total 1', 'policy.load-failed at metric/remit_policy_load_failures_total'],
    ['remit_build_info{version="0.1.0",node="24.14.0"} 1', 'version.node at node'],
    ['remit_build_info{version="0.2.0",node="26.1.0"} 1', 'version.doctor at remit'],
  ])('finds in `%s` that there is %s', (metrics, finding) => {
    expect(found({ metrics })).toEqual([finding]);
  });

  // Each bound itself is good: one more is a finding, above.
  it.each([
    'remit_clock_lead_seconds 5',
    'remit_clock_lead_seconds -5',
    'remit_peer_certificates_missing_total 0',
    'remit_decisions_total{decision="deny",reason="identity.untrusted-domain"} 20',
    'remit_decisions_total{decision="deny",reason="budget.exhausted"} 9999',
    'remit_token_uses_total{class="other-certificate"} 20',
    'remit_token_uses_total{class="same"} 9999',
    `remit_svid_expiry_timestamp_seconds ${NOW / 1_000 + 900}`,
    'remit_svid_refused{cause="expired"} 0',
    'remit_keys_age_seconds{issuer="x"} 21600',
    'remit_policy_unconfirmed_seconds 300',
    `remit_disk_free_bytes{of="ledger"} ${GIB / 4}`,
    'remit_ledger_unsigned_seconds 60',
    'remit_ledger_witness_behind_seconds{witness="w/1"} 900',
    'remit_ledger_witness_contradicts{witness="w/1"} 0',
    'remit_ledger_unacknowledged 512',
    'remit_ledger_failures_total 0',
    'remit_stops_unsealed 0',
    'remit_authority_behind 100',
    'remit_event_loop_delay_seconds{stat="p99"} 0.1',
    'remit_event_loop_delay_seconds{stat="max"} 9',
    'remit_server_refusals_total{cause="closing"} 9',
  ])('takes `%s`', (metrics) => {
    expect(found({ metrics })).toEqual([]);
  });

  it.each([
    ['other policies', { policy_set: 'sha-256:two' }, 'policy.skew'],
    ['no policies', { policy_set: '' }, 'policy.skew'],
    ['a version two minors away', { version: '0.3.0' }, 'version.skew'],
    ['no connection', { connected: false, last_error: 'gone' }, 'lease.sidecar-gone'],
  ])('finds a sidecar with %s', (_name, change, code) => {
    const odd = { ...sidecar, instance: 'odd', ...change };
    const others = [sidecar, { ...sidecar, instance: 'b' }];
    expect(found({ fleet: fleetOf(odd, ...others) })).toEqual([`${code} at sidecar/${sidecar.peer}/odd`]);
  });

  it('finds that policies on trial decide otherwise', () => {
    expect(found({ trialGroups: 2 })).toEqual(['policy.trial-differs at trial']);
  });

  it('finds a ledger folder that cannot be written', () => {
    const ledger = { folder: '/ledger', found: 'not-writable', broken: null, isVerified: true } as const;
    // Safe: the check of the ledger reads no more of the host.
    const host = { ledger } as unknown as RemitFacts['host'];
    const check = remitChecks.find(({ category }) => category === 'ledger');
    const findings = check?.run({ ...NO_FACTS, remit: { live: null, host, nowMs: NOW, version: '0.1.0' } });
    expect(findings?.map(({ code }) => code)).toEqual(['ledger.not-writable']);
  });

  it('finds a process near the memory limit of its container', () => {
    const live = { admin: '', unmet: [], trialGroups: 0, fleet: null };
    const of = (bytes: number): readonly string[] => {
      const samples = samplesFrom(`${HEALTHY}process_resident_memory_bytes ${bytes}\n`.replace(/^process.*\n/m, ''));
      // Safe: the check of memory reads no more of the host.
      const host = { memoryLimitBytes: GIB } as unknown as RemitFacts['host'];
      const remit: RemitFacts = { live: { ...live, samples }, host, nowMs: NOW, version: '0.1.0' };
      const check = remitChecks.find(({ category }) => category === 'platform');
      return (check?.run({ ...NO_FACTS, remit }) ?? []).map(({ code }) => code);
    };
    expect([of(0.5 * GIB), of(0.9 * GIB)]).toEqual([[], ['platform.memory']]);
  });
});

describe('each code about Remit', () => {
  const tests = readdirSync(import.meta.dirname)
    .filter((name) => /^remit.*\.test\.ts$/.test(name))
    .map((name) => readFileSync(join(import.meta.dirname, name), 'utf8'))
    .join('\n');
  const own = [...codes.keys()].filter((code) =>
    CATEGORIES.some((one) => isOfRemit(one) && code.startsWith(`${one}.`)),
  );

  it.each(own)('%s is found by a test', (code) => {
    expect(tests).toMatch(new RegExp(`['\\s]${code.replace('.', '\\.')}[' ]`));
  });
});

describe('samplesFrom', () => {
  it('reads a number of samples, and counts the others', () => {
    const text = Array.from({ length: 20_003 }, (_one, n) => `# HELP a${n} x\na${n} 1\n`).join('');
    expect([samplesFrom(text).size, unreadLinesIn(text)]).toEqual([20_000, 3]);
    expect(unreadLinesIn(HEALTHY)).toBe(0);
  });

  it('reads labels with escapes, and leaves out what it cannot read', () => {
    const samples = samplesFrom('a{x="1\\"2\\n",y="}"} 3\nb NaN\nno value\n# c 1\nd{x=1} 4\n');
    expect(samples.get('a')).toEqual([
      {
        labels: new Map([
          ['x', '1"2\n'],
          ['y', '}'],
        ]),
        value: 3,
      },
    ]);
    expect([...samples.keys()]).toEqual(['a', 'd']);
  });
});

import type { Category, Code } from '../codes.ts';
import type { Finding } from '../finding.ts';
import type { LiveRemit, Sample } from './remit-facts.ts';

/** A metric with what is wrong about its value. */
interface MetricRule {
  readonly code: Code;
  readonly metric: string;
  /** Labels that a sample must have. */
  readonly labels?: Readonly<Record<string, string>>;
  readonly isBad: (value: number) => boolean;
  readonly message: (value: number) => string;
  readonly fix: string;
}

const isAny = (value: number): boolean => value > 0;
const over = (limit: number) => (value: number) => value > limit;
const MIB = 1_048_576;

/** If `deploy/prometheus/alerts.yaml` has the metric, the bound is the same. Counters count since the start of the process. */
const rules: readonly MetricRule[] = [
  {
    code: 'identity.no-certificates',
    metric: 'remit_peer_certificates_missing_total',
    isBad: isAny,
    message: (value) =>
      `${value} checks came without the certificate that their tokens are bound to, so they were denied`,
    fix: 'set `include_peer_certificate: true` in the ext_authz filter',
  },
  {
    code: 'identity.other-certificate',
    metric: 'remit_token_uses_total',
    labels: { class: 'other-certificate' },
    isBad: over(20),
    message: (value) =>
      `${value} calls of agents were denied since their tokens are bound to another certificate of the same agent`,
    fix: 'if a proxy of a mesh stands before the agents, set `extAuthz.binding: spiffe-id`; otherwise let agents exchange their tokens after a renewal, as `remit run` does',
  },
  {
    code: 'identity.foreign-domain',
    metric: 'remit_decisions_total',
    labels: { reason: 'identity.untrusted-domain' },
    isBad: over(20),
    message: (value) =>
      `${value} calls were refused since their callers are of a trust domain that \`trustDomains\` does not have; the log names it`,
    fix: 'in a mesh give SPIRE and the mesh one trust domain (`meshConfig.trustDomain` of Istio), and name it in `trustDomains`',
  },
  {
    code: 'identity.clock',
    metric: 'remit_clock_lead_seconds',
    isBad: (value) => Math.abs(value) > 5,
    message: (value) => `the clock of this machine is ${value.toFixed(1)} s off the time by which tasks end`,
    fix: 'synchronise the clock: deploy/guide/operate/clocks.md',
  },
  {
    code: 'issuer.keys-old',
    metric: 'remit_keys_age_seconds',
    isBad: over(21_600),
    message: (value) => `the keys of this issuer were read ${Math.round(value / 60)} minutes ago, and not since`,
    fix: 'make its `jwks` reachable; a revoked key is accepted until then',
  },
  {
    code: 'issuer.signals-behind',
    metric: 'remit_signals_oldest_seconds',
    isBad: over(300),
    message: (value) => `this receiver of signals has not received events of ${Math.round(value / 60)} minutes ago`,
    fix: 'see `signals-failed` in the log: deploy/guide/watch/runbooks/RemitSignalsBehind.md',
  },
  {
    code: 'policy.load-failed',
    metric: 'remit_policy_load_failures_total',
    isBad: isAny,
    message: (value) => `${value} loads of the policies have failed since the start; the last good set stayed in force`,
    fix: 'see `policies-refused` in the log, and `remit policy validate`',
  },
  {
    code: 'policy.unconfirmed',
    metric: 'remit_policy_unconfirmed_seconds',
    isBad: over(300),
    message: (value) => `their source has not confirmed the policies in force for ${Math.round(value)} s`,
    fix: 'make the folder or the bundle readable again',
  },
  {
    code: 'ledger.stops-unsealed',
    metric: 'remit_stops_unsealed',
    isBad: isAny,
    message: (value) =>
      `${value} stops in force were not written by an authority; they hold until an operator lifts them`,
    fix: '`remit stop list` names them; somebody else writes the database, or a command or an authority has another `authority.stateKey`: deploy/guide/operate/stop.md',
  },
  {
    code: 'ledger.write-failed',
    metric: 'remit_ledger_failures_total',
    isBad: isAny,
    message: (value) =>
      `${value} writes of the ledger have failed since the start; calls whose record fails are denied`,
    fix: 'see `fault` in the log: the disk is full or broken',
  },
  {
    code: 'ledger.disk',
    metric: 'remit_disk_free_bytes',
    isBad: (value) => value < 256 * MIB,
    message: (value) => `${Math.floor(value / MIB)} MiB are free on this disk; when it is full every call is denied`,
    fix: 'make room, or lower `ledger.retainGiB`',
  },
  {
    code: 'ledger.unsigned',
    metric: 'remit_ledger_unsigned_seconds',
    isBad: over(60),
    message: (value) => `records of the last ${Math.round(value)} s are under no signed checkpoint`,
    fix: 'see the log for why checkpoints are not written',
  },
  {
    code: 'ledger.unwitnessed',
    metric: 'remit_ledger_witness_behind_seconds',
    isBad: over(900),
    message: (value) => `this witness has not cosigned the last checkpoint for ${Math.round(value)} s`,
    fix: 'see `ledger witness` in the log: it is away, or does not know this ledger and its key',
  },
  {
    code: 'ledger.contradicted',
    metric: 'remit_ledger_witness_contradicts',
    isBad: isAny,
    message: () => 'this witness has cosigned other or more records than this ledger has',
    fix: 'deploy/guide/watch/runbooks/RemitLedgerContradicted.md: the ledger was rewritten, put back from a copy, or is continued in two places',
  },
  {
    code: 'ledger.unacknowledged',
    metric: 'remit_ledger_unacknowledged',
    isBad: over(512),
    message: (value) => `${value} records of this sidecar wait for an authority; at 4,096 it denies every call`,
    fix: 'make the authority reachable, or look at its disk',
  },
  {
    code: 'lease.detached',
    metric: 'remit_sidecar_following',
    isBad: (value) => value === 0,
    message: () => 'this sidecar follows no authority: when its lease is over it denies every use of a task',
    fix: 'make the authority that `state` names reachable',
  },
  {
    code: 'lease.behind',
    metric: 'remit_authority_behind',
    isBad: over(100),
    message: (value) => `a sidecar has not applied ${value} changes of tasks: ends and revocations reach it late`,
    fix: '`remit fleet` names it',
  },
  {
    code: 'telemetry.not-taken',
    metric: 'remit_spans_taken',
    isBad: (value) => value === 0,
    message: () => 'the collector did not take the last spans that were sent',
    fix: 'make the collector reachable that `OTEL_EXPORTER_OTLP_ENDPOINT` names; the log says how it fails',
  },
  {
    code: 'telemetry.spans-dropped',
    metric: 'remit_spans_dropped_total',
    isBad: isAny,
    message: (value) => `${value} spans were dropped since the start`,
    fix: 'make the collector reachable that `OTEL_EXPORTER_OTLP_ENDPOINT` names, or give it more room',
  },
  {
    code: 'telemetry.log-dropped',
    metric: 'remit_decision_log_dropped_total',
    isBad: isAny,
    message: (value) => `${value} lines of the decision log were dropped, because nobody read them in time`,
    fix: 'read the standard output of Remit faster; the ledger has every decision',
  },
  {
    code: 'platform.blocked',
    metric: 'remit_event_loop_delay_seconds',
    labels: { stat: 'p99' },
    isBad: over(0.1),
    message: (value) => `the event loop waits ${Math.round(value * 1_000)} ms (99th percentile): checks are late`,
    fix: 'give the process a core of its own, or more processes: deploy/guide/install/processes.md',
  },
  ...['full', 'late', 'agent'].map((cause): MetricRule => ({
    code: 'platform.overloaded',
    metric: 'remit_server_refusals_total',
    labels: { cause },
    isBad: isAny,
    message: (value) => `${value} checks were refused without a decision since the start (\`${cause}\`)`,
    fix: 'deploy/guide/watch/runbooks/RemitRefusing.md',
  })),
];

/** Findings of the metrics of a category. */
export const badMetrics = ({ samples }: LiveRemit, category: Category): readonly Finding[] =>
  rules
    .filter(({ code }) => code.startsWith(`${category}.`))
    .flatMap(({ code, metric, labels = {}, isBad, message, fix }) =>
      (samples.get(metric) ?? [])
        .filter((sample) => hasLabels(sample, labels) && isBad(sample.value))
        .map((sample) => ({ code, where: whereOf(metric, sample), message: message(sample.value), fix })),
    );

const hasLabels = (sample: Sample, wanted: Readonly<Record<string, string>>): boolean =>
  Object.entries(wanted).every(([name, value]) => sample.labels.get(name) === value);

function whereOf(metric: string, { labels }: Sample): string {
  const text = [...labels].map(([name, value]) => `${name}=${value}`).join(',');
  return text === '' ? `metric/${metric}` : `metric/${metric}{${text}}`;
}

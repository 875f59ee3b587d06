import type { FleetReport } from '../../../core/fleet/fleet-report.ts';
import { failureWords, httpExchange } from '../../../core/runtime/system/http-exchange.ts';
import { isProblem } from '../../../core/runtime/problem.ts';
import type { Problem } from '../../../core/runtime/problem.ts';
import type { LiveRemit } from '../remit/remit-facts.ts';
import { isTrueAt, listAt, numberAt, textAt } from '../tree.ts';
import type { AdminAddress } from './admin-address.ts';
import { samplesFrom } from './exposition.ts';

const TIMEOUT_MS = 10_000;
const MAX_BYTES = 16_777_216;

/** What a running Remit says of itself; `metrics` is the text of its metrics, for a bundle. */
export interface AskedRemit extends LiveRemit {
  readonly metrics: string;
}

/** Asks a running Remit at its admin address. */
export async function askedRemit(admin: AdminAddress): Promise<AskedRemit | Problem> {
  const ready = await answerOf(admin, '/readyz');
  if (isProblem(ready)) return ready;
  if (ready.status !== 200 && ready.status !== 503) return { problem: notRemit(admin) };
  const [metrics, trial, fleet] = await Promise.all([
    answerOf(admin, '/metrics'),
    answerOf(admin, '/policies/trial'),
    answerOf(admin, '/fleet'),
  ]);
  if (isProblem(metrics)) return metrics;
  const samples = samplesFrom(metrics.text);
  if (!samples.has('remit_build_info')) return { problem: notRemit(admin) };
  return {
    admin: admin.text,
    unmet: ready.status === 200 ? [] : gatesFrom(ready.text),
    samples,
    trialGroups: isProblem(trial) ? 0 : listAt(jsonIn(trial), 'groups').length,
    fleet: isProblem(fleet) || fleet.status !== 200 ? null : fleetFrom(jsonIn(fleet)),
    metrics: metrics.text,
  };
}

const notRemit = ({ text }: AdminAddress): string => `\`${text}\` answered, but it is not the admin address of a Remit`;

interface Answer {
  readonly status: number;
  readonly text: string;
}

async function answerOf({ text, url, socketPath }: AdminAddress, path: string): Promise<Answer | Problem> {
  try {
    const { status, body, fault } = await httpExchange(new URL(path, url), {
      maxBytes: MAX_BYTES,
      signal: AbortSignal.timeout(TIMEOUT_MS),
      ...(socketPath === null ? {} : { socketPath }),
    });
    if (fault === null) return { status, text: body.toString('utf8') };
    const how = fault === 'too-long' ? `with more than ${MAX_BYTES} bytes` : 'compressed, which it was not asked for';
    return { problem: `Remit at \`${text}\` answered ${path} ${how}` };
  } catch (error) {
    return {
      problem: `Remit at \`${text}\` did not answer: ${failureWords(error)}; name its admin address with --remit`,
    };
  }
}

/** Most gates that are read. */
const MAX_GATES = 100;

/** The unmet gates of an answer that says "not ready". That alone is a finding, also if it does not say why. */
function gatesFrom(text: string): LiveRemit['unmet'] {
  const lines = text.split('\n').filter((line) => line.trim() !== '');
  if (lines.length === 0) return [['', '`/readyz` does not say why']];
  return lines.slice(0, MAX_GATES).map((line) => {
    const split = line.indexOf(': ');
    return split === -1 ? ['', line] : [line.slice(0, split), line.slice(split + 2)];
  });
}

function jsonIn({ text }: Answer): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return null;
  }
}

/** What the checks read of a report of the fleet. */
const fleetFrom = (report: unknown): FleetReport => ({
  id: textAt(report, 'id'),
  version: textAt(report, 'version'),
  epoch: textAt(report, 'epoch'),
  position: numberAt(report, 'position') ?? 0,
  lease_ms: numberAt(report, 'lease_ms') ?? 0,
  problem: textAt(report, 'problem'),
  replicas: [],
  database: null,
  sidecars: listAt(report, 'sidecars').map((sidecar) => ({
    peer: textAt(sidecar, 'peer'),
    instance: textAt(sidecar, 'instance'),
    version: textAt(sidecar, 'version'),
    connected: isTrueAt(sidecar, 'connected'),
    lease_left_ms: numberAt(sidecar, 'lease_left_ms') ?? 0,
    behind: numberAt(sidecar, 'behind') ?? 0,
    tasks: numberAt(sidecar, 'tasks') ?? 0,
    policy_set: textAt(sidecar, 'policy_set'),
    policy_generation: numberAt(sidecar, 'policy_generation') ?? 0,
    unacknowledged_records: numberAt(sidecar, 'unacknowledged_records') ?? 0,
    last_error: textAt(sidecar, 'last_error'),
  })),
});

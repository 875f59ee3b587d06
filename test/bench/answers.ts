import type { EnvoyProcess } from '../../src/dev/envoy.ts';
import type { Results } from './results.ts';
import { latencyOf } from './statistics.ts';
import type { Hit } from './vegeta.ts';

/** Notes how the calls of an overload were answered and by whom, how fast, and how many were due but never made. */
export function noteAnswers(
  results: Results,
  { hits, due }: { readonly hits: readonly Hit[]; readonly due: number },
): void {
  const byAnswer = [...Map.groupBy(hits, answerOf)].toSorted(([a], [b]) => a.localeCompare(b));
  for (const [answer, { length }] of byAnswer) results.note(`overload: ${answer}`, length, 'calls');
  results.note('overload: due and not made', Math.max(0, due - hits.length), 'calls');
  for (const [answer, answered] of byAnswer) {
    const { p99Ms } = latencyOf(answered.map(({ tookMs }) => tookMs));
    results.note(`overload: p99 of ${answer}`, p99Ms, 'ms');
  }
}

/** The reason is in the body, where the generator keeps it. */
function answerOf({ status, body }: Hit): string {
  if (status === 0) return 'no answer';
  if (status === 200) return 'answered 200';
  const reason = /"reason":"([\w.-]+)"/.exec(Buffer.from(body, 'base64').toString('utf8'))?.[1];
  return reason === undefined ? String(status) : `${status}, ${reason}`;
}

/** Why Envoy answered itself, by its counters of the Remit cluster. */
const causes = {
  'beyond the bound on checks': ['upstream_rq_active_overflow', 'upstream_rq_pending_overflow'],
  'check not answered in time': ['upstream_rq_timeout'],
  'no connection to Remit': ['upstream_rq_pending_failure_eject'],
  'connections to Remit lost with checks in progress': ['upstream_cx_destroy_with_active_rq'],
} as const;

/** Why Envoy answered calls itself, since its start. */
export async function noteEnvoysOwn(results: Results, envoy: EnvoyProcess): Promise<void> {
  const { body } = await envoy.admin('/stats?filter=^cluster.remit.upstream_');
  const counters = new Map(
    body.matchAll(/^cluster\.remit\.(\w+): (\d+)$/gm).map(([, name, count]) => [name, Number(count)]),
  );
  for (const [cause, names] of Object.entries(causes)) {
    const count = names.reduce((sum, name) => sum + (counters.get(name) ?? 0), 0);
    results.note(`overload: Envoy, ${cause}`, count, '');
  }
}

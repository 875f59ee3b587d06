import type { Check } from '../check.ts';
import type { Finding } from '../finding.ts';
import { neverAsked } from './asked.ts';
import type { EnvoyCheck } from './envoy-check.ts';

const perEnvoy: readonly EnvoyCheck[] = [neverAsked];

/** The checks of what Envoy is configured to do and does. */
export const envoyChecks: readonly Check[] = perEnvoy.map(({ run, title }) => ({
  category: 'envoy',
  title,
  run: ({ envoys }) => {
    const found = envoys.map((facts) => run(facts)?.map((one) => placed(one, facts.prefix)) ?? null);
    return found.every((one) => one === null) ? null : found.flatMap((one) => one ?? []);
  },
}));

const placed = (finding: Finding, prefix: string): Finding => ({ ...finding, where: `${prefix}${finding.where}` });

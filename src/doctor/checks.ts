import type { Check } from './check.ts';
import { envoyChecks } from './envoy/envoy-checks.ts';

/** Every check, in the order of the report. */
export const checks: readonly Check[] = [...envoyChecks];

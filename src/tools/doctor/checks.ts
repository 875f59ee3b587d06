import { canaryChecks } from './canary/canary-check.ts';
import type { Check } from './check.ts';
import { envoyChecks } from './envoy/envoy-checks.ts';
import { agentgatewayChecks } from './hosts/agentgateway.ts';
import { envoyGatewayChecks } from './hosts/envoy-gateway.ts';
import { istioChecks } from './hosts/istio.ts';
import { kubernetesChecks } from './hosts/kubernetes.ts';
import { enforcedCallsOf, whileObserved } from './observed.ts';
import { remitChecks } from './remit/remit-checks.ts';

/** Every check, in the order of the report. */
export const checks: readonly Check[] = [
  ...envoyChecks,
  ...[...istioChecks, ...envoyGatewayChecks].map(observing),
  ...agentgatewayChecks,
  ...kubernetesChecks,
  ...remitChecks,
  ...canaryChecks,
];

/** Files of a host do not say which servers are behind them: what lets calls pass is a warning if all calls of the catalog are observed. */
function observing(check: Check): Check {
  return {
    ...check,
    run: (facts) => check.run(facts)?.map((one) => whileObserved(one, enforcedCallsOf(facts.remit, null))) ?? null,
  };
}

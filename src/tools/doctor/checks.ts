import { canaryChecks } from './canary/canary-check.ts';
import type { Check } from './check.ts';
import { envoyChecks } from './envoy/envoy-checks.ts';
import { agentgatewayChecks } from './hosts/agentgateway.ts';
import { envoyGatewayChecks } from './hosts/envoy-gateway.ts';
import { istioChecks } from './hosts/istio.ts';
import { kubernetesChecks } from './hosts/kubernetes.ts';
import { remitChecks } from './remit/remit-checks.ts';

/** Every check, in the order of the report. */
export const checks: readonly Check[] = [
  ...envoyChecks,
  ...istioChecks,
  ...envoyGatewayChecks,
  ...agentgatewayChecks,
  ...kubernetesChecks,
  ...remitChecks,
  ...canaryChecks,
];

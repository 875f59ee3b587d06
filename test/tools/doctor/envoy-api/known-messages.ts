import { bootstrap } from '../../../../src/tools/doctor/envoy/fields/bootstrap-fields.ts';
import { extAuthz } from '../../../../src/tools/doctor/envoy/fields/check-fields.ts';
import { remitCluster, router, toolCluster } from '../../../../src/tools/doctor/envoy/fields/cluster-fields.ts';
import type { Field, Message } from '../../../../src/tools/doctor/envoy/fields/field.ts';
import { filterChain, listener, otherFilter } from '../../../../src/tools/doctor/envoy/fields/listener-fields.ts';
import { routeConfiguration } from '../../../../src/tools/doctor/envoy/fields/route-fields.ts';
import { validationContext } from '../../../../src/tools/doctor/envoy/fields/tls-fields.ts';

const ROOTS: readonly Message[] = [
  bootstrap,
  listener,
  filterChain,
  otherFilter,
  extAuthz,
  router,
  routeConfiguration,
  toolCluster,
  remitCluster,
  validationContext,
];

/** Every table of the doctor about a message of Envoy: those that checks begin with, and all that those name. */
export function knownMessages(): readonly Message[] {
  const known = new Set(ROOTS);
  for (const one of known) for (const field of one.fields.values()) for (const next of namedBy(field)) known.add(next);
  return [...known];
}

function namedBy(field: Field, depth = 0): readonly Message[] {
  if (field.kind === 'inside') return [field.message()];
  if (field.kind !== 'extension' || depth > 2) return [];
  return [...field.types().values()].flatMap((one) => namedBy(one, depth + 1));
}

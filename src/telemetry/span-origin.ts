import {
  defaultResource,
  detectResources,
  envDetector,
  hostDetector,
  osDetector,
  processDetector,
  resourceFromAttributes,
  serviceInstanceIdDetector,
} from '@opentelemetry/resources';
import type { Resource, ResourceDetector } from '@opentelemetry/resources';
import { remitVersion } from '../config/version.ts';
import { attributeLimitsFrom } from './attribute-limits.ts';
import type { AttributeLimits } from './attribute-limits.ts';
import type { OtelVariables } from './environment.ts';

/** What all spans of a process share. */
export interface SpanOrigin {
  readonly resource: Resource;
  /** Name of the instrumentation scope. */
  readonly scopeName: string;
  readonly limits: AttributeLimits;
}

/** By values of `OTEL_NODE_RESOURCE_DETECTORS`. Later ones take precedence. */
const detectors: ReadonlyMap<string, ResourceDetector> = new Map<string, ResourceDetector>([
  ['serviceinstance', serviceInstanceIdDetector],
  ['process', processDetector],
  ['host', hostDetector],
  ['os', osDetector],
  ['env', envDetector],
]);

/** The resource of everything a build exports: its version, which the variables can override. */
export const buildResource = (): Resource =>
  defaultResource().merge(resourceFromAttributes({ 'service.version': remitVersion() }));

/** The origin from variables, process and machine; uses all detectors unless the variables name some. */
export function originFrom(variables: OtelVariables): SpanOrigin {
  const resource = buildResource()
    .merge(detectResources({ detectors: detectorsFrom(variables) }))
    .merge(resourceFromAttributes({ 'service.name': variables['OTEL_SERVICE_NAME'] ?? 'remit' }));
  return { resource, scopeName: 'remit', limits: attributeLimitsFrom(variables) };
}

function detectorsFrom(variables: OtelVariables): ResourceDetector[] {
  const listed = (variables['OTEL_NODE_RESOURCE_DETECTORS'] ?? '').split(',').map((name) => name.trim());
  const names = new Set(listed.filter((name) => name !== ''));
  if (names.has('none')) return [];
  const isAll = names.size === 0 || names.has('all');
  return [...detectors].flatMap(([name, detector]) => (isAll || names.has(name) ? detector : []));
}

/** The resource once all its attributes are known. */
export async function settled(resource: Resource): Promise<Resource> {
  if (resource.asyncAttributesPending === true) await resource.waitForAsyncAttributes?.();
  return resource;
}

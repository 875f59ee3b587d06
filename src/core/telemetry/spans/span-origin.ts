import type { Resource } from '@opentelemetry/resources';
import type { AttributeLimits } from './attribute-limits.ts';

/** What all spans of a process share. */
export interface SpanOrigin {
  readonly resource: Resource;
  /** Name of the instrumentation scope. */
  readonly scopeName: string;
  readonly limits: AttributeLimits;
}

/** The resource once all its attributes are known. */
export async function settled(resource: Resource): Promise<Resource> {
  if (resource.asyncAttributesPending === true) await resource.waitForAsyncAttributes?.();
  return resource;
}

/** What the guards compare of an injected container, and what they refuse. */
import { conditionsOf } from './cel.ts';
import type { JsonObject } from './fragment.ts';

/** Of the container: what Istio rewrites, what LimitRanges change, and lists that are compared apart. */
export const SKIPPED: ReadonlySet<string> = new Set([
  'startupProbe',
  'readinessProbe',
  'livenessProbe',
  'ports',
  'resources',
  'volumeMounts',
  'sizeLimit',
]);
/** Fields that would run other code in the container, or change how it runs. */
export const FORBIDDEN = ['command', 'workingDir', 'envFrom', 'lifecycle', 'volumeDevices'] as const;
/** Fields of a mount that would mount another part of its volume, or expose it elsewhere. */
const MOUNT_FIELDS = ['subPath', 'subPathExpr', 'mountPropagation', 'recursiveReadOnly'] as const;
/**
 * Matches normalised paths: no `.` or `..`, no empty name, no slash at the end. CEL cannot normalise a path, and the API server and the kubelet
 * accept others: `/var/run/secrets/../../../etc/remit` is a mount over our configuration. No name begins with a dot.
 */
export const CLEAN_PATH = 'matches("^(/[^/.][^/]*)+$")';

/** What holds of the mount `m` if it is this mount. */
export const mountConditions = (mount: JsonObject): string =>
  [
    ...conditionsOf(mount, { expression: 'm', skipped: new Set() }),
    ...MOUNT_FIELDS.filter((field) => mount[field] === undefined).map((field) => `!m.?${field}.hasValue()`),
  ].join(' && ');

/** The kubelet creates a missing sub-path of a volume, also for a read-only mount: it would take the place of the socket. */
export const IS_WHOLE = MOUNT_FIELDS.slice(0, 3)
  .map((field) => `!m.?${field}.hasValue()`)
  .join(' && ');

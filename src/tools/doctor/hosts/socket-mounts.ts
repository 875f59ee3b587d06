import type { Finding } from '../finding.ts';
import { isTrueAt } from '../tree.ts';
import type { HostObject } from './host-object.ts';
import { placeOf } from './host-object.ts';
import { containersOf, sharedVolumesOf } from './pod-parts.ts';
import type { Container, VolumeMount } from './pod-parts.ts';
import type { Workload } from './workloads.ts';

/** Whether a workload has a container of Remit. */
export const hasRemit = ({ spec }: Workload): boolean => containersOf(spec).some(({ kind }) => kind === 'remit');

/** Containers that share a folder or the processes of a Remit: in its pod, and in others by a folder of the node or a claim. */
export function socketFindings(workloads: readonly Workload[]): readonly Finding[] {
  const remits = workloads.filter(hasRemit);
  const places = remits.flatMap(({ object, spec }): readonly SharedPlace[] => {
    const volumes = sharedVolumesOf(spec);
    return mountsOf(spec, 'remit').flatMap(({ volume }) => {
      const shared = volumes.get(volume) ?? null;
      return shared === null ? [] : [{ shared: sharedIn(shared, object), owner: object }];
    });
  });
  return [
    ...remits.flatMap(({ object, spec }) => inPod(object, spec).concat(sharedProcesses(object, spec))),
    ...workloads.filter((one) => !hasRemit(one)).flatMap(({ object, spec }) => elsewhere(object, spec, places)),
  ];
}

/** A folder of a node is shared by all namespaces; a claim belongs to its namespace. */
const sharedIn = (shared: string, { namespace }: HostObject): string =>
  shared.startsWith('claim ') ? `${namespace} ${shared}` : shared;

const mountsOf = (spec: unknown, kind: Container['kind']): readonly VolumeMount[] =>
  containersOf(spec)
    .filter((one) => one.kind === kind)
    .flatMap(({ mounts }) => mounts);

function inPod(object: HostObject, spec: unknown): readonly Finding[] {
  const volumes = sharedVolumesOf(spec);
  const own = new Map(mountsOf(spec, 'remit').map(({ path, volume }) => [volume, path]));
  return others(spec).flatMap(({ container, mount }) => {
    const path = own.get(mount.volume);
    return path === undefined || !volumes.has(mount.volume)
      ? []
      : mounted(object, { container, mount, what: `the volume \`${mount.volume}\`, which Remit has at \`${path}\`` });
  });
}

/** A folder of Remit that other pods can mount too, as one text. */
interface SharedPlace {
  readonly shared: string;
  readonly owner: HostObject;
}

function elsewhere(object: HostObject, spec: unknown, places: readonly SharedPlace[]): readonly Finding[] {
  const volumes = sharedVolumesOf(spec);
  return others(spec).flatMap(({ container, mount }) => {
    const shared = volumes.get(mount.volume) ?? null;
    const place = shared === null ? undefined : places.find((one) => isSame(one.shared, sharedIn(shared, object)));
    return place === undefined
      ? []
      : mounted(object, {
          container,
          mount,
          what: `\`${shared ?? ''}\`, which has a folder of Remit of \`${placeOf(place.owner)}\``,
        });
  });
}

/** Whether two shared places are the same, or folders of a node of which one contains the other. */
const isSame = (a: string, b: string): boolean =>
  a === b || (HOST.test(a) && HOST.test(b) && (`${a}/`.startsWith(`${b}/`) || `${b}/`.startsWith(`${a}/`)));

const HOST = /^hostPath /;

const others = (spec: unknown): readonly { readonly container: Container; readonly mount: VolumeMount }[] =>
  containersOf(spec)
    .filter(({ kind }) => kind !== 'remit')
    .flatMap((container) => container.mounts.map((mount) => ({ container, mount })));

function mounted(
  object: HostObject,
  {
    container: { kind, name },
    mount: { isReadOnly },
    what,
  }: { readonly container: Container; readonly mount: VolumeMount; readonly what: string },
): readonly Finding[] {
  // Envoy connects to the socket, for which it need not write.
  if (isReadOnly && kind === 'proxy') return [];
  return [
    isReadOnly
      ? {
          code: 'kubernetes.socket-shared',
          where: placeOf(object),
          level: 'warning',
          message: `the container \`${name}\` mounts ${what}: it can ask Remit as Envoy does, in the name of any caller, and forge outcomes of calls`,
          fix: 'mount it in the container of Envoy alone',
        }
      : {
          code: 'kubernetes.socket-shared',
          where: placeOf(object),
          message: `the container \`${name}\` can write ${what}: it can put a socket of its own there, which allows every call`,
          fix: 'remove the mount; in the container of Envoy set `readOnly: true`',
        },
  ];
}

function sharedProcesses(object: HostObject, spec: unknown): readonly Finding[] {
  const named = ['shareProcessNamespace', 'hostPID'].filter((field) => isTrueAt(spec, field));
  return named.map((field) => ({
    code: 'kubernetes.socket-shared' as const,
    where: placeOf(object),
    level: 'warning' as const,
    message: `\`${field}: true\`: other containers see the processes of Remit, and one of its user its files and memory`,
    fix: `remove \`${field}\``,
  }));
}

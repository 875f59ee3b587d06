/** The containers of a pod, with their ports and mounts, and the volumes that others can share. */
import { posix } from 'node:path';
import { at, isTrueAt, listAt, numberAt, textAt } from '../tree.ts';

/** A container of a pod. */
export interface Container {
  readonly name: string;
  /** `remit` and `proxy` by name or image; `other` for all else, such as a tool, also one that runs another program of the image of Remit. */
  readonly kind: 'remit' | 'proxy' | 'other';
  readonly ports: readonly ContainerPort[];
  readonly mounts: readonly VolumeMount[];
}

/** A port that a container declares. */
export interface ContainerPort {
  readonly number: number;
  readonly name: string;
  /** The port of the node that leads to it; `null` for none. */
  readonly hostPort: number | null;
}

/** A volume in a container. */
export interface VolumeMount {
  readonly volume: string;
  readonly path: string;
  readonly isReadOnly: boolean;
}

const PROXY = /(?:^|[/-])(?:envoy|istio-proxy|proxyv2|agentgateway)(?:$|[:@/-])/;
/** The helper of a service has the image of Remit, and answers no Envoy. */
const HELPER = 'remit-agent';
const REMIT = /(?:^|\/)remit(?:$|[:@])/;
/** A word of a command that starts Remit: the program, or its file for Node.js. */
const REMIT_PROGRAM = /(?:^|\/)remit(?:\/dist\/main\.js)?$/;

/** The containers of the specification of a pod, with its init containers, which include native sidecars. */
export const containersOf = (spec: unknown): readonly Container[] =>
  ['initContainers', 'containers', 'ephemeralContainers'].flatMap((list) =>
    listAt(spec, list).map((value) =>
      containerFrom(value, { isBefore: list === 'initContainers' && textAt(value, 'restartPolicy') !== 'Always' }),
    ),
  );

/** @param isBefore whether it ends before the others begin, such as a step that prepares a volume for Remit */
function containerFrom(value: unknown, { isBefore }: { readonly isBefore: boolean }): Container {
  const name = textAt(value, 'name');
  const names = [name, textAt(value, 'image')];
  const command = listAt(value, 'command');
  const isProgram = isBefore || command.length === 0 || command.some((word) => REMIT_PROGRAM.test(String(word)));
  const isRemit = name !== HELPER && isProgram && names.some((one) => REMIT.test(one));
  return {
    name,
    kind: isRemit ? 'remit' : names.some((one) => PROXY.test(one)) ? 'proxy' : 'other',
    ports: listAt(value, 'ports').map((port) => ({
      number: numberAt(port, 'containerPort') ?? 0,
      name: textAt(port, 'name'),
      hostPort: numberAt(port, 'hostPort'),
    })),
    mounts: listAt(value, 'volumeMounts').map((mount) => ({
      volume: textAt(mount, 'name'),
      path: textAt(mount, 'mountPath'),
      isReadOnly: isTrueAt(mount, 'readOnly'),
    })),
  };
}

/** Whether a port of a Service or policy, by number or name, is among these. */
export const isOneOf = (port: unknown, ports: readonly ContainerPort[]): boolean =>
  ports.some(({ name, number }) => port === number || (typeof port === 'string' && port !== '' && port === name));

/**
 * Volumes that several containers, or several pods, can share and write, by name. The value is what other pods can share too,
 * such as `hostPath /run/remit` or `claim data`, equal in each of them; `null` if only the containers of the pod share it.
 */
export function sharedVolumesOf(spec: unknown): ReadonlyMap<string, string | null> {
  return new Map(
    listAt(spec, 'volumes').flatMap((volume): readonly (readonly [string, string | null])[] => {
      const name = textAt(volume, 'name');
      const path = textAt(volume, 'hostPath', 'path');
      const claim = textAt(volume, 'persistentVolumeClaim', 'claimName');
      if (path !== '') return [[name, `hostPath ${folderOf(path)}`]];
      if (claim !== '') return [[name, `claim ${claim}`]];
      return READ_ONLY.some((kind) => at(volume, kind) !== undefined) ? [] : [[name, null]];
    }),
  );
}

/** A folder of a node under one name: `/var/run` is a link to `/run` on every current Linux. Without a slash at its end. */
const folderOf = (path: string): string =>
  posix
    .normalize(path)
    .replace(/^\/var\/run(?=\/|$)/, '/run')
    .replace(/\/$/, '');

/** Volumes that no container can write; of `csi` that is assumed, as it holds for the driver of SPIFFE. */
const READ_ONLY = ['configMap', 'secret', 'downwardAPI', 'projected', 'csi', 'image'] as const;

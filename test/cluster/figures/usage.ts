import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Cluster } from '../cluster.ts';

/** What a container has taken of its node, as its control groups count it. */
export interface Usage {
  /** Processor time since its start. */
  readonly cpuSeconds: number;
  /**
   * Memory without file pages that the kernel would give up first: what the kubelet evicts by, and `kubectl top` shows. Also without files in memory,
   * since this cluster keeps its volumes there: ledger and state, which are on a disk elsewhere.
   */
  readonly workingSetMiB: number;
}

/** A container of a pod. */
export interface ContainerName {
  readonly namespace: string;
  readonly pod: string;
  readonly container: string;
}

const ROOT = '/sys/fs/cgroup';
const MIB = 1024 * 1024;
/** The one of version 2 has all controllers in one tree. */
const isUnified = existsSync(join(ROOT, 'cgroup.controllers'));

/** Reads what a running container takes, by its control group. Made by {@link meterOf}. */
export type Meter = () => Usage;

/** Finds the control group of a container that runs. It belongs to this start of the container: a restarted one has another. */
export async function meterOf(cluster: Cluster, { container, namespace, pod }: ContainerName): Promise<Meter> {
  const path = `{.status['initContainerStatuses','containerStatuses'][?(@.name=="${container}")].containerID}`;
  const id = await cluster.run(['kubectl', '-n', namespace, 'get', 'pod', pod, '-o', `jsonpath=${path}`]);
  const name = id.replace(/^.*:\/\//, '');
  const folderOf = (controller: string): string => {
    const tree = join(ROOT, isUnified ? '' : controller, cluster.layout.controlGroup);
    const found = name === '' ? undefined : foldersIn(tree).find((folder) => folder.endsWith(`/${name}`));
    if (found === undefined) throw new Error(`no control group of \`${container}\` in \`${namespace}/${pod}\``);
    return found;
  };
  const memory = folderOf('memory');
  const cpu = folderOf('cpuacct');
  const [used, prefix] = isUnified ? (['memory.current', ''] as const) : (['memory.usage_in_bytes', 'total_'] as const);
  const part = (name: string): number => entryOf(join(memory, 'memory.stat'), `${prefix}${name}`);
  return () => ({
    cpuSeconds: isUnified
      ? entryOf(join(cpu, 'cpu.stat'), 'usage_usec') / 1e6
      : Number(readFileSync(join(cpu, 'cpuacct.usage'), 'utf8')) / 1e9,
    workingSetMiB: (Number(readFileSync(join(memory, used), 'utf8')) - part('inactive_file') - part('shmem')) / MIB,
  });
}

/** Processor time of all pods of a cluster since its start, in seconds. */
export const podCpuSeconds = (cluster: Cluster): number =>
  isUnified
    ? entryOf(join(ROOT, cluster.layout.controlGroup, 'cpu.stat'), 'usage_usec') / 1e6
    : Number(readFileSync(join(ROOT, 'cpuacct', cluster.layout.controlGroup, 'cpuacct.usage'), 'utf8')) / 1e9;

const entryOf = (path: string, key: string): number =>
  Number(new RegExp(`^${key} (\\d+)$`, 'm').exec(readFileSync(path, 'utf8'))?.[1]);

const foldersIn = (folder: string): readonly string[] =>
  readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((one) => one.isDirectory())
    .map((one) => join(one.parentPath, one.name));

/** What a container took in a span of time. */
export interface Taken {
  readonly seconds: number;
  readonly cpuSeconds: number;
  /** The most of all looks. */
  readonly workingSetMiB: number;
}

const LOOK_MS = 2_000;

/** Watches containers for a time. */
export async function watch<T extends string>(
  meters: Readonly<Record<T, Meter>>,
  seconds: number,
): Promise<Readonly<Record<T, Taken>>> {
  const names = Object.keys(meters) as T[];
  const look = () => new Map(names.map((name) => [name, meters[name]()]));
  const startedMs = performance.now();
  const looks = [look()];
  while (performance.now() - startedMs < seconds * 1_000) {
    await new Promise((done) => setTimeout(done, LOOK_MS));
    looks.push(look());
  }
  const lasted = (performance.now() - startedMs) / 1_000;
  const cpuAt = (at: number, name: T): number => looks.at(at)?.get(name)?.cpuSeconds ?? NaN;
  return Object.fromEntries(
    names.map((name) => [
      name,
      {
        seconds: lasted,
        cpuSeconds: cpuAt(-1, name) - cpuAt(0, name),
        workingSetMiB: Math.max(...looks.map((one) => one.get(name)?.workingSetMiB ?? NaN)),
      },
    ]),
  ) as Record<T, Taken>;
}

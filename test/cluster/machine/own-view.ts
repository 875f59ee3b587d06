import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { DNS_ADDRESS, NODE_ADDRESS, NODE_NAME, REGISTRY_HOSTS } from './layout.ts';
import type { Layout } from './layout.ts';

/** Settings of the whole machine that a kubelet changes. Here it changes files that stand for them. */
const SETTINGS = [
  'vm/overcommit_memory',
  'vm/panic_on_oom',
  'kernel/panic',
  'kernel/panic_on_oops',
  'kernel/keys/root_maxkeys',
  'kernel/keys/root_maxbytes',
];

/** Ten times the share of one other group: to the machine all pods together are one, beside each session. */
const PROCESSOR_TIME: Readonly<Record<string, string>> = { 'cpu.shares': '10240', 'cpu.weight': '1000' };

/** The same for the programs of the node, which are in this session; without it, pods that crash keep an API server from its clients. */
const SESSION = { file: '/proc/self/autogroup', niceness: '-10' };

/** Folders of the machine in which Kubernetes makes folders of its own. */
const COVERED = ['/var/lib', '/var/log'];

/** The size of the disk with volumes of pods. */
const KUBELET_DISK = '1g';

const run = (command: string, ...args: readonly string[]): void => {
  execFileSync(command, args, { stdio: ['ignore', 'ignore', 'inherit'] });
};

/** Gives the programs of the node as much processor time as all pods together have, on a machine that does other work. */
export function takeShareOfPods(): void {
  try {
    writeFileSync(SESSION.file, SESSION.niceness);
  } catch {
    // Not every kernel has it, and it takes a right that a container may lack.
  }
}

/**
 * Makes the view of the file system that the programs of the cluster have, in the mount namespace of this process: what they write is in memory
 * and ends with it. The machine itself gets nothing but control groups.
 */
export function makeOwnView({ controlGroup, certificates, logs, state, volumes }: Layout): void {
  // As container runtimes expect it. The namespace is a copy, from which nothing comes back.
  run('mount', '--make-rprivate', '/');
  run('mount', '--make-rshared', '/');
  run('mount', '-t', 'tmpfs', '-o', 'mode=755,size=60%', 'tmpfs', state);
  for (const path of [certificates, logs, volumes]) mkdirSync(path, { recursive: true });
  for (const path of COVERED) coverWithMemory(path, state);
  run('mount', '-t', 'tmpfs', '-o', 'mode=755', 'tmpfs', '/run');
  mkdirSync('/run/lock');
  // Mounts below them must reach the containers that ask for that.
  for (const name of ['kubelet', 'containerd']) ownFolder(join('/var/lib', name), join(state, name));
  // Volumes of pods have a small disk of their own, which tests can fill.
  run('mount', '-t', 'tmpfs', '-o', `mode=755,size=${KUBELET_DISK}`, 'tmpfs', '/var/lib/kubelet');
  run('mount', '--make-rshared', '/var/lib/kubelet');
  run('mount', '--make-rshared', '/run');
  replaceFile('/etc/hosts', hostsFile(), join(state, 'hosts'));
  replaceFile('/etc/resolv.conf', `nameserver ${DNS_ADDRESS}\n`, join(state, 'resolv.conf'));
  for (const name of SETTINGS) {
    const path = join('/proc/sys', name);
    if (existsSync(path)) replaceFile(path, readFileSync(path, 'utf8'), join(state, name.replaceAll('/', '-')));
  }
  makeControlGroups(controlGroup);
}

/** The parent of all that the kubelet makes, in each hierarchy. */
function makeControlGroups(name: string): void {
  const root = '/sys/fs/cgroup';
  // With hierarchies of both versions, runtimes would take the newer one, which has no controllers.
  if (existsSync(join(root, 'unified'))) run('umount', join(root, 'unified'));
  const isOne = existsSync(join(root, 'cgroup.controllers'));
  const hierarchies = isOne ? [root] : readdirSync(root).map((controller) => join(root, controller));
  for (const path of hierarchies) {
    if (!existsSync(join(path, 'cgroup.procs'))) continue;
    mkdirSync(join(path, name));
    for (const [file, value] of Object.entries(PROCESSOR_TIME))
      if (existsSync(join(path, name, file))) writeFileSync(join(path, name, file), value);
  }
}

/** What is below the path can still be read; what is made there is in memory. */
function coverWithMemory(path: string, state: string): void {
  const [upper, work] = ['upper', 'work'].map((kind) => join(state, kind, path));
  for (const folder of [upper, work]) if (folder !== undefined) mkdirSync(folder, { recursive: true });
  run('mount', '-t', 'overlay', '-o', `lowerdir=${path},upperdir=${upper},workdir=${work}`, 'overlay', path);
}

function ownFolder(path: string, from: string): void {
  for (const folder of [path, from]) mkdirSync(folder, { recursive: true });
  run('mount', '--bind', from, path);
  run('mount', '--make-rshared', path);
}

function replaceFile(path: string, text: string, by: string): void {
  writeFileSync(by, text);
  run('mount', '--bind', by, path);
}

const hostsFile = (): string =>
  ['127.0.0.1 localhost', `${NODE_ADDRESS} ${[NODE_NAME, ...REGISTRY_HOSTS].join(' ')}`, ''].join('\n');

const ip = (...words: readonly string[]): void => run('ip', ...words);

/** The network of the node, in the network namespace of this process: its address is on one end of a pair of links. */
export function makeOwnNetwork(): void {
  ip('link', 'set', 'lo', 'up');
  ip('link', 'add', 'node0', 'type', 'veth', 'peer', 'name', 'node0-peer');
  ip('addr', 'add', `${NODE_ADDRESS}/24`, 'dev', 'node0');
  for (const link of ['node0', 'node0-peer']) ip('link', 'set', link, 'up');
  // Programs look for the link of the default route. Nothing answers there.
  ip('route', 'add', 'default', 'via', '10.77.0.254', 'dev', 'node0');
  writeFileSync('/proc/sys/net/ipv4/ip_forward', '1');
}

import { expect, jest } from '@jest/globals';

/**
 * Where processes, databases or disks that are made to fail take seconds, and minutes on a loaded machine: tests have 300 s there. All others
 * have the `testTimeout` of `jest.config.json`, so that one that hangs says so soon. A file that takes longer sets its own.
 */
const SLOW = [
  'agent',
  'authority',
  'caller-costs',
  'chart',
  'cli/ledger',
  'clients',
  'compose',
  'core/ledger',
  'core/policy',
  'core/state',
  'dev',
  'e2e',
  'fleet',
  'hosts',
  'image',
  'kube',
  'patroni',
  'policies',
  'postgres',
  'prometheus',
  'release',
  'serve',
  'sidecar/http2',
  'sidecar/state',
  'simulation',
  'spire',
  'systemd',
  'tools/doctor',
  'tools/inject',
  'tools/policy',
];

const path = expect.getState().testPath?.slice(import.meta.dirname.length + 1) ?? '';
if (SLOW.some((begin) => path.startsWith(begin))) jest.setTimeout(300_000);
// Commands in a cluster have up to 10 minutes, and say then what they waited for.
if (path.startsWith('cluster/')) jest.setTimeout(900_000);

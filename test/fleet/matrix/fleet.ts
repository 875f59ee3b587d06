import { systemPorts } from '../../../src/runtime/ports.ts';
import { after } from '../../../src/runtime/timers.ts';
import { SidecarState, type SidecarStateOptions } from '../../../src/state/remote/sidecar-state.ts';
import { digestOf, heldSvid, keyOf, serving, svidOf, trustDomain, type Serving } from '../../authority/serving.ts';
import { FaultProxy } from '../../fault-proxy.ts';
import { until } from '../../until.ts';

export const LEASE_MS = 2_000;

/** A sidecar with a lease, and the proxy between it and its authority. */
export interface FleetSidecar {
  readonly state: SidecarState;
  readonly proxy: FaultProxy;
  /** Opens task number `n` and looks at it all the time from then on. */
  readonly watch: (n: number) => Promise<Watch>;
}

/** What a sidecar says about a task. Instants are of `performance.now`. */
export interface Watch {
  /** Whether a use would be allowed now. */
  readonly isAllowed: () => boolean;
  /** When a use would last have been allowed. */
  readonly lastAllowedMs: () => number;
  /** The longest time between two looks that would have allowed a use: the pause of the process, at least. */
  readonly longestDeniedMs: () => number;
  /** Looks that would have denied a use, since the first that allowed one. */
  readonly denied: () => number;
}

/** An authority with sidecars over mutual TLS, each through a proxy of its own. `close` ends all of it. */
export interface Fleet {
  readonly authority: Serving;
  readonly sidecar: (options?: Partial<SidecarStateOptions>) => Promise<FleetSidecar>;
  readonly close: () => Promise<void>;
}

const LOOK_MS = 2;

export async function startFleet(folder: string): Promise<Fleet> {
  const acme = await trustDomain('acme.test');
  const own = heldSvid(svidOf(await acme.svid('/ns/prod/sa/authority', { ips: ['127.0.0.1'] }), acme));
  const authorityId = own.current()?.id;
  if (authorityId === undefined) throw new Error('the authority has no SVID');
  const authority = await serving(folder, {
    leaseMs: LEASE_MS,
    listen: [{ kind: 'tcp', host: '127.0.0.1', port: 0 }],
    svid: own,
  });
  const port = Number(authority.targets[0]?.split(':').at(-1));
  const tls = { svid: svidOf(await acme.svid('/ns/prod/sa/tools-1'), acme), authorityId };
  const closers: (() => unknown)[] = [() => authority.close()];
  return {
    authority,
    sidecar: async (options = {}) => {
      const proxy = await FaultProxy.start(port);
      const state = SidecarState.open({ ...sidecarOptions(`127.0.0.1:${proxy.port}`, tls), ...options });
      closers.push(
        () => proxy.close(),
        () => state.close(),
      );
      await until(() => state.problem() === null, { what: 'a lease' });
      return {
        state,
        proxy,
        watch: async (n) => {
          const use = await watch(state, n);
          closers.push(() => use.stop());
          return use;
        },
      };
    },
    close: async () => {
      for (const close of closers.reverse()) await close();
    },
  };
}

/** The options of a sidecar of one authority. */
export const sidecarOptions = (
  target: string,
  tls: Exclude<ReturnType<SidecarStateOptions['placeOf']>, string>['tls'],
): SidecarStateOptions => ({
  targets: [target],
  placeOf: () => ({ target, tls }),
  hello: () => ({ version: '0.2.0', policy_set: '', log: null }),
  status: () => ({ policy_set: '', policy_generation: 0, unacknowledged_records: 0, last_error: '' }),
  ports: systemPorts,
  after,
  onKeys: () => undefined,
  onProblem: () => undefined,
  onOpened: () => undefined,
  onSettled: () => undefined,
});

/** Opens task number `n` at a sidecar, and looks at it all the time from then on, until `stop`. */
export async function watch(state: SidecarState, n: number): Promise<Watch & { readonly stop: () => void }> {
  await state.states.open(keyOf(n), digestOf(n));
  const isAllowed = (): boolean => allows(state, n);
  let lastMs = 0;
  let deniedMs = 0;
  let denied = 0;
  const looking = setInterval(() => {
    // INVARIANT: the instant is read before the look, so that it is never later than what was seen.
    const nowMs = performance.now();
    if (isAllowed()) {
      if (lastMs > 0) deniedMs = Math.max(deniedMs, nowMs - lastMs);
      lastMs = nowMs;
    } else if (lastMs > 0) denied += 1;
  }, LOOK_MS);
  await until(() => lastMs > 0, { what: 'a use is allowed' });
  return {
    isAllowed,
    lastAllowedMs: () => lastMs,
    longestDeniedMs: () => deniedMs,
    denied: () => denied,
    stop: () => clearInterval(looking),
  };
}

/** Whether a sidecar would allow a use of task number `n` now. */
export function allows({ states }: SidecarState, n: number): boolean {
  const use = states.of(keyOf(n), digestOf(n));
  return use !== undefined && 'task' in use && use.task.state === 'active' && use.issued !== undefined;
}

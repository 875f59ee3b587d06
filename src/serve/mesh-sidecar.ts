import type { Config } from '../core/config/config.ts';
import { isObject } from '../core/runtime/fields.ts';
import { httpExchange } from '../core/runtime/system/http-exchange.ts';
import { isLoopback } from '../core/runtime/loopback-host.ts';
import { repeatedly } from '../core/runtime/repeatedly.ts';
import { after } from '../core/runtime/timers.ts';

/** What the Envoy of a mesh reports about itself: `/server_info`, and its listener for incoming connections. */
export interface MeshSidecar {
  readonly info: unknown;
  readonly inbound: unknown;
}

/** The admin interface of Istio's Envoy. */
const ADMIN_PORT = 15_000;
const LOOK_MS = 10_000;
const MAX_BYTES = 16 * 1_024 * 1_024;
/** Kubernetes sets it in every pod: nothing is asked elsewhere. */
const IN_POD = 'KUBERNETES_SERVICE_HOST';

/**
 * The port among `ports` whose TLS a sidecar of a mesh ends before this process is reached, or `null`. Agents and sidecars speak mutual TLS
 * with Remit itself, so they cannot be served there. Ports that the pod's annotations exclude count as free, and so do those of PERMISSIVE
 * mode, which lets TLS pass that is not the mesh's.
 */
export function takenPort({ info, inbound }: MeshSidecar, ports: readonly number[]): number | null {
  if (interceptionOf(info) === 'NONE') return null;
  const annotations = memberOf(memberOf(memberOf(info, 'node'), 'metadata'), 'ANNOTATIONS');
  const listed = (name: string): readonly string[] => {
    const value = memberOf(annotations, `traffic.sidecar.istio.io/${name}`);
    return typeof value === 'string' ? value.split(',').map((port) => port.trim()) : [];
  };
  const [included, excluded] = [listed('includeInboundPorts'), listed('excludeInboundPorts')];
  const isCaptured = (port: number): boolean =>
    !excluded.includes(String(port)) &&
    (included.length === 0 || included.includes('*') || included.includes(String(port)));
  const chains = listOf(inbound, 'configs').flatMap((one) =>
    listOf(memberOf(memberOf(one, 'active_state'), 'listener'), 'filter_chains'),
  );
  return ports.find((port) => isCaptured(port) && endsTls(chains, port)) ?? null;
}

/** Whether Envoy terminates TLS that is not the mesh's own, by the filter chains of the port, else by those of all ports. */
function endsTls(chains: readonly unknown[], port: number): boolean {
  const ofPort = chains.filter((chain) => memberOf(matchOf(chain), 'destination_port') === port);
  const ofAll = chains.filter((chain) => memberOf(matchOf(chain), 'destination_port') === undefined);
  return (ofPort.length > 0 ? ofPort : ofAll).some(
    (chain) =>
      memberOf(matchOf(chain), 'transport_protocol') === 'tls' &&
      memberOf(matchOf(chain), 'application_protocols') === undefined &&
      memberOf(chain, 'transport_socket') !== undefined,
  );
}

const matchOf = (chain: unknown): unknown => memberOf(chain, 'filter_chain_match');

const memberOf = (value: unknown, name: string): unknown => (isObject(value) ? value[name] : undefined);

const listOf = (value: unknown, name: string): readonly unknown[] => {
  const list = memberOf(value, name);
  return Array.isArray(list) ? list : [];
};

/** The ports at which others reach this process by TLS. */
function portsOf({ authority, issuer }: Config): readonly number[] {
  const addresses = [...authority.listen, ...(issuer === null ? [] : [issuer.listen])];
  return addresses.flatMap((one) => ('port' in one && !isLoopback(one.host) ? [one.port] : []));
}

/**
 * Checks the sidecar of the pod every 10 s, if this process serves others in a pod. `problem` is why it cannot serve; also `null` while no
 * sidecar answers.
 *
 * Lifecycle: until `close`.
 */
export function watchMeshSidecar(
  config: Config,
  environment: Readonly<Record<string, string | undefined>>,
  { adminPort = ADMIN_PORT, everyMs = LOOK_MS } = {},
): { readonly problem: () => string | null; readonly close: () => Promise<void> } {
  const ports = portsOf(config);
  if (ports.length === 0 || environment[IN_POD] === undefined)
    return { problem: () => null, close: () => Promise.resolve() };
  let taken: number | null = null;
  const look = async (): Promise<void> => {
    const sidecar = await askedSidecar(adminPort);
    taken = sidecar === null ? null : takenPort(sidecar, ports);
  };
  void look().catch(() => undefined);
  return {
    problem: () =>
      taken === null
        ? null
        : `a sidecar of a mesh ends the TLS of port ${taken} before this process, so that it serves nobody: give its pod the label \`sidecar.istio.io/inject: "false"\`, or exclude the port with \`traffic.sidecar.istio.io/excludeInboundPorts\``,
    close: repeatedly(look, { everyMs, after, onFault: () => (taken = null) }),
  };
}

/**
 * Why the ports of this pod may be taken, if its sidecar intercepts nothing: it listens itself on the port of each Service that it knows, among them
 * that of the authority's metrics. `null` if there is no such sidecar.
 */
export async function listeningSidecar(
  environment: Readonly<Record<string, string | undefined>>,
  { adminPort = ADMIN_PORT } = {},
): Promise<string | null> {
  if (environment[IN_POD] === undefined) return null;
  const info = await askerOf(adminPort)('/server_info').catch(() => null);
  return interceptionOf(info) === 'NONE'
    ? "the sidecar of Istio intercepts nothing (`interceptionMode: NONE`) and listens on the ports of all Services itself, so that calls may reach this pod without it: remove `sidecar.istio.io/interceptionMode` from the pod, or `interceptionMode` from the mesh's configuration"
    : null;
}

const interceptionOf = (info: unknown): unknown =>
  memberOf(memberOf(memberOf(info, 'node'), 'metadata'), 'INTERCEPTION_MODE');

async function askedSidecar(adminPort: number): Promise<MeshSidecar | null> {
  const asked = askerOf(adminPort);
  try {
    const info = await asked('/server_info');
    return { info, inbound: await asked('/config_dump?resource=dynamic_listeners&name_regex=virtualInbound') };
  } catch {
    return null;
  }
}

/** Asks the admin interface of Envoy; rejects if it does not answer within 5 s. */
function askerOf(adminPort: number): (path: string) => Promise<unknown> {
  const signal = AbortSignal.timeout(5_000);
  return async (path) => {
    const answer = await httpExchange(`http://127.0.0.1:${adminPort}${path}`, { maxBytes: MAX_BYTES, signal });
    return answer.status === 200 && answer.fault === null ? JSON.parse(answer.body.toString('utf8')) : null;
  };
}
